"""What a load came to, and the ledger of runs."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from pipelines.collect import Due
from pipelines.outlook import Outlook
from pipelines.store import Home
from sources.journal import uuid7
from sources.json_text import encode
from sources.records import Run

__all__ = [
    "AccountReport",
    "Report",
    "load_run",
    "run_of",
    "summed",
]


class AccountReport(msgspec.Struct, kw_only=True):
    """What one load brought of one account."""

    account: str
    read: dict[str, int]
    new: int
    changed: int
    errors: list[str]
    unfinished: dict[str, str]


class Report(msgspec.Struct, kw_only=True):
    """What one load came to; ``problems`` are those with prices and views."""

    home: str
    run_id: str
    outcome: str
    started_at: datetime
    ended_at: datetime
    accounts: list[AccountReport]
    outlook: Outlook
    problems: list[str] = []

    @property
    def faults(self) -> list[str]:
        """All that went wrong, in words; errors with their account."""
        errors = [
            f"{one.account}: {said}" for one in self.accounts for said in one.errors
        ]
        return errors + self.problems


def summed(
    home: Home,
    span: tuple[datetime, datetime],
    accounts: list[AccountReport],
    ahead: Outlook,
    problems: list[str],
) -> Report:
    """Return what a load came to; ``span`` is when it began and when it ended."""
    started, ended = span
    has_failed = bool(problems) or any(account.errors for account in accounts)
    return Report(
        home=str(home.path),
        run_id=uuid7(started),
        outcome="partial" if has_failed else "ok",
        started_at=started,
        ended_at=ended,
        accounts=accounts,
        outlook=ahead,
        problems=problems,
    )


def load_run(report: Report, due: Due) -> Run:
    """Return the row of a load; what it did not read of ``due`` stays unfinished."""
    accounts = report.accounts
    still = {**due, **{one.account: one.unfinished for one in accounts}}
    counts = {
        "accounts": {
            one.account: {
                **one.read,
                "new": one.new,
                "changed": one.changed,
                "errors": len(one.errors),
            }
            for one in accounts
        },
        "unfinished": {name: scopes for name, scopes in still.items() if scopes},
        "lost": len(report.outlook.lost),
        "safe_interval_s": report.outlook.safe_interval_s,
    }
    return Run(
        run_id=report.run_id,
        command="load",
        started_at=report.started_at,
        ended_at=report.ended_at,
        outcome=report.outcome,
        counts=encode(counts),
        error="\n".join(report.faults) or None,
    )


def run_of(
    command: str,
    started: datetime,
    counts: Mapping[str, object],
    *,
    run_id: str | None = None,
    outcome: str = "ok",
    problems: Sequence[str] = (),
) -> Run:
    """Return the row of a run of a command that ends now."""
    return Run(
        run_id=run_id or uuid7(started),
        command=command,
        started_at=started,
        ended_at=datetime.now(UTC),
        outcome=outcome,
        counts=encode(counts),
        error="\n".join(problems) or None,
    )
