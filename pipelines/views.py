"""Comments on tables, and the views of ``sql/marts``."""

import re
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from sources.errors import StoreError
from sources.records import TABLES
from sources.tables import columns, comment

__all__ = ["comment_tables", "create_views"]

SQL = Path(__file__).resolve().parent.parent / "sql"


def comment_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Write the documentation of the records to the tables (dlt writes none)."""
    for name, record in TABLES.items():
        table = f"execledger.{name}"
        con.execute(f"comment on table {table} is {_literal(comment(record))}")
        for column in columns(record):
            text = _literal(column.comment)
            con.execute(f"comment on column {table}.{column.name} is {text}")


def create_views(con: duckdb.DuckDBPyConnection, folder: Path = SQL / "marts") -> None:
    """Create each view anew, in an order in which each finds what it selects from.

    The file's name is the view's, its first comment the view's comment. Raises
    ``StoreError`` for a circle, with its path, and for a view that fails.
    """
    files = {path.stem: path.read_text("utf-8") for path in folder.glob("*.sql")}
    con.execute("create schema if not exists marts")
    for name in _ordered({name: _needs(name, sql) for name, sql in files.items()}):
        try:
            con.execute(f"create or replace view marts.{name} as {files[name]}")
            text = _literal(_first_comment(files[name]))
            con.execute(f"comment on view marts.{name} is {text}")
        except duckdb.Error as error:
            raise StoreError(f"The view marts.{name} fails: {error}") from None


def _needs(name: str, sql: str) -> set[str]:
    """Return the views that a view reads."""
    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except SqlglotError as error:
        raise StoreError(f"The view marts.{name} is no SQL: {error}") from None
    return {table.name for table in tree.find_all(exp.Table) if table.db == "marts"}


def _ordered(needs: dict[str, set[str]]) -> list[str]:
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise StoreError(f"Views select from one another in a circle: {circle}")
        if name not in order:
            for other in sorted(needs[name] & needs.keys()):
                visit(other, (*path, name))
            order.append(name)

    for name in sorted(needs):
        visit(name, ())
    return order


def _first_comment(sql: str) -> str:
    lines = re.match(r"(?:--[^\n]*\n)*", sql)
    text = lines[0] if lines else ""
    return " ".join(line.removeprefix("--").strip() for line in text.splitlines())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
