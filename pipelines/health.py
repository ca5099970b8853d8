"""How a home stands after a load, in codes, counts, names and times: for monitors.

No words of a provider and of no error are in it: whoever may read it may know it.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Literal

import msgspec

from pipelines.destinations import looking
from pipelines.ended import Ended, Outcome, next_load_at
from pipelines.outlook import expiring, interval_of, still_watched
from pipelines.past_loads import safe_interval_s
from pipelines.runs import AccountReport
from pipelines.store import Home
from sources.errors import ExecledgerError
from sources.journal import Journal, utc_now
from sources.records import LOST, execution_key
from sources.seen import Select
from sources.watchlist import Watching

__all__ = ["AccountHealth", "Health", "OpenExecution", "health"]

_Started = tuple[datetime, str]
"""When an execution began, and its key."""


class AccountHealth(msgspec.Struct, kw_only=True):
    """What the load came to for one account; nothing where it did not come to it.

    ``last_ok_at`` is when the newest load began that read it without an error.
    """

    outcome: Literal["ok", "failed"] | None = None
    new: int | None = None
    changed: int | None = None
    errors: int | None = None
    last_ok_at: datetime | None = None


class OpenExecution(msgspec.Struct):
    """An execution that has not ended, as far as is known."""

    execution_key: str
    started_at: datetime


class Health(msgspec.Struct, kw_only=True):
    """How a load ended and how its home stands at ``at``; what is unknown is None.

    ``exit_code`` and ``outcome`` are of that load, ``loaded_at`` is the end of the
    newest one that was published. ``lost`` counts results that it lost,
    ``lost_total`` all that ever were; ``expiring`` those that expire before
    ``next_load_at``; ``next_expiry_at`` in the past is one that may be gone.
    """

    at: datetime
    outcome: Outcome
    exit_code: int
    home: str
    run_id: str | None
    started_at: datetime
    seconds: float
    loaded_at: datetime | None = None
    accounts: dict[str, AccountHealth]
    open_executions: int | None = None
    oldest_open_execution: OpenExecution | None = None
    watched: int | None = None
    due: int | None = None
    expiring: int | None = None
    next_expiry_at: datetime | None = None
    lost: int | None = None
    lost_total: int | None = None
    safe_interval_s: float | None = None
    interval_s: float | None = None
    next_load_at: datetime | None = None


def health(ended: Ended) -> Health:
    """Return how a load ended, and how its home stands now; asks no provider."""
    report, begun = ended.report, ended.begun
    read = {one.account: one for one in report.accounts} if report else {}
    found = Health(
        at=utc_now(),
        outcome=ended.outcome,
        exit_code=ended.exit_code,
        home=str(begun.home.path),
        run_id=report.run_id if report else None,
        started_at=ended.started_at,
        seconds=ended.seconds,
        accounts={name: _account(read.get(name)) for name in begun.accounts},
        lost=len(report.outlook.lost) if report else None,
        interval_s=ended.interval_s,
    )
    stored, listed = _read_store(found, begun.home), _read_journal(found, begun.home)
    if stored is not None and listed is not None:
        _add_open(found, stored + listed)
    found.next_load_at = next_load_at(found.started_at, found.at, found.interval_s)
    return found


def _account(read: AccountReport | None) -> AccountHealth:
    if read is None:
        return AccountHealth()
    return AccountHealth(
        outcome="failed" if read.errors else "ok",
        new=read.new,
        changed=read.changed,
        errors=len(read.errors),
    )


def _read_store(found: Health, home: Home) -> list[_Started] | None:
    """Add what the ledger of runs says; return what is open, if that can be read."""
    with suppress(ExecledgerError), looking(home) as select:
        _add_runs(found, select)
        found.lost_total = _first(select(_LOST, LOST))
        return [(at, key) for key, at in select(_OPEN, ())]
    return None


def _read_journal(found: Health, home: Home) -> list[_Started] | None:
    """Add what the watch-list says; return what is on it, if that can be read."""
    listed: list[Watching] = []
    with suppress(ExecledgerError):
        if home.journal.exists():
            with Journal(home.journal) as journal:
                listed = still_watched(journal)
                if found.interval_s is not None:
                    found.expiring = expiring(journal, found.interval_s, found.at)
        _add_watched(found, listed)
        return [_begun(one) for one in listed]
    return None


_OPEN = (
    "select execution_key, coalesce(started_at, created_at, first_seen_at) "
    "from {executions} where not is_terminal"
)
_LOST = (
    "select count(*) from {executions} where is_terminal and result_state in "
    f"({', '.join('?' * len(LOST))})"
)
_ENDED_AT = (
    "select ended_at from {runs} where command = 'load' order by rowid desc limit 1"
)
_LAST_OK = (
    "select max(r.started_at) from {runs} as r inner join staging.run_accounts as a "
    "on a.run_id = r.run_id where r.command = 'load' and a.errors = 0 "
    "and a.provider = ? and a.connection = ?"
)


def _add_runs(found: Health, select: Select) -> None:
    """Add what the ledger of runs says."""
    found.loaded_at = _first(select(_ENDED_AT, ()))
    found.safe_interval_s = safe_interval_s(select)
    if found.interval_s is None and found.run_id is None:  # else the load knew it
        found.interval_s = interval_of(select, None, found.at)
    for name, account in found.accounts.items():
        provider, _, connection = name.partition(":")
        account.last_ok_at = _first(select(_LAST_OK, (provider, connection)))


def _add_watched(found: Health, listed: Sequence[Watching]) -> None:
    """Add what the watch-list says."""
    expiries = [at for one in listed if (at := one.entry.watched.expires_at)]
    found.watched = len(listed)
    found.due = sum(one.entry.due_at <= found.at for one in listed)
    found.next_expiry_at = min(expiries, default=None)


def _add_open(found: Health, started: Sequence[_Started]) -> None:
    found.open_executions = len({key for _, key in started})
    if started:
        at, key = min(started)
        found.oldest_open_execution = OpenExecution(key, at)


def _begun(one: Watching) -> _Started:
    watched = one.entry.watched
    key = execution_key(
        one.provider, one.connection, watched.scope, watched.execution_id
    )
    return watched.started_at or watched.tracked_at, key


def _first(rows: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401 - of any column
    return rows[0][0] if rows else None
