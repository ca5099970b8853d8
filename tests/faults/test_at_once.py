"""Readers, trackers and loads at the same time: none disturbs another."""

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from pipelines.store import Home
from sources.journal import Journal
from sources.loopback import serve
from sources.watchlist import WatchList
from tests.faults.command import python
from tests.faults.reading import Read
from tests.pipelines.polled_twins import polled
from tests.pipelines.small_torale import NEWS, account, load_into, put, small_torale

LOADS, READERS = 50, 20
TRACKERS, IDS = 8, 25
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


def test_twenty_readers_and_fifty_loads_do_not_disturb_each_other(
    home: Home, tmp_path: Path
) -> None:
    """Law: no reader sees an error or half a load, and no load fails."""
    twin, stop = small_torale(), tmp_path / "stop"
    with serve(twin.app) as url:
        load_into(home, account(url))
        readers = [
            python("tests.faults.reading", str(home.path), str(stop))
            for _ in range(READERS)
        ]
        try:
            outcomes = []
            for number in range(LOADS):
                put(twin, f"more-{number}", 0, NEWS)
                outcomes.append(load_into(home, account(url)).outcome)
        finally:
            stop.touch()
    said = [reader.communicate(timeout=60) for reader in readers]
    came = [msgspec.json.decode(out, type=Read) for out, _ in said]

    assert outcomes == ["ok"] * LOADS
    faults = [fault for one in came for fault in one.faults]
    assert not faults, "\n".join(faults)
    assert min(one.reads for one in came) > 1
    assert sum(one.reads for one in came) > LOADS


def test_eight_processes_that_track_during_loads_lose_no_execution(
    home: Home, tmp_path: Path
) -> None:
    """Law: whoever puts an execution on the list finds it there, whatever else runs."""
    with polled() as twins:
        twins.track(home)
        trackers = []
        for number in range(TRACKERS):
            ids = tmp_path / f"{number}.txt"
            names = (str(10_000 + number * IDS + place) for place in range(IDS))
            ids.write_text("\n".join(names))
            given = ("track", "discuro", "--from-file", str(ids))
            where = ("--home", str(home.path))
            trackers.append(
                python("pipelines", *given, *where, environment=twins.environment)
            )
        while any(tracker.poll() is None for tracker in trackers):
            twins.load(home)
    said = [tracker.communicate()[1] for tracker in trackers]
    with closing(Journal(home.journal)) as journal:
        entries = WatchList(journal, "discuro", "default").entries()

    assert [tracker.returncode for tracker in trackers] == [0] * TRACKERS, said
    there = {entry.watched.execution_id for entry in entries}
    assert {str(10_000 + n) for n in range(TRACKERS * IDS)} <= there
