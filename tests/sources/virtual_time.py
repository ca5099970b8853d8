"""Time that passes at once: an event loop whose clock jumps to what is next."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sources.polling import Clock

T = TypeVar("T")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
"""When the virtual time begins."""


class VirtualTime(selectors.SelectSelector):
    """Waits for nothing: where the loop would, its time jumps."""

    def __init__(self) -> None:
        super().__init__()
        self.passed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready now; else let the time pass."""
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("everything waits, and for nothing")
        if not ready:
            self.passed_s += timeout or 0.0
        return ready

    def now(self) -> datetime:
        """Return the virtual time of day."""
        return NOON + timedelta(seconds=self.passed_s)

    @property
    def clock(self) -> Clock:
        """The clock for what is tested."""
        return Clock(self.now, asyncio.sleep)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, in no time; may be done once."""
        with asyncio.Runner(loop_factory=self._loop) as runner:
            return runner.run(work)

    def _loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.SelectorEventLoop(self)
        loop.time = lambda: self.passed_s  # type: ignore[method-assign]
        return loop
