"""What the store holds, as rows, CSV, JSON or Parquet; and its tables."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import chain, count
from typing import TYPE_CHECKING, Any, Literal, cast

import duckdb
import msgspec

from pipelines.readers import read_only
from pipelines.store import Home
from sources.errors import ConfigurationError, StoreError
from sources.records import TABLES

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "Form",
    "Result",
    "TableInfo",
    "as_text",
    "file_of",
    "opened",
    "result_of",
    "rows_of",
    "tables",
    "written",
]


Form = Literal["csv", "json", "parquet"]
"""How rows are written to a file."""


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
def opened(home: Home) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the store read-only; a fault of the store itself is a ``StoreError``."""
    with read_only(home) as con:
        try:
            yield con
        except duckdb.Error as error:
            raise StoreError(
                f"{home.published} cannot be read: {error}. If the file is damaged, "
                '"execledger restore" a backup; or move it away, and load again.'
            ) from error


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except duckdb.Error as error:
        raise ConfigurationError(f"The query fails: {error}") from None


def rows_of(home: Home, sql: str) -> Result:
    """Return the rows of a query; raises ``ConfigurationError`` where it fails.

    The query can neither write nor reach a file or the network.
    """
    with read_only(home) as con, _in_words():
        con.execute(sql)
        names = [column[0] for column in con.description or ()]
        return Result(names, con.fetchall())


def written(home: Home, sql: str, form: Form) -> bytes:
    """Return the rows of a query as a file.

    CSV has a header, and nothing for NULL; a text that a spreadsheet would take for a
    formula has an apostrophe before it, as spreadsheets have it. JSON is an array of
    objects, with numbers however large as numbers and NaN as null. Bytes are
    hexadecimal in both. A column's name that comes twice gets a number. Raises
    ``ConfigurationError``.
    """
    if form == "parquet":
        return _parquet(home, sql)
    return _FORMS[form](rows_of(home, sql))


def _parquet(home: Home, sql: str) -> bytes:
    with read_only(home) as con, _in_words():
        found = con.sql(sql)
        if found is None:
            raise ConfigurationError("The query gives no rows to write.")
        return _parquet_of(cast("pa.Table", found.to_arrow_table()))


def _parquet_of(table: "pa.Table") -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    try:
        pq.write_table(table.rename_columns(_distinct(table.column_names)), file)
    except pa.ArrowNotImplementedError as error:  # Parquet lacks it: an interval
        raise ConfigurationError(f"{error}. Cast that column to varchar.") from None
    return file.getvalue()


def result_of(table: "pa.Table") -> Result:
    """Return the rows of an Arrow table."""
    values = [column.to_pylist(maps_as_pydicts="lossy") for column in table.columns]
    return Result(table.column_names, [*zip(*values, strict=True)])


def file_of(table: "pa.Table", form: Form) -> bytes:
    """Return the rows of an Arrow table as a file, written as ``written`` does."""
    if form == "parquet":
        return _parquet_of(table)
    return _FORMS[form](result_of(table))


def _distinct(names: Sequence[str]) -> list[str]:
    """Return the names, each that stood before with the first number that is free."""
    taken: dict[str, None] = {}
    for name in names:
        numbered = (f"{name}_{number}" for number in count(1))
        free = (one for one in chain([name], numbered) if one not in taken)
        taken[next(free)] = None
    return list(taken)


def _json(result: Result) -> bytes:
    names = _distinct(result.names)
    rows = [dict(zip(names, map(_plain, row), strict=True)) for row in result.rows]
    return _ENCODER.encode(rows) + b"\n"


_FORMULA = re.compile(
    r"[=+\-@\uff1d\uff0b\uff0d\uff20\t\r\n](?!\d+(\.\d+)?\Z)", re.ASCII
)
"""How a formula begins, also as Japanese writes it; a plain number is none."""

_ENCODER = msgspec.json.Encoder(enc_hook=str, decimal_format="number")


def _csv(result: Result) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(map(_cell, result.names))
    writer.writerows(map(_cell, row) for row in result.rows)
    return file.getvalue().encode()


_FORMS = {"csv": _csv, "json": _json}


def _cell(value: object) -> str:
    """Return a value as a cell that runs nothing, whatever a provider said."""
    text = as_text(value)
    is_formula = isinstance(value, str) and _FORMULA.match(text)
    return f"'{text}" if is_formula else text


def _plain(value: object) -> object:
    """Return a value as JSON can say it, however nested."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {as_text(key): _plain(inner) for key, inner in value.items()}
    return [*map(_plain, value)] if isinstance(value, list | tuple) else value


def as_text(value: object) -> str:
    """Return a value as people read it; NULL is empty, times are ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict | list | tuple):
        return _ENCODER.encode(_plain(value)).decode()
    iso = getattr(value, "isoformat", None)
    return str(iso()) if iso else str(value)


def tables(home: Home) -> list[TableInfo]:
    """Return every table and view of the store with its comment and row count."""
    with opened(home) as con:
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
