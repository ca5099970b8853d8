"""A journal with a page that is torn, or cut short: what can be read of it is kept."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.store import Home
from tests.faults.command import load, python, settle
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import Polled, polled

PAGE = 4096
TRIES = 3
ENDED = {0, 1, 4}
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]

Hurt = Callable[[bytes, random.Random], bytes]


def garbage(data: bytes, chance: random.Random) -> bytes:
    """Overwrite a page with what was never written there."""
    return torn(data, chance, chance.randbytes(PAGE))


def zeros(data: bytes, chance: random.Random) -> bytes:
    """Overwrite a page with zeros, as a file system may after a power cut."""
    return torn(data, chance, bytes(PAGE))


def torn(data: bytes, chance: random.Random, page: bytes) -> bytes:
    """Overwrite one page."""
    place = chance.randrange(-(-len(data) // PAGE)) * PAGE
    return (data[:place] + page + data[place + PAGE :])[: len(data)]


def cut(data: bytes, chance: random.Random) -> bytes:
    """Cut it short, but for a page."""
    return data[: chance.randrange(PAGE, len(data))]


def killed(home: Home, twins: Polled) -> None:
    """Let a load die when all is in the journal, and nothing in the store."""
    twins.track(home)
    program = ("tests.pipelines.killed_command", "SIGKILL", "before publishing")
    given = ("load", "--home", str(home.path))
    python(*program, *given, environment=twins.environment).communicate()


@pytest.mark.parametrize("hurt", [garbage, zeros, cut])
@pytest.mark.parametrize("suffix", ["", "-wal"], ids=["the file", "its log"])
def test_a_damaged_journal_loses_no_more_than_what_cannot_be_read(
    tmp_path: Path, tally: Callable[[str], Tally], suffix: str, hurt: Hurt
) -> None:
    """Law: what can be read is loaded; of the rest, words say that it is gone.

    The damaged file is set aside as it is, and the load goes on, with code 1 or 4.
    Answers that were in the damaged part cannot be had again: their results count as
    never arrived, and the store has them as lost in transit; or as read by another,
    where the watch-list was gone as well and somebody put them on it again, as told.
    """
    broken = tally("a journal of which a page is torn, or the end is missing")
    before = broken.tried
    told = 0
    for number in range(TRIES):
        chance = random.Random(number)  # noqa: S311 - which page, no secret
        home = Home(tmp_path / str(number))
        with polled(concurrency="4") as twins:
            killed(home, twins)
            if not suffix:  # then all is in the file itself
                with closing(sqlite3.connect(home.journal)) as con:
                    con.execute("pragma wal_checkpoint(truncate)").fetchall()
            file = Path(f"{home.journal}{suffix}")
            file.write_bytes(damaged := hurt(file.read_bytes(), chance))
            process = load(home, twins)
            _, err = process.communicate()
            aside = list(home.path.glob(f"journal.sqlite.broken-*{suffix}"))
            if is_told := "was damaged. It is kept as" in err:
                twins.track(home)
            settle(home, twins)
            broken.count(home, twins, is_told=is_told)
        told += is_told
        assert process.returncode in ENDED - ({0} if is_told else set()), err
        assert "Traceback" not in err
        assert not is_told or damaged in [one.read_bytes() for one in aside]

    assert told > 0
    assert broken.tried - before == TRIES
    assert broken.faults == []
