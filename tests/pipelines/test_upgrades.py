"""Stores and journals of earlier versions load on; newer ones are refused in words.

A folder of ``tests/stores/`` is a home as the code of that day left it: the small
Torale loaded twice, one answer that waits, two executions of Discuro on the watch-list.
"""

import gzip
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.load import waiting
from pipelines.store import LAYOUT, Home, locked, work_copy
from sources.errors import StoreError
from sources.journal import Journal
from sources.loopback import serve
from sources.records import TABLES, Mode
from sources.tables import columns
from sources.torale.twin import ToraleTwin
from sources.watchlist import WatchList
from tests.pipelines.small_torale import KEY, account, contents, load_into, rows

STORES = sorted((Path(__file__).resolve().parents[1] / "stores").iterdir())
FACTS = [name for name, table in TABLES.items() if table.MODE is Mode.SNAPSHOT]


@pytest.fixture(params=STORES, ids=lambda folder: str(folder.name))
def old(request: pytest.FixtureRequest, home: Home) -> Home:
    """Return a home as an earlier version left it."""
    home.create()
    for packed in Path(request.param).glob("*.gz"):
        file = home.path / packed.stem
        file.write_bytes(gzip.decompress(packed.read_bytes()))
    return home


def no_news() -> ToraleTwin:
    """Return a Torale without any task."""
    return ToraleTwin(key=KEY)


def watched(home: Home) -> list[str]:
    """Return the ids of the executions of Discuro on the watch-list."""
    with closing(Journal(home.journal)) as journal:
        entries = WatchList(journal, "discuro", "default").entries()
    return sorted(entry.watched.execution_id for entry in entries)


def test_a_store_of_an_earlier_version_loads_on(old: Home) -> None:
    """Law: no row is lost or doubled, what waited is loaded, the watch-list stays."""
    before = contents(old, FACTS)
    assert before["executions"]
    assert waiting(old) == {("torale", "default"): 1}

    with serve(no_news().app) as url:
        report = load_into(old, account(url))

    assert report.outcome == "ok"
    assert contents(old, FACTS) == before
    assert (waiting(old), watched(old)) == ({}, ["132", "133"])
    assert rows(old, "select count(*) from marts.daily_usage")


def test_tables_gain_the_columns_that_came_since(old: Home) -> None:
    """Law: a column that the store lacks is made, NULL in the rows that were there."""
    with locked(old), work_copy(old) as work:
        work.con.execute("alter table execledger.executions drop column is_passed")
        work.publish()
    count = rows(old, "select count(*) from execledger.executions")

    with serve(no_news().app) as url:
        load_into(old, account(url))

    there = {
        name
        for (name,) in rows(
            old,
            "select column_name from duckdb_columns() where schema_name = 'execledger' "
            "and table_name = 'executions'",
        )
    }
    assert {column.name for column in columns(TABLES["executions"])} <= there
    assert rows(old, "select count(*) from execledger.executions") == count


def test_a_store_of_a_newer_layout_is_read_and_not_written_to(loaded: Home) -> None:
    """Law: what this version does not know it leaves alone, and says what to do."""
    newer = LAYOUT + 1
    with locked(loaded), work_copy(loaded) as work:
        work.con.execute(f"create or replace macro execledger.layout() as {newer}")
        work.publish()
    before = loaded.published.read_bytes()

    with (
        serve(no_news().app) as url,
        pytest.raises(StoreError, match=rf"a newer execledger \(layout {newer}"),
    ):
        load_into(loaded, account(url))

    assert loaded.published.read_bytes() == before
    assert rows(loaded, "select count(*) from execledger.executions")


def test_a_journal_of_a_newer_version_is_refused_in_words(loaded: Home) -> None:
    """Law: the watch-list of a newer version is not guessed at."""
    with closing(sqlite3.connect(loaded.journal)) as con:
        con.execute("pragma user_version = 99")

    with (
        serve(no_news().app) as url,
        pytest.raises(StoreError, match="written by a newer execledger"),
    ):
        load_into(loaded, account(url))
