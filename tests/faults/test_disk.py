"""A full disk, and a home nobody may write to: what cannot be kept is not asked for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.command import settle
from tests.faults.machine import fill, read_only_load, small_disk_load, used
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import polled

MIB = 2**20
TRIES = 3
FREE = [part * MIB // 4 for part in (0, 1, 2, 3, 4, 8, 16, 24, 64)]
"""Bytes that are free at the start: from nothing to more than a load takes."""

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


@pytest.mark.parametrize("has_store", [False, True], ids=["first load", "later load"])
def test_a_disk_that_is_full_somewhere_loses_nothing(
    tmp_path: Path, tally: Callable[[str], Tally], *, has_store: bool
) -> None:
    """Law: at whatever byte the disk is full, what was handed out is in the store.

    Sizes sweep over the whole load: the journal, the copy of the store, what is
    written to it. The first load has no store to copy.
    """
    full = tally("a disk that is full, from the first byte of a load to its last")
    before = full.tried
    codes = set()
    for number, free in enumerate(FREE):
        home = Home(tmp_path / str(number))
        with polled(concurrency="4", max_body_mb="0.5") as twins:
            twins.track(home)
            if has_store:
                twins.load(home)
                twins.pass_time()
            process = small_disk_load(home, twins, used(home) + free)
            _, err = process.communicate()
            settle(home, twins)
            full.count(home, twins)
        codes.add(process.returncode)
        assert process.returncode in {0, 1, 4}, err
        assert "Traceback" not in err
        assert "report this fault" not in err
        assert process.returncode != 1 or "space" in err or "full" in err, err

    assert 1 in codes
    assert codes & {0, 4}
    assert full.tried - before == len(FREE)
    assert full.faults == []


def test_a_disk_that_others_fill_while_a_result_arrives_loses_nothing(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    """Law: there is room for what was asked for, whoever takes the rest of the disk."""
    full = tally("a disk that others fill while a result arrives")
    for number in range(TRIES):
        home = Home(tmp_path / str(number))
        with polled(concurrency="4", max_body_mb="0.5") as twins:
            twins.track(home)
            hold = twins.unstract.hold_next_body()
            process = small_disk_load(home, twins, 32 * MIB)
            assert hold.half_sent.wait(60)
            fill(home, process)
            hold.release()
            _, err = process.communicate()
            settle(home, twins)
            full.count(home, twins)
        assert process.returncode == 1, err
        assert "Traceback" not in err

    assert full.tried == TRIES
    assert full.unread == 0
    assert full.faults == []


def test_a_home_mounted_for_reading_only_asks_for_nothing(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    """Law: what cannot be kept is not asked for; one line says why, with code 1."""
    shut = tally("a home that is mounted for reading only")
    for number, has_store in enumerate((False, True)):
        home = Home(tmp_path / str(number))
        with polled() as twins:
            twins.track(home)
            if has_store:
                twins.load(home)
                twins.pass_time()
            asked = len(twins.unstract.requests), len(twins.discuro.requests)
            process = read_only_load(home, twins)
            _, err = process.communicate()
            after = len(twins.unstract.requests), len(twins.discuro.requests)
            settle(home, twins)
            shut.count(home, twins)
        assert process.returncode == 1, err
        assert "Read-only file system. Make it writable" in err
        assert "Traceback" not in err
        assert after == asked

    assert shut.tried == 2
    assert shut.faults == []
