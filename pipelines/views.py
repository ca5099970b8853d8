"""The views of ``sql/``: all made anew, with their comments, or none."""

from collections.abc import Iterable, Iterator, Sequence

import duckdb

from pipelines.descriptions import described, descriptions
from pipelines.rules import failure_rules, rules_view
from pipelines.sql_files import SQL, SqlFile, in_order, sql_files
from pipelines.store import Home
from pipelines.tables import comments
from sources.errors import StoreError

__all__ = ["create_views", "make_views", "views"]

_SCHEMAS = ("staging", "marts")
"""The schemas of our views; ``staging`` is what only this engine can say."""


def views(home: Home) -> list[SqlFile]:
    """Return all views of the store, each after those that it selects from.

    Raises ``StoreError`` for a circle or broken SQL, ``ConfigurationError`` for a
    broken rule.
    """
    return in_order(
        [
            *sql_files(SQL / "staging" / "duckdb", "staging"),
            *sql_files(SQL / "marts", "marts"),
            rules_view(failure_rules(home)),
        ]
    )


def make_views(con: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Make all views of the store anew, with their comments, or change none.

    Raises ``StoreError`` or ``ConfigurationError``; the views are then as they were.
    """
    create_views(con, views(home))


def create_views(con: duckdb.DuckDBPyConnection, ordered: Sequence[SqlFile]) -> None:
    """Make these views in their order, and no other, in one transaction.

    A view that is no more among them goes. Raises ``StoreError`` for one that fails.
    """
    con.begin()
    try:
        for schema in _SCHEMAS:
            con.execute(f"drop schema if exists {schema} cascade")
            con.execute(f"create schema {schema}")
        for view in ordered:
            _create(con, view)
        con.execute(";".join(_view_comments(con, ordered)))
        con.commit()
    except BaseException:
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
