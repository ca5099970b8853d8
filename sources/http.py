"""HTTP as every provider client needs it: one request in, one ``Reply`` out.

Retries, ``Retry-After``, limits on rate, requests in flight and size of body,
redirects and the masking of keys are settled here. Nothing here knows a provider,
a table or the journal. What the network or the server does is never raised: it
is said by the ``Reply``, which ``sources.failures`` turns into an error.
"""

import asyncio
import hashlib
import logging
import re
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Self, cast

import httpx
import msgspec
from aiolimiter import AsyncLimiter
from msgspec.structs import replace
from tenacity import (
    AsyncRetrying,
    Future,
    RetryCallState,
    retry_if_result,
    stop_after_attempt,
    wait_random_exponential,
)

from sources.addresses import auth_value, checked_base, is_loopback, origin
from sources.bodies import Body, read_body, words_of
from sources.errors import ConfigurationError
from sources.masking import KeyFilter, mask_secrets, masked_body, spelled
from sources.records import Outcome

__all__ = ["Http", "Limits", "Reply"]

_log = logging.getLogger(__name__)

_MAX_REDIRECTS: Final = 5
_RETRIED: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_KEPT_HEADERS: Final = frozenset(
    {
        "content-length",
        "content-type",
        "date",
        "etag",
        "last-modified",
        "location",
        "retry-after",
        "server",
        "x-request-id",
    }
)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is asked of a host, and how long is waited for it."""

    max_body_bytes: int = 64 * 1024 * 1024
    """Bytes of one body after content-decoding; reading stops there."""
    requests_per_second: float = 20
    """Requests started per second and origin, evenly spaced; may be below 1."""
    in_flight: int = 8
    """Requests under way at once per origin."""
    connect_timeout_s: float = 10.0
    """Seconds for a connection, TLS included."""
    read_timeout_s: float = 120.0
    """Seconds without a byte, either way; not of the whole answer."""
    attempts: int = 5
    """Tries of one request, the first included."""
    wait_floor_s: float = 0.5
    """Least seconds between two tries, whatever ``Retry-After`` says."""
    wait_ceiling_s: float = 60.0
    """Most seconds between two tries, whatever ``Retry-After`` says."""


_DEFAULT_LIMITS: Final = Limits()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What one request came to, whatever it came to."""

    method: str
    """HTTP method, upper case."""
    url: str
    """The address that was asked last (redirects are followed), masked."""
    http_status: int | None = None
    """HTTP status; none where no answer came."""
    headers: dict[str, str] = {}
    """Headers of the answer that may be kept, names in lower case, masked."""
    elapsed_ms: int
    """From the start of the last try to its end, milliseconds."""
    attempts: int = 1
    """Tries that were made."""
    waited_s: float = 0.0
    """Seconds waited between the tries, in all."""
    outcome: Outcome
    """ok for 2xx, http_error for another status, transport_error, or truncated."""
    body: bytes | None = None
    """The decoded body, masked; what came of it where cut; none where none came."""
    body_sha256: str | None = None
    """Hash (hex) of the decoded body before masking."""
    size_bytes: int = 0
    """Length of the decoded body before masking, as far as it was read."""
    error: str | None = None
    """What went wrong in transport, in words, masked."""
    too_large: bool = False
    """Whether the body is beyond ``max_body_bytes``."""
    redirect_refused: bool = False
    """Whether the answer is a redirect that was not followed."""


class _Gate:
    """What is allowed to one origin within one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self.loop = loop  # held, so that no other loop gets its id meanwhile
        self.slots = asyncio.Semaphore(limits.in_flight)
        self.pace = AsyncLimiter(1, 1 / limits.requests_per_second)


_gates: weakref.WeakValueDictionary[tuple[int, object], _Gate] = (
    weakref.WeakValueDictionary()
)
"""Held by the open connections: a gate goes with the last one of its origin."""


def _gate(url: httpx.URL, limits: Limits) -> _Gate:
    """Return the gate of an origin; whoever comes first sets its limits."""
    loop = asyncio.get_running_loop()
    key = (id(loop), origin(url))
    gate = _gates.get(key)
    if gate is None:
        gate = _gates[key] = _Gate(loop, limits)
    return gate


class Http:
    """A connection to one provider account; an asynchronous context manager.

    Limits on rate and on requests in flight hold for all connections to an origin
    within an event loop, as the first of them has them.

    Raises:
        ConfigurationError: the base address or the key cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        limits: Limits = _DEFAULT_LIMITS,
        allow_http: bool = False,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._headers = {
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "execledger",
            auth_header: auth_value(key, auth_header, auth_scheme),
        }
        self._base = checked_base(base_url, key, allow_http=allow_http)
        self._key = key
        self._limits = limits
        self._sleep = sleep
        self._transport = transport
        self._filter = KeyFilter(key)

    def __repr__(self) -> str:
        return f"Http({str(self._base)!r})"

    async def __aenter__(self) -> Self:
        for name in KeyFilter.LOGGERS:
            logging.getLogger(name).addFilter(self._filter)
        self._gate = _gate(self._base, self._limits)
        self._client = self._new_client()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        del self._client, self._gate
        for name in KeyFilter.LOGGERS:
            logging.getLogger(name).removeFilter(self._filter)

    def _new_client(self) -> httpx.AsyncClient:
        limits = self._limits
        host = self._base.netloc.decode()
        return httpx.AsyncClient(
            headers=self._headers,
            timeout=httpx.Timeout(
                connect=limits.connect_timeout_s,
                read=limits.read_timeout_s,
                write=limits.read_timeout_s,
                pool=limits.read_timeout_s,
            ),
            limits=httpx.Limits(
                max_connections=limits.in_flight,
                max_keepalive_connections=limits.in_flight,
            ),
            follow_redirects=False,
            transport=self._transport,
            # Loopback past any proxy: it could not reach it, and would see the key.
            mounts={f"all://{host}": None} if is_loopback(self._base.host) else None,
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | bool] | None = None,
        may_retry: bool = True,
        attempts: int | None = None,
    ) -> Reply:
        """Return what asking ``path`` below the base address came to.

        Never raises for what the network or the server does. With ``may_retry``,
        asks up to ``attempts`` times (default: of the limits) on 408, 425, 429,
        500, 502, 503, 504, faults of the connection and cut bodies.

        Raises:
            ConfigurationError: the key stands in the path or in a parameter.
        """
        url = self._url(path, params)
        tries = (attempts or self._limits.attempts) if may_retry else 1
        retrying = AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(tries),
            wait=self._wait_s,
            retry=retry_if_result(_may_pass),
            before_sleep=self._log_retry,
            retry_error_callback=_last_reply,
        )
        reply: Reply = await retrying(self._follow, method.upper(), url)
        return replace(
            reply,
            attempts=retrying.statistics["attempt_number"],
            waited_s=float(retrying.statistics["idle_for"]),
        )

    def _url(
        self, path: str, params: Mapping[str, str | int | bool] | None
    ) -> httpx.URL:
        address = f"{str(self._base).rstrip('/')}/{path.lstrip('/')}"
        url = httpx.URL(address, params=params or None)
        if re.search(spelled(self._key), str(url)):
            raise ConfigurationError(
                "The API key stands in an id or parameter, so it would be logged by "
                "every server on the way. Set it as api_key, nowhere else."
            )
        return url

    async def _follow(self, method: str, url: httpx.URL) -> Reply:
        """Ask, and follow redirects to where the key may go."""
        hops = 0
        while True:
            reply, target = await self._ask(method, url)
            if target is None:
                return reply
            refusal = self._refusal(method, url, target)
            if hops == _MAX_REDIRECTS:
                refusal = f"redirected more than {_MAX_REDIRECTS} times"
            if refusal:
                return replace(reply, error=refusal, redirect_refused=True)
            url, hops = target, hops + 1

    def _refusal(self, method: str, url: httpx.URL, target: httpx.URL) -> str | None:
        """Return in words why a redirect is not followed; none if it is."""
        if method != "GET":
            return "a redirect is followed for GET only"
        if origin(target) != origin(url):
            return "the redirect leads to another origin"
        # Also a user in the address, who would replace the key's header by its own.
        if self._masked(str(target)) != str(target):
            return "the redirect's target holds a key"
        return None

    async def _ask(self, method: str, url: httpx.URL) -> tuple[Reply, httpx.URL | None]:
        """Return the reply to one request, and where it redirects to."""
        async with self._gate.slots, self._gate.pace:
            started = time.perf_counter()
            try:
                async with self._client.stream(method, url) as response:
                    body = await read_body(response, self._limits.max_body_bytes)
            except (httpx.HTTPError, OSError) as fault:
                return self._no_answer(method, url, started, fault), None
        reply = self._reply(method, url, started, response, body)
        # httpx has read the Location; one that is no address was a fault above.
        onward = response.next_request if reply.outcome == "http_error" else None
        return reply, onward.url if onward else None

    def _no_answer(
        self, method: str, url: httpx.URL, started: float, fault: Exception
    ) -> Reply:
        return Reply(
            method=method,
            url=self._masked(str(url)),
            elapsed_ms=_ms_since(started),
            outcome="transport_error",
            error=self._masked(words_of(fault)),
        )

    def _reply(
        self,
        method: str,
        url: httpx.URL,
        started: float,
        response: httpx.Response,
        body: Body,
    ) -> Reply:
        elapsed_ms = _ms_since(started)
        raw = None if body.data is None else bytes(body.data)
        return Reply(
            method=method,
            url=self._masked(str(url)),
            http_status=response.status_code,
            headers=self._kept(response.headers),
            elapsed_ms=elapsed_ms,
            outcome=_outcome(response, body),
            body=None if raw is None else masked_body(raw, self._key),
            body_sha256=None if raw is None else hashlib.sha256(raw).hexdigest(),
            size_bytes=len(raw or b""),
            error=None if body.error is None else self._masked(body.error),
            too_large=body.too_large,
        )

    def _kept(self, headers: httpx.Headers) -> dict[str, str]:
        return {
            name: self._masked(value)
            for name, value in headers.items()
            if name in _KEPT_HEADERS or name.startswith("x-ratelimit-")
        }

    def _masked(self, text: str) -> str:
        return mask_secrets(text, [self._key])

    def _wait_s(self, state: RetryCallState) -> float:
        """Return the seconds to the next try: as told, else jittered back-off."""
        floor, ceiling = self._limits.wait_floor_s, self._limits.wait_ceiling_s
        told = _retry_after_s(_last_reply(state).headers)
        if told is not None:
            return min(max(told, floor), ceiling)
        return wait_random_exponential(2 * floor, ceiling, min=floor)(state)

    @staticmethod
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


def _ms_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def _outcome(response: httpx.Response, body: Body) -> Outcome:
    if body.error is not None or body.too_large:
        return "truncated"
    return "ok" if response.is_success else "http_error"


def _last_reply(state: RetryCallState) -> Reply:
    reply: Reply = cast("Future", state.outcome).result()
    return reply


def _may_pass(reply: Reply) -> bool:
    """Return whether the same request may fare better next time."""
    if reply.too_large:
        return False
    is_cut = reply.outcome in {"transport_error", "truncated"}
    return is_cut or reply.http_status in _RETRIED


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
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
