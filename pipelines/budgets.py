"""What came of the budgets, by the selects of ``sql/budgets``."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import msgspec

from pipelines.limits import Budget
from pipelines.query import Result
from pipelines.sql_files import SQL, SqlFile, sql_files

__all__ = ["Ask", "Spent", "spent"]

Ask = Callable[[SqlFile, Mapping[str, Any]], Result]
"""Runs a select of a store, its bounds given by their names; raises ``StoreError``."""

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


def spent(ask: Ask, budgets: Sequence[Budget]) -> Iterator[Spent]:
    """Yield what came of each budget in a store."""
    measures = {file.name: file for file in sql_files(SQL / "budgets", "budgets")}
    today: date
    month: date
    ((today, month),) = ask(_PERIODS, {}).rows
    for budget in budgets:
        since = month if budget.per == "month" else today
        file = measures[budget.measure]
        ((value, not_known),) = ask(file, _given(budget, since)).rows
        yield Spent(budget, None if value is None else float(value), int(not_known))


_PERIODS = SqlFile(
    "budgets",
    "periods",
    "select today, cast(date_trunc('month', today) as date) from staging.clock",
)


def _given(budget: Budget, since: date) -> dict[str, Any]:
    tag, _, value = (budget.tag or "").partition("=")
    return {
        "since": since,
        "provider": budget.provider,
        "workflow": budget.workflow,
        "tag": tag or None,
        "tag_value": value or None,
    }
