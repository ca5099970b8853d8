"""How the executions of one account are asked for, and what follows from that.

A provider says it of each of its accounts; ``sources.polled`` goes by it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from sources.exchange import Reply
from sources.observations import Observation, Sight
from sources.polling import Pace
from sources.records import Response, execution_key
from sources.retries import retry_after_s
from sources.watched import Watched

__all__ = ["ENDPOINT", "Line"]

ENDPOINT = "execution"
"""What the journal calls the answers about single executions."""

_RARELY_S = 900.0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """How the executions of one account are asked for.

    ``ask`` gets the execution. Where reading a result consumes it, there is
    ``recovered``, which gives what a process that died had of an answer, and ``ask``
    gets the file for the body while it arrives; else ``None``. ``room_bytes`` is what
    the disk must have left then: the largest answer. ``ttl`` is how long a
    result is kept: from the start, or, with ``keeps_from_end``, from the end.
    ``context`` is noted with each answer, beside what the watch-list knows of the
    execution.
    """

    provider: str
    title: str
    connection: str
    ask: Callable[[Watched, Path | None], Awaitable[Reply]]
    recovered: Callable[[Watched, Path], Reply] | None = None
    observe: Callable[[Response], Sight]
    pace: Pace
    in_flight: int
    room_bytes: int = 0
    ttl: timedelta
    keeps_from_end: bool = False
    context: dict[str, Any] = {}

    def key(self, watched: Watched) -> str:
        """Return the key of an execution in the store."""
        of = (self.provider, self.connection, watched.scope, watched.execution_id)
        return execution_key(*of)

    def about(self, watched: Watched) -> dict[str, Any]:
        """Return what the journal notes of an answer about an execution."""
        return {
            "provider": self.provider,
            "connection": self.connection,
            "endpoint": ENDPOINT,
            "params": watched.as_params(),
        }

    def seen_in(self, response: Response, watched: Watched) -> Observation | None:
        """Return what an answer shows of the execution that was asked for."""
        key = self.key(watched)
        seen = self.observe(response).observations
        return next((one for one in seen if one.key == key), None)

    def expires_at(self, seen: Observation | None, at: datetime) -> datetime | None:
        """Return the earliest time at which the result can be gone, if it has moved.

        ``seen`` is what an answer that came at ``at`` shows.
        """
        is_going_on = seen is not None and seen.status in {"queued", "running"}
        return at + self.ttl if self.keeps_from_end and is_going_on else None

    def wait(
        self,
        polls: int,
        seen: Observation | None,
        reply: Reply | None,
        *,
        fails_again: bool,
    ) -> timedelta:
        """Return the time to the next poll; longer where there may be nothing.

        ``polls`` is how many there were before this one; ``fails_again`` tells whether
        nothing was seen, and not for the first time in a row.
        """
        pace = self.pace
        if fails_again or (seen is not None and seen.result_state == "missing"):
            pace = replace(pace, ceiling_s=_RARELY_S)
        told_s = retry_after_s(reply.headers) if reply else None
        told = timedelta(seconds=min(told_s or 0.0, _RARELY_S))
        return max(pace.wait(polls), told)
