"""Loads that come again: at even steps from the first, until somebody says stop."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Stop", "repeat", "stoppable"]


class Stop:
    """Whether to go on; a wait ends at once when it is said.

    While something runs, a signal breaks it off as Ctrl-C does; between two runs it
    ends the waiting.
    """

    def __init__(self) -> None:
        self._said = threading.Event()
        self.is_waiting = False

    def say(self) -> None:
        """Ask to stop."""
        self._said.set()

    def wait(self, seconds: float) -> bool:
        """Wait so long; tell whether to stop."""
        self.is_waiting = True
        try:
            return self._said.wait(max(seconds, 0))
        finally:
            self.is_waiting = False


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Let SIGTERM and Ctrl-C end a waiting, and break off whatever runs."""
    stop = Stop()

    def hear(_number: int, _frame: FrameType | None) -> None:
        stop.say()
        if not stop.is_waiting:
            raise KeyboardInterrupt

    before = {
        number: signal.signal(number, hear)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def repeat(
    once: Callable[[], None],
    every_s: float,
    *,
    wait: Callable[[float], bool],
    tell: Callable[[float, int], None],
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Call ``once`` now and at each step of ``every_s`` seconds from now.

    However long a call takes, the steps stay where they are: one that is over when a
    call ends is left out. ``tell`` is told before each wait how long it will be, and
    how many steps were left out. Ends when ``wait`` says so.
    """
    first, step = clock(), 0
    while True:
        once()
        passed = math.floor((clock() - first) / every_s)
        left_out, step = max(passed - step, 0), max(passed, step) + 1
        seconds = first + step * every_s - clock()
        tell(seconds, left_out)
        if wait(seconds):
            return
