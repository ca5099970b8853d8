"""When a request is sent once more, and how long it waits for that."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final, Literal, cast

from msgspec.structs import replace
from tenacity import (
    AsyncRetrying,
    Future,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    wait_random_exponential,
)

from sources.exchange import Limits, Reply

__all__ = ["Retry", "retried", "retry_after_s"]

_log = logging.getLogger(__name__)

Retry = Literal["any", "unaccepted", "none"]
"""After which answers a request is sent once more."""

_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


async def retried(
    ask: Callable[[], Awaitable[Reply]],
    limits: Limits,
    sleep: Callable[[float], Awaitable[None]],
    retry: Retry,
    attempts: int | None,
) -> Reply:
    """Return what asking up to ``attempts`` times (default: of the limits) came to."""
    reply = await ask()
    if not _RETRY[retry](reply):  # tenacity takes a tenth of what a request takes
        return reply
    first = [reply]

    async def once() -> Reply:
        return first.pop() if first else await ask()

    again = _retrying(limits, sleep, retry, attempts)
    reply = await again(once)
    return replace(
        reply,
        attempts=again.statistics["attempt_number"],
        waited_s=float(again.statistics["idle_for"]),
    )


def _retrying(
    limits: Limits,
    sleep: Callable[[float], Awaitable[None]],
    retry: Retry,
    attempts: int | None,
) -> AsyncRetrying:
    return AsyncRetrying(
        sleep=sleep,
        stop=stop_after_attempt(1 if retry == "none" else attempts or limits.attempts),
        wait=lambda state: _wait_s(limits, _last_reply(state), state),
        retry=retry_if_result(_RETRY[retry]),
        before_sleep=_log_retry,
        retry_error_callback=_last_reply,
    )


def _wait_s(limits: Limits, reply: Reply, state: RetryCallState) -> float:
    """Return the seconds to the next try: as told, else jittered back-off."""
    floor, ceiling = limits.wait_floor_s, limits.wait_ceiling_s
    told = retry_after_s(reply.headers)
    if told is not None:
        return min(max(told, floor), ceiling)
    return wait_random_exponential(2 * floor, ceiling, min=floor)(state)


def _log_retry(state: RetryCallState) -> None:
    reply = _last_reply(state)
    _log.info(
        "%s %s: %s; try %d follows in %.1f s",
        reply.method,
        reply.url,
        reply.error or reply.http_status,
        state.attempt_number + 1,
        state.upcoming_sleep,
    )


def _last_reply(state: RetryCallState) -> Reply:
    reply: Reply = cast("Future", state.outcome).result()
    return reply


def _may_pass(reply: Reply) -> bool:
    """Return whether the same request may fare better next time."""
    if reply.too_large or reply.is_distrusted:
        return False
    is_cut = reply.outcome in {"transport_error", "truncated"}
    return is_cut or reply.http_status in _RETRIED


def _is_unaccepted(reply: Reply) -> bool:
    """Return whether the server did nothing with the request, and may next time."""
    too_many = reply.http_status == HTTPStatus.TOO_MANY_REQUESTS
    return too_many or not (reply.was_sent or reply.is_distrusted)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for (RFC 9110, 10.2.3).

    A date is taken relative to the answer's own ``Date``: clocks differ.
    """
    told = headers.get("retry-after", "")
    if told.isascii() and told.isdigit():
        return float(told)
    until = _http_date(told)
    if until is None:
        return None
    now = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return (until - now).total_seconds()


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_RETRY: Final[dict[Retry, Callable[[Reply], bool]]] = {
    "any": _may_pass,
    "unaccepted": _is_unaccepted,
    "none": lambda _reply: False,
}
