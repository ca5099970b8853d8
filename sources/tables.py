"""Records as Arrow tables with fixed schemas, and what dlt must know of them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pyarrow as pa

from sources.fold import Batch
from sources.records import TABLES, Json, Mode, Record

__all__ = [
    "Column",
    "Tables",
    "columns",
    "comment",
    "every_table",
    "schema",
    "tables_of",
    "to_arrow",
    "with_hints",
]

_ARROW: dict[object, pa.DataType] = {
    str: pa.string(),
    Json: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    bytes: pa.binary(),
    date: pa.date32(),
    datetime: pa.timestamp("us", tz="UTC"),
    Decimal: pa.decimal128(18, 12),
}


Tables = Iterator[tuple[type[Record], pa.Table]]
"""Rows on their way, by table; one table may come several times."""


class Column(msgspec.Struct, frozen=True):
    """A column of a table: its name, its type in Python, and what it means."""

    name: str
    type: object
    comment: str


def comment(record: type[Record]) -> str:
    """Return what a table holds, in one sentence: the first line of its docstring."""
    return (record.__doc__ or "").strip().splitlines()[0]


@cache
def columns(record: type[Record]) -> tuple[Column, ...]:
    """Return the columns of a table in their order."""
    hints = get_type_hints(record, include_extras=True)
    return tuple(
        Column(field.name, *_type_and_comment(hints[field.name]))
        for field in msgspec.structs.fields(record)
    )


def _type_and_comment(hint: object) -> tuple[object, str]:
    text = ""
    if get_origin(hint) is Annotated:
        hint, text = get_args(hint)
    if get_origin(hint) in {Union, UnionType}:
        hint = next(arg for arg in get_args(hint) if arg is not NoneType)
    return (str if get_origin(hint) is Literal else hint), text


@cache
def schema(record: type[Record]) -> pa.Schema:
    """Return the Arrow schema of a table; what dlt merges by is NOT NULL."""
    required = _merged_by(record)
    return pa.schema(
        [
            pa.field(c.name, _ARROW[c.type], nullable=c.name not in required)
            for c in columns(record)
        ]
    )


def _merged_by(record: type[Record]) -> Sequence[str]:
    return ("execution_key",) if record.MODE is Mode.SNAPSHOT else record.KEY


def to_arrow(
    record: type[Record], rows: Sequence[Record], gone: Iterable[str] = ()
) -> pa.Table:
    """Return the rows of one table, and a marker for each execution it holds no more.

    A marker has only the key and a true ``is_gone``: dlt deletes what has the key
    and inserts nothing.
    """
    names = [column.name for column in columns(record)]
    empty = dict.fromkeys(names)
    markers = [
        tuple({**empty, "execution_key": key, "is_gone": True}.values()) for key in gone
    ]
    values = [*map(msgspec.structs.astuple, rows), *markers]
    by_column = zip(*values, strict=True) if values else [()] * len(names)
    arrow = schema(record)
    arrays = [
        pa.array(column, type=field.type)
        for column, field in zip(by_column, arrow, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=arrow)


def every_table() -> Tables:
    """Yield every table of the model, empty, so that all exist in the destination."""
    for record in TABLES.values():
        yield record, to_arrow(record, [])


def tables_of(batches: Iterable[Batch]) -> Tables:
    """Yield the rows of all batches, by table."""
    for batch in batches:
        for name, record in TABLES.items():
            rows, gone = batch.rows.get(name, []), batch.gone.get(name, [])
            if rows or gone:
                yield record, to_arrow(record, rows, gone)


def with_hints(tables: Tables) -> Iterator[Any]:
    """Yield tables as a dlt resource yields them."""
    import dlt  # noqa: PLC0415 (two seconds; only a load needs it)

    for record, table in tables:
        hints = dlt.mark.make_hints(table_name=record.TABLE, **_hints(record))
        yield dlt.mark.with_hints(table, hints, create_table_variant=True)


@cache
def _hints(record: type[Record]) -> dict[str, Any]:
    by = list(_merged_by(record))
    if record.MODE is Mode.SNAPSHOT:
        how: dict[str, Any] = {"merge_key": by}
        strategy = "delete-insert"
    else:
        how = {"primary_key": by}
        strategy = "upsert" if record.MODE is Mode.ENTITY else "insert-only"
    disposition = {"disposition": "merge", "strategy": strategy}
    described = {c.name: _column_hint(c) for c in columns(record)}
    return {"write_disposition": disposition, "columns": described, **how}


def _column_hint(column: Column) -> dict[str, Any]:
    hint: dict[str, Any] = {"name": column.name, "description": column.comment}
    if column.type is Json:
        hint["data_type"] = "json"
    if column.name == "is_gone":
        hint["hard_delete"] = True
    return hint
