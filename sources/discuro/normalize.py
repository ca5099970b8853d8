"""Discuro's responses as records: pure, and never raising on odd data.

Sources of the rules: Discuro's page on retrieving an execution, and what is known
of its calls that start one. A response is judged by what it is, and by what was
known of the execution when it was asked for (``sources.watched``).
"""

from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus

import msgspec
from msgspec import structs

from sources.discuro.mapping import (
    execution_rows,
    request_error_rows,
    workflow_of,
    workflow_rows,
)
from sources.json_text import Decoded, canonical_sha256
from sources.observations import Observation, Sight, Winner, decoded_body
from sources.records import (
    Record,
    Response,
    ResultState,
    Status,
    execution_key,
    workflow_key,
)
from sources.rows import (
    failed_request,
    loose_reject_row,
    rejected_body,
)
from sources.values import text_or_none
from sources.watched import Watched, watched

__all__ = [
    "FILLS",
    "VERSION",
    "Standing",
    "by_word",
    "detail",
    "observe",
    "records",
    "workflows_in",
]

VERSION = 1
"""Rises whenever the same response would give other rows."""

FILLS = frozenset(
    {
        "executions",
        "execution_steps",
        "outputs",
        "token_usage",
        "errors",
        "execution_tags",
        "execution_metadata",
        "workflows",
        "raw_responses",
        "status_history",
        "load_rejects",
    }
)
"""The tables that its responses go into."""

_FAILED = frozenset({"http_error", "transport_error", "truncated"})
_ENDPOINTS = frozenset({"execution", "submit"})
_SHOWS_EXECUTION = frozenset({"id", "status", "passed", "transformation"})
"""An object with none of these is no answer about an execution."""

_NOT_FOUND = "execution_log not found"
_NOT_FOUND_CODES = frozenset(
    {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND}
)
_SYNCED = timedelta(minutes=5)
"""Until then an execution may be unknown: Discuro says that it syncs within 60 s."""


class Standing(msgspec.Struct, frozen=True):
    """How an execution stands, by one answer."""

    status: Status
    result_state: ResultState
    word: str | None = None
    is_terminal: bool = False


_QUEUED = Standing("queued", "pending")
_EXPIRED = Standing("expired", "expired", is_terminal=True)
_MISSING = Standing("unknown", "missing")


def observe(response: Response) -> Sight:
    """Return the execution that a response is about, and its workflow, by hashes."""
    known, decoded = watched(response), decoded_body(response)
    body = decoded.value if decoded else response.body_sha256
    execution_id = _execution_id(response, known, decoded)
    said = _standing(response, known, decoded) if execution_id else None
    standing = _given_up(response, known, said) if execution_id else None
    if standing is None:
        return _unread(response, decoded, execution_id)
    outcome, rejects = response.outcome, []
    if said is None:  # given up: what could not be read is still a reject
        unread = _unread(response, decoded, execution_id)
        outcome = unread.outcome
        rejects = [seen for seen in unread.observations if seen.kind == "reject"]
    elif outcome == "ok" and not standing.is_terminal:
        outcome = "pending"
    seen = detail(response, known, execution_id, standing, body)
    observations = [seen, *workflows_in(response, known), *rejects]
    return Sight(outcome=outcome, observations=observations, decoded=decoded)


def records(
    response: Response, winners: Sequence[Winner], decoded: Decoded
) -> list[Record]:
    """Return the rows of the winning subjects of one response."""
    known = watched(response)
    rows: list[Record] = []
    for winner in winners:
        rows += _rows(response, winner, known, decoded)
    return rows


def _rows(
    response: Response, winner: Winner, known: Watched, decoded: Decoded
) -> list[Record]:
    seen = winner.observation
    if seen.kind == "request":
        return request_error_rows(response, seen, decoded.value)
    if seen.kind == "reject":
        return [loose_reject_row(response, seen)]
    if seen.kind == "workflow":
        return workflow_rows(response, winner, known)
    return execution_rows(response, winner, known, decoded)


def _execution_id(
    response: Response, known: Watched, decoded: Decoded | None
) -> str | None:
    """Return the id that was asked for; only a start has it in its answer alone."""
    if response.endpoint not in _ENDPOINTS:
        return None
    if known.execution_id:
        return known.execution_id
    value = decoded.value if decoded else None
    return text_or_none(value.get("id")) if isinstance(value, dict) else None


def _standing(
    response: Response, known: Watched, decoded: Decoded | None
) -> Standing | None:
    """Return how the execution stands, or ``None`` where the answer says nothing."""
    value = decoded.value if decoded else None
    if not isinstance(value, dict):
        return None
    if response.endpoint == "execution" and _is_not_found(response, value):
        return _not_found(response, known)
    if response.outcome in _FAILED or _SHOWS_EXECUTION.isdisjoint(value):
        return None
    if response.endpoint == "submit" and "status" not in value:
        return _QUEUED
    return by_word(value)


def by_word(value: dict[str, object]) -> Standing:
    """Return how an execution stands by its ``status`` and, at its end, ``passed``."""
    word, passed = text_or_none(value.get("status")), value.get("passed")
    if word == "started":
        return Standing("running", "pending", word)
    if word != "ended":
        return Standing("unknown", "pending", word)
    status: Status = "unknown"
    if isinstance(passed, bool):
        status = "succeeded" if passed else "failed"
    return Standing(status, "captured", word, is_terminal=True)


def _is_not_found(response: Response, value: dict[str, object]) -> bool:
    error = value.get("error")
    return (
        response.http_status in _NOT_FOUND_CODES
        and "status" not in value
        and isinstance(error, str)
        and _NOT_FOUND in error.lower()
    )


def _not_found(response: Response, known: Watched) -> Standing:
    """Return what "not found" means: not synced yet, deleted, or nobody knows."""
    if response.received_at - _SYNCED < known.begun_at:
        return _QUEUED
    if known.expires_at is not None and response.received_at >= known.expires_at:
        return _EXPIRED
    return _MISSING


def _given_up(
    response: Response, known: Watched, said: Standing | None
) -> Standing | None:
    """Return the standing, or that nobody waits any longer for the result."""
    if response.endpoint != "execution" or not known.is_given_up(response.received_at):
        return said
    if said is not None and said.is_terminal:
        return said
    return structs.replace(_MISSING, word=said.word if said else None, is_terminal=True)


def _unread(
    response: Response, decoded: Decoded | None, execution_id: str | None
) -> Sight:
    """Return the sight of an answer that says nothing of an execution."""
    if response.outcome in _FAILED:
        return failed_request(response)
    if decoded is None:
        return rejected_body(response, "not_json")
    has_place_for_id = response.endpoint in _ENDPOINTS and isinstance(
        decoded.value, dict
    )
    is_nameless = has_place_for_id and not execution_id
    return rejected_body(response, "missing_id" if is_nameless else "unexpected_shape")


def detail(
    response: Response,
    known: Watched,
    execution_id: str | None,
    standing: Standing,
    body: object,
) -> Observation:
    """Return the observation of one execution, from the body of an answer."""
    name = execution_id or ""
    # all that rows are made of; not the times at which the answer came and expires
    says: list[object] = ["detail", standing, body, known.context, known.tags]
    return Observation(
        kind="detail",
        key=execution_key(response.provider, response.connection, "", name),
        pointer="",
        sha256=canonical_sha256([*says, known.started_at]),
        status=standing.status,
        provider_status=standing.word,
        result_state=standing.result_state,
        is_terminal=standing.is_terminal,
        name=name,
    )


def workflows_in(response: Response, known: Watched) -> list[Observation]:
    """Return the observation of what was started, where that is known."""
    workflow = workflow_of(known)
    if workflow is None:
        return []
    name = workflow["id"]
    key = workflow_key(response.provider, response.connection, name)
    hashed = canonical_sha256(workflow)
    return [Observation(kind="workflow", key=key, pointer="", sha256=hashed, name=name)]
