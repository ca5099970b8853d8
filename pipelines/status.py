"""How things stand: the store, what waits, what is still open or was lost."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from pipelines.load import select_from, waiting
from pipelines.query import opened
from pipelines.runs import unfinished
from pipelines.store import Home

__all__ = ["LastRun", "Status", "status", "told"]


class LastRun(msgspec.Struct):
    """The newest run that was published."""

    command: str
    ended_at: datetime
    outcome: str
    error: str | None


class Status(msgspec.Struct, kw_only=True):
    """How a home stands.

    ``waiting`` counts responses that the journal holds and no load has published;
    ``open`` are executions that are not terminal, read again by each load;
    ``unfinished`` names accounts and scopes whose listing must be read again.
    """

    home: str
    last_run: LastRun | None = None
    executions: dict[str, int] = {}
    open: int = 0
    lost: dict[str, int] = {}
    unfinished: dict[str, list[str]] = {}
    rejects: int = 0
    waiting: dict[str, int] = {}


_LOST = ("acknowledged_elsewhere", "lost_in_transit", "expired", "missing")


def status(home: Home) -> Status:
    """Return how the home stands; neither a store nor a journal need be there."""
    counts = {":".join(of): count for of, count in waiting(home).items()}
    found = Status(home=str(home.path), waiting=counts)
    if home.published.exists():
        _read_store(home, found)
    return found


def _read_store(home: Home, found: Status) -> None:
    with opened(home) as con:
        select = select_from(con)
        by_status = "select status, count(*) from {executions} group by status"
        by_state = (
            "select result_state, count(*) from {executions} "
            "where result_state in (?, ?, ?, ?) group by result_state"
        )
        last = (
            "select command, ended_at, outcome, error from {runs} "
            "order by started_at desc limit 1"
        )
        found.executions = dict(sorted(map(tuple, select(by_status, ()))))
        found.open = _number(
            select("select count(*) from {executions} where not is_terminal", ())
        )
        found.rejects = _number(select("select count(*) from {load_rejects}", ()))
        found.lost = dict(sorted(map(tuple, select(by_state, _LOST))))
        for run in select(last, ()):
            found.last_run = LastRun(*run)
        due = unfinished(select)
        found.unfinished = {name: sorted(scopes) for name, scopes in due.items()}


def _number(rows: Sequence[Sequence[Any]]) -> int:
    return int(rows[0][0]) if rows else 0


def told(found: Status) -> str:
    """Return how a home stands, in words."""
    return "\n".join(_lines(found))


def _lines(found: Status) -> Iterator[str]:
    yield f"Home       {found.home}"
    if found.last_run is None:
        yield 'Last run   none yet: run "execledger load" or "execledger demo"'
    else:
        run = found.last_run
        ended = f"{run.ended_at:%Y-%m-%d %H:%M} UTC"
        yield f"Last run   {run.command}, {ended}, {run.outcome}"
        yield from (f"           ! {line}" for line in (run.error or "").splitlines())
    counts = ", ".join(f"{count:,} {name}" for name, count in found.executions.items())
    yield f"Executions {counts or 'none'}"
    yield f"Open       {found.open:,}, read again by the next load"
    for state, count in found.lost.items():
        yield f"Lost       {count:,} {state.replace('_', ' ')}"
    for account, scopes in found.unfinished.items():
        due = ", ".join(scopes)
        yield f"Unfinished {account}: {due}; the next load reads them again"
    if found.rejects:
        yield f"Rejects    {found.rejects:,} values did not fit: see load_rejects"
    for account, count in found.waiting.items():
        yield f"Waiting    {count:,} responses of {account} in the journal, not loaded"
