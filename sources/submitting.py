"""What the answer to a submit does: it is kept, and only then looked at.

Also where another process sent the request and died, or a person knows more.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from sources import part
from sources.exchange import Reply
from sources.journal import Journal, utc_now
from sources.records import Response
from sources.submit_answers import verdict_of
from sources.submits import (
    Submit,
    answered,
    arriving,
    find,
    is_owned,
    open_submits,
    settle,
)
from sources.watched import BrokenRead, Watched
from sources.watchlist import WatchList

__all__ = ["attach", "concluded", "kept", "recover"]


def recover(
    journal: Journal, settings_of: Mapping[tuple[str, str], Any] | None = None
) -> list[Submit]:
    """Settle what dead processes left; return what was settled.

    A submit whose request was out is ``unknown``. One whose answer is kept, or had
    begun to arrive, is parsed if ``settings_of`` has the settings of its provider and
    connection.
    """
    settled = []
    for submit in open_submits(journal):
        if submit.state == "unknown" or is_owned(journal, submit):
            continue
        settings = (settings_of or {}).get((submit.provider, submit.connection))
        is_kept = journal.response(submit.response_id or "") is not None
        if not is_kept and not _has_arrived(journal, submit):
            settled += _unknown(journal, submit)
        elif settings is not None:
            settled.append(_recovered(journal, settings, submit))
    return settled


def _has_arrived(journal: Journal, submit: Submit) -> bool:
    return submit.state == "sending" and arriving(journal, submit).exists()


def _recovered(
    journal: Journal,
    settings: Any,  # noqa: ANN401 (each provider's own)
    submit: Submit,
) -> Submit:
    """Parse the answer that a dead process kept, or had received so far."""
    response = journal.response(submit.response_id or "")
    if response is None:
        recovered = part(submit.provider, "submit").recovered
        reply: Reply = recovered(settings, arriving(journal, submit))
        response = kept(journal, submit, reply)
    return concluded(journal, settings, submit, response)


def _unknown(journal: Journal, submit: Submit) -> list[Submit]:
    """Note that its process ended before the answer came, or was looked at.

    It may have come to its end just before that process did: then nothing is noted.
    """
    words = "the process ended before an answer came"
    if submit.response_id:
        words = f"its answer is in raw_responses, as {submit.response_id}"
    unknown = replace(submit, state="unknown", error=words, owner=None)
    return [unknown] if settle(journal, unknown, was=submit.state) else []


def kept(journal: Journal, submit: Submit, reply: Reply) -> Response:
    """Put the answer into the journal, and in the ledger that it is there."""
    response = journal.append(
        provider=submit.provider,
        connection=submit.connection,
        endpoint="submit",
        params=_params(submit),
        reply=reply,
        also=answered(submit),
    )
    arriving(journal, submit).unlink(missing_ok=True)
    return response


def _params(submit: Submit) -> dict[str, Any]:
    params = submit.watched().as_params()
    del params["execution_id"]
    return params


def attach(
    journal: Journal,
    settings: Any,  # noqa: ANN401 (each provider's own)
    submit_id: str,
    execution_id: str,
) -> Submit:
    """Put the execution that a submit turned out to have started on the watch-list.

    With all that was noted when it was sent. Raises ``ConfigurationError`` where
    there is no such submit, or it is still under way.
    """
    submit = find(journal, submit_id)
    watched = submit.watched(execution_id, at=utc_now())
    if submit.what.get("may_consume"):  # the answer that was lost had the result
        read = BrokenRead(
            at=submit.submitted_at,
            reason=submit.error or "the answer to the start did not arrive",
            response_id=submit.response_id,
        )
        watched = replace(watched, broken_reads=(read,))
    _watch(journal, settings, submit, watched)
    known = replace(
        submit, state="accepted", execution_id=execution_id, error=None, owner=None
    )
    settle(journal, known, was=submit.state)
    return known


def concluded(
    journal: Journal,
    settings: Any,  # noqa: ANN401 (each provider's own)
    submit: Submit,
    response: Response,
    reply: Reply | None = None,
) -> Submit:
    """Parse the kept answer: watch what it started, and note what became of it.

    What a synchronous answer already holds the final result of is on no watch-list.
    Done twice, it is as if done once: the execution is watched before the ledger
    says that it was accepted.
    """
    verdict = verdict_of(response, reply)
    if verdict.execution_id and not verdict.is_final:
        _watch(journal, settings, submit, submit.watched(verdict.execution_id))
    concluded = replace(
        submit,
        state=verdict.state,
        response_id=response.response_id,
        execution_id=verdict.execution_id,
        error=verdict.error,
        owner=None,
    )
    settle(journal, concluded, was="answered")
    return concluded


def _watch(
    journal: Journal,
    settings: Any,  # noqa: ANN401 (each provider's own)
    submit: Submit,
    watched: Watched,
) -> None:
    rules = part(submit.provider, "tracking")
    watch_list = WatchList(journal, submit.provider, submit.connection)
    watch_list.add([rules.watch(settings, watched)])
