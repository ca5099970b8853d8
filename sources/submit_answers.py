"""What the answer to a submit says: what it started, a refusal, or nothing sure."""

from typing import NamedTuple

import msgspec

from sources import part
from sources.exchange import Reply
from sources.failures import failure
from sources.observations import decoded_body
from sources.records import Response
from sources.submits import State

__all__ = ["Verdict", "verdict_of"]

_TIMED_OUT = 408
_CLIENT_ERRORS = frozenset(range(400, 500)) - {_TIMED_OUT}
"""Answers of a server that has looked at the request, and started nothing."""


class Verdict(NamedTuple):
    """The state of the submit, and what it started, where that is sure."""

    state: State
    execution_id: str | None = None
    is_final: bool = False
    error: str | None = None


def verdict_of(response: Response, reply: Reply | None) -> Verdict:
    """Return what an answer says; an id is one, whatever the HTTP code is."""
    seen = part(response.provider, "normalize").observe(response).observations
    for one in seen:
        if one.kind == "detail":
            return Verdict("accepted", one.name, one.is_terminal)
    decoded = decoded_body(response) if response.outcome == "ok" else None
    if decoded is not None:
        started = part(response.provider, "tracking").started_in(decoded.value)
        if started is not None:
            return Verdict("accepted", started[0])
    is_unsent = reply is not None and not reply.was_sent
    is_refusal = response.outcome == "http_error" and (
        response.http_status in _CLIENT_ERRORS
    )
    if decoded is not None or is_unsent or is_refusal:
        return Verdict("refused", error=_refusal(response, reply))
    return Verdict("unknown", error=_doubt(response))


def _refusal(response: Response, reply: Reply | None) -> str:
    """Return the provider's words, with the next step where one is known."""
    title = response.provider.capitalize()
    error = failure(reply or _reply(response), title)
    if error is not None:
        return str(error)
    start = (response.body or b"")[:200].decode(errors="replace")
    return f"{title}: the answer has no execution id: {start}"


def _reply(response: Response) -> Reply:
    """Return a kept answer as it was when it came."""
    return Reply(
        method=response.method,
        url=response.url,
        http_status=response.http_status,
        headers=msgspec.json.decode(response.headers, type=dict[str, str]),
        elapsed_ms=response.elapsed_ms,
        attempts=response.attempts,
        outcome=response.outcome,
        body=response.body,
        error=response.error,
    )


def _doubt(response: Response) -> str:
    """Return in words why nobody knows what an answer, or none, means."""
    if response.outcome in {"transport_error", "truncated"}:
        return f"no whole answer came ({response.error or 'it is too large'})"
    if response.outcome == "ok":
        return "the answer cannot be read: it is no JSON"
    return f"the server answered {response.http_status}"
