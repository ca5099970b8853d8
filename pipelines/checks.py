"""The checks of ``sql/checks`` and the budgets of the configuration, and their table.

A check is a select that finds what must not be: each row is a failure. Its bounds
stand in it as ``$name``.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from pipelines.budgets import Ask, spent
from pipelines.destinations import opened
from pipelines.limits import Bounds, Budget
from pipelines.outlook import expiring, interval_of
from pipelines.query import Result, as_text
from pipelines.runs import run_of
from pipelines.sql_files import SQL, SqlFile, sql_files
from pipelines.store import Home, locked
from sources.errors import StoreError
from sources.journal import Journal, uuid7
from sources.json_text import encode
from sources.records import CheckResult, Run
from sources.seen import Select

__all__ = ["Check", "Checked", "check", "checks", "run_budgets", "run_checks", "told"]

_EXAMPLES = 5
_LOST = "no_result_was_lost"
"""The check that is a signal of its own."""


class Check(msgspec.Struct, kw_only=True):
    """What one check or budget came to.

    ``rows`` counts what must not be, ``examples`` shows some of it, a column's name →
    its value as text. Of a budget, ``said`` is the value beside the limit.
    """

    name: str
    what: str
    outcome: Literal["passed", "failed", "error"]
    rows: int
    examples: list[dict[str, str]] = []
    said: str | None = None
    error: str | None = None
    provider: str | None = None
    started_at: datetime
    ended_at: datetime


class Checked(msgspec.Struct, kw_only=True):
    """What all checks came to; ``expiring`` as in the outlook of a load."""

    home: str
    run_id: str
    outcome: Literal["ok", "partial"]
    lost: int
    expiring: int | None
    checks: list[Check]

    @property
    def is_alarming(self) -> bool:
        """Tell whether a result was lost, or will be before the next load."""
        return bool(self.lost or self.expiring)


def check(
    home: Home,
    *,
    bounds: Bounds,
    budgets: Sequence[Budget] = (),
    schedule_s: float | None = None,
    wait_s: float = 0,
) -> Checked:
    """Run all checks and budgets, and write what they came to to ``check_results``.

    Raises ``StoreError`` where there is no store, or it could not be written.
    """
    if home.destination is None:
        home.require_store()
    started = datetime.now(UTC)
    with (
        locked(home, wait_s=wait_s),
        opened(home, (), wait_s) as target,
    ):
        found = [*run_checks(target.ask, bounds), *run_budgets(target.ask, budgets)]
        checked = Checked(
            home=str(home.path),
            run_id=uuid7(started),
            outcome="ok"
            if all(one.outcome == "passed" for one in found)
            else "partial",
            lost=sum(one.rows for one in found if one.name == _LOST),
            expiring=_expiring(home, target.select, schedule_s),
            checks=found,
        )
        target.add(CheckResult, _results(checked))
        target.finish(_run(checked, started), {})
    return checked


def checks() -> list[SqlFile]:
    """Return the checks by name: their selects, and what each says."""
    return sql_files(SQL / "checks", "checks")


def run_checks(ask: Ask, bounds: Bounds) -> Iterator[Check]:
    """Yield what each check of a store came to."""
    for file in checks():
        started = datetime.now(UTC)
        rows, examples, error = 0, list[dict[str, str]](), None
        try:
            rows, examples = _failing(ask, file, bounds)
        except StoreError as fault:
            error = str(fault)
        yield Check(
            name=file.name,
            what=file.comment,
            outcome="error" if error else "failed" if rows else "passed",
            rows=rows,
            examples=examples,
            error=error,
            started_at=started,
            ended_at=datetime.now(UTC),
        )


def _failing(
    ask: Ask, file: SqlFile, bounds: Bounds
) -> tuple[int, list[dict[str, str]]]:
    """Return how many rows a check finds, and some of them as text."""
    import sqlglot
    from sqlglot import exp

    names = sqlglot.parse_one(file.sql, read="duckdb", into=exp.Select).named_selects
    few = (
        f"select {', '.join(names)}, count(*) over () as rows_in_all from (\n"
        f"{file.sql}\n) as failing order by {', '.join(names)} limit {_EXAMPLES}"
    )
    found = ask(msgspec.structs.replace(file, sql=few), msgspec.structs.asdict(bounds))
    count = int(found.rows[0][-1]) if found.rows else 0
    texts = (map(as_text, row) for row in found.rows)
    return count, [dict(zip(names, row, strict=False)) for row in texts]


def run_budgets(ask: Ask, budgets: Sequence[Budget]) -> Iterator[Check]:
    """Yield what came of each budget."""
    for found in spent(ask, budgets):
        now = datetime.now(UTC)
        yield Check(
            name=f"budget: {found.budget.name}",
            what="What is spent stays within the budget.",
            outcome="failed" if found.is_exceeded else "passed",
            rows=int(found.is_exceeded),
            said=found.said,
            provider=found.budget.provider,
            started_at=now,
            ended_at=now,
        )


def _expiring(home: Home, select: Select, schedule_s: float | None) -> int | None:
    """Return how many watched results expire before the next load, if that is known."""
    now = datetime.now(UTC)
    interval_s = interval_of(select, schedule_s, now)
    if interval_s is None or not home.journal.exists():
        return None
    with Journal(home.journal) as journal:
        return expiring(journal, interval_s, now)


def _results(checked: Checked) -> list[CheckResult]:
    return [
        CheckResult(
            run_id=checked.run_id,
            check_name=one.name,
            provider=one.provider,
            started_at=one.started_at,
            ended_at=one.ended_at,
            outcome=one.outcome,
            counts=encode(
                {"rows": one.rows, "examples": one.examples, "said": one.said}
            ),
            error=one.error,
        )
        for one in checked.checks
    ]


def _run(checked: Checked, started: datetime) -> Run:
    by_outcome = {
        outcome: sum(one.outcome == outcome for one in checked.checks)
        for outcome in ("passed", "failed", "error")
    }
    return run_of(
        "check", started, by_outcome, run_id=checked.run_id, outcome=checked.outcome
    )


def told(checked: Checked) -> Result:
    """Return the outcomes as rows for a terminal: what failed comes first."""
    order = {"error": 0, "failed": 1, "passed": 2}
    shown = sorted(checked.checks, key=lambda one: order[one.outcome])
    return Result(
        ["check", "outcome", "rows", "what was found"],
        [(one.name, one.outcome, one.rows, _found(one)) for one in shown],
    )


def _found(one: Check) -> str:
    if one.error or one.said:
        return one.error or one.said or ""
    first: dict[str, Any] = one.examples[0] if one.examples else {}
    return ", ".join(f"{name} {value}" for name, value in first.items() if value)
