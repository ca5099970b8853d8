"""kill -9 at random moments of a load with results that are handed out once."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.command import load
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import polled

TRIES = 200
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


def test_kills_at_random_moments_lose_nothing(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    """Law: what was handed out whole is in the store, once, however the run ended.

    Moments are spread evenly over a load and a little more; a seed makes them again.
    """
    killed = tally("kill -9 at a random moment of a load")
    chance = random.Random(7)  # noqa: S311 - moments, no secrets
    with polled(concurrency="4") as twins:
        home = Home(tmp_path / "peace")
        twins.track(home)
        began = time.monotonic()
        peaceful = load(home, twins)
        _, err = peaceful.communicate()
        assert peaceful.returncode in {0, 1, 4}, err
        took = time.monotonic() - began
    for number in range(TRIES):
        home = Home(tmp_path / str(number))
        with polled(concurrency="4") as twins:
            twins.track(home)
            process = load(home, twins)
            time.sleep(took * 1.05 * (number + chance.random()) / TRIES)
            process.kill()
            process.communicate()
            twins.pass_time()
            twins.load(home, max_wait_s=20)
            assert killed.count(home, twins) == []

    assert killed.tried == TRIES
    assert killed.handed_out > TRIES
