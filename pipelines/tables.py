"""The store's tables: made, brought up to date, described, and appended to."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa

from pipelines.sql_files import literal
from sources.bulk import Append
from sources.records import TABLES, Json, Mode, Record
from sources.tables import columns, comment, to_arrow

__all__ = ["appender", "comment_tables", "comments", "create_tables"]


def create_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Make every table and column of the model that is not there yet."""
    con.execute("create schema if not exists execledger")
    rows = con.execute(
        "select table_name, column_name from duckdb_columns() "
        "where database_name = current_database() and schema_name = 'execledger'"
    ).fetchall()
    there = set(rows)
    for name, record in TABLES.items():
        con.register("shape", to_arrow(record, []))
        shape = con.execute("describe shape").fetchall()
        con.unregister("shape")
        json = {column.name for column in columns(record) if column.type is Json}
        wanted = {c[0]: "json" if c[0] in json else c[1] for c in shape}
        if not any(table == name for table, _ in there):
            listed = ", ".join(f"{column} {kind}" for column, kind in wanted.items())
            con.execute(f"create table execledger.{name} ({listed})")
            continue
        for column, kind in wanted.items():
            if (name, column) not in there:
                con.execute(f"alter table execledger.{name} add column {column} {kind}")


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


def comment_tables(con: duckdb.DuckDBPyConnection) -> None:
    """Write the documentation of the records to the tables (dlt writes none)."""
    con.execute(
        ";".join(
            statement
            for name, record in TABLES.items()
            for statement in _comments_of(name, record)
        )
    )


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
