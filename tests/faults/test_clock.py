"""A clock that is set forward and back by hours, between loads and during them."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.clock import FakeClock
from tests.faults.command import load, settle
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import polled
from tests.pipelines.small_torale import rows

RIGHT = "+0"
ENDED = {0, 1, 4}
LONGEST_S = 90
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


@pytest.mark.parametrize(
    "offsets",
    [["+5h"], ["-5h"], ["+5h", "-5h"], ["-5h", "+5h"]],
    ids=" then ".join,
)
def test_a_clock_that_is_wrong_by_hours_loses_nothing(
    home: Home,
    tmp_path: Path,
    tally: Callable[[str], Tally],
    offsets: Sequence[str],
) -> None:
    """Law: each load asks for what is there, and what was seen last counts.

    The clock is wrong for one load or two, then right again.
    """
    wrong = tally("a clock that is wrong by 5 hours, and put right again")
    with polled(concurrency="4") as twins:
        twins.track(home)
        for offset in offsets:
            asked = len(twins.unstract.requests)
            clock = FakeClock(tmp_path / "offset", offset)
            process = load(home, twins, **clock.environment)
            _, err = process.communicate(timeout=LONGEST_S)
            assert process.returncode in ENDED, err
            assert "Traceback" not in err
            assert len(twins.unstract.requests) > asked
            twins.pass_time()
        settle(home, twins)
        wrong.count(home, twins)

    assert wrong.faults == []


def test_a_new_journal_and_a_clock_put_right_lose_nothing(
    home: Home, tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    """Law: what is seen last counts, though the times in the store lie ahead."""
    wrong = tally("a clock put right, with a new journal")
    with polled(concurrency="4") as twins:
        twins.track(home)
        clock = FakeClock(tmp_path / "offset", "+5h")
        _, err = load(home, twins, **clock.environment).communicate()
        ahead = "select max(received_at) > now() from execledger.raw_responses"
        is_ahead = rows(home, ahead)
        home.journal.unlink()
        twins.track(home)
        settle(home, twins)
        wrong.count(home, twins)

    assert is_ahead == [(True,)], err
    assert wrong.faults == []


@pytest.mark.parametrize("offset", ["+5h", "-5h"])
def test_a_clock_that_is_set_during_a_load_loses_nothing(
    home: Home, tmp_path: Path, tally: Callable[[str], Tally], offset: str
) -> None:
    """Law: a load ends in its time, whatever becomes of the time of day meanwhile."""
    jumps = tally("a clock that jumps by 5 hours while a result arrives")
    with polled(concurrency="4") as twins:
        twins.track(home)
        hold = twins.unstract.hold_next_body()
        clock = FakeClock(tmp_path / "offset", RIGHT)
        process = load(home, twins, "--max-wait", "5", **clock.environment)
        assert hold.half_sent.wait(LONGEST_S)
        clock.set(offset)
        began = time.monotonic()
        hold.release()
        _, err = process.communicate(timeout=LONGEST_S)
        took = time.monotonic() - began
        settle(home, twins)
        jumps.count(home, twins)

    assert process.returncode in ENDED, err
    assert "Traceback" not in err
    assert took < LONGEST_S
    assert jumps.faults == []
