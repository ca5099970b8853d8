"""What the tests of reading Torale share: accounts to open, and no waiting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.http import Http
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

    assert Http.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(Http.__init__.__kwdefaults__, "sleep", nap)
    return seconds
