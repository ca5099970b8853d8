"""What a load adds to a lake: rows that say which load they are of, in two steps.

Nothing in a lake is changed: the views of ``pipelines.newest`` tell what counts.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pyarrow as pa

from sources.fold import Batch
from sources.records import TABLES, Record, Sourced
from sources.tables import schema, to_arrow

__all__ = ["LAST", "lake_schema", "partitioned_by", "rows_to_append"]

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


def rows_to_append(
    batches: Iterable[Batch], loaded_at: datetime
) -> Iterator[tuple[str, pa.Table]]:
    """Yield name and rows of each table, those of ``LAST`` after all others."""
    last: list[tuple[str, pa.Table]] = []
    for batch in batches:
        for name, rows in batch.rows.items():
            if rows:
                table = _loaded(TABLES[name], rows, loaded_at)
                if name in LAST:
                    last.append((name, table))
                else:
                    yield name, table
    yield from last


def _loaded(record: type[Record], rows: list[Record], loaded_at: datetime) -> pa.Table:
    at = loaded_at.astimezone(UTC)
    table = to_arrow(record, rows)
    for field, value in zip(_LOADED, (at, at.date()), strict=True):
        same = pa.repeat(pa.scalar(value, field.type), len(table))
        table = table.append_column(field, same)
    return table.cast(lake_schema(record))
