"""What the configuration says of checks and budgets."""

from typing import Annotated, Literal

import msgspec

__all__ = ["Bounds", "Budget"]


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks are given: ``[execledger.checks]``."""

    max_lag_hours: Annotated[float, msgspec.Meta(gt=0)] = 24
    max_unknown_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.2


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bound for a measure, in all or of a provider, a workflow or a tag.

    ``limit`` is in US dollars, tokens, as a share from 0 to 1, or in hours; what is
    spent counts from the beginning of the UTC day or month. A workflow is named by
    its key or its name, a tag as ``tag`` or ``tag=value``.
    """

    measure: Literal["cost_usd", "tokens", "failure_rate", "lag_hours"]
    limit: Annotated[float, msgspec.Meta(ge=0)]
    per: Literal["day", "month"] = "day"
    provider: str | None = None
    workflow: str | None = None
    tag: str | None = None

    @property
    def name(self) -> str:
        """What the budget is about, such as ``cost_usd per month, tag team=sales``."""
        period = "" if self.measure == "lag_hours" else f" per {self.per}"
        of = [
            f"{what} {said}"
            for what in ("provider", "workflow", "tag")
            if (said := getattr(self, what))
        ]
        return ", ".join([f"{self.measure}{period}", *of])
