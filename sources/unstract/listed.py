"""Where each field goes that the platform's list says of an execution."""

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from sources.unstract.pieces import Piece
from sources.values import MisfitError, number, timestamp

__all__ = ["Listed", "listed_rows"]

_INT64 = 2**63
_SECOND_MS = 1000
_DURATION = re.compile(
    r"(?:(\d{1,9}) (?:days?, )?)?(\d{1,9}):(\d\d):(\d\d)(?:\.(\d{1,9}))?", re.ASCII
)


class Listed(msgspec.Struct, frozen=True):
    """What the list says of an execution that has a column of its own."""

    created_at: datetime | None = None
    duration_ms: int | None = None
    error_message: str | None = None


def listed_rows(
    piece: Piece, item: Mapping[str, object], at: str, known: Mapping[str, str | None]
) -> Listed:
    """Add the rows of a listed execution beyond ``executions``, and return its columns.

    ``known`` is what the row of the execution says again: its id, its status.
    """
    fields = piece.rows.fields(item, at)
    for name, value in known.items():
        piece.same(fields, name, value)
    piece.tags(fields, "tags")
    message = None
    if item.get("error_message"):
        where = fields.where("error_message")
        message = piece.error(where, "execution", fields.raw("error_message"))
    duration = fields.take("execution_time", _milliseconds)
    if duration is not None:  # its text has no column
        piece.keep(fields.where("execution_time"), fields.raw("execution_time"))
    created = fields.take("created_at", timestamp)
    piece.keep_rest(fields)
    return Listed(created, duration, message)


def _milliseconds(value: object) -> int:
    """Return a duration from ``H:MM:SS``, ``D days, H:MM:SS.ffffff`` or seconds."""
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return _from_seconds(value)
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:4])
    whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds
    return whole * _SECOND_MS + int((match[5] or "0")[:3].ljust(3, "0"))


def _from_seconds(value: object) -> int:
    try:
        total = round(number(value) * _SECOND_MS)
    except (MisfitError, OverflowError):
        raise MisfitError("not_a_duration") from None
    if not -_INT64 <= total < _INT64:
        raise MisfitError("not_a_duration")
    return total
