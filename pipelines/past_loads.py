"""What the ledger of runs tells of the loads so far."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sources.json_text import encode
from sources.seen import Select

__all__ = ["gaps", "longest", "safe_interval_s", "unfinished"]

_LOOKED = 20
"""Loads that are looked at for what one of them says of an account."""


def safe_interval_s(select: Select) -> float | None:
    """Return the longest safe time between loads, as the last load knew it."""
    found: float | None = _last_counts(select).get("safe_interval_s")
    return found


def unfinished(
    select: Select, accounts: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """Return, by account, the listings that could not be read to their end.

    As the last load knew it; of ``accounts``, as the last load of each did: where
    several load at once, another's may have ended since.
    """
    last: dict[str, dict[str, str]] = _last_counts(select).get("unfinished", {})
    own = {name: _unfinished_of(select, name) for name in accounts}
    known = {name: scopes for name, scopes in own.items() if scopes is not None}
    return {name: scopes for name, scopes in {**last, **known}.items() if scopes}


def _unfinished_of(select: Select, name: str) -> dict[str, str] | None:
    """Return what the last load of an account could not read; none: not known."""
    for (said,) in _last_loads(select, "counts", [name], _LOOKED):
        counts = json.loads(said)
        if name in counts.get("accounts", ()):
            scopes: dict[str, str] = counts.get("unfinished", {}).get(name, {})
            return scopes
    return None


def _last_counts(select: Select) -> dict[str, Any]:
    rows = _last_loads(select, "counts", (), 1)
    return json.loads(rows[0][0]) if rows else {}


def _last_loads(
    select: Select, columns: str, accounts: Sequence[str], limit: int
) -> Sequence[Sequence[Any]]:
    """Return columns of the last loads, of any of the accounts, the newest first."""
    named = [f"%{encode(name)}%" for name in accounts]
    like = " or ".join(["cast(counts as varchar) like ?"] * len(named))
    return select(
        f"select {columns} from {{runs}} where command = 'load' "
        f"{f'and ({like})' if like else ''} "
        f"order by rowid desc limit {limit}",  # the clock may have been set back since
        named,
    )


def gaps(
    select: Select, now: datetime, accounts: Sequence[str], limit: int
) -> list[float]:
    """Return the seconds between the last loads of any of the accounts, and to now."""
    rows = _last_loads(select, "started_at", accounts, limit)
    starts = sorted([now, *(row[0] for row in rows)], reverse=True)
    return [(later - earlier).total_seconds() for later, earlier in pairwise(starts)]


def longest(select: Select, accounts: Sequence[str], limit: int) -> timedelta:
    """Return how long the longest of the last loads of any of the accounts took."""
    rows = _last_loads(select, "started_at, ended_at", accounts, limit)
    return max((ended - started for started, ended in rows), default=timedelta())
