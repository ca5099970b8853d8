"""A store that others have open, and a work folder that a crash has left."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.command import load, settle
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import polled

ENDED = {0, 1, 4}
JUNK_BYTES = 2**28
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]

HOLDER = """
import sys, duckdb
con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reads")
con.execute("begin; from execledger.runs").fetchall()
if sys.argv[2] == "writes":
    con.execute("rollback; create table theirs as select 7 as number")
print("open", flush=True)
for line in sys.stdin:
    con.execute("insert into theirs values (8)")
    print("written", flush=True)
"""


@contextmanager
def held(home: Home, how: str) -> Iterator["subprocess.Popen[str]"]:
    """Have another process hold the store open."""
    with subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", HOLDER, str(home.published), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process


@pytest.mark.parametrize("how", ["reads", "writes"])
def test_a_store_that_another_process_has_open_keeps_nothing_out(
    home: Home, tally: Callable[[str], Tally], how: str
) -> None:
    """Law: a load goes on beside who reads, and beside who has written."""
    opened = tally("a store that another process has open")
    with polled(concurrency="4") as twins:
        twins.track(home)
        twins.load(home)
        twins.pass_time()
        with held(home, how):
            _, err = (process := load(home, twins)).communicate()
        settle(home, twins)
        opened.count(home, twins)

    assert process.returncode in ENDED, err
    assert "Loaded in" in err
    assert "Traceback" not in err
    assert opened.faults == []


def test_a_store_that_another_process_writes_to_during_a_load_is_told(
    home: Home, tally: Callable[[str], Tally]
) -> None:
    """Law: nobody's rows are overwritten: one line says what to close, with code 1."""
    opened = tally("a store that another process writes to during a load")
    with polled(concurrency="4") as twins:
        twins.track(home)
        twins.load(home)
        twins.pass_time()
        hold = twins.unstract.hold_next_body()
        with held(home, "writes") as holder:
            process = load(home, twins)
            assert hold.half_sent.wait(60)
            assert holder.stdin is not None
            assert holder.stdout is not None
            holder.stdin.write("\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "written\n"
            hold.release()
            _, err = process.communicate()
        settle(home, twins)
        opened.count(home, twins)

    assert process.returncode == 1, err
    assert "Another program wrote to" in err
    assert "Close that program" in err
    assert "Traceback" not in err
    assert opened.faults == []


def half_a_copy(home: Home) -> None:
    """Leave half of a copy of the store, and its log."""
    whole = home.published.read_bytes()
    folder = home.work / "0011223344556677"
    folder.mkdir(parents=True)
    (folder / "published.duckdb").write_bytes(whole[: len(whole) // 2])
    (folder / "published.duckdb.wal").write_bytes(bytes(5000))


def an_older_version(home: Home) -> None:
    """Leave what an older version had there: files, and dlt's folder."""
    (home.work / "dlt" / "execledger" / "load").mkdir(parents=True)
    (home.work / "published.duckdb").write_bytes(b"an older layout")
    (home.work / "dlt" / "execledger" / "load" / "1.parquet").touch()


def much_junk(home: Home) -> None:
    """Leave a large file, and a link that leads out of the home."""
    home.work.mkdir()
    (home.work / "junk").write_bytes(bytes(JUNK_BYTES))
    (home.work / "outside").symlink_to(home.path.parent)


def no_folder(home: Home) -> None:
    """Leave a file where the folder is to be."""
    home.work.write_text("no folder", "utf-8")


@pytest.mark.parametrize("leave", [half_a_copy, an_older_version, much_junk, no_folder])
def test_what_a_crash_left_in_the_work_folder_is_cleared(
    home: Home, tally: Callable[[str], Tally], leave: Callable[[Home], None]
) -> None:
    """Law: the next load clears it, and nothing outside, and goes on as usual."""
    left = tally("a work folder that a crash has left")
    outside = Path(home.path.parent) / "outside.txt"
    outside.write_text("stays", "utf-8")
    with polled(concurrency="4") as twins:
        twins.track(home)
        twins.load(home)
        twins.pass_time()
        leave(home)
        _, err = (process := load(home, twins)).communicate()
        is_there = home.work.exists() or home.work.is_symlink()
        settle(home, twins)
        left.count(home, twins)

    assert process.returncode in ENDED, err
    assert "Loaded in" in err
    assert "Traceback" not in err
    assert not is_there
    assert outside.read_text("utf-8") == "stays"
    assert left.faults == []
