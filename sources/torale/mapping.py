"""Where each field of a Torale answer goes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from sources.json_text import Fault, encode
from sources.json_text import pointer as json_pointer
from sources.observations import Observation, Winner
from sources.records import (
    ErrorRecord,
    Execution,
    ExecutionStep,
    GroundingSource,
    Record,
    Response,
    Workflow,
    workflow_key,
)
from sources.rows import Rows, first_words
from sources.values import (
    Fields,
    boolean,
    host,
    items,
    milliseconds,
    registrable_domain,
    text,
    timestamp,
)

__all__ = [
    "ACTIVITY_LISTS",
    "ANSWERS",
    "SOURCE_LISTS",
    "execution_rows",
    "identity",
    "request_error_rows",
    "step_name",
    "workflow_rows",
]

ANSWERS = ("answer", "evidence", "summary", "content")
"""The field of ``result`` that holds the answer, by era; the first one counts."""

SOURCE_LISTS = ("sources", "grounding_sources")
"""The fields of ``result`` that list sources."""

ACTIVITY_LISTS = ("activity", "actions")
"""The fields of ``result`` that list what the provider did."""

_STEP_NAMES = ("tool", "name", "action", "type")


def execution_rows(
    response: Response,
    winner: Winner,
    item: Mapping[str, object],
    faults: Sequence[Fault],
) -> list[Record]:
    """Return all rows of one execution, from a list or by itself."""
    seen = winner.observation
    rows = Rows(response, seen.key, seen.pointer, faults)
    fields = rows.fields(item, seen.pointer)
    raw = fields.raw("result")
    result = raw if isinstance(raw, dict) else {}
    inner = rows.fields(result, fields.where("result"))
    message = fields.take("error_message", text)
    _execution(rows, winner, fields, inner, message)
    if raw is not None:
        _outputs(rows, fields, inner, raw)
        _activity(rows, inner)
    if result.get("metadata") is not None:
        rows.metadata(inner.where("metadata"), result["metadata"])
    _sources(rows, fields, inner)
    if seen.status == "failed":
        _failure(rows, fields, inner, message)
    rows.keep_rest(fields)
    return rows.finish()


def _execution(
    rows: Rows, winner: Winner, fields: Fields, inner: Fields, message: str | None
) -> None:
    seen, response = winner.observation, rows.response
    for name in ("id", "task_id", "status"):
        fields.take(name, text)
    if fields.raw("task_id") == "":  # the one that was asked for counts
        rows.metadata(fields.where("task_id"), "")
    created = fields.take("created_at", timestamp)
    started = fields.take("started_at", timestamp)
    ended = fields.take("completed_at", timestamp)
    notification = fields.take("notification", text)
    if notification is None:
        notification = inner.take("notification", text)
    rows.add(
        Execution,
        execution_id=seen.name,
        scope=seen.scope,
        workflow_key=workflow_key(response.provider, response.connection, seen.scope),
        status=seen.status,
        provider_status=seen.provider_status,
        is_terminal=seen.is_terminal,
        result_state="captured" if seen.is_terminal else "pending",
        day=(started or created or winner.first_seen_at).date(),
        created_at=created,
        started_at=started,
        ended_at=ended,
        duration_ms=milliseconds(started, ended),
        condition_met=_condition_met(seen, fields, inner, notification),
        change_summary=_change_summary(fields, inner),
        notification=notification,
        error_message=message,
        first_seen_at=winner.first_seen_at,
        observed_at=response.received_at,
        content_sha256=seen.sha256,
        list_sha256=winner.list_sha256,
    )


def _condition_met(
    seen: Observation, fields: Fields, inner: Fields, notification: str | None
) -> bool | None:
    """Return what the provider says, else what the notification lets conclude."""
    holders, names = (fields, inner), ("condition_met", "notification")
    for holder in holders:
        said = holder.take("condition_met", boolean)
        if said is not None:
            return said
    if notification is not None:
        return True
    if any(holder.raw(name) is not None for holder in holders for name in names):
        return None  # it says something, and nothing that could be read
    knows = any(holder.has("notification") for holder in holders)
    return False if knows and seen.status == "succeeded" else None


def _change_summary(fields: Fields, inner: Fields) -> str | None:
    summary = fields.take("change_summary", text)
    return inner.take("change_summary", text) if summary is None else summary


def _outputs(rows: Rows, fields: Fields, inner: Fields, raw: object) -> None:
    """Add the whole result, and the answer by itself."""
    rows.output(fields.where("result"), 0, "result", raw)
    for name in ANSWERS:
        answer = inner.raw(name)
        if answer is not None:
            rows.output(inner.where(name), 1, "answer", answer)
            return


def _activity(rows: Rows, inner: Fields) -> None:
    position = 0
    for name in ACTIVITY_LISTS:
        for place, value in enumerate(inner.take(name, items) or ()):
            path = inner.where(name) + json_pointer(place)
            _step(rows, path, position, value)
            position += 1


def _step(rows: Rows, path: str, position: int, value: object) -> None:
    fields = rows.fields(value if isinstance(value, dict) else {}, path)
    rows.add(
        ExecutionStep,
        step_key=rows.key_of(path),
        kind="activity",
        position=position,
        name=step_name(value),
        started_at=fields.take("started_at", timestamp),
        ended_at=fields.take("completed_at", timestamp),
    )


def step_name(value: object) -> str | None:
    """Return the name of an entry of the activity, which may be just a text."""
    if isinstance(value, str):
        return value
    said = value if isinstance(value, dict) else {}
    return next(filter(_is_text, map(said.get, _STEP_NAMES)), None)


def _is_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str)


def _sources(rows: Rows, fields: Fields, inner: Fields) -> None:
    """Add each source once across the places; doubles within one list stay."""
    places = [(fields, "grounding_sources")]
    places += [(inner, name) for name in SOURCE_LISTS]
    before: Counter[str] = Counter()
    position = 0
    for holder, name in places:
        here: Counter[str] = Counter()
        for place, entry in enumerate(holder.take(name, items) or ()):
            same = identity(entry)
            here[same] += 1
            if here[same] > before[same]:
                path = holder.where(name) + json_pointer(place)
                _source(rows, path, position, entry, keep_rest=holder is fields)
                position += 1
        before |= here


def identity(entry: object) -> str:
    """Return what tells one source of a list from another: its address, if any."""
    if isinstance(entry, dict):
        address = entry.get("uri") or entry.get("url")
        return address if isinstance(address, str) else encode(entry)
    return entry if isinstance(entry, str) else encode(entry)


def _source(
    rows: Rows, path: str, position: int, entry: object, *, keep_rest: bool
) -> None:
    if isinstance(entry, str):
        entry = {"uri": entry}
    if not isinstance(entry, dict):
        rows.misfit(path, "not_a_source", entry)
        return
    fields = rows.fields(entry, path)
    uri = fields.take("url" if entry.get("uri") is None else "uri", text)
    name = host(uri) if uri is not None else None
    rows.add(
        GroundingSource,
        source_key=rows.key_of(path),
        position=position,
        uri=uri,
        title=fields.take("title", text),
        snippet=fields.take("snippet", text),
        domain=registrable_domain(name) if name else None,
        is_valid_uri=None if uri is None else name is not None,
    )
    if keep_rest:  # below result, the whole of it stands in outputs already
        rows.keep_rest(fields)


def _failure(rows: Rows, fields: Fields, inner: Fields, message: str | None) -> None:
    """Add the error of a failed execution, in the words it has."""
    path = fields.where("error_message")
    in_answer = ANSWERS if inner.raw("success") is False else ()
    for name in ("error", *in_answer):  # errors once stood where the answer does
        if message is None and _is_text(inner.raw(name)):
            message, path = str(inner.raw(name)), inner.where(name)
    rows.add(
        ErrorRecord, error_key=rows.key_of(path), level="execution", message=message
    )


def request_error_rows(
    response: Response, seen: Observation, body: object
) -> list[Record]:
    """Return the errors of a request: what ``detail`` or ``error`` says.

    ``detail`` is a text, or on 422 a list of objects with type, loc and msg.
    """
    rows = Rows(response, seen.key)
    fields = rows.fields(body if isinstance(body, dict) else {}, "")
    details = fields.raw("detail")
    if isinstance(details, list) and details:
        for place, detail in enumerate(details):
            _request_error(rows, json_pointer("detail", place), detail)
    else:
        _request_error(rows, "", body, seen.name or None)
        return rows.finish()
    rows.keep_rest(fields)
    return rows.finish()


def _request_error(
    rows: Rows, path: str, value: object, reason: str | None = None
) -> None:
    fields = rows.fields(value if isinstance(value, dict) else {}, path)
    words = [fields.raw(name) for name in ("msg", "detail", "error")]
    kind, place = fields.raw("type"), fields.raw("loc")
    message = next(filter(_is_text, words), None) or first_words(rows.response)
    rows.add(
        ErrorRecord,
        error_key=rows.key_of(path),
        level="request",
        http_status=rows.response.http_status,
        error_type=kind if isinstance(kind, str) else reason,
        error_param=".".join(map(str, place)) if isinstance(place, list) else None,
        message=message,
        provider_message=None if value is None else encode(value),
    )


def workflow_rows(
    response: Response, winner: Winner, task: Mapping[str, object]
) -> list[Record]:
    """Return the row of one task."""
    name, state = task.get("name"), task.get("state")
    workflow = Workflow(
        provider=response.provider,
        connection=response.connection,
        response_id=response.response_id,
        workflow_key=winner.observation.key,
        workflow_id=winner.observation.name,
        kind="task",
        name=name if isinstance(name, str) else None,
        state=state if isinstance(state, str) else None,
        definition=encode(task),
        first_seen_at=winner.first_seen_at,
        observed_at=response.received_at,
    )
    return [workflow]
