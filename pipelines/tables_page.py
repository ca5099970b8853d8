"""The page of all tables and views: ``python -m pipelines.tables_page``."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from pipelines.store import Home
from pipelines.tables import comment_tables, create_tables
from pipelines.views import make_views
from sources.records import TABLES

__all__ = ["page"]

_HEAD = """\
# Tables and views

What the store holds: tables in schema `execledger`, views in schema `marts`. The views
of schema `staging` are what others are made of, and not for use from outside. These are
the comments that the store itself carries; this page is made from the same place:

    uv run python -m pipelines.tables_page > docs/tables.md
"""

_PARTS = {
    "execledger": "Tables",
    "marts": "Views",
    "staging": "Views that views are made of",
}


def page() -> str:
    """Return all tables and views with their columns, as Markdown."""
    with duckdb.connect() as con:
        create_tables(con)
        comment_tables(con)
        make_views(con, Home(Path("nowhere")))
        parts = [
            "\n".join([f"## {title}", "", *_schema(con, schema)])
            for schema, title in _PARTS.items()
        ]
    return "\n".join([_HEAD, *parts])


def _schema(con: duckdb.DuckDBPyConnection, schema: str) -> Iterator[str]:
    rows = con.execute(
        "select table_name, comment from duckdb_tables() where schema_name = $schema "
        "union all select view_name, comment from duckdb_views() "
        "where schema_name = $schema",
        {"schema": schema},
    ).fetchall()
    place = {name: number for number, name in enumerate(TABLES)}
    for name, comment in sorted(rows, key=lambda row: (place.get(row[0], 0), row[0])):
        yield from (f"### {schema}.{name}", "", _text(comment), "")
        yield from ("| column | type | |", "|---|---|---|")
        yield from _columns(con, schema, name)
        yield ""


def _columns(con: duckdb.DuckDBPyConnection, schema: str, name: str) -> Iterator[str]:
    rows = con.execute(
        "select column_name, data_type, comment from duckdb_columns() "
        "where schema_name = ? and table_name = ? order by column_index",
        [schema, name],
    ).fetchall()
    for column, kind, comment in rows:
        short = kind.lower().replace("timestamp with time zone", "timestamptz")
        yield f"| `{column}` | {short} | {_text(comment)} |"


def _text(comment: str) -> str:
    return comment.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 (the page is the output)
