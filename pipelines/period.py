"""What a notebook reads: the days of a store that it is about, and those before."""

from datetime import date, timedelta
from typing import Any

import pandas as pd

from pipelines.config import find_home
from pipelines.readers import read_only

__all__ = ["Period"]

_FILTERS = {
    "provider": "($provider is null or provider = $provider)",
    "workflow": (
        "($workflow is null or workflow_key = $workflow or workflow_name = $workflow)"
    ),
    "days": "day between $since and $until",
}
_PLACES = {
    "{period}": ("days", "provider", "workflow"),
    "{workflow}": ("provider", "workflow"),
    "{provider}": ("provider",),
}
"""What stands in a query for which filters."""


class Period:
    """The last ``days`` days of a store, up to ``until`` (UTC; today if not said).

    Of one provider, or of one workflow by its key or name, where those are said. The
    store is opened read-only: a load that runs meanwhile neither waits nor is seen.
    Raises ``StoreError`` where there is none.
    """

    def __init__(
        self,
        home: str | None = None,
        *,
        days: int = 30,
        until: date | str | None = None,
        provider: str | None = None,
        workflow: str | None = None,
    ) -> None:
        self._con = read_only(find_home(home))
        today: date = self._con.execute("select today from staging.clock").fetchall()[
            0
        ][0]
        said = date.fromisoformat(until) if isinstance(until, str) else until
        self.until = said or today
        self.since = self.until - timedelta(days=days - 1)
        self.days = days
        self.provider = provider or None
        self.workflow = workflow or None

    def frame(self, sql: str, *, before: bool = False) -> pd.DataFrame:
        """Return the rows of a query; ``before``: of as many days before the period.

        In the query, ``{period}`` stands for the condition on day, provider and
        workflow, ``{workflow}`` for that on the last two, ``{provider}`` for one.
        """
        back = timedelta(days=self.days if before else 0)
        given: dict[str, Any] = {
            "since": self.since - back,
            "until": self.until - back,
            "provider": self.provider,
            "workflow": self.workflow,
        }
        for place, names in _PLACES.items():
            sql = sql.replace(place, " and ".join(_FILTERS[name] for name in names))
        used = {name: value for name, value in given.items() if f"${name}" in sql}
        return self._con.execute(sql, used).df()
