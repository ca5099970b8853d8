"""The store's tables: made, brought up to date, described, and appended to."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from pipelines.sql_files import literal
from pipelines.store import LAYOUT, layout
from sources.bulk import Append
from sources.records import TABLES, Json, Mode, Record
from sources.tables import columns, comment, schema, to_arrow

__all__ = ["add", "appender", "comment_tables", "comments", "create_tables"]


_STORED = {"BLOB": "blob using compression zstd"}
"""What DuckDB takes of itself for bodies of some KB is slower and larger by far."""


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Make every table and column of the model that is not there yet."""
    con.execute("create schema if not exists execledger")
    rows = con.execute(
        "select table_name, column_name from duckdb_columns() "
        "where database_name = current_database() and schema_name = 'execledger'"
    ).fetchall()
    there = defaultdict(set)
    for name, column in rows:
        there[name].add(column)
    for name, record in TABLES.items():
        if there[name].issuperset(column.name for column in columns(record)):
            continue
        kinds = _kinds(con, record)
        if name not in dict(rows):
            listed = ", ".join(f"{column} {kind}" for column, kind in kinds.items())
            con.execute(f"create table execledger.{name} ({listed})")
            continue
        for column in kinds.keys() - there[name]:
            kind = kinds[column]
            con.execute(f"alter table execledger.{name} add column {column} {kind}")
    if layout(con) < LAYOUT:
        con.execute(f"create or replace macro execledger.layout() as {LAYOUT}")


def _kinds(con: duckdb.DuckDBPyConnection, record: type[Record]) -> dict[str, str]:
    """Return the type in DuckDB of each column, and how it is stored."""
    con.register("shape", schema(record).empty_table())
    shape = con.execute("describe shape").fetchall()
    con.unregister("shape")
    json = {column.name for column in columns(record) if column.type is Json}
    kinds = {name: "json" if name in json else kind for name, kind, *_ in shape}
    return {name: _STORED.get(kind, kind) for name, kind in kinds.items()}


def appender(con: duckdb.DuckDBPyConnection, *, keeps_ledgers: bool = False) -> Append:
    """Return what adds rows to the tables of an open store.

    With ``keeps_ledgers``, what a ledger has under the same key already stays.
    """

    def append(name: str, table: pa.Table) -> None:
        record = TABLES[name]
        known = keeps_ledgers and record.MODE is Mode.LEDGER
        unless = f"anti join execledger.{name} using ({', '.join(record.KEY)})"
        # A reader, as DuckDB holds on to what it was given until the transaction ends.
        batches = iter(table.to_batches())
        con.register("news", pa.RecordBatchReader.from_batches(table.schema, batches))
        del table
        con.execute(
            f"insert into execledger.{name} by name from news {unless if known else ''}"
        )
        con.unregister("news")

    return append


def add(
    con: duckdb.DuckDBPyConnection, record: type[Record], rows: Sequence[Record]
) -> None:
    """Add rows to a table of an open store."""
    appender(con)(record.TABLE, to_arrow(record, rows))


def comment_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Write the documentation of the records to the tables (dlt writes none)."""
    there = con.execute(
        "select table_name, column_name, comment from duckdb_columns() where "
        "database_name = current_database() and schema_name = 'execledger' "
        "union all select table_name, '', comment from duckdb_tables() where "
        "database_name = current_database() and schema_name = 'execledger'"
    ).fetchall()
    said = {
        (name, column): text
        for name, record in TABLES.items()
        for column, text in [
            ("", comment(record)),
            *((column.name, column.comment) for column in columns(record)),
        ]
    }
    if said.items() <= {(row[0], row[1]): row[2] for row in there}.items():
        return
    statements = (
        statement
        for name, record in TABLES.items()
        for statement in _comments_of(name, record)
    )
    # in one transaction: each of its own would be written to the log apart
    con.execute(";".join(("begin", *statements, "commit")))


def _comments_of(name: str, record: type[Record]) -> Iterator[str]:
    by_column = {column.name: column.comment for column in columns(record)}
    yield from comments("table", f"execledger.{name}", comment(record), by_column)


def comments(
    kind: str, name: str, text: str, by_column: dict[str, str]
) -> Iterator[str]:
    """Yield the statements that say what a table or view is, and its columns."""
    yield f"comment on {kind} {name} is {literal(text)}"
    for column, meaning in by_column.items():
        yield f'comment on column {name}."{column}" is {literal(meaning)}'
