"""Tables of regular responses made by columns, without a record for every row.

A provider's ``columns.py`` reads responses of the shapes that almost all have, and
gives up on any other: those go the way of ``normalize``, which says what is right. A
test holds the two equal.
"""

from collections.abc import Sequence
from typing import Any, Protocol, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sources.json_text import encode
from sources.observations import Page
from sources.records import ExecutionTag, Record, Response, Snapshot, StatusChange
from sources.tables import schema
from sources.values import host, registrable_domain
from sources.watched import Tag

__all__ = [
    "MOMENT",
    "Column",
    "Columnar",
    "IrregularError",
    "Owners",
    "domains",
    "elements",
    "joined",
    "milliseconds",
    "seconds",
    "spread",
    "table",
    "text_or_json",
    "times",
    "unzipped",
]

Column = Any
"""An Arrow array, a list or tuple, or one value of all rows; ``None`` is null."""

MOMENT = pa.timestamp("us", "UTC")
"""The type of a time."""

_TIME = r"^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00:00)$"
_HOST = r"^https?://(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?:[/?#]|$)"
_MS, _SECOND = 1000, 1e6
"""Microseconds."""


class IrregularError(ValueError):
    """A response is not as regular as it seemed."""


class Columnar(Protocol):
    """What a provider's module ``columns`` offers."""

    def read(self, response: Response) -> Page | None:
        """Return a response that is regular, or ``None``."""
        ...

    def tables(self, pages: Sequence[Any]) -> list[tuple[type[Record], pa.Table]]:
        """Return all rows of executions that nobody has seen before.

        The pages are what ``read`` returned; rows of their workflows are not made.
        Raises ``IrregularError`` where one of them is not regular after all.
        """
        ...


class Owners(msgspec.Struct):
    """Executions, in columns: their keys, and where they stand in their responses.

    ``received`` is when those came, ``codes`` their HTTP status.
    """

    provider: str
    connection: str
    keys: Column
    response_ids: Column
    received: Column
    codes: Column
    paths: Column

    @classmethod
    def of(cls, pages: Sequence[Page], paths: Sequence[str]) -> Self:
        """Return the executions of pages; a path for each leads to it in its page."""
        counts = [len(page.keys) for page in pages]
        said = [page.response for page in pages]
        ids = pa.array([one.response_id for one in said], pa.string())
        received = pa.array([one.received_at for one in said], MOMENT)
        codes = pa.array([one.http_status for one in said], pa.int64())
        return cls(
            provider=said[0].provider,
            connection=said[0].connection,
            keys=pa.array([key for page in pages for key in page.keys], pa.string()),
            response_ids=_repeated(ids, counts),
            received=_repeated(received, counts),
            codes=_repeated(codes, counts),
            paths=pa.array(paths, pa.string()),
        )

    def whole(self, record: type[Record], **columns: Column) -> pa.Table:
        """Return a row for each execution."""
        return table(
            record,
            len(self.keys),
            provider=self.provider,
            connection=self.connection,
            execution_key=self.keys,
            response_id=self.response_ids,
            observed_at=self.received,
            **columns,
        )

    def changes(self, statuses: Column, words: Column) -> pa.Table:
        """Return the status of each execution as the first that was seen of it."""
        return self.whole(
            StatusChange,
            status=statuses,
            provider_status=words,
            http_status=self.codes,
        )

    def tags(self, told: Sequence[Sequence[Tag]]) -> pa.Table:
        """Return the tags that are known of each execution beside its response."""
        of, positions = spread([len(tags) for tags in told])
        return self.rows(
            ExecutionTag,
            of,
            elements("/params/tags", positions),
            tag=[tag for tags in told for tag, _ in tags],
            tag_value=[value for tags in told for _, value in tags],
        )

    def below(self, of: Column, paths: Column) -> Self:
        """Return parts of executions; ``of`` has the place of each part's."""
        return msgspec.structs.replace(
            self,
            keys=self.keys.take(of),
            response_ids=self.response_ids.take(of),
            received=self.received.take(of),
            codes=self.codes.take(of),
            paths=joined(self.paths.take(of), paths),
        )

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
    if isinstance(value, list | tuple):
        return pa.array(value, kind)
    return pa.repeat(pa.scalar(value, kind), count)


def text_or_json(values: Sequence[object], name: str) -> dict[str, Column]:
    """Return texts as the column ``name``, and anything else as JSON, ``value``."""
    are_texts = [isinstance(value, str) for value in values]
    both = list(zip(are_texts, values, strict=True))
    return {
        name: [value if is_text else None for is_text, value in both],
        "value": [None if is_text else encode(value) for is_text, value in both],
    }


def unzipped(rows: Sequence[tuple[Any, ...]], count: int) -> Sequence[Sequence[Any]]:
    """Return rows of so many fields as columns."""
    return list(zip(*rows, strict=True)) or [()] * count


def elements(path: str, positions: Column) -> Column:
    """Return the JSON Pointer of each element of a list at ``path``."""
    return joined(f"{path}/", pc.cast(positions, pa.string()))


def joined(*parts: Column) -> Column:
    """Return texts put together, each from arrays, lists or one text for all."""
    arrays = [
        pa.array(one, pa.string()) if isinstance(one, list | tuple) else one
        for one in parts
    ]
    join: Any = pc.binary_join_element_wise  # its stub knows no mix of the two
    return join(*arrays, "")


def _repeated(values: Column, counts: Sequence[int]) -> Column:
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


def seconds(start: Column, end: Column) -> Column:
    """Return the seconds between two times."""
    between = pc.cast(pc.subtract(end, start), pa.int64())
    return pc.divide(pc.cast(between, pa.float64()), _SECOND)


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
