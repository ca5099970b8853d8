"""What a load adds to a lake: rows that say which load they are of, in two steps.

Nothing in a lake is changed: the views of ``pipelines.newest`` tell what counts.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
import pyarrow as pa

from sources.fold import Batch
from sources.records import Record, Sourced
from sources.tables import Tables, schema

__all__ = [
    "LAST",
    "in_two_steps",
    "lake_schema",
    "partitioned_by",
    "without_gone",
]

LAST = frozenset({"executions", "workflows"})
"""The tables whose rows are appended when all others of the load are there.

By them a load knows what it has seen already, and readers which rows belong together.
Cut off before, a load is as if it had never been; after, it is whole.
"""

_LOADED: "list[pa.Field[Any]]" = [
    pa.field("loaded_at", pa.timestamp("us", tz="UTC")),
    pa.field("loaded_day", pa.date32()),
]


@cache
def lake_schema(record: type[Record]) -> pa.Schema:
    """Return the columns of a table as it lies in a lake: its own, and the load's."""
    own = [field.with_nullable(True) for field in schema(record)]  # noqa: FBT003
    return pa.schema([*own, *_LOADED])


def partitioned_by(record: type[Record]) -> tuple[str, ...]:
    """Return the columns by which the files of a table lie in folders, if they do."""
    return ("provider", "loaded_day") if issubclass(record, Sourced) else ()


def without_gone(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the rows alone: a table that is empty now has none of the newest load."""
    for batch in batches:
        yield msgspec.structs.replace(batch, gone={})


def in_two_steps(tables: Tables, loaded_at: datetime) -> Iterator[tuple[str, pa.Table]]:
    """Yield name and rows of each table as a lake has them, ``LAST`` at last."""
    last: list[tuple[str, pa.Table]] = []
    for record, rows in tables:
        table = _loaded(record, rows, loaded_at)
        if record.TABLE in LAST:
            last.append((record.TABLE, table))
        else:
            yield record.TABLE, table
    yield from last


def _loaded(record: type[Record], table: pa.Table, loaded_at: datetime) -> pa.Table:
    at = loaded_at.astimezone(UTC)
    for field, value in zip(_LOADED, (at, at.date()), strict=True):
        same = pa.repeat(pa.scalar(value, field.type), len(table))
        table = table.append_column(field, same)
    return table.cast(lake_schema(record))
