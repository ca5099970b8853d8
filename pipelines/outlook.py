"""What a load leaves behind: what was lost, and what will be if nobody comes soon."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import chain
from statistics import median

import msgspec

from pipelines.config import Account
from pipelines.past_loads import gaps, longest
from sources import part
from sources.journal import Journal
from sources.records import LOST
from sources.seen import Select
from sources.submits import Submit
from sources.tracking import trackable
from sources.watchlist import Watching, watching

__all__ = [
    "LostResult",
    "Outlook",
    "duration",
    "expiring",
    "interval_of",
    "lost_results",
    "next_step",
    "outlook",
    "still_watched",
    "told_loss",
]

_GAPS = 10
_MINUTE = 60


class LostResult(msgspec.Struct):
    """An execution whose result nobody here can get, and why."""

    execution_key: str
    result_state: str
    observed_at: datetime
    reason: str | None


class Outlook(msgspec.Struct, kw_only=True):
    """What a load lost, and what the next one must come in time for.

    ``interval_s`` is the time to the next load, as configured or as loads came so
    far; ``expiring`` counts what expires before it, and is unknown with it.
    ``safe_interval_s`` is the longest time between loads that loses nothing even if
    one of them fails; none where no provider deletes its results.
    """

    lost: list[LostResult]
    watched: int
    interval_s: float | None
    expiring: int | None
    safe_interval_s: float | None

    @property
    def is_alarming(self) -> bool:
        """Tell whether a result was lost, or will be before the next load."""
        return bool(self.lost or self.expiring)


def outlook(
    accounts: Sequence[Account],
    journal: Journal,
    select: Select,
    *,
    response_ids: Sequence[str],
    schedule_s: float | None,
    took: timedelta,
    now: datetime,
) -> Outlook:
    """Return what the load of these responses lost, and what comes next."""
    names = [account.name for account in accounts]
    interval_s = interval_of(select, schedule_s, now, names)
    return Outlook(
        lost=_lost_by(select, accounts, response_ids),
        watched=len(still_watched(journal)),
        interval_s=interval_s,
        expiring=None if interval_s is None else expiring(journal, interval_s, now),
        safe_interval_s=_safe_interval_s(accounts, select, took),
    )


def expiring(journal: Journal, interval_s: float, now: datetime) -> int:
    """Return how many watched results expire within so many seconds from now."""
    until = now + timedelta(seconds=interval_s)
    times = [one.entry.watched.expires_at for one in still_watched(journal)]
    return sum(at is not None and now <= at < until for at in times)


def still_watched(journal: Journal) -> list[Watching]:
    """Return what is on the watch-list and has not ended."""
    return [one for one in watching(journal) if not one.entry.is_final]


def interval_of(
    select: Select,
    schedule_s: float | None,
    now: datetime,
    accounts: Sequence[str] = (),
) -> float | None:
    """Return the seconds to the next load: configured, else as loads came so far.

    Of loads of other ``accounts``, where some are named, another may be in charge.
    """
    if schedule_s is not None:
        return schedule_s
    found = gaps(select, now, accounts, _GAPS)
    return median(found) if found else None


def lost_results(
    select: Select, more: str = "", values: Sequence[object] = ()
) -> list[LostResult]:
    """Return the executions whose result is lost, the newest loss first."""
    states = ", ".join("?" * len(LOST))
    sql = (
        "select e.execution_key, e.result_state, e.observed_at, min(f.message) "
        "from {executions} e left join {errors} f "
        "on f.execution_key = e.execution_key and f.error_type = e.result_state "
        f"where e.is_terminal and e.result_state in ({states}) {more} "
        "group by e.execution_key, e.result_state, e.observed_at "
        "order by e.observed_at desc, e.execution_key"
    )
    return [LostResult(*row) for row in select(sql, (*LOST, *values))]


def _lost_by(
    select: Select, accounts: Sequence[Account], response_ids: Sequence[str]
) -> list[LostResult]:
    if not response_ids:
        return []
    own = " or ".join(["(e.provider = ? and e.connection = ?)"] * len(accounts))
    more = f"and e.response_id >= ? and e.response_id <= ? and ({own})"
    of = chain.from_iterable(account.of for account in accounts)
    return lost_results(select, more, (min(response_ids), max(response_ids), *of))


def _safe_interval_s(
    accounts: Sequence[Account], select: Select, took: timedelta
) -> float | None:
    """Return half of the shortest time that a result is kept, less the longest load.

    Whole minutes of it, where there are any. Half, so that a result which one load
    missed is still there at the next one.
    """
    kept = [
        part(account.provider, "tracking").result_ttl(account.settings)
        for account in accounts
        if account.provider in trackable()
    ]
    if not kept:
        return None
    names = [account.name for account in accounts]
    margin: timedelta = min(kept) / 2 - max(took, longest(select, names, _GAPS))
    seconds = max(margin.total_seconds(), 0.0)
    return seconds - seconds % _MINUTE if seconds > _MINUTE else seconds


def told_loss(lost: LostResult) -> str:
    """Return in words which result was lost, and why."""
    state = lost.result_state.replace("_", " ")
    return f"{lost.execution_key}: {state}. {lost.reason or ''}".rstrip()


def duration(seconds: float) -> str:
    """Return a duration as people say it, such as ``1 h 29 min``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s"))
    said = [f"{count} {unit}" for count, unit in parts if count]
    return " ".join(said[:2]) or "0 s"


def next_step(submit: Submit) -> str | None:
    """Return what to do about a submit whose outcome is unknown."""
    if submit.state != "unknown":
        return None
    provider, submit_id = submit.provider, submit.submit_id
    return (
        f"Look there whether it runs. If so: execledger track {provider} ID --submit "
        f"{submit_id}; if not: execledger untrack {provider} --submit {submit_id}, "
        "and submit it again."
    )
