"""What came of the budgets, by the selects of ``sql/budgets``."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import duckdb
import msgspec

from pipelines.limits import Budget
from pipelines.sql_files import PARAMETER, SQL, SqlFile, sql_files

__all__ = ["Spent", "parameters", "spent"]

_UNITS = {"cost_usd": " USD", "tokens": " tokens", "lag_hours": " h"}


class Spent(msgspec.Struct, frozen=True):
    """What came of a budget so far; ``value`` is ``None`` where nothing is known.

    ``not_known`` counts what would be in the value, if it were known.
    """

    budget: Budget
    value: float | None
    not_known: int

    @property
    def is_exceeded(self) -> bool:
        """Whether the value is beyond the limit."""
        return self.value is not None and self.value > self.budget.limit

    @property
    def said(self) -> str:
        """The value beside its limit, as people read it."""
        unit = _UNITS.get(self.budget.measure, "")
        value = "nothing" if self.value is None else f"{self.value:,.10g}"
        more = f"; {self.not_known:,} are not known" if self.not_known else ""
        return f"{value} of {self.budget.limit:,.10g}{unit}{more}"


def spent(con: duckdb.DuckDBPyConnection, budgets: Sequence[Budget]) -> Iterator[Spent]:
    """Yield what came of each budget in an open store."""
    measures = {file.name: file for file in sql_files(SQL / "budgets", "budgets")}
    today: date
    month: date
    ((today, month),) = con.execute(_PERIODS).fetchall()
    for budget in budgets:
        since = month if budget.per == "month" else today
        file = measures[budget.measure]
        ((value, not_known),) = con.execute(
            file.sql, parameters(file, _given(budget, since))
        ).fetchall()
        yield Spent(budget, None if value is None else float(value), int(not_known))


_PERIODS = "select today, cast(date_trunc('month', today) as date) from staging.clock"


def _given(budget: Budget, since: date) -> dict[str, Any]:
    tag, _, value = (budget.tag or "").partition("=")
    return {
        "since": since,
        "provider": budget.provider,
        "workflow": budget.workflow,
        "tag": tag or None,
        "tag_value": value or None,
    }


def parameters(file: SqlFile, given: dict[str, Any]) -> dict[str, Any]:
    """Return those of the values that a select asks for, as ``$name``."""
    names = set(PARAMETER.findall(file.sql))
    return {name: given[name] for name in names}
