"""HTTP as every provider client needs it: one request in, one ``Reply`` out.

Retries, ``Retry-After``, limits on rate, requests in flight and size of body,
redirects and the masking of keys are settled here. Nothing here knows a provider,
a table or the journal. What the network or the server does is never raised: it
is said by the ``Reply``, and ``failure`` turns that into an error of ``errors``.
"""

import asyncio
import hashlib
import ipaddress
import json
import logging
import re
import time
import weakref
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, Self, cast
from urllib.parse import quote

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

from sources.errors import (
    BodyTooLarge,
    ConfigurationError,
    KeyRefused,
    NotFound,
    ProviderError,
    RedirectRefused,
    RequestRefused,
    ServerFault,
    Throttled,
    TransportFault,
    UnexpectedAnswer,
)
from sources.records import Outcome

__all__ = [
    "Http",
    "Limits",
    "Reply",
    "failure",
    "is_html",
    "mask_secrets",
    "mask_signatures",
    "quote_segment",
]

_log = logging.getLogger(__name__)

_MASK: Final = "***"
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
_SHORT_KEY: Final = 8
"""Shorter keys (of test servers) are masked as whole words, not within words."""
_WORDS_LENGTH: Final = 200
_READABLE_ERROR: Final = 64 * 1024


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


# --- masking ------------------------------------------------------------------

_BACKSLASH = r"\\{1,4}"  # JSON within JSON within JSON
_SEPARATOR = rf"(?:&amp;|&|{_BACKSLASH}u0026|%26)"
_EQUALS = rf"(?:=|{_BACKSLASH}u003[dD]|%3[dD])"
_ESCAPED = rf"%(?!26|3[fF])|{_BACKSLASH}(?:/|u00(?:2[bBfF]|3[dD]))"
_SIGNED_VALUE = rf"(?:[A-Za-z0-9+/=._~:@-]++|{_ESCAPED})++"
_ANY_VALUE = rf"(?:[^&\s\"'<>\\?%#]++|{_ESCAPED})*+"

_SIGNATURE = re.compile(
    rf"((?i:X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential))"
    rf"{_EQUALS}){_SIGNED_VALUE}".encode()
)
_QUERY = re.compile(
    rf"(?:(?<![\w%-])|(?<=%3[fF]))[\w-]++{_EQUALS}{_ANY_VALUE}"
    rf"(?:{_SEPARATOR}[\w-]++{_EQUALS}{_ANY_VALUE})*+".encode()
)
_PARAMETER = re.compile(
    rf"((?:\A|{_SEPARATOR})([\w-]+){_EQUALS})({_SIGNED_VALUE})?".encode()
)
_SIGNED_TOGETHER: Final = (
    # Parameter that gives the scheme away, parameters that are secret beside it.
    (b"awsaccesskeyid", {b"awsaccesskeyid", b"signature"}),  # S3, version 2
    (b"googleaccessid", {b"googleaccessid", b"signature"}),  # GCS, version 2
    (b"key-pair-id", {b"key-pair-id", b"signature"}),  # CloudFront
    (b"se", {b"sig"}),  # Azure: expiry
    (b"sv", {b"sig"}),  # Azure: version
)
_ALONE_MARKS: Final = (b"X-Amz-", b"x-amz-", b"X-Goog-", b"x-goog-")
_TOGETHER_MARKS: Final = tuple(
    name + equals
    for name in (b"sig", b"ignature")
    for equals in (b"=", b"%3D", b"%3d", b"\\u003d", b"\\u003D")
)

_LOOKS_LIKE_A_KEY: Final = (
    (re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*\d)[\w.~+/=-]{8,}"), rf"\1 {_MASK}"),
    (re.compile(r"(?<=://)[^/?#\s@]+@"), f"{_MASK}@"),
    (re.compile(r"(?<![\w-])[spr]k[_-](?=[\w-]*\d)[\w-]{8,}"), _MASK),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]+"), _MASK),
    (
        re.compile(
            r"(?i)([?&](?:api[_-]?key|key|(?:access_|auth_)?token|password|"
            r"(?:client_)?secret)=)[^&#\s\"']+"
        ),
        rf"\1{_MASK}",
    ),
)


def _spelled(char: str) -> str:
    """Return a pattern for a character as URLs, JSON and ``repr`` may write it."""
    if char.isalnum():
        return char
    plain = re.escape(char)
    return rf"(?:{plain}|(?i:%{ord(char):02x}|\\u{ord(char):04x})|\\{plain})"


@lru_cache(maxsize=64)
def _pattern(secret: str) -> str:
    pattern = "".join(map(_spelled, secret))
    return pattern if len(secret) >= _SHORT_KEY else rf"(?<![\w-]){pattern}(?![\w-])"


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return text without the secrets, and without what looks like one.

    That is: presigned URLs' signatures, bearer tokens, passwords in addresses,
    ``?token=…`` and the like. A secret is found percent-encoded and as JSON, too.

    >>> mask_secrets("https://me:pw@host/?token=a&page=2 for k-1234567", ["k-1234567"])
    'https://***@host/?token=***&page=2 for ***'
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = re.sub(_pattern(secret), _MASK, text)
    for pattern, mask in _LOOKS_LIKE_A_KEY:
        text = pattern.sub(mask, text)
    signed = mask_signatures(text.encode(errors="surrogatepass"))
    return signed.decode(errors="surrogatepass")


def mask_signatures(body: bytes) -> bytes:
    r"""Return a body without the signatures of presigned URLs (S3, GCS, Azure).

    The rest stays as it is, byte for byte. ``&`` may be written ``\u0026``,
    ``&amp;`` or ``%26``.

    >>> mask_signatures(b"https://b/f?X-Amz-Expires=9&X-Amz-Signature=0f1e")
    b'https://b/f?X-Amz-Expires=9&X-Amz-Signature=***'
    """
    if any(mark in body for mark in _ALONE_MARKS):
        body = _SIGNATURE.sub(rb"\1***", body)
    if any(mark in body for mark in _TOGETHER_MARKS):
        body = _QUERY.sub(_masked_query, body)
    return body


def _masked_query(query: re.Match[bytes]) -> bytes:
    names = {name.lower() for _, name, _ in _PARAMETER.findall(query[0])}
    secret = {
        name
        for sign, together in _SIGNED_TOGETHER
        if sign in names and together <= names | {sign}
        for name in together
    }

    def masked(parameter: re.Match[bytes]) -> bytes:
        is_secret = parameter[3] and parameter[2].lower() in secret
        return parameter[1] + _MASK.encode() if is_secret else parameter[0]

    return _PARAMETER.sub(masked, query[0]) if secret else query[0]


def _masked_body(body: bytes, key: str) -> bytes:
    """Return a body without signatures and without the key, however spelled."""
    body = mask_signatures(body)
    # Letters and digits are spelled one way only: a quick test for most bodies.
    longest = max(re.findall(r"[A-Za-z0-9]*", key), key=len)
    if longest.encode() not in body:
        return body
    return re.sub(_pattern(key).encode(), _MASK.encode(), body)


class _KeyFilter(logging.Filter):
    """Keeps the key out of what httpx and httpcore log: an answer may echo it."""

    LOGGERS: Final = (
        "httpx",
        "httpcore.connection",
        "httpcore.http11",
        "httpcore.http2",
        "httpcore.proxy",
        "httpcore.socks",
    )

    def __init__(self, key: str) -> None:
        super().__init__()
        self._key = key

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = mask_secrets(record.getMessage(), [self._key]), ()
        return True


# --- addresses ----------------------------------------------------------------


def quote_segment(text: str) -> str:
    """Return text as one segment of a path: all but unreserved characters quoted.

    ``.`` and ``..`` are quoted twice, because servers resolve ``%2E%2E`` as well:
    they then name something that does not exist, and nothing else.

    >>> quote_segment("a/b?c"), quote_segment("..")
    ('a%2Fb%3Fc', '%252E%252E')
    """
    if text in {".", ".."}:
        return text.replace(".", "%252E")
    return quote(text, safe="", errors="replace")


def _checked_base(base_url: str, key: str, *, allow_http: bool) -> httpx.URL:
    """Return the base address.

    Raises:
        ConfigurationError: it cannot be asked, or not without giving the key away.
    """
    shown = mask_secrets(base_url, [key])
    try:
        url = httpx.URL(base_url)
        url.host.encode("idna")  # what the resolver will do, and raise from there
    except (httpx.InvalidURL, UnicodeError):
        message = "base_url is no address. Set it like https://api.example.com."
        raise ConfigurationError(message) from None
    if url.scheme not in {"http", "https"} or not url.host:
        message = f"base_url {shown!r} must begin with https:// and name a host."
    elif url.userinfo or "?" in base_url or "#" in base_url:
        message = "base_url must hold no user, password, '?' or '#'. Remove them."
    elif shown != base_url:
        message = f"base_url {shown!r} holds a key. Set it as api_key, nowhere else."
    elif url.scheme == "http" and not (allow_http or _is_loopback(url.host)):
        message = (
            f"base_url {shown!r} would send the key unencrypted. Use https://, or set "
            "execledger.allow_http=true where the network is trusted."
        )
    else:
        return url
    raise ConfigurationError(message)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _auth_value(key: str, header: str, scheme: str) -> str:
    """Return the value of the header that carries the key.

    Raises:
        ConfigurationError: it cannot stand in a header; says so without the key.
    """
    if not key:
        raise ConfigurationError("The API key is empty. Set api_key.")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigurationError(
            "The API key holds a blank, a line break or a character beyond ASCII. "
            "Copy it again."
        )
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", header, re.ASCII):
        raise ConfigurationError("auth_header is no name of a header.")
    if not re.fullmatch(r"[\x21-\x7e]*", scheme):
        raise ConfigurationError("auth_scheme must be one word, or empty.")
    return f"{scheme} {key}" if scheme else key


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port  # httpx leaves out a scheme's default port


# --- reading ------------------------------------------------------------------


class _Identity:
    """A body that comes as it is."""

    def feed(self, data: bytes, room: int) -> bytes:
        return data[:room]

    def close(self) -> None:
        """There is nothing to be left over."""


class _Gzip:
    """A gzipped body, unpacked no further than there is room.

    Unlike httpx's own decoder, which unpacks each chunk whole (a bomb fits in one)
    and takes a stream that ends early for complete.
    """

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._is_fed = False

    def feed(self, data: bytes, room: int) -> bytes:
        """Return what the data unpacks to, at most ``room`` bytes of it."""
        out = bytearray()
        self._is_fed = self._is_fed or bool(data)
        while data and len(out) < room:
            if self._member.eof:
                if data[:1] != b"\x1f":
                    break  # padding, which every client ignores
                self._member = zlib.decompressobj(wbits=31)
            out += self._member.decompress(data, room - len(out))
            data = self._member.unconsumed_tail or self._member.unused_data
        return bytes(out)

    def close(self) -> None:
        """Raise ``EOFError`` if the stream is not at its end."""
        if self._is_fed and not self._member.eof:
            raise EOFError("the compressed body ends too early")


def _decoder(response: httpx.Response) -> _Identity | _Gzip:
    match response.headers.get("content-encoding", "").strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Gzip()
        case _:
            # The name may be anything: it is not repeated here.
            raise EOFError("the body is encoded in a way that was not asked for")


class _Body(msgspec.Struct):
    """What was read of a body."""

    data: bytearray | None = None
    error: str | None = None
    too_large: bool = False


async def _read(response: httpx.Response, limit: int) -> _Body:
    """Return the decoded body, read no further than one byte beyond the limit."""
    body = _Body()
    if int(response.headers.get("content-length", 0)) > limit:
        body.too_large = True
        return body
    body.data = data = bytearray()
    try:
        decoder = _decoder(response)
        # Closed by us: httpx leaves that to the garbage collector on a break.
        chunks = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
        async with aclosing(chunks):
            async for chunk in chunks:
                data += decoder.feed(chunk, limit + 1 - len(data))
                if len(data) > limit:
                    del data[limit:]
                    body.too_large = True
                    return body
        decoder.close()
    except (httpx.HTTPError, OSError, EOFError, zlib.error) as fault:
        body.error = _words_of(fault)
    return body


def _words_of(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}".removesuffix(": ")


# --- asking -------------------------------------------------------------------


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
    key = (id(loop), _origin(url))
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
            auth_header: _auth_value(key, auth_header, auth_scheme),
        }
        self._base = _checked_base(base_url, key, allow_http=allow_http)
        self._key = key
        self._limits = limits
        self._sleep = sleep
        self._transport = transport
        self._filter = _KeyFilter(key)

    def __repr__(self) -> str:
        return f"Http({str(self._base)!r})"

    async def __aenter__(self) -> Self:
        for name in _KeyFilter.LOGGERS:
            logging.getLogger(name).addFilter(self._filter)
        self._gate = _gate(self._base, self._limits)
        self._client = self._new_client()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        del self._client, self._gate
        for name in _KeyFilter.LOGGERS:
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
            mounts={f"all://{host}": None} if _is_loopback(self._base.host) else None,
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
        if re.search(_pattern(self._key), str(url)):
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
        if _origin(target) != _origin(url):
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
                    body = await _read(response, self._limits.max_body_bytes)
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
            error=self._masked(_words_of(fault)),
        )

    def _reply(
        self,
        method: str,
        url: httpx.URL,
        started: float,
        response: httpx.Response,
        body: _Body,
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
            body=None if raw is None else _masked_body(raw, self._key),
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


def _outcome(response: httpx.Response, body: _Body) -> Outcome:
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


# --- judging ------------------------------------------------------------------


def is_html(reply: Reply) -> bool:
    """Return whether the answer is a page for people: by its type, or a ``<``."""
    content_type = reply.headers.get("content-type", "").lower()
    if content_type.startswith(("text/html", "application/xhtml")):
        return True
    return (reply.body or b"")[:256].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def failure(reply: Reply, provider: str) -> ProviderError | None:
    """Return the error that a reply amounts to; none for a good 2xx.

    ``provider`` is the name to show, such as Torale. Its upper case stands in the
    name of the environment variable.
    """
    at, status = f"{reply.method} {reply.url}", reply.http_status
    if reply.too_large:
        return BodyTooLarge(
            f"{provider}: the answer to {at} is larger than execledger.max_body_mb "
            "allows. Raise it, or ask for less at once."
        )
    if reply.redirect_refused:
        return RedirectRefused(
            f"{provider}: {at} was not followed to {_location(reply)} "
            f"({status}: {reply.error}). Check base_url: https, and the final host."
        )
    is_cut = reply.outcome == "truncated"
    if status is None or (is_cut and not httpx.codes.is_error(status)):
        return TransportFault(
            f"{provider}: no whole answer to {at} in {_tries(reply)} ({reply.error}). "
            "Check base_url and the network, then run it again."
        )
    if reply.outcome != "ok":
        return _refusal(reply, provider, status)
    if is_html(reply):
        return UnexpectedAnswer(
            f"{provider}: {at} answered HTML, not JSON: is base_url right?"
        )
    return None


def _refusal(reply: Reply, provider: str, status: int) -> ProviderError:
    """Return the error that another status than 2xx stands for."""
    said, at = _said(reply), f"{reply.method} {reply.url}"
    codes, doctor = httpx.codes, 'run "execledger doctor"'
    if status in {codes.UNAUTHORIZED, codes.FORBIDDEN}:
        variable = f"SOURCES__{provider.upper()}__API_KEY"
        return KeyRefused(
            f"{provider}: the key was refused ({said}). Set {variable} or {doctor}."
        )
    if status == codes.NOT_FOUND:
        return NotFound(
            f"{provider}: {at} was not found ({said}). "
            f"Check base_url and the configured ids, or {doctor}."
        )
    if status == codes.TOO_MANY_REQUESTS:
        return Throttled(
            f"{provider}: still throttled ({said}) after {_tries(reply)}. "
            "Run it again later, or less often."
        )
    if codes.is_client_error(status):
        return RequestRefused(
            f"{provider}: {at} was refused ({said}). Check the settings, or {doctor}."
        )
    if codes.is_server_error(status):
        return ServerFault(
            f"{provider}: the server failed at {at} ({said}) in {_tries(reply)}. "
            "Run it again later; the fault is on their side."
        )
    return UnexpectedAnswer(
        f"{provider}: {at} answered {said}, which nothing here asks for: "
        "is base_url right?"
    )


def _location(reply: Reply) -> str:
    return _shown(reply.headers.get("location", ""))


def _tries(reply: Reply) -> str:
    """Return how often it was tried, and how long waited, in words."""
    if reply.attempts == 1:
        return "1 try"
    return f"{reply.attempts} tries and {reply.waited_s:.0f} s of waiting"


def _said(reply: Reply) -> str:
    """Return the status, and the provider's own words if it gave any."""
    try:
        document = json.loads((reply.body or b"")[:_READABLE_ERROR])
        words = _shown(_words(document))
    except (ValueError, RecursionError):
        words = ""
    return f"{reply.http_status}: {words}" if words else str(reply.http_status)


def _words(document: object) -> str:
    """Return the text of an error document, by the shapes that providers use."""
    if isinstance(document, str):
        return document
    if isinstance(document, list):
        return "; ".join(filter(None, map(_words, document)))
    if isinstance(document, dict):
        fields = ("detail", "error", "errors", "message", "msg")
        return next(filter(None, (_words(document.get(name)) for name in fields)), "")
    return ""


def _shown(text: str) -> str:
    """Return foreign text fit for a terminal: one line, printable, short, masked."""
    line = " ".join(mask_secrets(text, ()).split())
    printable = "".join(char for char in line if char.isprintable())
    return printable[:_WORDS_LENGTH].rstrip()
