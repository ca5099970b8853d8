"""What the store holds, as rows, CSV, JSON or Parquet; and its tables."""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import duckdb
import msgspec

from pipelines.store import Home, read_only
from sources.errors import ConfigurationError
from sources.records import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Result", "TableInfo", "as_text", "rows_of", "tables", "written"]


class Result(msgspec.Struct):
    """Rows of a query, and the names of their columns."""

    names: list[str]
    rows: list[tuple[Any, ...]]


class TableInfo(msgspec.Struct):
    """A table or view of the store, and what one row of it is."""

    name: str
    rows: int
    comment: str


@contextmanager
def _run(home: Home, sql: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """Run SQL on the store; it can neither write nor reach a file or the network."""
    with read_only(home) as con:
        try:
            yield con.execute(sql)
        except duckdb.Error as error:
            raise ConfigurationError(f"The query fails: {error}") from None


def rows_of(home: Home, sql: str) -> Result:
    """Return the rows of a query; raises ``ConfigurationError`` where it fails."""
    with _run(home, sql) as con:
        names = [column[0] for column in con.description or ()]
        return Result(names, con.fetchall())


def written(home: Home, sql: str, form: Literal["csv", "json", "parquet"]) -> bytes:
    """Return the rows of a query as a file: CSV (with header), JSON array, Parquet."""
    if form == "parquet":
        return _parquet(home, sql)
    result = rows_of(home, sql)
    return _json(result) if form == "json" else _csv(result)


def _parquet(home: Home, sql: str) -> bytes:
    import pyarrow.parquet as pq

    file = io.BytesIO()
    with _run(home, sql) as con:
        pq.write_table(cast("pa.Table", con.to_arrow_table()), file)
    return file.getvalue()


def _json(result: Result) -> bytes:
    rows = [dict(zip(result.names, row, strict=True)) for row in result.rows]
    return msgspec.json.encode(rows, enc_hook=str) + b"\n"


def _csv(result: Result) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(result.names)
    writer.writerows([as_text(value) for value in row] for row in result.rows)
    return file.getvalue().encode()


def as_text(value: object) -> str:
    """Return a value as people read it; NULL is empty, times are ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    iso = getattr(value, "isoformat", None)
    return str(iso()) if iso else str(value)


def tables(home: Home) -> list[TableInfo]:
    """Return every table and view of the store with its comment and row count."""
    with read_only(home) as con:
        found = con.execute(
            "select schema_name, table_name, comment from duckdb_tables() "
            "where schema_name = 'execledger' and not starts_with(table_name, '_dlt') "
            "union all select schema_name, view_name, comment from duckdb_views() "
            "where schema_name = 'marts'"
        ).fetchall()
        order = {f"execledger.{name}": place for place, name in enumerate(TABLES)}
        named = [(f"{schema}.{name}", text or "") for schema, name, text in found]
        named.sort(key=lambda entry: (order.get(entry[0], len(order)), entry[0]))
        return [TableInfo(name, _count(con, name), text) for name, text in named]


def _count(con: duckdb.DuckDBPyConnection, name: str) -> int:
    rows = con.execute(f"select count(*) from {name}").fetchall()
    return int(rows[0][0])
