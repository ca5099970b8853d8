"""Polling: what is due is asked for, side by side, and no answer is let go."""

import asyncio
import signal
import tracemalloc
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.errors import StoreError
from sources.polling import Clock, Pace, poll
from tests.sources.virtual_time import NOON, VirtualTime


class Due:
    """A queue in memory: each name is due at a second, and again as ``again`` says.

    ``lasts`` has the seconds that the answer takes.
    """

    def __init__(self, due: dict[str, float], *, lasts: float = 1.0) -> None:
        self.time = VirtualTime()
        self.due = {name: NOON + timedelta(seconds=s) for name, s in due.items()}
        self.again: dict[str, list[float]] = {}
        self.lasts: dict[str, float] = {}
        self.usual_s = lasts
        self.asked: list[tuple[str, float]] = []
        self.settled: list[str] = []
        self.at_once = self.most_at_once = 0

    @property
    def names(self) -> list[str]:
        """The names that were asked for, in order."""
        return [name for name, _ in self.asked]

    def take(self, due_by: datetime, limit: int) -> Sequence[str]:
        """Return what is due, in the order of their names."""
        now = [name for name, at in sorted(self.due.items()) if at <= due_by]
        for name in now[:limit]:
            del self.due[name]
        return now[:limit]

    def settle(self, settled: Sequence[str]) -> None:
        """Note them, and when they are due again."""
        for name in settled:
            self.settled.append(name)
            if waits := self.again.get(name):
                self.due[name] = self.time.now() + timedelta(seconds=waits.pop(0))

    def next_due(self) -> datetime | None:
        """Return when the next is due."""
        return min(self.due.values(), default=None)

    async def ask(self, name: str) -> str:
        """Answer after a while."""
        self.asked.append((name, self.time.passed_s))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.lasts.get(name, self.usual_s))
        self.at_once -= 1
        return name

    def poll(self, in_flight: int = 4, until_s: float | None = None) -> float:
        """Poll to the end; return the seconds that it took."""
        until = None if until_s is None else NOON + timedelta(seconds=until_s)
        self.time.run(
            poll(
                self,
                self.ask,
                in_flight=in_flight,
                until=until,
                clock=self.time.clock,
            )
        )
        return self.time.passed_s


def test_one_round_asks_for_each_once_though_it_is_due_again_meanwhile() -> None:
    """Law: a round is what was due when it began, and each of it once."""
    queue = Due(dict.fromkeys("abcdef", 0.0) | {"later": 5.0}, lasts=10)
    queue.again = {name: [0.5] * 9 for name in "abcdef"}

    took = queue.poll(in_flight=2)

    assert sorted(queue.names) == list("abcdef")
    assert sorted(queue.settled) == list("abcdef")
    assert took == pytest.approx(30)


def test_one_round_is_the_same_when_the_clock_steps_back() -> None:
    """Law: what a round asks for is decided by when it began, and by nothing later."""
    queue = Due(dict.fromkeys("abc", 0.0))
    days = iter(range(100))
    clock = Clock(lambda: NOON - timedelta(days=next(days)), asyncio.sleep)

    queue.time.run(poll(queue, queue.ask, in_flight=1, clock=clock))

    assert queue.names == ["a", "b", "c"]


@pytest.mark.parametrize("in_flight", [1, 3, 8])
def test_no_more_are_asked_for_at_once_than_may_be(in_flight: int) -> None:
    """Law: ``in_flight`` is reached, and never exceeded."""
    queue = Due({f"{n:02}": 0.0 for n in range(30)})

    queue.poll(in_flight)

    assert queue.most_at_once == in_flight
    assert len(queue.settled) == 30


def test_polling_goes_on_until_nothing_is_due_in_time() -> None:
    """Law: with ``until``, what is due again before it is asked for again."""
    queue = Due({"a": 0.0, "b": 0.0, "late": 301.0})
    queue.again = {"a": [5, 20, 70], "b": [1_000]}

    took = queue.poll(until_s=300)

    seconds = [s for name, s in queue.asked if name == "a"]
    assert seconds == pytest.approx([0, 6, 27, 98])
    assert queue.names.count("b") == 1
    assert "late" not in queue.names
    assert took == pytest.approx(99)


def test_polling_ends_when_time_is_up() -> None:
    """Law: nothing is asked for after ``until``; what is under way is waited for."""
    queue = Due({"a": 0.0}, lasts=4)
    queue.again = {"a": [1.0] * 99}

    took = queue.poll(until_s=12)

    assert [s for _, s in queue.asked] == pytest.approx([0, 5, 10])
    assert took == pytest.approx(14)
    assert queue.settled == ["a"] * 3


def test_polling_ends_when_time_is_up_though_the_clock_was_set_back() -> None:
    """Law: ``until`` moves with the clock: a wait never lasts hours longer."""
    queue = Due({"a": 0.0}, lasts=4)
    queue.again = {"a": [1.0] * 99}

    def now() -> datetime:
        is_right = queue.time.passed_s < 6
        return queue.time.now() - timedelta(hours=0 if is_right else 5)

    queue.next_due = now  # type: ignore[method-assign]
    until = NOON + timedelta(seconds=12)
    clock = Clock(now, asyncio.sleep)
    queue.time.run(poll(queue, queue.ask, in_flight=1, until=until, clock=clock))

    assert queue.time.passed_s < 30


def test_what_another_process_adds_is_asked_for_within_a_minute() -> None:
    """Law: a wait is broken off each minute, to look what is due by then."""
    queue = Due({"a": 500.0})

    async def main() -> None:
        work = poll(
            queue,
            queue.ask,
            in_flight=1,
            until=NOON + timedelta(seconds=600),
            clock=queue.time.clock,
        )
        task = asyncio.ensure_future(work)
        await asyncio.sleep(100)
        queue.due["added"] = queue.time.now()
        await task

    queue.time.run(main())

    assert queue.names == ["added", "a"]
    assert queue.asked[0][1] == pytest.approx(120)


def test_a_slow_answer_keeps_no_other_waiting() -> None:
    """Law: what becomes due is asked for while an answer is long in coming."""
    queue = Due({"slow": 0.0, "x": 10.0, "y": 20.0})
    queue.lasts = {"slow": 250.0}

    queue.poll(until_s=300)

    assert queue.names == ["slow", "x", "y"]
    assert [s for _, s in queue.asked] == pytest.approx([0, 10, 20])


def test_a_full_house_waits_for_answers_without_looking_around() -> None:
    """Law: while there is no room, what is due is not looked for again and again."""
    queue = Due(dict.fromkeys("abc", 0.0), lasts=50)
    looks = 0

    def next_due() -> datetime:
        nonlocal looks
        looks += 1
        return NOON

    queue.next_due = next_due  # type: ignore[method-assign]
    queue.poll(in_flight=1, until_s=140)

    assert queue.names == ["a", "b", "c"]
    assert looks <= 4


def test_cancelling_waits_for_what_is_under_way_and_notes_it() -> None:
    """Law: an answer that may be the only one is never broken off."""
    queue = Due(dict.fromkeys("abcd", 0.0), lasts=30)

    async def main() -> None:
        work = poll(
            queue,
            queue.ask,
            in_flight=2,
            clock=queue.time.clock,
        )
        task = asyncio.ensure_future(work)
        await asyncio.sleep(10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    queue.time.run(main())

    assert sorted(queue.settled) == ["a", "b"]
    assert queue.names == ["a", "b"]
    assert queue.time.passed_s == pytest.approx(30)


def test_what_comes_back_after_a_cancelling_is_noted_as_it_comes() -> None:
    """Law: no answer waits for a slower one before it is noted, nor for a fault."""
    queue = Due(dict.fromkeys("abc", 0.0))
    queue.lasts = {"a": 20, "b": 30, "c": 40}
    noted: list[tuple[str, float]] = []

    def settle(settled: Sequence[str]) -> None:
        noted.extend((name, queue.time.passed_s) for name in settled)
        if "b" in settled:
            raise StoreError("the disk is full")

    queue.settle = settle  # type: ignore[method-assign]

    async def main() -> None:
        work = poll(queue, queue.ask, in_flight=3, clock=queue.time.clock)
        task = asyncio.ensure_future(work)
        await asyncio.sleep(10)
        task.cancel()
        with pytest.raises(StoreError, match="the disk is full"):
            await task

    queue.time.run(main())

    assert noted == [("a", 20), ("b", 30), ("c", 40)]


def test_cancelling_a_wait_ends_it_at_once() -> None:
    """Law: where nothing is under way, there is nothing to wait for."""
    queue = Due({"a": 200.0})

    async def main() -> None:
        work = poll(
            queue,
            queue.ask,
            in_flight=2,
            until=NOON + timedelta(hours=1),
            clock=queue.time.clock,
        )
        task = asyncio.ensure_future(work)
        await asyncio.sleep(10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    queue.time.run(main())

    assert queue.time.passed_s == pytest.approx(10)
    assert queue.asked == []


def test_ctrl_c_lets_what_is_under_way_come_back() -> None:
    """Law: the first Ctrl-C of a person ends the polling and loses no answer."""
    queue = Due(dict.fromkeys("abc", 0.0), lasts=0.02)

    async def ask(name: str) -> str:
        if name == "a":
            signal.raise_signal(signal.SIGINT)
        return await queue.ask(name)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(poll(queue, ask, in_flight=2))

    assert sorted(queue.settled) == ["a", "b"]


def test_an_ask_that_raises_ends_the_polling_after_the_others() -> None:
    """Law: a full disk stops the asking, and what else was asked is noted first."""
    queue = Due(dict.fromkeys("abcdef", 0.0), lasts=10)

    async def ask(name: str) -> str:
        if name == "b":
            raise StoreError("the disk is full")
        return await queue.ask(name)

    with pytest.raises(StoreError, match="the disk is full"):
        queue.time.run(poll(queue, ask, in_flight=3, clock=queue.time.clock))

    assert sorted(queue.settled) == queue.names == ["a", "c"]


def test_nothing_more_is_taken_when_told_to_stop() -> None:
    """Law: after the word to stop, what is under way is noted, and no more asked."""
    queue = Due({f"{n}": 0.0 for n in range(9)})

    queue.time.run(
        poll(
            queue,
            queue.ask,
            in_flight=2,
            clock=queue.time.clock,
            stops=lambda: len(queue.settled) >= 4,
        )
    )

    assert sorted(queue.settled) == sorted(queue.names)
    assert 4 <= len(queue.settled) <= 5


class Endless:
    """A queue that makes its entries when they are taken: 10 kB each."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.settled = 0

    def take(self, due_by: datetime, limit: int) -> Sequence[bytes]:
        """Return as many as there are left, up to the limit."""
        del due_by
        taken = min(self.left, limit)
        self.left -= taken
        return [bytes(10_000) for _ in range(taken)]

    def settle(self, settled: Sequence[bytes]) -> None:
        """Count them."""
        self.settled += len(settled)

    def next_due(self) -> None:
        """Nothing is due again."""


def test_thousands_are_asked_for_and_only_some_are_in_memory() -> None:
    """Law: memory holds what is under way, not what is on the list."""
    time, queue = VirtualTime(), Endless(5_000)

    async def ask(entry: bytes) -> bytes:
        await asyncio.sleep(len(entry) / 1_000)
        return entry

    tracemalloc.start()
    try:
        time.run(poll(queue, ask, in_flight=100, clock=time.clock))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert queue.settled == 5_000
    assert peak < 5_000_000  # 5,000 entries are 50 MB
    assert time.passed_s == pytest.approx(500)


def test_the_wait_grows_from_the_interval_to_the_ceiling() -> None:
    """Law: first the interval, each wait longer by the factor, none beyond the top."""
    pace = Pace(interval_s=4, growth=2, ceiling_s=60, jitter=0)

    waits = [pace.wait(polls).total_seconds() for polls in (0, 1, 2, 3, 4, 5, 10**6)]

    assert waits == [4, 8, 16, 32, 60, 60, 60]


@given(polls=st.integers(0, 10**6), chance=st.floats(0, 1, exclude_max=True))
def test_jitter_stays_within_its_bounds(polls: int, chance: float) -> None:
    """Law: whatever is drawn, a wait is off by no more than a fifth."""
    drawn = Pace(interval_s=5, chance=lambda: chance).wait(polls).total_seconds()
    exact = Pace(interval_s=5, jitter=0).wait(polls).total_seconds()

    assert 0.8 * exact - 1e-5 <= drawn <= 1.2 * exact + 1e-5


def test_what_was_started_together_does_not_stay_together() -> None:
    """Law: the wait is drawn anew each time."""
    pace = Pace(interval_s=5)

    assert len({pace.wait(9) for _ in range(20)}) > 10


def test_an_interval_beyond_the_ceiling_holds() -> None:
    """Law: nobody is asked more often than was configured."""
    assert Pace(interval_s=900, jitter=0).wait(5) == timedelta(seconds=900)
