"""Asking again and again for what is not done yet: the second way of reading.

Neutral to providers and free of the network: what is due comes from a queue, one
answer from a callable, the time from a clock. Thousands of executions are asked for
side by side, so many at once, the soonest to expire first; memory holds only those
that are under way.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Generic, Protocol, TypeVar

import msgspec

__all__ = ["SYSTEM_CLOCK", "Clock", "Pace", "Queue", "poll"]

E = TypeVar("E")
S = TypeVar("S")
E_co = TypeVar("E_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)

_LONGEST = timedelta(seconds=60)


class Clock(msgspec.Struct, frozen=True):
    """The time and a way to wait; another one in tests, which take no real time."""

    now: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]


SYSTEM_CLOCK = Clock(lambda: datetime.now(UTC), asyncio.sleep)


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How long to wait between two polls of the same execution, in seconds.

    The first wait is ``interval_s``; each is ``growth`` times the one before, up to
    ``ceiling_s``, and up to ``jitter`` of it longer or shorter, so that what was
    started together is not asked for together for ever.
    """

    interval_s: float = 5.0
    growth: float = 1.5
    ceiling_s: float = 60.0
    jitter: float = 0.2
    chance: Callable[[], float] = random.random

    def wait(self, polls: int) -> timedelta:
        """Return the wait after so many polls."""
        ceiling = max(self.ceiling_s, self.interval_s)
        # no power of it is needed beyond the ceiling, and a high one overflows
        grown = self.interval_s * self.growth ** min(polls, 64)
        spread = 1 + self.jitter * (2 * self.chance() - 1)
        return timedelta(seconds=min(grown, ceiling) * spread)


class Queue(Protocol[E_co, S_contra]):
    """Where due executions come from, and where it is noted what became of them."""

    def take(self, due_by: datetime, limit: int) -> Sequence[E_co]:
        """Return up to ``limit`` that are due, the soonest to expire first."""

    def settle(self, settled: Sequence[S_contra]) -> None:
        """Note what became of those that were asked for."""

    def next_due(self) -> datetime | None:
        """Return when the next one is due that is not under way."""


async def poll(
    queue: Queue[E, S],
    ask: Callable[[E], Awaitable[S]],
    *,
    in_flight: int,
    until: datetime | None = None,
    clock: Clock = SYSTEM_CLOCK,
    stops: Callable[[], bool] = lambda: False,
) -> None:
    """Ask for all that is due: once each, or until all is done or time is up.

    Without ``until``, one round. What was asked is never broken off, not even when
    this is cancelled: an answer may be the only one that there will ever be.
    ``stops`` is asked before more is taken: whether to take nothing more. A clock that
    is set back meanwhile takes the end with it.
    """
    work = _Work(queue, ask, in_flight)
    began = now = clock.now()
    try:
        while not stops():
            before, now = now, clock.now()
            if until is not None and now < before:
                until -= before - now
            due_by = began if until is None else now
            if until is not None and now >= until:
                break
            is_under_way = work.start_more(due_by)
            nap_s = _nap_s(queue, now, until) if until and work.has_room else None
            if is_under_way:
                await work.some(clock, nap_s)
            elif nap_s is None:
                break
            else:
                await clock.sleep(nap_s)
    finally:
        await work.rest()


def _nap_s(queue: Queue[E, S], now: datetime, until: datetime) -> float | None:
    """Return the seconds until something is due, or ``None``: not before time is up.

    No longer than a minute: another process may add to the queue meanwhile.
    """
    due = queue.next_due()
    if due is None or due > until:
        return None
    return max(min(due - now, _LONGEST).total_seconds(), 0.001)


class _Work(Generic[E, S]):
    """What is under way, and what is to be noted of what has come back."""

    def __init__(
        self, queue: Queue[E, S], ask: Callable[[E], Awaitable[S]], in_flight: int
    ) -> None:
        self._queue = queue
        self._ask = ask
        self._in_flight = in_flight
        self._tasks: set[asyncio.Task[S]] = set()
        self._least_free = max(1, in_flight // 10)

    def start_more(self, due_by: datetime) -> bool:
        """Ask for more if there is room; tell if any is asked.

        A tenth of the room at a time: each taking is a commit.
        """
        if self.has_room:
            free = self._in_flight - len(self._tasks)
            for entry in self._queue.take(due_by, free):
                self._tasks.add(asyncio.ensure_future(self._ask(entry)))
        return bool(self._tasks)

    @property
    def has_room(self) -> bool:
        """Whether there is room for enough to be worth a taking."""
        return self._in_flight - len(self._tasks) >= self._least_free

    async def some(self, clock: Clock, nap_s: float | None) -> None:
        """Wait for the first answers, or for what is due next, and note them."""
        naps = set()
        if nap_s is not None:
            naps.add(asyncio.ensure_future(clock.sleep(nap_s)))
        try:
            await asyncio.wait(self._tasks | naps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for nap in naps:
                nap.cancel()
        self._note()

    async def rest(self) -> None:
        """Wait for everything that is under way, whatever happens meanwhile.

        Each answer is noted when it comes, not when the last one has come.
        """
        cancelled, fault = None, None
        while self._tasks:
            try:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._note()
            except asyncio.CancelledError as error:
                if cancelled:
                    raise
                cancelled = error
            except Exception as error:  # noqa: BLE001 - raised when all are back
                fault = fault or error
        if fault:
            raise fault
        if cancelled:
            raise cancelled

    def _note(self) -> None:
        """Note what has come back, all of it together."""
        done = {task for task in self._tasks if task.done()}
        self._tasks -= done
        good = [task for task in done if not task.exception()]
        if good:
            self._queue.settle([task.result() for task in good])
        for task in done:
            task.result()  # raises what is no provider's fault
