"""The views of ``sql/``: all made anew, with their comments, or none."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import duckdb

from pipelines.descriptions import described, descriptions
from pipelines.rules import failure_rules, rules_view
from pipelines.sql_files import SQL, SqlFile, in_order, literal, sql_files
from pipelines.store import Home
from pipelines.tables import comments
from sources.errors import StoreError
from sources.json_text import canonical_sha256
from sources.records import TABLES
from sources.tables import columns

__all__ = ["create_views", "make_views", "views"]

_SCHEMAS = ("staging", "marts")
"""The schemas of our views; ``staging`` is what only this engine can say."""


def views(home: Home) -> list[SqlFile]:
    """Return all views of the store, each after those that it selects from.

    Raises ``StoreError`` for a circle or broken SQL, ``ConfigurationError`` for a
    broken rule.
    """
    return in_order(_files(home))


def _files(home: Home) -> list[SqlFile]:
    return [
        *sql_files(SQL / "staging" / "duckdb", "staging"),
        *sql_files(SQL / "marts", "marts"),
        rules_view(failure_rules(home)),
    ]


def make_views(con: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Make all views of the store anew, with their comments, or change none.

    Those that are there already stay. Raises ``StoreError`` or
    ``ConfigurationError``; the views are then as they were.
    """
    files = _files(home)
    mark = _mark(files)
    if not _are_made(con, files, mark):
        create_views(con, in_order(files), mark)


def _mark(files: Sequence[SqlFile]) -> str:
    """Return a hash of all that the views and their comments are made of."""
    tables = {
        name: [(column.name, column.comment) for column in columns(record)]
        for name, record in TABLES.items()
    }
    texts = [(file.qualified, file.sql) for file in files]
    return canonical_sha256([texts, descriptions(), tables])


def _are_made(
    con: duckdb.DuckDBPyConnection, files: Sequence[SqlFile], mark: str
) -> bool:
    try:
        found = con.execute(
            "select staging.made_of(), list(schema_name || '.' || view_name) "
            "from duckdb_views() where schema_name in ('staging', 'marts') group by all"
        ).fetchall()
    except duckdb.CatalogException:
        return False
    names = {file.qualified for file in files}
    return [(made_of, set(there)) for made_of, there in found] == [(mark, names)]


def create_views(
    con: duckdb.DuckDBPyConnection, ordered: Sequence[SqlFile], mark: str = ""
) -> None:
    """Make these views in their order, and no other, in one transaction.

    A view that is no more among them goes. ``mark`` is kept beside them, and tells
    ``make_views`` what they were made of. Raises ``StoreError`` for one that fails.
    """
    con.begin()
    try:
        for schema in _SCHEMAS:
            con.execute(f"drop schema if exists {schema} cascade")
            con.execute(f"create schema {schema}")
        for view in ordered:
            _create(con, view)
        con.execute(";".join(_view_comments(con, ordered)))
        con.execute(f"create macro staging.made_of() as {literal(mark)}")
        con.commit()
    except BaseException:
        with suppress(duckdb.Error):  # a commit that fails has undone all itself
            con.rollback()
        raise


def _create(con: duckdb.DuckDBPyConnection, view: SqlFile) -> None:
    try:
        con.execute(f"create view {view.qualified} as {view.sql}")
    except duckdb.Error as error:
        raise StoreError(f"The view {view.qualified} fails: {error}") from None


def _view_comments(
    con: duckdb.DuckDBPyConnection, made: Iterable[SqlFile]
) -> Iterator[str]:
    said = descriptions()
    rows = con.execute(
        "select schema_name || '.' || table_name, list(column_name order by "
        "column_index) from duckdb_columns() where schema_name in ('staging', 'marts') "
        "group by all"
    ).fetchall()
    names = dict(rows)
    for view in made:
        meanings = described(view.name, names[view.qualified], said)
        yield from comments("view", view.qualified, view.comment, meanings)
