"""A network that drops, cuts, resets and dawdles: what came whole is kept, once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.command import load, settle
from tests.faults.network import HURTS, Network, Way, through
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import polled

TRIES = 3
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


@pytest.mark.parametrize("way", HURTS)
def test_a_network_that_hurts_loses_nothing_that_came(
    tmp_path: Path, tally: Callable[[str], Tally], way: Way
) -> None:
    """Law: what came whole is in the store; of what did not, the store says so."""
    hurt = tally(f"a network that {way}, for half of the requests")
    for number in range(TRIES):
        home = Home(tmp_path / str(number))
        with polled(concurrency="4") as twins:
            twins.track(home)
            direct = twins.environment["SOURCES__UNSTRACT__BASE_URL"]
            network = Network(direct, way, share=0.5, seed=number)
            with through(network) as url:
                process = load(home, twins, SOURCES__UNSTRACT__BASE_URL=url)
                _, err = process.communicate()
            settle(home, twins)
            before = hurt.unread
            hurt.count(home, twins)
        assert hurt.unread - before <= len(network.spoilt)
        assert process.returncode in {0, 1, 4}, err
        assert "Traceback" not in err
        assert network.hurt > 0

    assert hurt.tried == TRIES
    assert hurt.faults == []
