"""Comments on tables, and the views of ``sql/``: all made anew, or none."""

from collections.abc import Iterable, Iterator, Sequence

import duckdb

from pipelines.descriptions import described, descriptions
from pipelines.rules import failure_rules, rules_view
from pipelines.sql_files import SQL, SqlFile, in_order, literal, sql_files
from pipelines.store import Home
from sources.errors import StoreError
from sources.records import TABLES, Json
from sources.tables import columns, comment, to_arrow

__all__ = ["comment_tables", "create_tables", "create_views", "make_views", "views"]

_SCHEMAS = ("staging", "marts")
"""The schemas of our views; ``staging`` is what only this engine can say."""


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Make every table of the model, empty, as a first load makes it."""
    con.execute("create schema execledger")
    for name, record in TABLES.items():
        con.register("shape", to_arrow(record, []))
        con.execute(f"create table execledger.{name} as from shape")
        con.unregister("shape")
        for column in columns(record):
            if column.type is Json:
                con.execute(
                    f"alter table execledger.{name} alter {column.name} type json"
                )


def comment_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Write the documentation of the records to the tables (dlt writes none)."""
    said = {
        f"execledger.{name}": (
            comment(record),
            {column.name: column.comment for column in columns(record)},
        )
        for name, record in TABLES.items()
    }
    con.execute(
        ";".join(
            statement
            for name, (text, by_column) in said.items()
            for statement in _comments("table", name, text, by_column)
        )
    )


def _comments(
    kind: str, name: str, text: str, by_column: dict[str, str]
) -> Iterator[str]:
    yield f"comment on {kind} {name} is {literal(text)}"
    for column, meaning in by_column.items():
        yield f'comment on column {name}."{column}" is {literal(meaning)}'


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
        yield from _comments("view", view.qualified, view.comment, meanings)
