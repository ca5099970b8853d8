"""Where each field of a file in an Unstract answer goes."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count

import msgspec

from sources.json_text import pointer
from sources.records import ExecutionFile, ExecutionStep, Status
from sources.rows import Rows
from sources.unstract.answers import file_status, is_same_id
from sources.unstract.citations import citations
from sources.unstract.pieces import Piece
from sources.unstract.usage import file_usage
from sources.values import (
    Fields,
    MisfitError,
    boolean,
    integer,
    number,
    text,
    timestamp,
)

__all__ = ["TIME_TAKEN", "FileFacts", "file_rows"]

TIME_TAKEN = "time_taken(s)"
_OUTPUTS = ("output", "result")
"""Where a result object holds the result: live, and as documented."""

_SHAPE = frozenset({*_OUTPUTS, "metadata", "metrics"})
"""Any of these, and an object is not the result itself."""


class FileFacts(msgspec.Struct, frozen=True):
    """What a file tells of its execution.

    ``started_at`` and ``has_usage`` are of this execution: a file that comes from
    the provider's history tells when and for what an earlier one ran.
    """

    started_at: datetime | None = None
    has_usage: bool = False


def file_rows(
    rows: Rows, path: str, position: int, file: object, execution_id: str
) -> FileFacts:
    """Add all rows of one file of an answer about this execution."""
    if not isinstance(file, dict):
        rows.misfit(path, "not_a_file", file)
        return FileFacts()
    piece = Piece(rows, rows.key_of(path))
    fields = rows.fields(file, path)
    meta = piece.inner(fields, "metadata")
    original = meta.take("execution_id", text)
    is_own = not original or is_same_id(original, execution_id)
    name = _file(piece, fields, meta, position, file_status(file))
    started = _started_at(piece, meta)
    _tools(piece, meta)
    piece.tags(meta, "tags")
    said = _result(piece, fields, position, name)
    inner = rows.fields(said, fields.where("result") + pointer("metadata"))
    has_usage = file_usage(piece, inner, said, meta, None if is_own else original)
    _requirements(piece, inner)
    citations(piece, inner)
    _texts(piece, (fields, inner), position)
    for read in (inner, meta, fields):
        piece.keep_rest(read)
    return FileFacts(started if is_own else None, has_usage)


def _file(
    piece: Piece, fields: Fields, meta: Fields, position: int, status: Status
) -> str | None:
    """Add the file itself and its error; return its name."""
    name, run = fields.take("file", text), fields.take("file_execution_id", text)
    error = fields.raw("error")
    if error or status == "failed":
        piece.error(fields.where("error"), "file", error)
    elif error is not None:
        piece.keep(fields.where("error"), error)
    for known, again in ((name, "source_name"), (run, "file_execution_id")):
        if known is not None:
            piece.same(meta, again, known)
    name = meta.take("source_name", text) if name is None else name
    piece.rows.add(
        ExecutionFile,
        file_key=piece.file_key,
        position=position,
        file_name=name,
        file_execution_id=meta.take("file_execution_id", text) if run is None else run,
        status=status,
        provider_status=fields.take("status", text),
        source_hash=meta.take("source_hash", text),
        workflow_id=meta.take("workflow_id", text),
        original_execution_id=meta.take("execution_id", text),
        elapsed_s=piece.exact(meta, "total_elapsed_time", number),
        pages_processed=meta.take("total_pages_processed", integer),
        error_message=error if isinstance(error, str) and error else None,
    )
    return name


def _started_at(piece: Piece, meta: Fields) -> datetime | None:
    """Return when the run of a file began; the figure itself has no column."""
    value = meta.take("workflow_start_time", _moment)
    if value is not None:
        name = "workflow_start_time"
        piece.keep(meta.where(name), meta.raw(name))
    return value


def _moment(value: object) -> datetime:
    """Return a time from seconds since 1970, as live servers say it, or from text."""
    try:
        return datetime.fromtimestamp(number(value), UTC)
    except MisfitError:
        return timestamp(value)
    except (OverflowError, OSError, ValueError):
        raise MisfitError("not_a_timestamp") from None


def _tools(piece: Piece, meta: Fields) -> None:
    value, at = meta.raw("tool_metadata"), meta.where("tool_metadata")
    if value is not None and not isinstance(value, list | dict):
        meta.misfit("tool_metadata", "not_a_list")
    tools = [(at, value)] if isinstance(value, dict) else []
    if isinstance(value, list):
        tools = [(at + pointer(place), tool) for place, tool in enumerate(value)]
    for position, (path, tool) in enumerate(tools):
        if not isinstance(tool, dict):
            piece.rows.misfit(path, "not_an_object", tool)
            continue
        fields = piece.rows.fields(tool, path)
        piece.rows.add(
            ExecutionStep,
            step_key=piece.rows.key_of(path),
            file_key=piece.file_key,
            kind="tool",
            position=position,
            name=fields.take("tool_name", text),
            elapsed_s=piece.exact(fields, "elapsed_time", number),
            output_type=fields.take("output_type", text),
        )
        piece.keep_rest(fields)


def _result(
    piece: Piece, fields: Fields, position: int, name: str | None
) -> Mapping[str, object]:
    """Add a file's result and metrics; return the metadata of the result."""
    value, at = fields.raw("result"), fields.where("result")
    if not isinstance(value, dict) or _SHAPE.isdisjoint(value):
        if value is not None:
            piece.output(at, position, "output", value)
        return {}
    result = piece.rows.fields(value, at)
    for key in _OUTPUTS:
        if result.raw(key) is not None:
            piece.output(result.where(key), position, "output", result.raw(key))
    piece.same(result, "input_file", name)
    metrics = result.raw("metrics")
    if metrics is not None:
        _metrics(piece, result.where("metrics"), (), metrics, count())
    piece.inner(result, "metadata")
    piece.keep_rest(result)
    said = value.get("metadata")
    return said if isinstance(said, dict) else {}


def _metrics(
    piece: Piece, at: str, names: tuple[str, ...], value: object, places: Iterator[int]
) -> None:
    """Add each time taken: ``{prompt: {step: {"time_taken(s)": seconds}}}``.

    A step has the name of what took the time, and the prompt's as its id.
    """
    if not isinstance(value, dict):
        piece.keep(at, value)
        return
    fields = piece.rows.fields(value, at)
    if TIME_TAKEN in value:
        piece.rows.add(
            ExecutionStep,
            step_key=piece.rows.key_of(at),
            file_key=piece.file_key,
            kind="metric",
            position=next(places),
            step_id=names[0] if names else None,
            name=names[-1] if names else None,
            elapsed_s=piece.exact(fields, TIME_TAKEN, number),
        )
    for name, child in value.items():
        if name != TIME_TAKEN:
            _metrics(piece, at + pointer(name), (*names, name), child, places)


def _requirements(piece: Piece, inner: Fields) -> None:
    """Add whether each required field was found: ``{prompt: true, false or null}``."""
    fields = piece.inner(inner, "required_fields")
    said = inner.raw("required_fields")
    for position, name in enumerate(said if isinstance(said, dict) else ()):
        piece.rows.add(
            ExecutionStep,
            step_key=piece.rows.key_of(fields.where(name)),
            file_key=piece.file_key,
            kind="required_field",
            position=position,
            name=name,
            is_passed=fields.take(name, boolean),
        )


def _texts(piece: Piece, places: Sequence[Fields], position: int) -> None:
    """Add the text of a file, once where it stands twice."""
    seen: list[object] = [None]
    for fields in places:
        value = fields.raw("extracted_text")
        if value not in seen:
            seen.append(value)
            piece.output(
                fields.where("extracted_text"), position, "extracted_text", value
            )
