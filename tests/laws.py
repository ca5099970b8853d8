"""The laws of the model, held to one response: whatever it is, it breaks none."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa

from sources.bulk import append_new
from sources.columnar import Columnar
from sources.fold import fold
from sources.json_text import NotJsonError, decode, encode, resolve
from sources.observations import Normalizer
from sources.records import TABLES, Json, LoadReject, Record, Response, TokenUsage
from sources.seen import Seen
from sources.tables import columns, schema, to_arrow
from sources.values import MisfitError, timestamp

__all__ = ["broken", "lost"]

OUTCOMES = {"ok", "pending", "rejected", "http_error"}
"""What becomes of a body that came whole."""


def broken(
    one: Response, normalizer: Normalizer, columnar: Columnar | None
) -> Iterator[str]:
    """Yield in words each law that a response breaks in an empty store.

    What makes rows may raise: that breaks the first law, and is for the caller to see.
    """
    (batch,) = fold(lambda: iter([one]), normalizer, _blank(one))
    rows: dict[str, list[Record]] = {name: batch.rows.get(name, []) for name in TABLES}
    (raw,) = rows["raw_responses"]
    if not isinstance(raw, Response) or raw.outcome not in OUTCOMES:
        yield f"the response came to {raw}"
    elif raw.outcome == "ok" and (missing := lost(one, rows)):
        yield f"no table has {missing}"
    tables = {
        name: to_arrow(TABLES[name], found) for name, found in rows.items() if found
    }
    for name, table in tables.items():
        yield from _unfit(name, table)
    made = _appended(one, normalizer, columnar)
    for name in tables.keys() | made.keys() if made else ():
        plain, quick = _shown(tables.get(name)), _shown(made.get(name))
        # Of what is seen twice, the fold keeps one, as a ledger would.
        if not (plain <= quick if name == "load_rejects" else plain == quick):
            yield f"{name} has {plain} by the plain way, {quick} by the quick one"


def _blank(one: Response) -> Seen:
    return Seen(lambda *_: [], one.provider, one.connection)


def _unfit(name: str, table: pa.Table) -> Iterator[str]:
    """Yield what of a table a store would refuse, or take for another type."""
    record = TABLES[name]
    if table.schema != schema(record):
        yield f"{name} has other types: {table.schema}"
    for column in columns(record):
        if column.type is Json:
            yield from (
                f"{name}.{column.name} has no JSON: {text!r}"
                for text in table[column.name].to_pylist()
                if text is not None and not _is_json(text)
            )


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_number)
    except ValueError:
        return False
    return True


def _no_number(name: str) -> None:
    raise ValueError(name)


def _appended(
    one: Response, normalizer: Normalizer, columnar: Columnar | None
) -> Mapping[str, pa.Table]:
    """Return the tables that are appended; none where it is left to the fold."""
    made: dict[str, pa.Table] = {}

    def append(name: str, table: pa.Table) -> None:
        made[name] = pa.concat_tables([*([made[name]] if name in made else []), table])

    looked = append_new(
        lambda: iter([one]), normalizer, _blank(one), append, columnar=columnar
    )
    return {} if looked.rest else made


def _shown(table: pa.Table | None) -> Counter[str]:
    """Return the rows of a table, each with how often it is there."""
    if table is None:
        return Counter()
    named = [column.to_pylist() for column in table.columns]
    return Counter(map(repr, zip(*named, strict=True)))


def leaves(value: object) -> Iterator[object]:
    """Yield every leaf of a JSON value; null and empty containers say nothing."""
    if isinstance(value, dict):
        for child in value.values():
            yield from leaves(child)
    elif isinstance(value, list):
        for child in value:
            yield from leaves(child)
    elif value is not None:
        yield value


def held(rows: Mapping[str, Sequence[Record]]) -> set[object]:
    """Return every value that the tables hold, the raw bodies apart."""
    found: set[object] = set()
    for name, records in rows.items():
        for record in records:
            if isinstance(record, TokenUsage):  # two columns of one name
                found.add(json.dumps(f"{record.model_provider}/{record.model}"))
            for field in record.__struct_fields__:
                if name != "raw_responses" or field == "params":
                    found |= set(spoken(getattr(record, field)))
    return found


def spoken(value: Any) -> Iterator[object]:
    """Yield a value of a column as text, and the leaves of JSON text in it."""
    if (number := numeral(value)) is not None:
        yield number
    if isinstance(value, datetime):
        yield value.isoformat()
    elif isinstance(value, str):
        yield json.dumps(value)
        if value[:1] in {"{", "["}:
            try:
                yield from map(json.dumps, leaves(json.loads(value)))
            except ValueError:
                return
        else:
            yield value
    elif value is not None:
        yield json.dumps(value, default=str)


def numeral(value: object) -> Decimal | None:
    """Return a number, also from text: 12 is 12.0, "12" and a decimal's 12.00."""
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def is_held(leaf: object, found: set[object]) -> bool:
    """Tell whether a leaf stands in a table: as it is, as text, number or time."""
    if json.dumps(leaf) in found or encode(leaf) in found:  # 1e+16 is 1e16, too
        return True
    if (number := numeral(leaf)) is not None and number in found:
        return True
    try:
        return timestamp(leaf).isoformat() in found
    except MisfitError:
        return False


WHOLE = {"missing_id", "duplicate_id", "not_an_object"}
"""Rejects of a whole row: it has no identity, so it can stand in no table."""


def lost(one: Response, rows: Mapping[str, Sequence[Record]]) -> list[object]:
    """Return the leaves of a body that stand in no table and in no rejected row."""
    try:
        body = decode(one.body or b"").value
    except NotJsonError:
        return []
    found = held(rows)
    rejects = [r for r in rows["load_rejects"] if isinstance(r, LoadReject)]
    whole = [r.path for r in rejects if r.reason in WHOLE]
    excused = [json.dumps(x) for path in whole for x in leaves(resolve(body, path))]
    missing = [leaf for leaf in leaves(body) if not is_held(leaf, found)]
    return [leaf for leaf in missing if json.dumps(leaf) not in excused]
