"""Where each field of an Unstract answer about an execution goes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from sources.json_text import Decoded, Fault, pointer
from sources.observations import Observation, Winner
from sources.records import (
    LOST,
    ErrorRecord,
    Execution,
    Record,
    Response,
    workflow_key,
)
from sources.rows import Rows
from sources.unstract.answers import Answer, answer_in, is_same_id, unreturned
from sources.unstract.files import FileFacts, file_rows
from sources.unstract.listed import Listed, listed_rows
from sources.unstract.pieces import Piece
from sources.unstract.refusals import error_rows
from sources.unstract.usage import platform_usage
from sources.values import text
from sources.watched import GIVE_UP, Watched, watched

__all__ = ["execution_rows", "item_rows", "usage_rows"]

_CONTEXT = pointer("params", "context")


class _Told(msgspec.Struct, frozen=True):
    """What an answer tells of its execution beyond its files."""

    error_message: str | None = None
    files: Sequence[FileFacts] = ()

    @property
    def started_at(self) -> datetime | None:
        times = [file.started_at for file in self.files if file.started_at is not None]
        return min(times, default=None)


def execution_rows(
    response: Response, winner: Winner, decoded: Decoded
) -> list[Record]:
    """Return all rows of one execution, from an answer about it."""
    seen, known = winner.observation, watched(response)
    rows = Rows(response, seen.key, "", decoded.faults)
    answer = answer_in(response, decoded.value)
    if answer is None:
        error_rows(rows, decoded.value)
        told = _Told()
    else:
        told = _told(Piece(rows), answer, seen, known)
        _around(rows, answer, decoded.value)
    has_usage = any(file.has_usage for file in told.files)
    _usage(rows, seen, known, (), is_counted=not has_usage)
    _whole(rows, winner, known, told)
    return rows.finish()


def usage_rows(
    response: Response,
    winner: Winner,
    body: Mapping[str, object],
    faults: Sequence[Fault],
) -> list[Record]:
    """Return all rows of a listed execution, from the last page of its usage."""
    seen, known = winner.observation, watched(response)
    rows = Rows(response, seen.key, "", faults)
    results = body.get("results")
    calls = results if isinstance(results, list) else []
    found = [(pointer("results", i), call) for i, call in enumerate(calls)]
    _usage(rows, seen, known, found, is_counted=True)
    _whole(rows, winner, known, _Told())
    return rows.finish()


def item_rows(
    response: Response,
    winner: Winner,
    item: Mapping[str, object],
    faults: Sequence[Fault],
) -> list[Record]:
    """Return all rows of one execution as the platform lists it."""
    seen = winner.observation
    rows = Rows(response, seen.key, seen.pointer, faults)
    said = {"id": seen.name, "status": seen.provider_status}
    listed = listed_rows(Piece(rows), item, seen.pointer, said)
    if seen.result_state in LOST:
        _lost(rows, seen, None, seen.pointer + pointer("result_acknowledged"))
    _execution(rows, winner, listed, None, None)
    return rows.finish()


def _told(piece: Piece, answer: Answer, seen: Observation, known: Watched) -> _Told:
    """Add the rows of what an envelope holds."""
    fields = piece.rows.fields(answer.said, answer.at)
    fields.take(answer.status_name, text)
    named = answer.said.get("execution_id")
    if answer.at and isinstance(named, str) and is_same_id(named, seen.name):
        fields.raw("execution_id")
    message = None
    if answer.said.get("error"):
        message = piece.error(fields.where("error"), "execution", fields.raw("error"))
    result, files = fields.raw(answer.result_name), answer.files
    if seen.result_state != "captured":
        files = None
        if result is not None:
            piece.keep(answer.result_at, result)
    elif files is None and result is not None:
        message = _unfiled(piece, answer, seen) or message
    told = [
        file_rows(piece.rows, path, place, value, seen.name)
        for place, (path, value) in enumerate(files or ())
    ]
    if files is not None:
        _unreturned(piece.rows, answer, known)
    piece.keep_rest(fields)
    return _Told(message, told)


def _unfiled(piece: Piece, answer: Answer, seen: Observation) -> str | None:
    """Add a result that is no list of files: an output, or why the run failed."""
    if seen.status in {"failed", "cancelled"}:
        return piece.error(answer.result_at, "execution", answer.result)
    piece.output(answer.result_at, 0, "output", answer.result)
    return None


def _unreturned(rows: Rows, answer: Answer, known: Watched) -> None:
    for place, name in unreturned(answer, known.context.get("sent")):
        rows.add(
            ErrorRecord,
            error_key=rows.key_of(_CONTEXT + pointer("sent", place)),
            level="file",
            error_type="not_returned",
            message=f"{name} was sent, and is not in the answer",
        )


def _around(rows: Rows, answer: Answer, body: object) -> None:
    """Keep what stands around the envelope of a POST."""
    for name, value in body.items() if isinstance(body, dict) and answer.at else ():
        if pointer(name) != answer.at:
            rows.metadata(pointer(name), value)


def _usage(
    rows: Rows,
    seen: Observation,
    known: Watched,
    found: Sequence[tuple[str, object]],
    *,
    is_counted: bool,
) -> None:
    """Add the platform's rows: those of earlier pages, and those found here."""
    before = known.context.get("usage")
    at = _CONTEXT + pointer("usage")
    calls = before if isinstance(before, list) else []
    earlier = [(at + pointer(place), call) for place, call in enumerate(calls)]
    platform_usage(Piece(rows), [*earlier, *found], seen.name, is_counted=is_counted)


def _whole(rows: Rows, winner: Winner, known: Watched, told: _Told) -> None:
    """Add what is known of the execution beside the answer, and the row itself."""
    seen, piece = winner.observation, Piece(rows)
    for place, (tag, value) in enumerate(known.tags):
        piece.tag(pointer("params", "tags", place), tag, value)
    item = known.context.get("listed")
    listed = Listed()
    if isinstance(item, dict):
        said = {"id": seen.name, "status": seen.provider_status}
        listed = listed_rows(piece, item, _CONTEXT + pointer("listed"), said)
    if seen.result_state in LOST:
        _lost(rows, seen, known, pointer("params", "execution_id"))
    if told.error_message is not None:
        listed = msgspec.structs.replace(listed, error_message=told.error_message)
    _execution(rows, winner, listed, known, told.started_at or known.started_at)


def _lost(rows: Rows, seen: Observation, known: Watched | None, path: str) -> None:
    """Say that the result cannot be had, and why."""
    rows.add(
        ErrorRecord,
        error_key=rows.key_of(path),
        level="execution",
        http_status=rows.response.http_status,
        error_type=seen.result_state,
        message=_why(seen, known),
    )


def _why(seen: Observation, known: Watched | None) -> str:
    if seen.result_state == "acknowledged_elsewhere":
        return "another reader took the result: Unstract hands it out once"
    if seen.result_state == "lost_in_transit" and known is not None:
        tries = [
            f"{read.at:%Y-%m-%dT%H:%M:%SZ}: {read.reason}, "
            f"{read.size_bytes:,} bytes arrived"
            for read in known.broken_reads
        ]
        return "the result was handed out and did not arrive whole: " + "; ".join(tries)
    if seen.result_state == "expired":
        return "Unstract has deleted the result before it was read"
    if not seen.is_terminal:
        return "Unstract knows no execution of this id"
    hours = GIVE_UP // timedelta(hours=1)
    expiry = (
        f" at {known.expires_at:%Y-%m-%dT%H:%M:%SZ}"
        if known and known.expires_at
        else ""
    )
    return f"given up: no result came until {hours} h after its expiry{expiry}"


def _execution(
    rows: Rows,
    winner: Winner,
    listed: Listed,
    known: Watched | None,
    started: datetime | None,
) -> None:
    seen, response = winner.observation, rows.response
    is_here = seen.result_state == "captured" or known is None
    flow = workflow_key(response.provider, response.connection, seen.scope)
    rows.add(
        Execution,
        execution_id=seen.name,
        scope=seen.scope,
        workflow_key=flow if seen.scope else None,
        status=seen.status,
        provider_status=seen.provider_status,
        is_terminal=seen.is_terminal,
        result_state=seen.result_state,
        day=(started or listed.created_at or winner.first_seen_at).date(),
        created_at=listed.created_at,
        started_at=started,
        duration_ms=listed.duration_ms,
        error_message=listed.error_message,
        first_seen_at=winner.first_seen_at,
        observed_at=response.received_at,
        expires_at=None if is_here or known is None else known.expires_at,
        content_sha256=seen.sha256,
        list_sha256=winner.list_sha256,
    )
