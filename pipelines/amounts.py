"""Numbers as people read them in a report."""

import math
from typing import Any

import pandas as pd

__all__ = ["UNKNOWN", "is_known", "money", "number", "percent", "seconds"]

UNKNOWN = "\N{EN DASH}"
"""What stands where a number is not known."""

_SECOND, _TWO_MINUTES = 1_000, 120_000
_CENT = 0.01


def is_known(value: Any) -> bool:  # noqa: ANN401 (any value of a frame)
    """Tell whether a value is there: neither NULL nor NaN."""
    return not pd.isna(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float | None) -> str:
    """Return a count, such as ``1,234`` or ``2.35 M``; a dash where it is unknown."""
    if value is None or math.isnan(value):
        return UNKNOWN
    for unit, name in ((1e9, " G"), (1e6, " M")):
        if abs(value) >= unit:
            return f"{value / unit:,.2f}{name}"
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def money(value: float | None) -> str:
    """Return dollars with as many digits as small sums need."""
    if value is None or math.isnan(value):
        return UNKNOWN
    size = abs(value)
    digits = 2 if size >= 1 or not size else 4 if size >= _CENT else 6
    return f"{'-' if value < 0 else ''}${size:,.{digits}f}"


def percent(value: float | None) -> str:
    """Return a share as a percentage."""
    if value is None or math.isnan(value):
        return UNKNOWN
    return f"{100 * value:.1f} %"


def seconds(milliseconds: float | None) -> str:
    """Return a duration, such as ``850 ms``, ``12.3 s`` or ``4.5 min``."""
    if milliseconds is None or math.isnan(milliseconds):
        return UNKNOWN
    if milliseconds < _SECOND:
        return f"{milliseconds:.0f} ms"
    if milliseconds < _TWO_MINUTES:
        return f"{milliseconds / 1_000:.1f} s"
    return f"{milliseconds / 60_000:.1f} min"
