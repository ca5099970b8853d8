"""Unstract's responses as records: pure, and never raising on odd data.

Sources of the rules: Unstract's pages on its execution API and its status API, and
what its servers were seen to answer; both dialects of either.
"""

from collections.abc import Callable, Sequence

from sources.json_text import Decoded, canonical_sha256, resolve
from sources.observations import Observation, Sight, Winner, decoded_body
from sources.records import Record, Response, workflow_key
from sources.rows import (
    failed_request,
    loose_reject_row,
    rejected_body,
    with_faults,
)
from sources.unstract.answers import answer_in
from sources.unstract.deployments import definition, deployment_rows, scope_rows
from sources.unstract.mapping import execution_rows, item_rows, usage_rows
from sources.unstract.platform import (
    PAGE,
    read_deployments,
    read_executions,
    read_usage,
    scope_of,
)
from sources.unstract.refusals import page_rows, request_error_rows
from sources.unstract.verdicts import detail, verdict_of
from sources.watched import Watched, watched

__all__ = ["FILLS", "VERSION", "deployments_in", "observe", "records"]

VERSION = 1
"""Rises whenever the same response would give other rows."""

FILLS = frozenset(
    {
        "executions",
        "execution_files",
        "execution_steps",
        "outputs",
        "token_usage",
        "citations",
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

_ABOUT_ONE = frozenset({"execution", "submit"})
_FAILED = frozenset({"http_error", "transport_error", "truncated"})
_READERS: dict[str, Callable[[Response, object], Sight | None]] = {
    "executions": read_executions,
    "usage": read_usage,
    "deployments": read_deployments,
}


def observe(response: Response) -> Sight:
    """Return what a response shows, by keys and hashes."""
    decoded, scope = decoded_body(response), scope_of(response)
    if response.endpoint in _ABOUT_ONE:
        sight = _read_one(response, decoded)
    elif response.outcome in _FAILED:
        return failed_request(response, scope)
    else:
        read = _READERS.get(response.endpoint)
        sight = read(response, decoded.value) if read and decoded else None
    if sight is None:
        reason = "not_json" if decoded is None else "unexpected_shape"
        return rejected_body(response, reason, scope)
    return with_faults(response, sight, decoded, scope) if decoded else sight


def _read_one(response: Response, decoded: Decoded | None) -> Sight | None:
    """Read an answer about one execution, whatever its HTTP code."""
    known, body = watched(response), decoded.value if decoded else None
    verdict = verdict_of(response, known, body)
    if verdict is None:
        is_failed = response.outcome in _FAILED
        return failed_request(response, known.scope) if is_failed else None
    execution_id = _id_of(response, known, body)
    if not execution_id:
        is_failed = response.outcome in _FAILED
        sight = rejected_body(response, "missing_id", known.scope)
        return failed_request(response, known.scope) if is_failed else sight
    if decoded is None:  # given up: no body will come any more
        body = response.body_sha256 or response.error
    seen = [detail(response, known, execution_id, verdict, body)]
    seen += deployments_in(response, known)
    return Sight(outcome="ok" if verdict.is_terminal else "pending", observations=seen)


def _id_of(response: Response, known: Watched, body: object) -> str:
    """Return the id that was asked for; the answer to a POST says its own."""
    answer = answer_in(response, body)
    said = (answer.execution_id if answer else None) or ""
    asked = known.execution_id
    return said or asked if response.endpoint == "submit" else asked or said


def deployments_in(response: Response, known: Watched) -> list[Observation]:
    """Return the observation of a deployment that is known by its name only."""
    if not known.scope or known.context.get("deployment_is_listed") is True:
        return []
    seen = Observation(
        kind="workflow",
        key=workflow_key(response.provider, response.connection, known.scope),
        pointer="",
        sha256=canonical_sha256(definition(known)),
        name=known.scope,
    )
    return [seen]


def records(
    response: Response, winners: Sequence[Winner], decoded: Decoded
) -> list[Record]:
    """Return the rows of the winning subjects of one response."""
    rows: list[Record] = []
    for winner in winners:
        rows += _rows(response, winner, decoded)
    return rows


def _rows(response: Response, winner: Winner, decoded: Decoded) -> list[Record]:
    seen = winner.observation
    if seen.kind == "request":
        read = page_rows if seen.name == PAGE else request_error_rows
        return read(response, seen, decoded.value)
    if seen.kind == "reject":
        return [loose_reject_row(response, seen, scope_of(response))]
    if response.endpoint not in _ABOUT_ONE:
        return _listed_rows(response, winner, decoded)
    if seen.kind == "workflow":
        return scope_rows(response, winner, watched(response))
    return execution_rows(response, winner, decoded)


def _listed_rows(response: Response, winner: Winner, decoded: Decoded) -> list[Record]:
    seen = winner.observation
    value = resolve(decoded.value, seen.pointer)
    if not isinstance(value, dict):
        return []  # observe() gives only objects
    if seen.kind == "workflow":
        return deployment_rows(response, winner, value)
    if seen.kind == "item":
        return item_rows(response, winner, value, decoded.faults)
    return usage_rows(response, winner, value, decoded.faults)
