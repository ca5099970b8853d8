"""Where the errors go that Unstract answers instead of a result, and whole pages."""

from collections.abc import Sequence

from sources.json_text import encode, pointer
from sources.observations import Observation
from sources.records import ErrorRecord, Record, Response
from sources.rows import Rows, first_words
from sources.unstract.pieces import Piece
from sources.unstract.platform import is_ours
from sources.values import text_or_none

__all__ = ["error_rows", "page_rows", "request_error_rows"]


def request_error_rows(
    response: Response, seen: Observation, body: object
) -> list[Record]:
    """Return the errors of a request that concerns no single execution."""
    rows = Rows(response, seen.key)
    error_rows(rows, body, seen.name or None)
    return rows.finish()


def error_rows(rows: Rows, body: object, reason: str | None = None) -> None:
    """Add what an error says: ``{type, errors: [{code, detail, attr}]}``, or anything.

    ``{"error", "type": "sdk_error"}`` is one error; of a page, its first words.
    """
    fields = rows.fields(body if isinstance(body, dict) else {}, "")
    errors, kind = fields.raw("errors"), text_or_none(fields.raw("type"))
    if not isinstance(errors, list) or not errors:
        _error(rows, "", body, kind or reason)
        return
    for place, error in enumerate(errors):
        _error(rows, pointer("errors", place), error, kind or reason)
    if fields.raw("type") != kind:
        rows.metadata(fields.where("type"), fields.raw("type"))
    rows.keep_rest(fields)


def _error(rows: Rows, path: str, value: object, kind: str | None) -> None:
    said = value if isinstance(value, dict) else {}
    words = [text_or_none(said.get(name)) for name in ("detail", "error", "message")]
    words.append(text_or_none(value) if path else first_words(rows.response))
    rows.add(
        ErrorRecord,
        error_key=rows.key_of(path),
        level="request",
        http_status=rows.response.http_status,
        error_type=kind,
        error_code=text_or_none(said.get("code")),
        error_param=text_or_none(said.get("attr")),
        message=next(filter(None, words), None),
        provider_message=None if value is None else encode(value),
    )


def page_rows(response: Response, seen: Observation, body: object) -> list[Record]:
    """Return what a page holds beside executions of ours, each whole."""
    piece = Piece(Rows(response, seen.key))
    results = body.get("results") if isinstance(body, dict) else None
    listed: Sequence[object] = results if isinstance(results, list) else ()
    is_of_it = is_ours(response)
    for place, value in enumerate(listed):
        if response.endpoint != "executions" or not is_of_it(value):
            piece.keep(pointer("results", place), value)
    return piece.rows.finish()
