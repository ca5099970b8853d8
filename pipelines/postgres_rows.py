"""Rows as PostgreSQL can hold them: its texts and JSON have no NUL character."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.postgres_session import without_nul
from sources.json_text import canonical_sha256
from sources.records import Json, LoadReject, Record
from sources.tables import Tables, columns, to_arrow

__all__ = ["fitting"]

_REASON = "a NUL character, which PostgreSQL cannot hold, became U+FFFD"


def fitting(tables: Tables) -> Tables:
    """Yield tables with U+FFFD where a NUL character was, and at last the rejects.

    The raw body of the response keeps what came.
    """
    rejects: dict[str, LoadReject] = {}
    for record, table in tables:
        yield record, _fit(record, table, rejects)
    if rejects:
        yield (
            LoadReject,
            _fit(LoadReject, to_arrow(LoadReject, [*rejects.values()]), {}),
        )


def _fit(
    record: type[Record], table: pa.Table, rejects: dict[str, LoadReject]
) -> pa.Table:
    json = {one.name for one in columns(record) if one.type is Json}
    for place, field in enumerate(table.schema):
        if not pa.types.is_string(field.type):
            continue
        nul = r"\u0000" if field.name in json else "\0"
        if not pc.any(pc.match_substring(table.column(place), nul)).as_py():
            continue
        texts: list[str | None] = table.column(place).to_pylist()
        for row, text in enumerate(texts):
            if text is None or nul not in text:
                continue
            fits = without_nul(text, is_json=field.name in json)
            if fits != text and "response_id" in table.schema.names:
                reject = _reject(record, table.slice(row, 1).to_pylist()[0], field.name)
                rejects[reject.reject_key] = reject
            texts[row] = fits
        table = table.set_column(place, field, pa.array(texts, pa.string()))
    return table


def _reject(record: type[Record], row: dict[str, Any], column: str) -> LoadReject:
    """Return the word that a value is not as it came."""
    owner = row.get("execution_key") or ""
    key = str(row[record.KEY[0]])
    at = key.removeprefix(f"{owner}/") if key.startswith(f"{owner}/") else ""
    sha256 = canonical_sha256(row[column])
    return LoadReject(
        provider=row["provider"],
        connection=row["connection"],
        response_id=row["response_id"],
        reject_key=f"{key}#{column}:{sha256[:16]}",
        execution_key=owner or None,
        path=at,
        reason=f"{column}: {_REASON}",
        value_sha256=sha256,
        first_seen_at=_received(row["response_id"]),
    )


def _received(response_id: str) -> datetime:
    """Return when a response came, to the millisecond: its id says so."""
    return datetime.fromtimestamp((UUID(response_id).int >> 80) / 1000, UTC)
