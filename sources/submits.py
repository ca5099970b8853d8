"""The ledger of submits: what was sent to start an execution, and what became of it.

It lies in the journal's file. A submit is in it, durably, before the request goes out,
and its raw answer is in the journal before anything parses that: a process may die at
any moment, and nothing is ever started twice in silence.
"""

import secrets
import sqlite3
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.journal_file import from_us, to_us
from sources.leases import Owner, folder_of, is_alive
from sources.records import Response
from sources.watched import Tag, Watched

__all__ = [
    "Draft",
    "State",
    "Submit",
    "again",
    "answered",
    "arriving",
    "begin",
    "begin_if_room",
    "dismiss",
    "find",
    "is_owned",
    "open_runs",
    "open_submits",
    "settle",
    "submits",
]

State = Literal["sending", "answered", "accepted", "refused", "unknown"]
"""``sending``: the request may be on its way; ``answered``: its answer is kept and not
looked at yet; ``unknown``: nobody here knows whether it started something."""

_COLUMNS = (
    "submit_id, provider, connection, scope, submitted_at, state, what, tags, "
    "context, owner, response_id, execution_id, error"
)
_BEGIN = f"""
    insert into submits ({_COLUMNS}) values (
        :submit_id, :provider, :connection, :scope, :submitted_at, :state, :what,
        :tags, :context, :owner, null, null, null
    )
"""  # noqa: S608 - names above
_SETTLE = """
    update submits set state = :state, response_id = :response_id,
        execution_id = :execution_id, error = :error, owner = null
    where submit_id = :submit_id and state = :was
"""
_AS_JSON = ("what", "tags", "context")
_OPEN = """
    select (
        select count(*) from watched where provider = :provider
        and connection = :connection and final_response_id is null
        and result_state = 'pending'
    ) + (
        select count(*) from submits where provider = :provider
        and connection = :connection and state in ('sending', 'answered')
    )
"""


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be sent: which account, and in ``what`` its names, never its values.

    ``what`` has under ``said`` what it is in words; ``tags`` and ``context`` are
    those of the execution that it starts.
    """

    provider: str
    connection: str
    scope: str
    what: dict[str, Any]
    tags: tuple[Tag, ...] = ()
    context: dict[str, Any] = {}


class Submit(Draft, frozen=True, kw_only=True):
    """A submit as it stands in the ledger."""

    submit_id: str
    submitted_at: datetime
    state: State
    owner: str | None = None
    response_id: str | None = None
    execution_id: str | None = None
    error: str | None = None

    @property
    def account(self) -> str:
        """The account as people read it, such as ``unstract:default``."""
        return f"{self.provider}:{self.connection}"

    @property
    def said(self) -> str:
        """What was sent, in words."""
        return str(self.what.get("said", ""))

    def watched(self, execution_id: str = "", *, at: datetime | None = None) -> Watched:
        """Return the execution that it started, tracked now or at the start."""
        return Watched(
            execution_id=execution_id,
            scope=self.scope,
            tracked_at=at or self.submitted_at,
            started_at=self.submitted_at,
            tags=self.tags,
            context=self.context,
        )


def begin(journal: Journal, owner: Owner, draft: Draft, at: datetime) -> Submit:
    """Put a submit into the ledger, before its request goes out."""
    submit = _begun(owner, draft, at)
    with journal.file.transaction() as con:
        con.execute(_BEGIN, _row(submit))
    return submit


def begin_if_room(
    journal: Journal, owner: Owner, draft: Draft, at: datetime, limit: int
) -> Submit | None:
    """Do likewise, or return ``None`` where ``limit`` runs of the account are open."""
    submit = _begun(owner, draft, at)
    of = {"provider": draft.provider, "connection": draft.connection}
    with journal.file.transaction() as con:
        if con.execute(_OPEN, of).fetchall()[0][0] >= limit:
            return None
        con.execute(_BEGIN, _row(submit))
    return submit


def open_runs(journal: Journal, provider: str, connection: str) -> int:
    """Return how many runs of an account are open.

    Those are the ones that any process is submitting, and those on the watch-list
    that may still be going on.
    """
    of = {"provider": provider, "connection": connection}
    return int(journal.file.rows(_OPEN, of)[0][0])


def _begun(owner: Owner, draft: Draft, at: datetime) -> Submit:
    return Submit(
        submit_id=secrets.token_hex(4),
        submitted_at=at,
        state="sending",
        owner=owner.name,
        **msgspec.structs.asdict(draft),
    )


def again(journal: Journal, submit: Submit, at: datetime) -> Submit:
    """Note that it is sent once more, since nothing can have begun before."""
    with journal.file.transaction() as con:
        con.execute(
            "update submits set submitted_at = ? where submit_id = ?",
            (to_us(at), submit.submit_id),
        )
    return replace(submit, submitted_at=at)


def answered(submit: Submit) -> Callable[[sqlite3.Connection, Response], object]:
    """Return what ``Journal.append`` is to do with the answer to a submit."""

    def note(con: sqlite3.Connection, response: Response) -> None:
        con.execute(
            "update submits set state = 'answered', response_id = ? "
            "where submit_id = ? and state = 'sending'",
            (response.response_id, submit.submit_id),
        )

    return note


def settle(journal: Journal, submit: Submit, *, was: State) -> bool:
    """Note what became of a submit that ``was`` in a state; tell if it still was.

    So of two processes that settle the same one, the first has settled it.
    """
    with journal.file.transaction() as con:
        settled = con.execute(_SETTLE, _row(submit) | {"was": was})
        return settled.rowcount > 0


def is_owned(journal: Journal, submit: Submit) -> bool:
    """Tell whether a process that is alive is at work on it."""
    if submit.owner is None:
        return False
    return is_alive(journal, submit.owner)


def dismiss(journal: Journal, submit_id: str) -> Submit:
    """Take a submit out of the ledger: it is known to have started nothing.

    Raises ``ConfigurationError`` as ``find`` does.
    """
    submit = find(journal, submit_id)
    with journal.file.transaction() as con:
        con.execute("delete from submits where submit_id = ?", (submit_id,))
    return submit


def find(journal: Journal, submit_id: str) -> Submit:
    """Return a submit without an execution that nobody is sending any more.

    Raises ``ConfigurationError`` that says why there is none.
    """
    known = {one.submit_id: one for one in _read(journal, "submit_id = ?", submit_id)}
    submit = known.get(submit_id)
    if submit is None:
        raise ConfigurationError(
            f'There is no submit {submit_id!r}. "execledger status" names those '
            "whose outcome is unknown."
        )
    if submit.execution_id:
        raise ConfigurationError(
            f"The submit {submit_id} started {submit.execution_id}: it is not unknown."
        )
    if is_owned(journal, submit):
        raise ConfigurationError(f"The submit {submit_id} is being sent just now.")
    return submit


def arriving(journal: Journal, submit: Submit) -> Path:
    """Return the file for the body of the answer while it arrives."""
    return folder_of(journal, submit.owner or "none") / submit.submit_id


def open_submits(journal: Journal) -> list[Submit]:
    """Return the submits whose outcome is not known, or not yet, oldest first."""
    return list(_read(journal, "state in ('sending', 'answered', 'unknown')"))


def submits(journal: Journal, provider: str, connection: str) -> list[Submit]:
    """Return all submits of an account that the ledger has, oldest first."""
    return list(_read(journal, "provider = ? and connection = ?", provider, connection))


def _row(submit: Submit) -> dict[str, Any]:
    row = msgspec.structs.asdict(submit)
    for name in _AS_JSON:
        row[name] = msgspec.json.encode(row[name]).decode()
    return row | {"submitted_at": to_us(submit.submitted_at)}


def _read(journal: Journal, where: str, *values: object) -> Iterator[Submit]:
    rows = journal.file.rows(
        f"select {_COLUMNS} from submits where {where} order by submitted_at",  # noqa: S608 - ours
        values,
    )
    names = _COLUMNS.split(", ")
    for row in rows:
        known = dict(zip(names, row, strict=True))
        known["submitted_at"] = from_us(known["submitted_at"])
        for name in _AS_JSON:
            known[name] = msgspec.json.decode(known[name])
        yield msgspec.convert(known, Submit)
