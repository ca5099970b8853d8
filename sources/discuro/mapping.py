"""Where each field of a Discuro answer goes."""

from datetime import UTC, datetime

from sources.discuro.steps import add_error, add_steps, error_words
from sources.json_text import Decoded, encode
from sources.json_text import pointer as json_pointer
from sources.observations import Observation, Winner
from sources.records import (
    LOST,
    ErrorRecord,
    Execution,
    ExecutionTag,
    Record,
    Response,
    TokenUsage,
    Workflow,
    workflow_key,
)
from sources.rows import Rows, first_words
from sources.values import (
    Fields,
    as_object,
    boolean,
    integer,
    milliseconds,
    text,
    text_or_none,
    timestamp,
)
from sources.watched import Watched

__all__ = [
    "assumed_model",
    "execution_rows",
    "request_error_rows",
    "workflow_of",
    "workflow_rows",
]


def execution_rows(
    response: Response, winner: Winner, known: Watched, decoded: Decoded
) -> list[Record]:
    """Return all rows of the execution that an answer is about."""
    seen, value = winner.observation, decoded.value
    is_lost = seen.result_state in LOST
    rows = Rows(response, seen.key, seen.pointer, decoded.faults)
    if is_lost:
        _loss(rows, seen, known, value)
    # where the result is lost, the answer has none, and stands whole in the error
    shown = value if isinstance(value, dict) and not is_lost else {}
    fields = rows.fields(shown, seen.pointer)
    inner = rows.fields(
        fields.take("transformation", as_object) or {}, fields.where("transformation")
    )
    _identity(fields, seen)
    _whole_error(rows, fields, seen)
    add_steps(rows, inner)
    _outputs(rows, inner)
    _usage(rows, inner, known)
    _execution(rows, winner, known, fields, inner)
    _tags(rows, known)
    for reader in (fields, inner):
        rows.keep_rest(reader)
    return rows.finish()


def _identity(fields: Fields, seen: Observation) -> None:
    """Take id and status; the id that was asked for holds, whatever stands there."""
    fields.take("status", text)
    said = fields.raw("id")
    if said is not None and text_or_none(said) != seen.name:
        fields.misfit("id", "another_id")


def _execution(
    rows: Rows, winner: Winner, known: Watched, fields: Fields, inner: Fields
) -> None:
    seen, response = winner.observation, rows.response
    is_captured = seen.result_state == "captured"
    started = inner.take("start", timestamp) or known.started_at
    ended = inner.take("end", timestamp)
    errors = [row for row in rows.records if isinstance(row, ErrorRecord)]
    rows.add(
        Execution,
        execution_id=seen.name,
        scope=seen.scope,
        workflow_key=_workflow_key(response, known),
        status=seen.status,
        provider_status=seen.provider_status,
        is_terminal=seen.is_terminal,
        result_state=seen.result_state,
        day=(started or winner.first_seen_at).date(),
        started_at=started,
        ended_at=ended,
        duration_ms=milliseconds(started, ended),
        is_passed=_passed(fields, must_be_there=is_captured),
        error_message=_first_message(errors) if seen.status == "failed" else None,
        first_seen_at=winner.first_seen_at,
        observed_at=response.received_at,
        expires_at=None if is_captured else known.expires_at,
        content_sha256=seen.sha256,
        list_sha256=winner.list_sha256,
    )
    if seen.status == "failed" and not errors:
        rows.add(ErrorRecord, error_key=rows.key_of(seen.pointer), level="execution")


def _workflow_key(response: Response, known: Watched) -> str | None:
    workflow = workflow_of(known)
    if workflow is None:
        return None
    return workflow_key(response.provider, response.connection, workflow["id"])


def _passed(fields: Fields, *, must_be_there: bool) -> bool | None:
    """Return whether it passed; an execution that ended without it is odd."""
    if must_be_there and fields.raw("passed") is None:
        fields.misfit("passed", "not_a_boolean")
    return fields.take("passed", boolean)


def _first_message(errors: list[ErrorRecord]) -> str | None:
    return next((e.message for e in errors if e.message is not None), None)


def _whole_error(rows: Rows, fields: Fields, seen: Observation) -> None:
    """Add the error of the execution as a whole, if the answer says one."""
    error, meta = fields.raw("error"), fields.raw("meta_data")
    if error is None or seen.status == "queued":
        # not synced yet: then "not found" is no error
        for name, value in (("error", error), ("meta_data", meta)):
            if value is not None:
                rows.metadata(fields.where(name), value)
    else:
        whole = {"error": error, "meta_data": meta}
        add_error(rows, fields, error if meta is None else whole)


def _loss(rows: Rows, seen: Observation, known: Watched, value: object) -> None:
    """Say that there is no result, and why, with the times by which it is judged."""
    words = first_words(rows.response) if value is None else value
    rows.add(
        ErrorRecord,
        error_key=rows.key_of(seen.pointer),
        level="execution",
        http_status=rows.response.http_status,
        error_type=seen.result_state,
        message=_why_lost(rows.response, seen, known),
        provider_message=None if words is None else encode(words),
    )


def _why_lost(response: Response, seen: Observation, known: Watched) -> str:
    asked = f"asked at {_utc(response.received_at)}"
    expiry = f"it was kept until {_utc(known.expires_at)}"
    if seen.result_state == "expired":
        return f"Discuro has deleted the result: {expiry}, {asked}."
    if seen.is_terminal:
        return f"Given up, no result came: {expiry}, last {asked}."
    begun = f"started by {_utc(known.begun_at)}"
    return f"Discuro does not know the execution: {begun}, {asked}."


def _utc(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if at else "an unknown time"


def _outputs(rows: Rows, inner: Fields) -> None:
    """Add one output per element of ``data``; ``{}`` is what a failure has there."""
    data, path = inner.raw("data"), inner.where("data")
    if isinstance(data, list):
        for position, value in enumerate(data):
            rows.output(path + json_pointer(position), position, "data", value)
    elif data is not None and data != {}:
        rows.output(path, 0, "data", data)


def _usage(rows: Rows, inner: Fields, known: Watched) -> None:
    """Add the tokens of the execution; Discuro does not name the model."""
    usage = inner.take("usage", as_object)
    if not usage:
        return
    fields = rows.fields(usage, inner.where("usage"))
    vendor, model = assumed_model(known)
    rows.add(
        TokenUsage,
        usage_key=rows.key_of(fields.at),
        operation="invoke_workflow",
        purpose="unknown",
        source="result",
        model_provider=vendor,
        model=model,
        model_basis="assumed" if model else "missing",
        input_tokens=_tokens(rows, fields, "prompt_tokens"),
        output_tokens=_tokens(rows, fields, "completion_tokens"),
        total_tokens=_tokens(rows, fields, "total_tokens"),
        is_counted=True,
    )
    rows.keep_rest(fields)


def assumed_model(known: Watched) -> tuple[str | None, str | None]:
    """Return vendor and model of ``openai/gpt-4o``; the vendor may be left out."""
    assumed = known.context.get("assumed_model")
    if not isinstance(assumed, str) or not assumed:
        return None, None
    vendor, slash, model = assumed.partition("/")
    return (vendor or None, model or None) if slash else (None, assumed)


def _tokens(rows: Rows, fields: Fields, name: str) -> int | None:
    """Return a number of tokens; where it came as ``"12"`` or 12.0, that is kept."""
    tokens, said = fields.take(name, integer), fields.raw(name)
    if tokens is not None and not isinstance(said, int):
        rows.metadata(fields.where(name), said)
    return tokens


def _tags(rows: Rows, known: Watched) -> None:
    for position, (tag, value) in enumerate(known.tags):
        key = rows.key_of(json_pointer("params", "tags", position))
        rows.add(ExecutionTag, tag_key=key, tag=tag, tag_value=value)


def request_error_rows(
    response: Response, seen: Observation, body: object
) -> list[Record]:
    """Return the error of a request that concerns no single execution."""
    rows = Rows(response, seen.key)
    words: dict[str, str | None] = {"message": first_words(response)}
    if isinstance(body, dict) and body.get("error"):
        words = error_words(body)
    rows.add(
        ErrorRecord,
        error_key=rows.key_of(seen.pointer),
        level="request",
        http_status=response.http_status,
        **{"error_type": seen.name or None, **words},
        provider_message=None if body is None else encode(body),
    )
    return rows.finish()


def workflow_of(known: Watched) -> dict[str, str] | None:
    """Return id and kind of the workflow that was started, where that is known."""
    said = known.context.get("workflow")
    if not isinstance(said, dict):
        return None
    name, kind = said.get("id"), said.get("kind")
    if not (name and kind and isinstance(name, str) and isinstance(kind, str)):
        return None
    return {"id": name, "kind": kind}


def workflow_rows(response: Response, winner: Winner, known: Watched) -> list[Record]:
    """Return the row of what was started: an orchestrator or a prompt template."""
    workflow = workflow_of(known)
    if workflow is None:
        return []
    row = Workflow(
        provider=response.provider,
        connection=response.connection,
        response_id=response.response_id,
        workflow_key=winner.observation.key,
        workflow_id=workflow["id"],
        kind=workflow["kind"],
        definition=encode(workflow),
        first_seen_at=winner.first_seen_at,
        observed_at=response.received_at,
    )
    return [row]
