"""Discuro's steps and errors: properties, layers below them, and what went wrong."""

from typing import NamedTuple

from sources.json_text import NotJsonError, decode, encode
from sources.json_text import pointer as json_pointer
from sources.records import ErrorRecord, ExecutionStep, Status
from sources.rows import Rows
from sources.values import Fields, as_object, boolean, text, text_or_none, timestamp

__all__ = ["STATUS_OF_STEP", "add_error", "add_steps", "error_words"]

STATUS_OF_STEP: dict[bool, Status] = {True: "succeeded", False: "failed"}


class _Place(NamedTuple):
    """A step that was found and not read yet."""

    kind: str
    parent: str | None
    path: str
    position: int
    step_id: str
    value: object


def add_steps(rows: Rows, inner: Fields) -> None:
    """Add properties and the layers below them, to any depth, parents first."""
    waiting = _places(inner, "results", "property", None)[::-1]
    while waiting:
        waiting.extend(_step(rows, waiting.pop())[::-1])


def _places(fields: Fields, name: str, kind: str, parent: str | None) -> list[_Place]:
    """Return the steps of a map from a step's id to its results."""
    steps = fields.take(name, as_object)
    if not steps:
        return []
    above = fields.where(name)
    return [
        _Place(kind, parent, above + json_pointer(step_id), position, step_id, value)
        for position, (step_id, value) in enumerate(steps.items())
    ]


def _step(rows: Rows, place: _Place) -> list[_Place]:
    """Add one step and its error, and return the layers below it."""
    value = place.value
    if value is not None and not isinstance(value, dict):
        rows.misfit(place.path, "not_a_step", value)
    fields = rows.fields(value if isinstance(value, dict) else {}, place.path)
    named = rows.fields(
        fields.take("property", as_object) or {}, fields.where("property")
    )
    passed = fields.take("passed", boolean)
    start, end = fields.take("start", timestamp), fields.take("end", timestamp)
    key = rows.key_of(place.path)
    rows.add(
        ExecutionStep,
        step_key=key,
        parent_step_key=place.parent,
        kind=place.kind,
        position=place.position,
        step_id=place.step_id,
        name=named.take("name", text),
        status=None if passed is None else STATUS_OF_STEP[passed],
        is_passed=passed,
        started_at=start,
        ended_at=end,
        elapsed_s=(end - start).total_seconds() if start and end else None,
    )
    add_error(rows, fields, fields.raw("error"), step_key=key)
    below = _places(fields, "layer_results", "layer", key)
    rows.keep_rest(named)
    rows.keep_rest(fields)
    return below


def add_error(
    rows: Rows, fields: Fields, value: object, step_key: str | None = None
) -> None:
    """Add an error of the execution or of a step, if there is one.

    OpenAI's errors come as a JSON document inside a text: the document is read,
    and the text kept beside it.
    """
    if value is None:
        return
    path = fields.where("error")
    if value in ("", [], {}, False):
        rows.metadata(path, value)  # says that there is none
        return
    document = _document(value)
    if document is not value:
        rows.metadata(path, value)
    rows.add(
        ErrorRecord,
        error_key=rows.key_of(path),
        step_key=step_key,
        level="execution" if step_key is None else "step",
        **error_words(value),
        provider_message=encode(document),
    )


def _document(value: object) -> object:
    """Return the JSON object or list inside a text; anything else as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("{", "[")):
        return value
    try:
        return decode(value.encode()).value
    except NotJsonError:
        return value


def error_words(value: object) -> dict[str, str | None]:
    """Return what an error says, by the columns of ``errors``.

    It is ``{message, type, param, code}``, or that below ``error``, or a text.
    """
    said, inner = value, _document(value)
    while isinstance(inner, dict) and inner.get("error"):
        said = inner["error"]
        inner = _document(said)
    if not isinstance(inner, dict):
        return {"message": said if isinstance(said, str) else encode(said)}
    message = inner.get("message")
    return {
        "message": message if isinstance(message, str) else encode(inner),
        "error_type": text_or_none(inner.get("type")),
        "error_param": text_or_none(inner.get("param")),
        "error_code": text_or_none(inner.get("code")),
    }
