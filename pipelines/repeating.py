"""Loads that come again: at even steps from the first, until somebody says stop."""

import math
import select
import signal
import socket
import time
from collections.abc import Callable

__all__ = ["YEAR_S", "repeat", "stopped_within"]

YEAR_S = 366 * 86_400
"""The longest step between two loads: what is longer is a slip."""


def stopped_within(seconds: float) -> bool:
    """Wait so long; tell whether SIGTERM or Ctrl-C ended it.

    Both are as before afterwards: while something runs, they break it off.
    """
    heard, hears = socket.socketpair()
    with heard, hears:
        hears.settimeout(0)
        # The number is written even where another thread is given the signal.
        woken = signal.set_wakeup_fd(hears.fileno())
        before = {
            number: signal.signal(number, lambda *_: None)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            select.select([heard], [], [], max(seconds, 0))
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(woken)
        return bool(select.select([heard], [], [], 0)[0])


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
        try:
            tell(seconds, left_out)
            is_stopped = wait(seconds)
        except KeyboardInterrupt:  # a signal just before the waiting
            return
        if is_stopped:
            return
