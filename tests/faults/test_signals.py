"""Ctrl-C and SIGTERM at random moments of a load: it says so, and loses nothing."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.command import load, settle
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import Polled, polled

TRIES = 20
INT_IGNORED = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""As a script without job control starts what it puts behind it with ``&``."""
ENDED = {0, 1, 4}
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


def begun(home: Home, twins: Polled) -> "subprocess.Popen[str]":
    """Start a load, and wait until it has begun: it holds the home."""
    process = load(home, twins)
    while process.poll() is None and not home.lock_file.exists():
        time.sleep(0.001)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_at_a_random_moment_loses_nothing(
    tmp_path: Path, tally: Callable[[str], Tally], number: signal.Signals
) -> None:
    """Law: what is under way is finished and kept; words and exit code say what came.

    A signal that comes when all is done may change nothing any more. Moments are
    spread evenly over a load from its lock on; a seed makes them again.
    """
    told = tally(f"{number.name} at a random moment of a load")
    chance = random.Random(int(number))  # noqa: S311 - moments, no secrets
    interrupted = 0
    with polled(concurrency="4") as twins:
        home = Home(tmp_path / "peace")
        twins.track(home)
        process = begun(home, twins)
        began = time.monotonic()
        _, err = process.communicate()
        assert process.returncode in ENDED, err
        took = time.monotonic() - began
    for turn in range(TRIES):
        home = Home(tmp_path / str(turn))
        with polled(concurrency="4") as twins:
            twins.track(home)
            process = begun(home, twins)
            time.sleep(took * (turn + chance.random()) / TRIES)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            settle(home, twins)
            told.count(home, twins)
        is_interrupted = process.returncode == 128 + number
        interrupted += is_interrupted
        assert is_interrupted or process.returncode in ENDED, err
        assert is_interrupted == ("Interrupted. What was received" in err)
        assert "Traceback" not in err

    assert interrupted > TRIES / 2
    assert told.tried == TRIES
    assert told.handed_out > 0
    assert told.faults == []


def test_a_signal_at_a_random_moment_leaves_monitors_what_is_whole(
    tmp_path: Path,
) -> None:
    """Law: all on stderr is lines, of which one at the most is the load's.

    It says what the health file says, which is of this load, or the last one, or not
    there yet.
    """
    chance = random.Random(15)  # noqa: S311 - moments, no secrets
    file, ends, told = tmp_path / "monitored" / "health.json", set(), 0
    file.parent.mkdir()
    with polled(concurrency="4") as twins:
        home = Home(tmp_path / "home")
        twins.track(home)
        began = time.monotonic()
        # the option would be read too late for a signal in the first moments
        said = {"EXECLEDGER_LOG_FORMAT": "json", "EXECLEDGER_HEALTH": str(file)}
        load(home, twins, **said).communicate()
        took = time.monotonic() - began
        for turn in range(TRIES):
            process = load(home, twins, **said)
            time.sleep(took * (turn + chance.random()) / TRIES)
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
            health = json.loads(file.read_text("ascii"))
            lines = [json.loads(line) for line in err.splitlines()]
            loads = [line for line in lines if line["event"] == "load"]
            ends.add(process.returncode)
            told += len(loads)
            assert len(loads) <= 1
            for line in loads:
                assert line["outcome"] == health["outcome"]
                assert line["started_at"] == health["started_at"]
                assert process.returncode in {line["exit_code"], 128 + signal.SIGTERM}

    assert 128 + signal.SIGTERM in ends
    assert told > TRIES / 4
    assert list(file.parent.iterdir()) == [file]


def test_sigterm_ends_a_load_that_ignores_ctrl_c(home: Home) -> None:
    """Law: begun in the background, a load is stopped by SIGTERM, and by no Ctrl-C."""
    with polled(concurrency="1") as twins:
        twins.track(home)
        hold = twins.unstract.hold_next_body()
        process = load(home, twins, within=INT_IGNORED)
        assert hold.half_sent.wait(60)
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)
        is_going_on = process.poll() is None
        process.send_signal(signal.SIGTERM)
        hold.release()
        _, err = process.communicate(timeout=60)

    assert is_going_on
    assert process.returncode == 128 + signal.SIGTERM, err
    assert "Interrupted. What was received" in err


def test_what_one_provider_is_asked_for_outlives_the_end_of_the_other(
    home: Home,
) -> None:
    """Law: a signal waits for every answer that is under way, of all accounts."""
    with polled(concurrency="1") as twins:
        twins.track(home)
        hold = twins.unstract.hold_next_body()
        process = load(home, twins)
        assert hold.half_sent.wait(60)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        is_going_on = process.poll() is None
        hold.release()
        _, err = process.communicate(timeout=60)
        settle(home, twins)
        differences = twins.differences(home)

    assert is_going_on
    assert process.returncode == 128 + signal.SIGTERM, err
    assert differences == []
