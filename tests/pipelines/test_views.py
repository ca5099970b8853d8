"""Views over the tables: their order, their comments, and what is wrong with one."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipelines.views import create_views
from sources.errors import StoreError


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a store in memory with one table."""
    with duckdb.connect() as opened:
        opened.execute("create schema execledger")
        opened.execute("create table execledger.numbers as select 1 as number")
        yield opened


def views(folder: Path, **files: str) -> Path:
    """Write a file for each view; return the folder."""
    for name, sql in files.items():
        (folder / f"{name}.sql").write_text(sql, encoding="utf-8")
    return folder


def test_a_view_may_read_views_that_come_later_by_name(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Law: the order is that of need; names, quotes and depth do not matter."""
    folder = views(
        tmp_path,
        a='with x as (select * from "marts"."b") select number + 1 as number from x',
        b="select (select max(number) from marts.c) as number",
        c="select number from execledger.numbers",
    )

    create_views(con, folder)

    assert con.execute("select number from marts.a").fetchall() == [(2,)]


def test_the_first_comment_is_the_views(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Law: its lines are joined; a later comment is none of it; no comment is fine."""
    folder = views(
        tmp_path,
        said="-- One row per number: the user's\n-- own.\n\n-- not this\nselect 1 as x",
        silent="select 1 as x",
    )

    create_views(con, folder)

    comments = con.execute(
        "select view_name, comment from duckdb_views() where schema_name = 'marts' "
        "order by all"
    ).fetchall()
    assert comments == [
        ("said", "One row per number: the user's own."),
        ("silent", ""),
    ]


def test_views_are_made_anew_with_each_load(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Law: a changed file changes its view, and its comment."""
    create_views(con, views(tmp_path, one="-- Old.\nselect 1 as x"))

    create_views(con, views(tmp_path, one="-- New.\nselect 2 as x, 3 as y"))

    assert con.execute("from marts.one").fetchall() == [(2, 3)]
    comment = "select comment from duckdb_views() where view_name = 'one'"
    assert con.execute(comment).fetchall() == [("New.",)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "a": "from marts.b",
                "b": "select * from marts.c",
                "c": "from marts.b",
            },
            "in a circle: b -> c -> b",
        ),
        ({"a": "from marts.a"}, "in a circle: a -> a"),
        ({"a": "select x from execledger.numbers"}, r"marts\.a fails: .*\"?x\"?"),
        ({"a": "select from ("}, r"marts\.a is no SQL"),
    ],
)
def test_a_view_that_cannot_be_is_named(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, files: dict[str, str], message: str
) -> None:
    """Law: a circle, a fault and broken SQL name the view."""
    with pytest.raises(StoreError, match=message):
        create_views(con, views(tmp_path, **files))
