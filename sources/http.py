"""HTTP as every provider client needs it: one request in, one ``Reply`` out.

Limits on rate, requests in flight and size of body, redirects and the masking of
keys are settled here. Nothing here knows a provider, a table or the journal. What
the network or the server does is never raised: it is said by the ``Reply``, which
``sources.failures`` turns into an error.
"""

import asyncio
import hashlib
import logging
import re
import time
import weakref
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import ExitStack, aclosing
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NamedTuple, Self

import httpx
import msgspec
from aiolimiter import AsyncLimiter
from msgspec.structs import replace

from sources.addresses import auth_value, checked_base, is_loopback, origin
from sources.bodies import Body, Spool, read_body, spooled, words_of
from sources.errors import ConfigurationError
from sources.exchange import Content, Limits, Reply
from sources.masking import KeyFilter, mask_secrets, masked_body, spelled
from sources.records import Outcome
from sources.retries import Retry, retried

__all__ = ["Http"]

_log = logging.getLogger(__name__)

_MAX_REDIRECTS: Final = 5
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
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


_DEFAULT_LIMITS: Final = Limits()


class _Request(NamedTuple):
    """One request, as it is sent at each try."""

    method: str
    url: httpx.URL
    content: Content | None
    arriving: Path | None
    read_timeout_s: float


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
    within an event loop, as the first of them has them. ``also_masked`` are further
    keys of the account, which the server knows and may repeat. Certificates are always
    verified: against the usual authorities, and those of the PEM file ``ca_file``.

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
        ca_file: str = "",
        also_masked: Collection[str] = (),
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
        self._keys = tuple(filter(None, {key, *also_masked}))
        self._ca_file = Path(ca_file).expanduser() if ca_file else None
        self._limits = limits
        self._sleep = sleep
        self._transport = transport
        self._filter = KeyFilter(self._keys)
        # Headers are mostly the same from answer to answer.
        self._masked_again = lru_cache(maxsize=64)(self._masked)

    def __repr__(self) -> str:
        return f"Http({str(self._base)!r})"

    async def __aenter__(self) -> Self:
        for name in KeyFilter.LOGGERS:
            logging.getLogger(name).addFilter(self._filter)
        self._gate = _gate(self._base, self._limits)
        self._tls = httpx.create_ssl_context()
        if self._ca_file:
            self._tls.load_verify_locations(self._ca_file)
        self._clients: list[httpx.AsyncClient] = []
        self._free = [self._new_client()]
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients:
            await client.aclose()
        del self._clients, self._free, self._gate
        for name in KeyFilter.LOGGERS:
            logging.getLogger(name).removeFilter(self._filter)

    def _new_client(self) -> httpx.AsyncClient:
        """Return one more client, for one request at a time.

        At each request httpcore looks at all connections of its pool, and whether
        each is still alive: with many in one that takes longer than the request.
        """
        limits = self._limits
        host = self._base.netloc.decode()
        client = httpx.AsyncClient(
            headers=self._headers,
            timeout=httpx.Timeout(
                connect=limits.connect_timeout_s,
                read=limits.read_timeout_s,
                write=limits.read_timeout_s,
                pool=limits.read_timeout_s,
            ),
            limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            verify=self._tls,
            follow_redirects=False,
            transport=self._transport,
            # Loopback past any proxy: it could not reach it, and would see the key.
            mounts={f"all://{host}": None} if is_loopback(self._base.host) else None,
        )
        self._clients.append(client)
        return client

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | bool] | None = None,
        content: Content | None = None,
        retry: Retry = "any",
        attempts: int | None = None,
        arriving: Path | None = None,
        read_timeout_s: float | None = None,
    ) -> Reply:
        """Return what asking ``path`` below the base address came to.

        Never raises for what the network or the server does. Asks up to
        ``attempts`` times (default: of the limits): with ``retry="any"`` on 408,
        425, 429, 500, 502, 503, 504, faults of the connection and cut bodies; with
        ``"unaccepted"`` on 429 and where no connection was made, so that nothing is
        started twice; with ``"none"`` once. The body is written to the file
        ``arriving`` as it comes (see ``recovered``).

        Raises:
            ConfigurationError: the key stands in the path or in a parameter.
        """
        request = _Request(
            method.upper(),
            self._url(path, params),
            content,
            arriving,
            read_timeout_s or self._limits.read_timeout_s,
        )
        ask = partial(self._follow, request)
        return await retried(ask, self._limits, self._sleep, retry, attempts)

    def _url(
        self, path: str, params: Mapping[str, str | int | bool] | None
    ) -> httpx.URL:
        address = f"{str(self._base).rstrip('/')}/{path.lstrip('/')}"
        url = httpx.URL(address, params=params or None)
        if any(re.search(spelled(key), str(url)) for key in self._keys):
            raise ConfigurationError(
                "The API key stands in an id or parameter, so it would be logged by "
                "every server on the way. Set it as api_key, nowhere else."
            )
        return url

    async def _follow(self, request: _Request) -> Reply:
        """Ask, and follow redirects to where the key may go."""
        hops = 0
        while True:
            reply, target = await self._ask(request)
            if target is None:
                return reply
            refusal = self._refusal(request.method, request.url, target)
            if hops == _MAX_REDIRECTS:
                refusal = f"redirected more than {_MAX_REDIRECTS} times"
            if refusal:
                return replace(reply, error=refusal, redirect_refused=True)
            request, hops = request._replace(url=target), hops + 1

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

    async def _ask(self, asked: _Request) -> tuple[Reply, httpx.URL | None]:
        """Return the reply to one request, and where it redirects to."""
        method, url = asked.method, asked.url
        async with self._gate.slots, self._gate.pace:
            started, was_sent = time.perf_counter(), False
            ends = asyncio.get_running_loop().time() + self._longest_s(asked)
            if asked.arriving is not None:  # of an earlier try
                asked.arriving.unlink(missing_ok=True)
            client = self._free.pop() if self._free else self._new_client()
            try:
                with ExitStack() as files:
                    request = _built(client, asked, files)
                    was_sent = True
                    async with asyncio.timeout_at(ends):
                        response = await client.send(request, stream=True)
                    async with aclosing(response):
                        spool = self._spool(asked.arriving, response)
                        limit = self._limits.max_body_bytes
                        body = await read_body(response, limit, ends, spool)
            except (httpx.HTTPError, OSError) as fault:
                reply = self._no_answer(method, url, started, fault)
                return replace(reply, was_sent=was_sent and reply.was_sent), None
            finally:
                self._free.append(client)
        reply = self._reply(method, url, started, response, body)
        # httpx has read the Location; one that is no address was a fault above.
        onward = response.next_request if reply.outcome == "http_error" else None
        return reply, onward.url if onward else None

    def _longest_s(self, asked: _Request) -> float:
        return max(self._limits.answer_timeout_s, asked.read_timeout_s)

    def _spool(self, path: Path | None, response: httpx.Response) -> Spool | None:
        if path is None:
            return None
        head = {
            "method": response.request.method,
            "url": self._masked(str(response.request.url)),
            "http_status": response.status_code,
            "headers": self._kept(response.headers),
        }
        return Spool(path, head | {"length": _length(response)}, self._keys)

    def recovered(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int | bool] | None = None,
        arriving: Path,
    ) -> Reply:
        """Return what a process that died had received of the answer to a request.

        Its file ``arriving`` holds what had come; where that is as long as the
        server said, the answer is whole; where it did not say, if it is a JSON
        document to its end. Where there is no file, no answer was there.
        """
        found = spooled(arriving)
        if found is None:
            return Reply(
                method=method,
                url=self._masked(str(self._url(path, params))),
                elapsed_ms=0,
                outcome="transport_error",
                error="the process ended before an answer came",
            )
        head, data = found
        length = head.pop("length")
        is_whole = _is_document(data) if length is None else length == len(data)
        is_good = httpx.codes.is_success(head["http_status"])
        return Reply(
            **head,
            elapsed_ms=0,
            outcome="truncated" if not is_whole else "ok" if is_good else "http_error",
            body=masked_body(data, self._keys),
            body_sha256=hashlib.sha256(data).hexdigest(),
            size_bytes=len(data),
            error=None if is_whole else "the process ended while the body arrived",
        )

    def _no_answer(
        self, method: str, url: httpx.URL, started: float, fault: Exception
    ) -> Reply:
        return Reply(
            method=method,
            url=self._masked(str(url)),
            elapsed_ms=_ms_since(started),
            outcome="transport_error",
            error=self._masked(words_of(fault)),
            was_sent=not isinstance(fault, _NEVER_SENT),
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
            body=None if raw is None else masked_body(raw, self._keys),
            body_sha256=None if raw is None else hashlib.sha256(raw).hexdigest(),
            size_bytes=len(raw or b""),
            error=None if body.error is None else self._masked(body.error),
            too_large=body.too_large,
        )

    def _kept(self, headers: httpx.Headers) -> dict[str, str]:
        return {
            self._masked_again(name): self._masked_again(value)
            for name, value in headers.items()
            if name in _KEPT_HEADERS or name.startswith("x-ratelimit-")
        }

    def _masked(self, text: str) -> str:
        return mask_secrets(text, self._keys)


def _length(response: httpx.Response) -> int | None:
    """Return how long the decoded body will be, where the server says so."""
    if "content-encoding" in response.headers:
        return None
    length = response.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _is_document(data: bytes) -> bool:
    """Tell whether a JSON object or array is whole: cut anywhere, it is none."""
    try:
        return isinstance(msgspec.json.decode(data), dict | list)
    except (msgspec.DecodeError, RecursionError):
        return False


def _ms_since(started: float) -> int:
    return round((time.perf_counter() - started) * 1000)


def _outcome(response: httpx.Response, body: Body) -> Outcome:
    if body.error is not None or body.too_large:
        return "truncated"
    return "ok" if response.is_success else "http_error"


def _built(
    client: httpx.AsyncClient, asked: _Request, files: ExitStack
) -> httpx.Request:
    content = asked.content or Content()
    timeout = client.timeout.as_dict() | {"read": asked.read_timeout_s}
    opened = [
        ("files", (name, files.enter_context(path.open("rb"))))
        for name, path in content.files
    ]
    return client.build_request(
        asked.method,
        asked.url,
        json=content.json,
        data=content.fields,
        files=opened or None,
        timeout=httpx.Timeout(**timeout),
    )
