"""How things stand: the store, what waits, what is still open or was lost."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from pipelines.destinations import looking
from pipelines.outlook import (
    LostResult,
    duration,
    lost_results,
    next_step,
    told_loss,
)
from pipelines.past_loads import safe_interval_s, unfinished
from pipelines.store import Home
from sources.journal import Journal, utc_now
from sources.records import LOST
from sources.seen import Select
from sources.submits import Submit, open_submits
from sources.submitting import recover
from sources.watchlist import Watching, watching

__all__ = ["LastRun", "OpenSubmit", "Status", "WatchedExecution", "status", "told"]


class LastRun(msgspec.Struct):
    """The newest run that was published."""

    command: str
    ended_at: datetime
    outcome: str
    error: str | None


class WatchedExecution(msgspec.Struct, kw_only=True):
    """An execution on the watch-list.

    ``expires_at`` is when its result can be gone at the earliest; ``is_asked`` says
    that a process asks for it right now; ``is_done`` that its end is in the journal
    and waits for the next load.
    """

    account: str
    scope: str
    execution_id: str
    status: str
    result_state: str
    next_poll_at: datetime
    expires_at: datetime | None
    polls: int
    last_poll_at: datetime | None
    last_error: str | None
    is_asked: bool
    is_done: bool


class OpenSubmit(msgspec.Struct, kw_only=True):
    """A start of which nobody here knows what came of it, or not yet.

    ``state`` is ``submit_unknown``, or ``submitting`` while a process is at it.
    """

    submit_id: str
    account: str
    what: str
    state: str
    submitted_at: datetime
    error: str | None
    next_step: str | None


class Status(msgspec.Struct, kw_only=True):
    """How a home stands, at ``at``.

    ``waiting`` counts responses that the journal holds and no load has published;
    ``open`` are executions that are not terminal, read again by each load;
    ``unfinished`` names accounts and scopes whose listing must be read again;
    ``expiring`` are watched results that can be gone within two hours, ``overdue``
    those that can be gone already. ``safe_interval_s`` is the longest safe time
    between loads, as the last one knew it.
    """

    home: str
    at: datetime
    last_run: LastRun | None = None
    executions: dict[str, int] = {}
    open: int = 0
    lost: dict[str, int] = {}
    unfinished: dict[str, list[str]] = {}
    rejects: int = 0
    waiting: dict[str, int] = {}
    watched: list[WatchedExecution] = []
    due: int = 0
    expiring: int = 0
    overdue: int = 0
    lost_results: list[LostResult] = []
    submits: list[OpenSubmit] = []
    safe_interval_s: float | None = None


_SOON = timedelta(hours=2)
_SHOWN = 50
"""Watched executions, and losses, that are named unless all are to be."""


def status(home: Home) -> Status:
    """Return how the home stands; neither a store nor a journal need be there."""
    found = Status(home=str(home.path), at=utc_now())
    if home.journal.exists():
        with Journal(home.journal) as journal:
            recover(journal)
            _read_journal(journal, found)
    with looking(home) as select:
        _read_store(select, found)
    return found


def _read_journal(journal: Journal, found: Status) -> None:
    found.waiting = {":".join(of): n for of, n in journal.counts().items()}
    found.submits = [_open(submit) for submit in open_submits(journal)]
    found.watched = [_watched(one) for one in watching(journal)]
    still = [one for one in found.watched if not one.is_done]
    found.due = sum(one.next_poll_at <= found.at for one in still)
    left = [one.expires_at - found.at for one in still if one.expires_at]
    found.overdue = sum(time <= timedelta() for time in left)
    found.expiring = sum(timedelta() < time <= _SOON for time in left)


def _open(submit: Submit) -> OpenSubmit:
    is_unknown = submit.state == "unknown"
    return OpenSubmit(
        submit_id=submit.submit_id,
        account=submit.account,
        what=submit.said,
        state="submit_unknown" if is_unknown else "submitting",
        submitted_at=submit.submitted_at,
        error=submit.error,
        next_step=next_step(submit),
    )


def _watched(one: Watching) -> WatchedExecution:
    entry = one.entry
    return WatchedExecution(
        account=f"{one.provider}:{one.connection}",
        scope=entry.watched.scope,
        execution_id=entry.watched.execution_id,
        status=entry.status,
        result_state=entry.result_state,
        next_poll_at=entry.due_at,
        expires_at=entry.watched.expires_at,
        polls=entry.polls,
        last_poll_at=entry.last_poll_at,
        last_error=entry.last_error,
        is_asked=entry.asked_at is not None,
        is_done=entry.is_final,
    )


def _read_store(select: Select, found: Status) -> None:
    by_status = "select status, count(*) from {executions} group by status"
    by_state = (
        "select result_state, count(*) from {executions} "
        "where is_terminal and result_state in (?, ?, ?, ?) group by result_state"
    )
    last = (
        "select command, ended_at, outcome, error from {runs} "
        "order by rowid desc limit 1"
    )
    found.executions = dict(sorted(map(tuple, select(by_status, ()))))
    found.open = _number(
        select("select count(*) from {executions} where not is_terminal", ())
    )
    found.rejects = _number(select("select count(*) from {load_rejects}", ()))
    found.lost = dict(sorted(map(tuple, select(by_state, LOST))))
    found.lost_results = lost_results(select)
    found.safe_interval_s = safe_interval_s(select)
    for run in select(last, ()):
        found.last_run = LastRun(*run)
    due = unfinished(select)
    found.unfinished = {name: sorted(scopes) for name, scopes in due.items()}


def _number(rows: Sequence[Sequence[Any]]) -> int:
    return int(rows[0][0]) if rows else 0


def told(found: Status, *, everything: bool = False) -> str:
    """Return how a home stands, in words; ``everything`` names each execution."""
    return "\n".join(_lines(found, None if everything else _SHOWN))


def _lines(found: Status, shown: int | None) -> Iterator[str]:
    yield f"Home       {found.home}"
    yield from _last_run(found)
    counts = ", ".join(f"{count:,} {name}" for name, count in found.executions.items())
    yield f"Executions {counts or 'none'}"
    yield f"Open       {found.open:,}, read again by the next load"
    yield from _watch_list(found, shown)
    yield from _losses(found, shown)
    for account, scopes in found.unfinished.items():
        due = ", ".join(scopes)
        yield f"Unfinished {account}: {due}; the next load reads them again"
    if found.rejects:
        yield f"Rejects    {found.rejects:,} values did not fit: see load_rejects"
    for account, count in found.waiting.items():
        yield f"Waiting    {count:,} responses of {account} in the journal, not loaded"


def _last_run(found: Status) -> Iterator[str]:
    run = found.last_run
    if run is None:
        yield 'Last run   none yet: run "execledger load" or "execledger demo"'
        return
    yield f"Last run   {run.command}, {run.ended_at:%Y-%m-%d %H:%M} UTC, {run.outcome}"
    yield from (f"           ! {line}" for line in (run.error or "").splitlines())


def _watch_list(found: Status, shown: int | None) -> Iterator[str]:
    """Yield the sums of the watch-list, and the executions that expire first."""
    still = [one for one in found.watched if not one.is_done]
    if found.watched:
        done = len(found.watched) - len(still)
        ended = f"; {done:,} more have ended, and wait for the next load" * bool(done)
        yield f"Watched    {len(still):,} executions, {found.due:,} due now{ended}"
    if found.expiring:
        yield f"           ! {found.expiring:,} results expire within 2 h"
    if found.overdue:
        yield f"           ! {found.overdue:,} results may have expired already"
    for one in still[:shown]:
        yield f"           {_told(one, found.at)}"
    if more := len(still[shown:] if shown else []):
        yield f'           ... and {more:,} more: "execledger status --all"'
    if found.safe_interval_s is not None:
        yield f"Schedule   a load at least every {duration(found.safe_interval_s)}"
    for submit in found.submits:
        why = " ".join(filter(None, (submit.error, submit.next_step)))
        said = f"{submit.account} {submit.what}: {submit.state}. {why}"
        yield f"Submit     ! {said}".rstrip()


def _told(one: WatchedExecution, now: datetime) -> str:
    name = "/".join(filter(None, (one.scope, one.execution_id)))
    state = one.status if one.result_state == "pending" else one.result_state
    poll = (
        "asked for now" if one.is_asked else f"next poll {_when(one.next_poll_at, now)}"
    )
    expires = f"expires {_when(one.expires_at, now)}" if one.expires_at else "expires ?"
    error = f" ! {one.last_error}" if one.last_error else ""
    return f"{one.account} {name}: {state.replace('_', ' ')}, {poll}, {expires}{error}"


def _when(at: datetime, now: datetime) -> str:
    """Return a time as people need it here: how far away it is."""
    seconds = (at - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {duration(seconds)}" if seconds > 0 else f"{duration(-seconds)} ago"


def _losses(found: Status, shown: int | None) -> Iterator[str]:
    for state, count in found.lost.items():
        yield f"Lost       {count:,} {state.replace('_', ' ')}"
    for lost in found.lost_results[:shown]:
        yield f"           {told_loss(lost)}"
    if more := len(found.lost_results[shown:] if shown else []):
        yield f'           ... and {more:,} more: "execledger status --all"'
