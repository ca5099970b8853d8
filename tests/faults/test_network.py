"""A network that drops, cuts, resets and dawdles: what came whole is kept, once."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.command import load, settle
from tests.faults.network import HURTS, Network, Way, through
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import polled

TRIES = 3
BUSY_S = 130
AT = "SOURCES__UNSTRACT__BASE_URL"
PATIENCE = "SOURCES__UNSTRACT__READ_TIMEOUT_S"
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
            network = Network(twins.environment[AT], way, share=0.5, seed=number)
            with through(network) as url:
                process = load(home, twins, **{AT: url, PATIENCE: "1"})
                _, err = process.communicate()
            settle(home, twins)
            before = hurt.unread
            assert hurt.count(home, twins) == []
        assert hurt.unread - before <= len(network.spoilt)
        assert process.returncode in {0, 1, 4}, err
        assert "Traceback" not in err
        assert network.hurt > 0

    assert hurt.tried == TRIES


def test_a_provider_that_is_busy_for_minutes_is_waited_for(
    home: Home, tally: Callable[[str], Tally]
) -> None:
    """Law: it is asked again when it wants to be, and then gives everything."""
    busy = tally("a provider that answers 429 for two minutes")
    with polled() as twins:
        twins.track(home)
        network = Network(twins.environment[AT], "answers 429", share=1, wait_s=15)
        with through(network) as url:
            process = load(home, twins, "--max-wait", "600", **{AT: url})
            with pytest.raises(subprocess.TimeoutExpired):
                process.communicate(timeout=BUSY_S)
            asked_in_vain = network.hurt
            network.share = 0
            twins.pass_time()
            _, err = process.communicate()
        assert busy.count(home, twins) == []

    assert process.returncode == 4, err  # of what others took
    assert "429" in err
    assert 20 < asked_in_vain < 200
