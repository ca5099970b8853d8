"""A damaged journal: what can be read of it is kept, and what is gone is said."""

import hashlib
import random
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sources.errors import StoreError
from sources.exchange import Reply
from sources.journal import Journal
from sources.salvage import mend
from sources.watched import Watched
from sources.watchlist import WatchList

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF = ("unstract", "default")
PAGE = 4096
COUNT = 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the file of a journal in which much waits and much is watched."""
    file = tmp_path / "journal.sqlite"
    with Journal(file) as journal, journal.file.transaction():
        WatchList(journal, *OF).add(
            (Watched(execution_id=str(n), tracked_at=NOON, expires_at=NOON), NOON)
            for n in range(COUNT)
        )
        for number in range(COUNT):
            keep(journal, f"{number} {'x' * 9000}".encode())
    return file


def keep(journal: Journal, body: bytes) -> None:
    """Append an answer with this body."""
    reply = Reply(
        method="GET",
        url="https://unstract.example/",
        elapsed_ms=1,
        outcome="ok",
        http_status=200,
        body=body,
        body_sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
    )
    journal.append(
        provider=OF[0], connection=OF[1], endpoint="execution", params={}, reply=reply
    )


def bodies(path: Path) -> list[bytes | None]:
    """Return the bodies that wait."""
    with Journal(path) as journal:
        return [response.body for response in journal.waiting(*OF)]


def watched(path: Path) -> set[str]:
    """Return the executions on the watch-list."""
    with Journal(path) as journal:
        entries = WatchList(journal, *OF).entries()
    return {entry.watched.execution_id for entry in entries}


def test_a_whole_journal_is_not_touched(path: Path) -> None:
    """Law: byte by byte; nor is what is not there, is empty, or of a newer version."""
    whole = path.read_bytes()
    newer = bytearray(whole)
    newer[60:64] = bytes((0, 0, 0, 99))
    said = [mend(path, NOON), mend(path.with_name("none"), NOON)]
    for content in (b"", bytes(newer)):
        path.with_name("other").write_bytes(content)
        said.append(mend(path.with_name("other"), NOON))

    assert said == [None] * 4
    assert path.read_bytes() == whole
    assert path.with_name("other").read_bytes() == newer


def test_whatever_page_is_torn_most_is_kept_and_nothing_is_made_up(path: Path) -> None:
    """Law: each body that waits is one that came; words say so where one is gone."""
    whole, before = path.read_bytes(), bodies(path)
    chance = random.Random(1)  # noqa: S311 - what was torn, no secret
    lost = []
    for place in range(0, len(whole), PAGE):
        torn = whole[:place] + chance.randbytes(PAGE) + whole[place + PAGE :]
        path.write_bytes(torn)
        said = mend(path, NOON)
        kept = bodies(path)
        lost.append(len(set(before) - set(kept)))

        assert set(kept) <= set(before)
        assert said or not lost[-1]
        assert watched(path) == {str(number) for number in range(COUNT)}
        (aside,) = path.parent.glob("*.broken-*") if said else (None,)
        assert aside is None or aside.read_bytes() == torn
        for file in path.parent.glob("*.broken-*"):
            file.unlink()

    most = sorted(lost, reverse=True)
    assert most[1] <= COUNT / 4  # on one page, the root, all of them hang
    assert sum(lost) / len(lost) < 3


def test_a_row_whose_texts_are_torn_is_not_loaded(path: Path) -> None:
    """Law: zeros in a text, or JSON that is none, would keep all the rest waiting."""
    with closing(sqlite3.connect(path)) as con:
        for number, torn in (
            (1, "body = x'00'"),  # which the hash tells
            (2, """params = '{"a":"' || char(1) || '"}'"""),
            (3, "url = 'https://u' || char(0)"),
        ):
            con.execute(f"update responses set {torn} where rowid = {number}")
        con.execute("update responses set size_bytes = 1 where rowid = 1")
        con.execute("update watched set tags = '[' where execution_id = '5'")
        con.commit()

    said = mend(path, NOON)

    assert said
    assert len(bodies(path)) == COUNT - 3
    assert watched(path) == {str(n) for n in range(COUNT)}  # by its name, at least


def test_what_may_have_been_answered_is_noted(path: Path) -> None:
    """Law: a result that is there no more is known to be lost with the journal."""
    path.write_bytes(path.read_bytes()[: -20 * PAGE])
    said = mend(path, NOON)
    with Journal(path) as journal:
        entries = WatchList(journal, *OF).entries()

    assert "was damaged. It is kept as journal.sqlite.broken-20260301T120000" in (
        said or ""
    )
    reasons = {read.reason for one in entries for read in one.watched.broken_reads}
    assert reasons == {"the journal was damaged, and answers that it held may be gone"}


def test_a_file_that_is_no_journal_is_not_replaced(path: Path) -> None:
    """Law: it stays as it is, and words say what to do."""
    path.write_bytes(content := b"no database, but long enough for one " * 500)

    with pytest.raises(StoreError, match=r"is not a journal.*Move it"):
        mend(path, NOON)

    assert path.read_bytes() == content
