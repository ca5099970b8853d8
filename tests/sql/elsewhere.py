"""What a view gives on another engine, held beside what it gives on DuckDB.

Facts are the tables of a store by their name, as Arrow. The order of rows does not
matter, nor how a number or a JSON document is spelled. ``now_at`` stands still.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.dialects import bound, engine_views
from pipelines.limits import Bounds
from pipelines.sql_files import SQL, SqlFile, sql_files
from pipelines.store import Home
from pipelines.tables import create_tables
from sources.records import TABLES, Json
from sources.tables import columns, schema

__all__ = [
    "VIEWS",
    "Facts",
    "Rows",
    "facts",
    "given",
    "json_columns",
    "rows",
    "views_at",
    "without_nul",
]

Facts = Mapping[str, pa.Table]
Rows = Counter[tuple[object, ...]]

NOW = datetime.now(UTC).replace(microsecond=500_000)
"""What the views take for now, on each engine."""

VIEWS = ("staging", "marts", "asked")
"""The schemas of views."""

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_UNTYPED = {"read_and_written"}
"""Columns that hold JSON as text."""

_ANY = {"new_fields": {"example"}}
"""What is any one of several: the smallest text, which each engine sorts its way."""


def facts(con: duckdb.DuckDBPyConnection) -> Facts:
    """Return the tables of a store with the schemas of the model."""
    found = {}
    for name, record in TABLES.items():
        wanted = schema(record)
        listed = ", ".join(f'"{column}"' for column in wanted.names)
        table = con.sql(f"select {listed} from execledger.{name}").to_arrow_table()
        found[name] = table.cast(wanted)
    return found


def without_nul(tables: Facts) -> Facts:
    """Return the same, U+FFFD for each NUL in a text: PostgreSQL takes none."""
    return {
        name: pa.Table.from_arrays(
            [_mended(table[field.name]) for field in table.schema], schema=table.schema
        )
        for name, table in tables.items()
    }


def _mended(column: "pa.ChunkedArray[Any]") -> "pa.ChunkedArray[Any]":
    if not pa.types.is_string(column.type):
        return column
    texts = pc.replace_substring(column, "\0", "\ufffd").to_pylist()
    mended = [text and _NUL.sub("\\1\ufffd", text) for text in texts]
    return pa.chunked_array([mended], pa.string())


def views_at(engine: str, home: Home) -> list[SqlFile]:
    """Return all views of an engine in their order, with a clock that stands still.

    Checks and budgets are views of schema ``asked`` here.
    """
    clock = SqlFile(
        "staging",
        "clock",
        f"select cast('{NOW.isoformat(sep=' ')}' as {_TIMES[engine]}) as now_at, "
        f"cast('{NOW.date()}' as date) as today",
    )
    return [
        clock if view.qualified == clock.qualified else view
        for view in engine_views(home, engine)
    ] + [
        SqlFile("asked", file.name, bound(file, _BOUNDS, engine))
        for kind in ("checks", "budgets")
        for file in sql_files(SQL / kind, kind)
    ]


_TIMES = {"duckdb": "timestamptz", "postgres": "timestamptz", "spark": "timestamp"}


_BOUNDS = {
    **msgspec.structs.asdict(Bounds()),
    "since": NOW.date() - timedelta(days=400),
    **dict.fromkeys(("provider", "workflow", "tag", "tag_value")),
}


def given(tables: Facts, home: Home) -> dict[str, pa.Table]:
    """Return what each view gives on DuckDB, by its qualified name."""
    with closing(duckdb.connect()) as con:
        con.execute("set timezone = 'UTC'")
        create_tables(con)
        for name, table in tables.items():
            con.register("facts", table)
            con.execute(f"insert into execledger.{name} by name from facts")
            con.unregister("facts")
        for name in VIEWS:
            con.execute(f"create schema {name}")
        views = views_at("duckdb", home)
        for view in views:
            con.execute(f"create view {view.qualified} as {view.sql}")
        names = [view.qualified for view in views]
        return {name: con.sql(f"from {name}").to_arrow_table() for name in names}


def rows(view: str, table: pa.Table, like: pa.Table) -> Rows:
    """Return the rows of a view, as they are compared; types are those of ``like``."""
    assert table.column_names == like.column_names, view
    any_one = _ANY.get(view.partition(".")[2], set())
    said = [
        _column(table[field.name].to_pylist(), field)
        if field.name not in any_one
        else [value is None for value in table[field.name].to_pylist()]
        for field in like.schema
    ]
    found = [
        dict(zip(like.column_names, row, strict=True))
        for row in zip(*said, strict=True)
    ]
    return Counter(tuple(_documents(view, row).values()) for row in found)


def _column(values: Sequence[Any], field: "pa.Field[Any]") -> Iterable[object]:
    if pa.types.is_floating(field.type):
        return [None if value is None else f"{value + 0.0:.9g}" for value in values]
    if pa.types.is_decimal(field.type) or pa.types.is_integer(field.type):
        return [None if value is None else Decimal(str(value)) for value in values]
    if pa.types.is_timestamp(field.type):
        return [value and value.astimezone(UTC) for value in values]
    return values


def _documents(view: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with its JSON read: numbers and objects are spelled in many ways."""
    is_json = view == "staging.provider_fields" or row.get("type") in _READ
    names = _UNTYPED | ({"text"} if is_json else set())
    return {name: _read(row[name]) if name in names else row[name] for name in row}


_READ = ("number", "object", "array")


def _read(text: str | None) -> str | None:
    if text is None:
        return None
    value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    return json.dumps(value, sort_keys=True, default=_number)


def _number(value: Decimal) -> str:
    return f"a number: {value.normalize()}" if value else "a number: 0"


def json_columns(name: str) -> list[str]:
    """Return the columns of a table that hold JSON."""
    return [one.name for one in columns(TABLES[name]) if one.type is Json]
