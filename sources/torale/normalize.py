"""Torale's responses as records: pure, and never raising on odd data.

Sources of the rules: Torale's page on its executions API, and what its servers
were seen to answer (both dialects, all shapes that ``result`` had over time).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from msgspec import structs

from sources.json_text import (
    Decoded,
    canonical_sha256,
    decode,
    pointer,
    resolve,
)
from sources.observations import Observation, Sight, Winner, decoded_body
from sources.records import Record, Response, Status, execution_key, workflow_key
from sources.rows import (
    failed_request,
    listed,
    loose_reject_row,
    rejected_body,
    request_key_of,
    with_faults,
)
from sources.torale.mapping import (
    execution_rows,
    request_error_rows,
    workflow_rows,
)
from sources.values import MisfitError, text_or_none, timestamp

__all__ = [
    "FILLS",
    "TERMINAL",
    "VERSION",
    "has_no_details",
    "neutral_status",
    "observe",
    "records",
    "start_of",
    "status_of",
]

VERSION = 1
"""Rises whenever the same response would give other rows."""

FILLS = frozenset(
    {
        "executions",
        "execution_steps",
        "outputs",
        "grounding_sources",
        "errors",
        "execution_metadata",
        "workflows",
        "raw_responses",
        "status_history",
        "load_rejects",
    }
)
"""The tables that its responses go into."""

_STATUS: dict[str, Status] = {
    "pending": "queued",
    "running": "running",
    "retrying": "running",
    "success": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
_NOT_FOUND = 404
_NO_ROUTE: dict[str, object] = {"detail": "Not Found"}
_FAILED = frozenset({"http_error", "transport_error", "truncated"})
TERMINAL = frozenset({"succeeded", "failed", "cancelled"})
"""Neutral statuses after which nothing more comes."""


def observe(response: Response) -> Sight:
    """Return the executions and tasks that a response shows, by keys and hashes."""
    params = _params(response)
    scope = str(params.get("task_id") or "")
    decoded = decoded_body(response)
    if response.outcome in _FAILED:
        if decoded and decoded.value == _NO_ROUTE and has_no_details(response):
            return Sight(outcome=response.outcome, answered=_NO_ROUTE)  # no error
        return failed_request(response, scope)
    if decoded is None:
        return rejected_body(response, "not_json", scope)
    read = _READERS.get(response.endpoint)
    sight = read(response, params, decoded.value) if read else None
    if sight is None:
        return rejected_body(response, "unexpected_shape", scope)
    return with_faults(response, sight, decoded, scope)


def has_no_details(response: Response) -> bool:
    """Tell whether the server has no endpoint for single executions.

    Live servers answer any unknown route with ``{"detail": "Not Found"}``; a
    missing execution is documented as ``{"detail": "Execution not found"}``.
    """
    if response.endpoint != "execution" or response.http_status != _NOT_FOUND:
        return False
    decoded = decoded_body(response)
    return decoded is None or decoded.value == _NO_ROUTE


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
        return request_error_rows(response, seen, decoded.value)
    if seen.kind == "reject":
        scope = str(_params(response).get("task_id") or "")
        return [loose_reject_row(response, seen, scope)]
    value = resolve(decoded.value, seen.pointer)
    if not isinstance(value, dict):
        return []  # observe() gives only objects
    if seen.kind == "workflow":
        return workflow_rows(response, winner, value)
    return execution_rows(response, winner, value, decoded.faults)


def _params(response: Response) -> dict[str, object]:
    params = decode(response.params.encode()).value
    return params if isinstance(params, dict) else {}


def _read_list(
    response: Response, params: dict[str, object], value: object
) -> Sight | None:
    """Read a list of executions: an object with a total, or a bare array."""
    if isinstance(value, list):
        seen = _items(response, params, value, "")
        return Sight(outcome="ok", observations=list(seen), listing="window")
    if not isinstance(value, dict) or not isinstance(value.get("executions"), list):
        return None
    seen = _items(response, params, value["executions"], pointer("executions"))
    answered = {name: v for name, v in value.items() if name != "executions"}
    return Sight(
        outcome="ok", observations=list(seen), answered=answered, listing="paged"
    )


def _items(
    response: Response, params: dict[str, object], values: Sequence[object], at: str
) -> Iterator[Observation]:
    def see(value: object, path: str, hashed: str) -> Observation | str:
        return _execution(response, params, value, path, hashed)

    request = request_key_of(response, str(params.get("task_id") or ""))
    return listed(request, values, at, see)


def _execution(
    response: Response, params: dict[str, object], value: object, at: str, hashed: str
) -> Observation | str:
    """Return the observation of one execution, or why it cannot be one."""
    if not isinstance(value, dict):
        return "not_an_object"
    execution_id = text_or_none(value.get("id"))
    if not execution_id:
        return "missing_id"
    scope = text_or_none(value.get("task_id")) or str(params.get("task_id") or "")
    status, word, is_terminal = status_of(value)
    return Observation(
        kind="item",
        key=execution_key(response.provider, response.connection, scope, execution_id),
        pointer=at,
        sha256=hashed,
        status=status,
        provider_status=word,
        is_terminal=is_terminal,
        at=start_of(value.get("started_at")),
        scope=scope,
        name=execution_id,
    )


def _read_one(
    response: Response, params: dict[str, object], value: object
) -> Sight | None:
    """Read the answer about a single execution."""
    # hashed apart from the list item, so that an equal one counts as a detail
    seen = _execution(response, params, value, "", canonical_sha256(["detail", value]))
    if isinstance(seen, str):
        return None
    of = params.get("list_sha256")
    of = of if isinstance(of, str) else None
    seen = structs.replace(seen, kind="detail", pointer="", list_sha256=of)
    return Sight(outcome="ok", observations=[seen])


def _read_tasks(
    response: Response, params: dict[str, object], value: object
) -> Sight | None:
    """Read the list of tasks."""
    del params
    if not isinstance(value, list):
        return None

    def see(task: object, path: str, hashed: str) -> Observation | str:
        return _task(response, task, path, hashed)

    seen = listed(request_key_of(response), value, "", see)
    return Sight(outcome="ok", observations=list(seen))


def _task(response: Response, value: object, at: str, hashed: str) -> Observation | str:
    """Return the observation of one task, or why it cannot be one."""
    if not isinstance(value, dict):
        return "not_an_object"
    task_id = text_or_none(value.get("id"))
    if not task_id:
        return "missing_id"
    key = workflow_key(response.provider, response.connection, task_id)
    return Observation(
        kind="workflow", key=key, pointer=at, sha256=hashed, name=task_id
    )


_Reader = Callable[[Response, dict[str, object], object], Sight | None]
_READERS: dict[str, _Reader] = {
    "tasks": _read_tasks,
    "executions": _read_list,
    "execution": _read_one,
}


def status_of(item: dict[str, object]) -> tuple[Status, str | None, bool]:
    """Return neutral status, the provider's word, and whether it is final."""
    word = text_or_none(item.get("status"))
    status = neutral_status(word, item.get("result"))
    return status, word, status in TERMINAL


def neutral_status(word: str | None, result: object) -> Status:
    """Return the neutral status of a row with this word and this result.

    A row that says ``success`` while its result says ``success: false`` failed:
    errors were stored that way for a time.
    """
    status: Status = _STATUS.get(word or "", "unknown")
    is_success = status == "succeeded"
    if is_success and isinstance(result, dict) and result.get("success") is False:
        return "failed"
    return status


def start_of(value: object) -> datetime | None:
    """Return a time, or ``None`` where it is none."""
    try:
        return None if value is None else timestamp(value)
    except MisfitError:
        return None
