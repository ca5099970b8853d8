"""What an answer means for its execution: status, and where its result is.

Unstract hands a finished result out once. The HTTP code says little: 422 announces a
running execution, a failed one and a refused request; so the body decides.
"""

from collections.abc import Mapping, Sequence

import msgspec

from sources.json_text import canonical_sha256
from sources.observations import Observation
from sources.records import Response, ResultState, Status, execution_key
from sources.unstract.answers import (
    Answer,
    answer_in,
    file_status,
    names_id,
    unreturned,
)
from sources.values import MisfitError, integer, text_or_none
from sources.watched import Watched

__all__ = ["Verdict", "by_files", "detail", "listed_verdict", "verdict_of"]

_OPEN: dict[str, Status] = {
    "PENDING": "queued",
    "QUEUED": "queued",
    "READY": "queued",
    "INITIATED": "queued",
    "EXECUTING": "running",
}
_FINAL: dict[str, Status] = {
    "COMPLETED": "unknown",  # until its files are seen
    "ERROR": "failed",
    "STOPPED": "cancelled",
}
_ACKNOWLEDGED = "Result already acknowledged"
_NOT_FOUND, _NOT_ACCEPTABLE, _UNPROCESSABLE = 404, 406, 422
_FINE = frozenset({*range(200, 300), _UNPROCESSABLE})
_IN_HASH = ("listed", "sent", "usage")
"""What of a watched execution's context makes rows."""


class Verdict(msgspec.Struct, frozen=True):
    """Neutral status, the provider's word, where the result is, and if that is all."""

    status: Status
    word: str | None
    result_state: ResultState
    is_terminal: bool


def verdict_of(response: Response, known: Watched, body: object) -> Verdict | None:
    """Return what an answer means; ``None`` where it says nothing of the execution.

    Once the execution is given up, whatever is not its final answer ends it.
    """
    said = _said(response, known, body)
    if (said and said.is_terminal) or not known.is_given_up(response.received_at):
        return said
    if said and said.result_state == "captured":
        return msgspec.structs.replace(said, is_terminal=True)
    return Verdict("unknown", said.word if said else None, "missing", is_terminal=True)


def _said(response: Response, known: Watched, body: object) -> Verdict | None:
    answer = answer_in(response, body)
    if answer is None:
        is_unknown = _says_not_found(response, known, body)
        return Verdict("unknown", None, "missing", False) if is_unknown else None  # noqa: FBT003 (a struct's column)
    word = answer.word or ""
    if word in _OPEN:
        return Verdict(_OPEN[word], word, "pending", is_terminal=False)
    if response.http_status == _NOT_ACCEPTABLE or answer.result == _ACKNOWLEDGED:
        read: ResultState = (
            "lost_in_transit" if known.broken_reads else "acknowledged_elsewhere"
        )
        return Verdict(_FINAL.get(word, "unknown"), answer.word, read, is_terminal=True)
    if word in _FINAL:
        return _final(response, known, answer, word)
    if response.http_status not in _FINE:
        return None
    # a word of tomorrow: asked for again, but what came with it may come only once
    state: ResultState = "captured" if answer.files else "pending"
    return Verdict("unknown", answer.word, state, is_terminal=False)


def _final(
    response: Response, known: Watched, answer: Answer, word: str
) -> Verdict | None:
    if answer.has_report:
        status = _by_answer(answer, known) if word == "COMPLETED" else _FINAL[word]
        return Verdict(status, word, "captured", is_terminal=True)
    if response.endpoint == "submit":  # the GET has it, and has not been asked yet
        return Verdict(_FINAL[word], word, "available", is_terminal=False)
    if response.http_status in _FINE:
        return Verdict(_FINAL[word], word, "expired", is_terminal=True)
    return None


def _by_answer(answer: Answer, known: Watched) -> Status:
    """Return the status of a completed run; without a file to see it is unknown."""
    seen = [file_status(value) for _, value in answer.files or ()]
    is_whole = not unreturned(answer, known.context.get("sent"))
    return by_files(seen, is_whole=is_whole)


def by_files(seen: Sequence[Status], *, is_whole: bool) -> Status:
    """Return the status of a completed run by those of its files."""
    if "succeeded" in seen and ("failed" in seen or not is_whole):
        return "partially_succeeded"
    return seen[0] if len(set(seen)) == 1 else "unknown"


def _says_not_found(response: Response, known: Watched, body: object) -> bool:
    """Tell whether this very execution is unknown: an unknown API is a 404, too."""
    if response.http_status != _NOT_FOUND or not isinstance(body, dict):
        return False
    errors = body.get("errors")
    details = [
        text_or_none(error.get("detail")) or ""
        for error in (errors if isinstance(errors, list) else ())
        if isinstance(error, dict)
    ]
    return any(names_id(words, known.execution_id) for words in details)


def listed_verdict(item: Mapping[str, object]) -> Verdict:
    """Return what an item of the platform's list means: it is never consumed there."""
    word = text_or_none(item.get("status"))
    if word not in _FINAL:
        return Verdict(_OPEN.get(word or "", "unknown"), word, "pending", False)  # noqa: FBT003 (a struct's column)
    status = _by_counts(item) if word == "COMPLETED" else _FINAL[word]
    if item.get("result_acknowledged") is True:
        return Verdict(status, word, "acknowledged_elsewhere", is_terminal=True)
    return Verdict(status, word, "available", is_terminal=False)


def _by_counts(item: Mapping[str, object]) -> Status:
    succeeded, failed = (
        _count(item, f"{kind}_files") for kind in ("successful", "failed")
    )
    if succeeded is None or failed is None:
        return "unknown"
    if failed > 0:
        return "partially_succeeded" if succeeded > 0 else "failed"
    return "succeeded" if succeeded > 0 else "unknown"


def _count(item: Mapping[str, object], name: str) -> int | None:
    try:
        return integer(item.get(name))
    except MisfitError:
        return None


def detail(
    response: Response,
    known: Watched,
    execution_id: str,
    verdict: Verdict,
    body: object,
) -> Observation:
    """Return the observation of one execution; its hash is of all that makes rows."""
    context = {name: known.context[name] for name in _IN_HASH if name in known.context}
    listed = context.get("listed")
    broken = known.broken_reads if verdict.result_state == "lost_in_transit" else ()
    told = ["detail", *msgspec.structs.astuple(verdict), body, context]
    return Observation(
        kind="detail",
        key=execution_key(
            response.provider, response.connection, known.scope, execution_id
        ),
        pointer="",
        sha256=canonical_sha256([*told, known.tags, broken]),
        list_sha256=None if listed is None else canonical_sha256(listed),
        status=verdict.status,
        provider_status=verdict.word,
        result_state=verdict.result_state,
        is_terminal=verdict.is_terminal,
        scope=known.scope,
        name=execution_id,
    )
