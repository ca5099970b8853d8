"""How a load ended: with a report, or by an error and the store as it was."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from pipelines.endings import Ending, ending
from pipelines.log import Level, fault_words
from pipelines.runs import AccountReport, Report
from pipelines.store import Home
from pipelines.terminal import watched

__all__ = ["Begun", "Ended", "Outcome", "attempt", "broken", "line", "next_load_at"]

Outcome = Literal["ok", "partial", "failed", "locked", "interrupted"]

_SHOWN = 20
"""Errors of an account, and lost results, that one line names."""


class Begun(msgspec.Struct, frozen=True):
    """A load as it began: of which accounts, and when the next is due, if known."""

    home: Home
    accounts: Sequence[str]
    interval_s: float | None
    started_at: datetime


class Ended(msgspec.Struct, kw_only=True):
    """How a load ended.

    ``interval_s`` is the time to the next load where it is known; ``end`` how it was
    broken off, ``fault`` the error if nobody foresaw it; ``problems`` what went wrong
    although the load was published.
    """

    begun: Begun
    outcome: Outcome
    exit_code: int
    started_at: datetime
    ended_at: datetime
    interval_s: float | None
    report: Report | None = None
    end: Ending | None = None
    fault: BaseException | None = None
    problems: list[str] = []

    @property
    def seconds(self) -> float:
        """How long it took."""
        return round((self.ended_at - self.started_at).total_seconds(), 3)

    @property
    def level(self) -> Level:
        """How much a person should care."""
        if self.exit_code == 0:
            return "info"
        return "error" if self.outcome in {"failed", "locked"} else "warning"


def next_load_at(
    started: datetime, now: datetime, interval_s: float | None
) -> datetime | None:
    """Return when the next load is due: at an even step after the start of one."""
    if interval_s is None or interval_s <= 0:
        return None
    passed = max((now - started).total_seconds(), 0)
    steps = math.floor(passed / interval_s) + 1
    return started + timedelta(seconds=steps * interval_s)


def attempt(run: Callable[..., Report], begun: Begun) -> Ended:
    """Load, and return how that ended, whatever comes."""
    try:
        with watched() as watch:
            report = run(watch=watch)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is told later
        return broken(error, begun)
    is_ok = report.outcome == "ok"
    return Ended(
        begun=begun,
        outcome="ok" if is_ok else "partial",
        exit_code=4 if report.outlook.is_alarming else 0 if is_ok else 1,
        started_at=report.started_at,
        ended_at=report.ended_at,
        interval_s=report.outlook.interval_s,
        report=report,
        problems=list(report.problems),
    )


def broken(error: BaseException, begun: Begun) -> Ended:
    """Return how a load ended by an error; nobody is told what an unforeseen one says.

    Its words may hold anything; the traceback that follows has them.
    """
    foreseen = ending(error)
    end = foreseen or Ending("failed", 1, fault_words(error))
    return Ended(
        begun=begun,
        outcome=end.outcome,
        exit_code=end.exit_code,
        started_at=begun.started_at,
        ended_at=datetime.now(UTC),
        interval_s=begun.interval_s,
        end=end,
        fault=None if foreseen else error,
    )


def line(ended: Ended) -> dict[str, object]:
    """Return what a machine is told of a load: the same names, however it ended."""
    report = ended.report
    ahead = report.outlook if report else None
    accounts = report.accounts if report else []
    lost = ahead.lost if ahead else []
    return {
        "home": str(ended.begun.home.path),
        "run_id": report.run_id if report else None,
        "outcome": ended.outcome,
        "exit_code": ended.exit_code,
        "started_at": ended.started_at,
        "ended_at": ended.ended_at,
        "seconds": ended.seconds,
        "accounts": {one.account: _account(one) for one in accounts},
        "providers": _providers(accounts),
        "lost": len(lost) if ahead else None,
        "lost_results": {one.execution_key: one.result_state for one in lost[:_SHOWN]},
        "expiring": ahead.expiring if ahead else None,
        "watched": ahead.watched if ahead else None,
        "safe_interval_s": ahead.safe_interval_s if ahead else None,
        "interval_s": ended.interval_s,
        "next_load_at": next_load_at(
            ended.started_at, ended.ended_at, ended.interval_s
        ),
        "problems": ended.problems,
        "error": ended.end.words if ended.end else None,
    }


def _account(one: AccountReport) -> dict[str, object]:
    return {
        "new": one.new,
        "changed": one.changed,
        "read": one.read,
        "error_count": len(one.errors),
        "errors": one.errors[:_SHOWN],
    }


def _providers(accounts: list[AccountReport]) -> dict[str, Counter[str]]:
    """Return the counts of each provider, over all of its accounts."""
    found = defaultdict[str, Counter[str]](Counter)
    for one in accounts:
        provider = one.account.partition(":")[0]
        found[provider].update(
            new=one.new, changed=one.changed, error_count=len(one.errors)
        )
    return found
