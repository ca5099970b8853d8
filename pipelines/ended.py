"""How a load ended: with a report, or by an error and the store as it was."""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from pipelines.endings import Ending, ending
from pipelines.log import Level, fault_words
from pipelines.runs import AccountReport, Report
from pipelines.store import Home
from pipelines.terminal import watched

__all__ = ["Ended", "attempt", "broken", "line"]

Outcome = Literal["ok", "partial", "failed", "locked", "interrupted"]
Counts = dict[str, int]

_SHOWN = 20
"""Errors of an account, and lost results, that one line names."""


class Ended(msgspec.Struct, kw_only=True):
    """How a load ended.

    ``interval_s`` is the time to the next load where it is known; ``fault`` an error
    that nobody foresaw; ``problems`` what went wrong although the load was published.
    """

    home: str
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
    def next_load_at(self) -> datetime | None:
        """When the next load is due: loads begin at even steps, however long one is."""
        if self.interval_s is None or self.interval_s <= 0:
            return None
        took = (self.ended_at - self.started_at).total_seconds()
        steps = math.floor(max(took, 0) / self.interval_s) + 1
        return self.started_at + timedelta(seconds=steps * self.interval_s)

    @property
    def level(self) -> Level:
        """How much a person should care."""
        if self.exit_code == 0:
            return "info"
        return "error" if self.outcome in {"failed", "locked"} else "warning"


def attempt(run: Callable[..., Report], home: Home, interval_s: float | None) -> Ended:
    """Load, and return how that ended, whatever comes."""
    started = datetime.now(UTC)
    try:
        with watched() as watch:
            report = run(watch=watch)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is told later
        return broken(error, home, started, interval_s)
    return _done(report)


def _done(report: Report) -> Ended:
    """Return how a load ended that was published."""
    is_ok = report.outcome == "ok"
    return Ended(
        home=report.home,
        outcome="ok" if is_ok else "partial",
        exit_code=4 if report.outlook.is_alarming else 0 if is_ok else 1,
        started_at=report.started_at,
        ended_at=report.ended_at,
        interval_s=report.outlook.interval_s,
        report=report,
        problems=list(report.problems),
    )


def broken(
    error: BaseException, home: Home, started: datetime, interval_s: float | None
) -> Ended:
    """Return how a load ended by an error; nobody is told what an unforeseen one says.

    Its words may hold anything; the traceback that follows has them.
    """
    foreseen = ending(error)
    end = foreseen or Ending("failed", 1, fault_words(error))
    return Ended(
        home=str(home.path),
        outcome=end.outcome,
        exit_code=end.exit_code,
        started_at=started,
        ended_at=datetime.now(UTC),
        interval_s=interval_s,
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
        "home": ended.home,
        "run_id": report.run_id if report else None,
        "outcome": ended.outcome,
        "exit_code": ended.exit_code,
        "started_at": ended.started_at,
        "ended_at": ended.ended_at,
        "seconds": round((ended.ended_at - ended.started_at).total_seconds(), 3),
        "accounts": {one.account: _account(one) for one in accounts},
        "providers": _providers(accounts),
        "lost": len(lost) if ahead else None,
        "lost_results": {one.execution_key: one.result_state for one in lost[:_SHOWN]},
        "expiring": ahead.expiring if ahead else None,
        "watched": ahead.watched if ahead else None,
        "safe_interval_s": ahead.safe_interval_s if ahead else None,
        "interval_s": ended.interval_s,
        "next_load_at": ended.next_load_at,
        "problems": ended.problems,
        "error": ended.end.words if ended.end else None,
    }


def _account(one: AccountReport) -> dict[str, object]:
    return {
        "new": one.new,
        "changed": one.changed,
        "read": one.read,
        "failed": len(one.errors),
        "errors": one.errors[:_SHOWN],
    }


def _providers(accounts: list[AccountReport]) -> dict[str, Counts]:
    """Return the counts of each provider, over all of its accounts."""
    found: dict[str, Counts] = {}
    for one in accounts:
        counts = {"new": one.new, "changed": one.changed, "failed": len(one.errors)}
        all_of = found.setdefault(
            one.account.partition(":")[0], dict.fromkeys(counts, 0)
        )
        for name, count in counts.items():
            all_of[name] += count
    return found
