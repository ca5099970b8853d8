"""What the tests of reading Torale share: accounts to open, and no waiting."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sources.exchange import Reply
from sources.retries import retried
from tests.sources.torale.account import Open, opener


@pytest.fixture
def account(tmp_path: Path, naps: list[float]) -> Iterator[Open]:
    """Yield what opens an account at a twin."""
    del naps
    with opener(tmp_path) as opened:
        yield opened


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no request wait for its next try; return the seconds it would have."""
    seconds: list[float] = []

    async def nap(duration: float) -> None:
        seconds.append(duration)

    async def at_once(ask: Any, limits: Any, _sleep: Any, *more: Any) -> Reply:
        return await retried(ask, limits, nap, *more)

    monkeypatch.setattr("sources.http.retried", at_once)
    return seconds
