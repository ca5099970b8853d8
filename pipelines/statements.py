"""All views as the statements of a dialect, for those who make them themselves."""

from collections.abc import Iterator, Mapping

import duckdb

from pipelines.dialects import DIALECTS, ENGINES, translated, unsaid
from pipelines.sql_files import SQL, SqlFile
from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.views import make_views, views
from sources.errors import ConfigurationError

__all__ = ["statements"]

_HEAD = """\
-- The views of execledger for {dialect}, each after those that it reads. They read the
-- tables of schema execledger. {tested}"""

_TESTED = "Tests run them on this engine."
_UNTESTED = """\
Tests run them on {engines}: what stands here
-- is translated by sqlglot, and run by no test. Look at it before you rely on it."""


def statements(home: Home, dialect: str) -> Iterator[str]:
    """Yield the statements that make all views, in their order, and comments between.

    What only the engine itself can say, and nobody wrote for it, is a comment that
    says what has to be written. Raises ``ConfigurationError`` for a dialect that
    sqlglot does not write, else as ``views`` does.
    """
    if dialect not in DIALECTS:
        known = ", ".join(DIALECTS)
        raise ConfigurationError(f"There is no dialect {dialect!r}. There are {known}.")
    engines = ", ".join(ENGINES)
    tested = _TESTED if dialect in ENGINES else _UNTESTED.format(engines=engines)
    yield _HEAD.format(dialect=dialect, tested=tested)
    for schema in ("staging", "marts"):
        yield _told(f"create schema if not exists {schema}", dialect)
    columns = _columns(home)
    for view in views(home):
        if view.schema == "staging":
            yield _staging(view, dialect, columns[view.qualified])
        else:
            made = f"create or replace view {view.qualified} as\n{view.sql}"
            yield _told(made, dialect)


def _told(sql: str, dialect: str) -> str:
    """Return one of our statements in a dialect, after what cannot be said in it."""
    doubts = [f"-- sqlglot: {doubt}\n" for doubt in unsaid(sql, dialect)]
    return f"{''.join(doubts)}{translated(sql, dialect)};"


def _staging(view: SqlFile, dialect: str, columns: Mapping[str, str]) -> str:
    """Return the statement of a staging view, or what it is to have."""
    own = SQL / "staging" / dialect / f"{view.name}.sql"
    if own.exists():
        sql = own.read_text("utf-8").rstrip()
        return f"create or replace view {view.qualified} as\n{sql};"
    listed = "".join(f"\n--     {name} {kind}" for name, kind in columns.items())
    return (
        f"-- {view.qualified} has to be written for {dialect}. {view.comment}\n"
        f"-- Its columns, with the types of DuckDB, for which it is in\n"
        f"-- sql/staging/duckdb/{view.name}.sql:{listed}"
    )


def _columns(home: Home) -> dict[str, dict[str, str]]:
    """Return the columns of each staging view, and their types in DuckDB."""
    with duckdb.connect() as con:
        create_tables(con)
        make_views(con, home)
        rows = con.execute(
            "select 'staging.' || table_name, column_name, lower(data_type) "
            "from duckdb_columns() where schema_name = 'staging' "
            "order by table_name, column_index"
        ).fetchall()
    found: dict[str, dict[str, str]] = {}
    for view, name, kind in rows:
        found.setdefault(view, {})[name] = kind
    return found
