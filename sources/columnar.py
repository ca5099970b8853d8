"""Tables of regular responses made by columns, without a record for every row.

A provider's ``columns.py`` reads responses of the shapes that almost all have, and
gives up on any other: those go the way of ``normalize``, which says what is right. A
test holds the two equal.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.records import Record, Response, Snapshot
from sources.tables import schema
from sources.values import host, registrable_domain

__all__ = [
    "MOMENT",
    "Column",
    "Columnar",
    "IrregularError",
    "Owners",
    "Page",
    "domains",
    "joined",
    "milliseconds",
    "repeated",
    "spread",
    "table",
    "times",
]

Column = Any
"""An Arrow array, a list, or one value that all rows have; ``None`` is null."""

MOMENT = pa.timestamp("us", "UTC")
"""The type of a time."""

_TIME = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$"
_HOST = r"^https?://(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?:[/?#]|$)"
_MS = 1000


class IrregularError(ValueError):
    """A response is not as regular as it seemed."""


class Page(Protocol):
    """A regular list: keys and scopes of its executions, what its envelope says."""

    response: Response
    keys: list[str]
    scopes: list[str]
    answered: dict[str, object]


class Columnar(Protocol):
    """What a provider's module ``columns`` offers."""

    def read(self, response: Response) -> Page | None:
        """Return a response that is regular, or ``None``."""
        ...

    def tables(self, pages: Sequence[Any]) -> list[tuple[type[Record], pa.Table]]:
        """Return all rows of executions that nobody has seen before.

        The pages are what ``read`` returned. Raises ``IrregularError`` where one of
        them is not regular after all.
        """
        ...


class Owners(msgspec.Struct):
    """Executions, in columns: their keys, and where they stand in their responses."""

    provider: str
    connection: str
    keys: Column
    response_ids: Column
    paths: Column

    def rows(
        self,
        record: type[Snapshot],
        of: Column,
        below: Column,
        **columns: Column,
    ) -> pa.Table:
        """Return rows of executions: ``of`` has the place here of each row's.

        ``below`` is a JSON Pointer that leads from the execution to the row.
        """
        places = of if isinstance(of, pa.Array) else pa.array(of, pa.int64())
        keys = self.keys.take(places)
        paths = joined(self.paths.take(places), below)
        if "path" in record.__struct_fields__:
            columns["path"] = paths
        columns[record.KEY[0]] = joined(keys, "/", paths)
        return table(
            record,
            len(places),
            provider=self.provider,
            connection=self.connection,
            execution_key=keys,
            response_id=self.response_ids.take(places),
            **columns,
        )


def table(record: type[Record], count: int, **columns: Column) -> pa.Table:
    """Return ``count`` rows of a table; what is not named is null."""
    kinds = schema(record)
    arrays = [_column(kind.type, count, columns.pop(kind.name, None)) for kind in kinds]
    if columns:
        raise TypeError(f"{record.TABLE} has no columns {', '.join(columns)}")
    return pa.Table.from_arrays(arrays, schema=kinds)


def _column(kind: Any, count: int, value: Column) -> Column:  # noqa: ANN401 (any type of Arrow's)
    if isinstance(value, pa.Array):
        return value
    if isinstance(value, list):
        return pa.array(value, kind)
    return pa.repeat(pa.scalar(value, kind), count)


def joined(*parts: Column) -> Column:
    """Return texts put together, each from arrays, lists or one text for all."""
    arrays = [
        pa.array(one, pa.string()) if isinstance(one, list) else one for one in parts
    ]
    join: Any = pc.binary_join_element_wise  # its stub knows no mix of the two
    return join(*arrays, "")


def repeated(values: Column, counts: Sequence[int]) -> Column:
    """Return each value of an array as often as its count says."""
    return values.take(spread(counts)[0])


def spread(counts: Sequence[int]) -> tuple[Column, Column]:
    """Return of each of several lists' elements: which list, and where in it."""
    each = np.array(counts, np.int64)
    starts = np.repeat(np.cumsum(each) - each, each)
    of = np.repeat(np.arange(len(each)), each)
    return pa.array(of), pa.array(np.arange(each.sum()) - starts)


def times(values: list[str | None]) -> Column:
    """Return times in UTC; raises ``IrregularError`` where one is no plain one."""
    texts = pa.array(values, pa.string())
    if pc.any(pc.invert(pc.match_substring_regex(texts, _TIME))).as_py():
        raise IrregularError("a time of another form")
    try:
        return pc.cast(texts, MOMENT)
    except pa.ArrowInvalid:  # such as a 30th of February
        raise IrregularError("no time") from None


def milliseconds(start: Column, end: Column) -> Column:
    """Return the whole milliseconds between two times, rounded down."""
    between = pc.cast(pc.subtract(end, start), pa.int64())
    floored = between.fill_null(0).to_numpy() // _MS
    return pa.array(floored, mask=between.is_null().to_numpy(zero_copy_only=False))


def domains(uris: Column) -> tuple[Column, Column]:
    """Return of each address its registrable domain, and whether it is valid."""
    names = pc.struct_field(pc.extract_regex(uris, _HOST), "host")
    odd = pc.and_(names.is_null(), uris.is_valid())
    if pc.any(odd).as_py():
        found = [host(uri) for uri in uris.filter(odd).to_pylist()]
        names = pc.replace_with_mask(names, odd, pa.array(found, pa.string()))
    encoded = names.dictionary_encode()
    known = map(registrable_domain, encoded.dictionary.to_pylist())
    by_name = pa.array(list(known), pa.string())
    is_valid = pc.if_else(
        uris.is_valid(), names.is_valid(), pa.scalar(None, pa.bool_())
    )
    return by_name.take(encoded.indices), is_valid
