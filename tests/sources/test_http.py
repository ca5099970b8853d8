"""One request in, one reply out: over real sockets, whatever the server does."""

import asyncio
import gzip
import hashlib
import json
import logging
import socket
import struct
import tracemalloc
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.policy import HTTP
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.addresses import quote_segment
from sources.bodies import Spool
from sources.errors import ConfigurationError
from sources.exchange import Content, Limits, Reply
from sources.http import Http
from sources.loopback import reset, serve

KEY = "sk_canary-0123+456/789="


def answer(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """Return an answer as it stands on the wire."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Ending:
    """Bytes, and how the connection ends after them."""

    sent: bytes
    how: str  # closed, reset, stalled


Given = bytes | Ending | Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Wire:
    """A server that gives the next of its answers to each request, the last always."""

    answers: Sequence[Given]
    port: int = 0
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    written: int = 0
    at_once: int = 0
    most_at_once: int = 0
    arrivals: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base address."""
        return f"http://127.0.0.1:{self.port}"

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one connection's requests."""
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.arrivals.append(asyncio.get_running_loop().time())
                self.requests.append(head.decode())
                turn = min(len(self.requests), len(self.answers)) - 1
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                await self.give(self.answers[turn], writer)
                self.at_once -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client left
        finally:
            writer.close()

    async def give(self, given: Given, writer: asyncio.StreamWriter) -> None:
        """Write one answer."""
        if callable(given):
            await given(writer)
            return
        writer.write(given if isinstance(given, bytes) else given.sent)
        await writer.drain()
        if isinstance(given, Ending):
            await self.end(given.how, writer)

    async def end(self, how: str, writer: asyncio.StreamWriter) -> None:
        """End the connection."""
        if how == "stalled":
            await asyncio.Event().wait()
        if how == "reset":
            await asyncio.sleep(0.02)  # what was sent arrives first
            hard = struct.pack("ii", 1, 0)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, hard)
        writer.transport.abort() if how == "reset" else writer.close()
        raise ConnectionAbortedError


@asynccontextmanager
async def wire(*answers: Given) -> AsyncIterator[Wire]:
    """Serve the answers on a free port of loopback."""
    running = Wire(answers)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(running.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Naps(list[float]):
    """A sleep that takes no time and remembers what was asked."""

    async def __call__(self, seconds: float) -> None:
        """Note the seconds."""
        self.append(seconds)


FAST = Limits(requests_per_second=10_000, read_timeout_s=5)


def ask(
    *answers: Given,
    path: str = "/x",
    prefix: str = "",
    method: str = "GET",
    naps: Naps | None = None,
    limits: Limits = FAST,
    request: dict[str, Any] | None = None,
    **http: Any,
) -> tuple[Reply, Wire]:
    """Return the reply to one request against these answers, and the server."""

    async def main() -> tuple[Reply, Wire]:
        async with AsyncExitStack() as stack:
            server = await stack.enter_async_context(wire(*answers))
            nap = Naps() if naps is None else naps
            asked = Http(server.url + prefix, KEY, limits=limits, sleep=nap, **http)
            client = await stack.enter_async_context(asked)
            return await client.request(method, path, **(request or {})), server

    return asyncio.run(main())


# --- what is sent and what comes back -----------------------------------------


def test_a_reply_says_everything_about_a_good_answer() -> None:
    """A 2xx is ok; body, hash, size, status and the headers allowed are there."""
    body = b'{"executions": []}'
    reply, server = ask(
        answer(200, body, Content_Type="application/json", ETag='"1"', Set_Cookie="a=b")
    )

    assert (reply.outcome, reply.http_status, reply.attempts) == ("ok", 200, 1)
    assert (reply.method, reply.url) == ("GET", f"{server.url}/x")
    assert (reply.body, reply.size_bytes) == (body, len(body))
    assert reply.body_sha256 == hashlib.sha256(body).hexdigest()
    assert reply.elapsed_ms >= 0
    assert reply.error is None
    assert reply.headers == {
        "content-length": str(len(body)),
        "content-type": "application/json",
        "etag": '"1"',
    }


def test_an_empty_body_is_not_the_same_as_none() -> None:
    """A 204 has a body of no bytes; only where nothing came there is none."""
    reply, _ = ask(b"HTTP/1.1 204 No Content\r\n\r\n")

    assert (reply.outcome, reply.body, reply.size_bytes) == ("ok", b"", 0)


@pytest.mark.parametrize(
    ("configured", "line"),
    [
        ({}, f"authorization: bearer {KEY}"),
        ({"auth_scheme": ""}, f"authorization: {KEY}"),
        ({"auth_header": "X-Api-Key", "auth_scheme": ""}, f"x-api-key: {KEY}"),
    ],
)
def test_the_key_is_sent_in_the_configured_header_only(
    configured: dict[str, Any],
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Header and scheme are configurable; a netrc adds and replaces nothing."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password canary-pw\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    _, server = ask(answer(), **configured)

    lines = server.requests[0].lower().split("\r\n")
    assert line.lower() in lines
    assert sum(KEY.lower() in each or "basic" in each for each in lines) == 1


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What listens on loopback is asked directly: a proxy would see the key."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    reply, _ = ask(answer())

    assert reply.outcome == "ok"


@pytest.mark.parametrize(
    ("prefix", "path", "target"),
    [
        ("", "tasks", "/tasks"),
        ("/", "/tasks/", "/tasks/"),
        ("/api/v1", "tasks/", "/api/v1/tasks/"),
        ("/api/v1//", "//tasks", "/api/v1/tasks"),
        ("/a%2Fb", f"t/{quote_segment('c/d?e')}", "/a%2Fb/t/c%2Fd%3Fe"),
        ("/a", f"t/{quote_segment('..')}/x", "/a/t/%252E%252E/x"),
        ("/a", "", "/a/"),
    ],
)
def test_path_and_base_meet_with_one_slash(prefix: str, path: str, target: str) -> None:
    """The base keeps its prefix, the path its own trailing slash and its quoting."""
    _, server = ask(answer(), prefix=prefix, path=path)

    assert server.requests[0].startswith(f"GET {target} HTTP/1.1\r\n")


def test_parameters_are_sent_as_json_would_write_them() -> None:
    """Booleans are true and false, texts are quoted."""
    params = {"limit": 100, "include_metadata": True, "q": "a&b"}

    _, server = ask(answer(), request={"params": params})

    assert "GET /x?limit=100&include_metadata=true&q=a%26b " in server.requests[0]


def test_a_connection_is_used_again() -> None:
    """Requests one after another share one connection."""

    async def main() -> tuple[int, int]:
        async with wire(answer()) as server, Http(server.url, KEY, limits=FAST) as http:
            for _ in range(3):
                await http.request("GET", "/x")
            return len(server.requests), server.connections

    assert asyncio.run(main()) == (3, 1)


@pytest.mark.parametrize(
    "where", [{"path": f"/{KEY}"}, {"request": {"params": {"q": KEY}}}]
)
def test_a_key_in_an_address_is_never_sent(where: dict[str, Any]) -> None:
    """A key given as an id or parameter is refused, without repeating it."""
    with pytest.raises(ConfigurationError) as refused:
        ask(answer(), **where)

    assert "canary" not in str(refused.value)


# --- retries ------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    """A passing fault is followed by another try, whose answer counts."""
    naps = Naps()

    reply, server = ask(answer(status), answer(status), answer(200), naps=naps)

    assert (reply.outcome, reply.attempts, len(server.requests)) == ("ok", 3, 3)
    assert reply.waited_s == sum(naps)


@pytest.mark.parametrize("status", [300, 304, 400, 401, 403, 404, 409, 422, 501, 599])
def test_what_will_not_pass_is_tried_once(status: int) -> None:
    """Any other status is the answer."""
    reply, server = ask(answer(status))

    assert (reply.outcome, reply.http_status) == ("http_error", status)
    assert (reply.attempts, len(server.requests)) == (1, 1)


def test_the_last_reply_is_returned_when_the_tries_are_used_up() -> None:
    """After the attempts of the limits the last reply is returned, not raised."""
    naps = Naps()

    reply, server = ask(answer(503, b"one"), answer(503, b"last"), naps=naps)

    assert (reply.http_status, reply.body, reply.attempts) == (503, b"last", 5)
    assert (len(server.requests), len(naps)) == (5, 4)


@pytest.mark.parametrize(
    ("request_", "tries"),
    [({"retry": "none"}, 1), ({"attempts": 2}, 2), ({"attempts": 1}, 1)],
)
def test_a_request_may_have_tries_of_its_own(
    request_: dict[str, Any], tries: int
) -> None:
    """What consumes a result is asked once; a request may have its own number."""
    reply, server = ask(answer(503), request=request_)

    assert (reply.attempts, len(server.requests)) == (tries, tries)


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry_After": "7"}, 7),
        ({"Retry_After": "0"}, 0.5),
        ({"Retry_After": "3600"}, 60),
        ({"Retry_After": "9" * 400}, 60),
        (
            {
                "Date": "Sun, 06 Nov 1994 08:49:30 GMT",
                "Retry_After": "Sun, 06 Nov 1994 08:49:37 GMT",
            },
            7,
        ),
        (
            {
                "Date": "Sun, 06 Nov 1994 08:49:30 GMT",
                "Retry_After": "Sunday, 06-Nov-94 08:49:20 GMT",
            },
            0.5,
        ),
        ({"Retry_After": "Fri, 31 Dec 2999 23:59:59 GMT"}, 60),
    ],
)
def test_retry_after_is_honoured_between_floor_and_ceiling(
    headers: dict[str, Any], waited: float
) -> None:
    """Seconds and dates (by the server's own clock) both count, within bounds."""
    naps = Naps()

    ask(answer(429, **headers), answer(), naps=naps)

    assert naps == [waited]


@pytest.mark.parametrize("told", ["soon", "-5", "1.5", "²", "Fri, 99 Foo 1 GMT", ""])
def test_an_unreadable_retry_after_leaves_the_back_off(told: str) -> None:
    """What is neither seconds nor a date is passed over."""
    naps = Naps()

    reply, _ = ask(answer(503, Retry_After=told), answer(), naps=naps)

    assert reply.outcome == "ok"
    assert 0.5 <= naps[0] <= 1


@pytest.mark.parametrize(
    ("draw", "waits"),
    [
        (max, [1.0, 2.0, 4.0, 5.0, 5.0]),
        (min, [0.5, 0.5, 0.5, 0.5, 0.5]),
    ],
)
def test_back_off_is_drawn_from_a_window_that_doubles(
    draw: Callable[[float, float], float],
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Waits lie between the floor and a doubling bound, never above the ceiling."""
    monkeypatch.setattr("random.uniform", draw)
    naps = Naps()
    limits = Limits(attempts=6, wait_ceiling_s=5, requests_per_second=10_000)

    ask(answer(500), naps=naps, limits=limits)

    assert naps == waits


def test_a_refused_connection_is_a_transport_error() -> None:
    """No answer at all: no status, no body, words; tried as often as any fault."""

    async def main() -> tuple[Reply, Naps]:
        async with wire() as gone:
            pass
        naps = Naps()
        async with Http(gone.url, KEY, sleep=naps, limits=FAST) as http:
            return await http.request("GET", "/x"), naps

    reply, naps = asyncio.run(main())

    assert (reply.outcome, reply.http_status, reply.body) == (
        "transport_error",
        None,
        None,
    )
    assert reply.error
    assert reply.error.startswith("ConnectError")
    assert (reply.attempts, len(naps)) == (5, 4)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.mark.parametrize(
    ("ending", "outcome", "body"),
    [
        (Ending(b"", "closed"), "transport_error", None),
        (Ending(b"", "reset"), "transport_error", None),
        (Ending(b"garbage\r\n\r\n", "closed"), "transport_error", None),
        (Ending(HEAD + b'{"half', "closed"), "truncated", b'{"half'),
        (Ending(HEAD + b'{"half', "reset"), "truncated", b'{"half'),
    ],
)
def test_a_connection_that_breaks_is_a_fault_of_transport(
    ending: Ending, outcome: str, body: bytes | None
) -> None:
    """Before the status it is no answer, after it a cut one, whose part is kept."""
    reply, server = ask(ending)

    assert (reply.outcome, reply.body, reply.attempts) == (outcome, body, 5)
    assert reply.http_status == (200 if body else None)
    assert reply.error
    assert len(server.requests) == 5


def test_a_cut_body_is_asked_for_again() -> None:
    """A body that came whole at the second try is whole."""
    reply, _ = ask(Ending(HEAD + b'{"half', "closed"), answer(200, b"[1]"))

    assert (reply.outcome, reply.body, reply.error) == ("ok", b"[1]", None)


@pytest.mark.parametrize(
    ("sent", "outcome"), [(b"", "transport_error"), (HEAD + b"{", "truncated")]
)
def test_a_silent_server_is_left_after_the_read_timeout(
    sent: bytes, outcome: str
) -> None:
    """The time-out counts between bytes, before the status and within the body."""
    limits = Limits(read_timeout_s=0.05, attempts=2, requests_per_second=10_000)

    reply, server = ask(Ending(sent, "stalled"), limits=limits)

    assert (reply.outcome, reply.attempts) == (outcome, 2)
    assert reply.error == "ReadTimeout"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("sent", "outcome"), [(b"", "transport_error"), (HEAD, "truncated")]
)
def test_an_answer_that_never_ends_is_left_in_the_end(
    sent: bytes, outcome: str
) -> None:
    """Law: byte by byte, a server keeps nobody for ever; what came is said as cut."""

    async def dribble(writer: asyncio.StreamWriter) -> None:
        writer.write(sent or b"HTTP/1.1 200 OK\r\nX-Pad: ")
        while True:
            writer.write(b"1")
            await writer.drain()
            await asyncio.sleep(0.005)

    limits = Limits(answer_timeout_s=0.2, read_timeout_s=0.1, attempts=2)

    reply, server = ask(dribble, limits=limits)

    assert (reply.outcome, reply.attempts) == (outcome, 2)
    assert reply.error == "TimeoutError: it took too long"
    assert set(reply.body or b"1") == set(b"1")
    assert len(server.requests) == 2


# --- bodies -------------------------------------------------------------------


def small(max_body_bytes: int) -> Limits:
    """Return limits with this limit on the body."""
    return Limits(max_body_bytes=max_body_bytes, requests_per_second=10_000)


@pytest.mark.parametrize(("size", "outcome"), [(10, "ok"), (11, "truncated")])
def test_the_limit_on_size_is_inclusive(size: int, outcome: str) -> None:
    """A body of exactly the limit is good, one byte more is not."""
    chunked = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n"
    )

    reply, server = ask(chunked % (size, b"a" * size), limits=small(10))

    assert (reply.outcome, reply.too_large) == (outcome, size > 10)
    assert reply.body == b"a" * 10
    assert len(server.requests) == 1


def test_an_announced_size_beyond_the_limit_is_refused_unread() -> None:
    """Content-Length is believed: nothing is read, and nothing tried again."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n"

    reply, server = ask(Ending(head, "stalled"), limits=small(10))

    assert (reply.outcome, reply.too_large, reply.body) == ("truncated", True, None)
    assert (reply.error, reply.size_bytes, len(server.requests)) == (None, 0, 1)


def test_reading_stops_at_the_limit_and_not_at_the_end() -> None:
    """A stream without end is left as soon as the limit is passed."""
    left = []

    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b"a" * 65536)
                await writer.drain()
        except ConnectionError:
            left.append(True)
            raise

    reply, _ = ask(endless, limits=small(100_000))

    assert (reply.too_large, reply.size_bytes, reply.attempts) == (True, 100_000, 1)


def test_a_gzipped_body_is_unpacked() -> None:
    """Hash and size are of the decoded body; members one after another are one."""
    packed = gzip.compress(b'{"a":') + gzip.compress(b"1}") + b"\0\0"

    reply, server = ask(answer(200, packed, Content_Encoding="gzip"))

    assert (reply.outcome, reply.body, reply.size_bytes) == ("ok", b'{"a":1}', 7)
    assert reply.body_sha256 == hashlib.sha256(b'{"a":1}').hexdigest()
    assert "\r\naccept-encoding: gzip\r\n" in server.requests[0].lower()


def test_an_empty_body_called_gzip_is_empty() -> None:
    """Servers label empty bodies too; that is no cut stream."""
    reply, _ = ask(answer(200, b"", Content_Encoding="gzip"))

    assert (reply.outcome, reply.body) == ("ok", b"")


def test_a_gzip_bomb_is_unpacked_no_further_than_the_limit() -> None:
    """Little on the wire, much unpacked: no more than the limit is ever held."""
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()

    reply, _ = ask(answer(200, bomb, Content_Encoding="gzip"), limits=small(100_000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (reply.outcome, reply.too_large, reply.attempts) == ("truncated", True, 1)
    assert reply.body == bytes(100_000)
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("encoding", "body", "kept"),
    [
        ("gzip", gzip.compress(b"[1, 2, 3]")[:-4], b"[1, 2, 3]"),
        ("gzip", b"not gzip at all", b""),
        ("br", b"\x0b\x02\x80[1]\x03", b""),
        ("gzip, gzip", gzip.compress(gzip.compress(b"[]")), b""),
    ],
)
def test_a_body_that_does_not_unpack_is_cut(
    encoding: str, body: bytes, kept: bytes
) -> None:
    """A stream that ends early, is none, or was not asked for never counts as whole."""
    reply, _ = ask(answer(200, body, Content_Encoding=encoding))

    assert (reply.outcome, reply.body, reply.attempts) == ("truncated", kept, 5)
    assert reply.error


# --- redirects ----------------------------------------------------------------


def test_a_redirect_within_the_origin_is_followed_with_the_key() -> None:
    """GET goes on to the same scheme, host and port; the last address is told."""

    async def main() -> tuple[Reply, Wire]:
        async with wire() as server:
            server.answers = [
                answer(307, Location="/tasks/"),
                answer(301, Location=f"{server.url}/end?a=1"),
                answer(200, b"[]"),
            ]
            async with Http(server.url, KEY, limits=FAST) as http:
                return await http.request("GET", "/tasks"), server

    reply, server = asyncio.run(main())

    assert (reply.outcome, reply.redirect_refused) == ("ok", False)
    assert reply.url == f"{server.url}/end?a=1"
    assert [head.split()[1] for head in server.requests] == [
        "/tasks",
        "/tasks/",
        "/end?a=1",
    ]
    assert all(KEY in head for head in server.requests)


def test_the_key_does_not_follow_to_another_origin() -> None:
    """Another port is another origin: it is never asked."""

    async def main() -> tuple[Reply, Wire, Wire]:
        async with wire(answer()) as other, wire() as server:
            server.answers = [answer(302, Location=f"{other.url}/x?token=canary-1")]
            async with Http(server.url, KEY, limits=FAST) as http:
                return await http.request("GET", "/x"), server, other

    reply, server, other = asyncio.run(main())

    assert (reply.http_status, reply.outcome) == (302, "http_error")
    assert reply.redirect_refused
    assert reply.headers["location"] == f"{other.url}/x?token=***"
    assert (len(server.requests), len(other.requests)) == (1, 0)


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.1:{port}/x",
        "http://localhost:{port}/x",
        "http://me:pw@127.0.0.1:{port}/x",
        "/x?key_was=" + KEY,
        "/x?X-Amz-Signature=0f1e2d",
        "//elsewhere.example/x",
        "ftp://127.0.0.1:{port}/x",
        "http://127.0.0.1:99999999/x",
    ],
)
def test_a_redirect_to_where_the_key_may_not_go_is_refused(location: str) -> None:
    """Another scheme, name or user, a key in the address, or no address at all."""

    async def main() -> tuple[Reply, Wire]:
        async with wire() as server:
            server.answers = [answer(307, Location=location.format(port=server.port))]
            async with Http(server.url, KEY, limits=FAST) as http:
                return await http.request("GET", "/x"), server

    reply, server = asyncio.run(main())

    assert (reply.outcome, reply.redirect_refused) == ("http_error", True)
    assert reply.error
    assert "canary" not in repr(reply)
    assert len(server.requests) == 1


def test_a_redirect_to_no_address_is_a_fault_of_transport() -> None:
    """A Location that cannot be read is an answer that cannot be read."""
    reply, _ = ask(answer(307, Location="http://[::1/" + KEY))

    assert (reply.outcome, reply.attempts) == ("transport_error", 5)
    assert "canary" not in repr(reply)


def test_redirects_are_followed_five_times() -> None:
    """A loop of redirects ends with the sixth answer."""
    reply, server = ask(answer(302, Location="/x"))

    assert (reply.http_status, reply.redirect_refused) == (302, True)
    assert len(server.requests) == 6


def test_a_redirect_is_followed_for_get_only() -> None:
    """What a POST does must not be done at another address unasked."""
    reply, server = ask(answer(307, Location="/y"), method="post")

    assert (reply.method, reply.redirect_refused) == ("POST", True)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("base", "location", "refused"),
    [
        ("https://a.example", "https://A.example:443/y", False),
        ("https://a.example:443", "https://a.example/y", False),
        ("http://a.example:80", "http://a.example/y", False),
        ("https://a.example", "http://a.example/y", True),
        ("https://a.example", "http://a.example:443/y", True),
        ("http://a.example", "https://a.example/y", True),
    ],
)
def test_a_default_port_is_the_same_written_out(
    base: str, location: str, *, refused: bool
) -> None:
    """Origins are compared with their ports; https never becomes http."""

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/y":
            return httpx.Response(200, stream=httpx.ByteStream(b"[]"))
        headers = {"Location": location}
        return httpx.Response(302, headers=headers, stream=httpx.ByteStream(b""))

    async def main() -> Reply:
        # Ports below 1024 cannot be had in a test: an in-process transport instead.
        transport = httpx.MockTransport(respond)
        async with Http(base, KEY, allow_http=True, transport=transport) as http:
            return await http.request("GET", "/x")

    assert asyncio.run(main()).redirect_refused is refused


# --- masking ------------------------------------------------------------------


def test_a_key_that_the_server_echoes_stands_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not in headers, body, log lines of ours or of the libraries, nor any repr."""
    caplog.set_level(logging.DEBUG)
    echo = answer(
        503, f'{{"error": "{KEY}"}}'.encode(), X_Request_Id=KEY, Location=f"/{KEY}"
    ).replace(b"Whatever", KEY.encode())

    async def main() -> tuple[Reply, str]:
        async with wire(echo) as server:
            http = Http(server.url, KEY, limits=FAST, sleep=Naps())
            async with http:
                return await http.request("GET", "/x"), repr(http)

    reply, shown = asyncio.run(main())

    assert reply.body == b'{"error": "***"}'
    original = f'{{"error": "{KEY}"}}'.encode()
    assert reply.body_sha256 == hashlib.sha256(original).hexdigest()
    assert reply.size_bytes == len(original)
    assert reply.headers["x-request-id"] == "***"
    loggers = {record.name for record in caplog.records}
    assert {"httpx", "httpcore.http11", "sources.retries"} <= loggers
    assert "canary" not in caplog.text + repr(reply) + shown


@pytest.mark.parametrize(
    "said", [KEY, "other-canary", r"\u0073k_c\u0061nary-0123+456/789="]
)
def test_every_key_of_the_account_is_masked_however_it_is_repeated(said: str) -> None:
    """Law: a server knows all keys of an account, and may repeat any of them."""
    body = f'{{"{said}": ["{said}"]}}'.encode()

    reply, _ = ask(answer(404, body), also_masked=("other-canary", ""))

    assert reply.body == b'{"***": ["***"]}'


def test_a_key_in_the_name_of_a_header_is_masked() -> None:
    """Law: names are kept as values are."""
    said = b"HTTP/1.1 204 None\r\nX-RateLimit-canary-0123: 1\r\n\r\n"

    reply, _ = ask(said, also_masked=("canary-0123",))

    assert "x-ratelimit-***" in reply.headers


def test_a_key_in_the_words_of_a_fault_is_masked() -> None:
    """A head that cannot be read is quoted by the library; the key in it is not."""
    reply, _ = ask(Ending(f"HTTP/1.1 200 OK\r\n{KEY}\r\n\r\n".encode(), "closed"))

    assert reply.outcome == "transport_error"
    assert "***" in (reply.error or "")
    assert "canary" not in repr(reply)


def test_signatures_in_a_body_are_masked_and_the_hash_is_of_the_original() -> None:
    """Presigned URLs of others' files are kept without what opens them."""
    body = b'{"detail": "GET https://b/f?X-Amz-Signature=0f1e\\u0026a=1 failed"}'

    reply, _ = ask(answer(400, body))

    assert reply.body == body.replace(b"0f1e", b"***")
    assert reply.body_sha256 == hashlib.sha256(body).hexdigest()


def test_the_filters_of_the_log_go_with_the_connection() -> None:
    """A closed connection leaves the loggers of the libraries as they were."""
    before = [list(logging.getLogger(name).filters) for name in ("httpx", "httpcore")]

    ask(answer())

    after = [list(logging.getLogger(name).filters) for name in ("httpx", "httpcore")]
    assert before == after


# --- limits per origin --------------------------------------------------------


async def slow(writer: asyncio.StreamWriter) -> None:
    """Answer after a while, so that requests overlap."""
    await asyncio.sleep(0.01)
    writer.write(answer())


def test_requests_in_flight_are_counted_over_all_connections_to_an_origin() -> None:
    """Two accounts at one host share its slots."""

    async def main() -> int:
        limits = Limits(in_flight=3, requests_per_second=10_000)
        async with (
            wire(slow) as server,
            Http(server.url, "canary-of-eu", limits=limits) as eu,
            Http(f"{server.url}/us", "canary-of-us", limits=limits) as us,
        ):
            await asyncio.gather(
                *(http.request("GET", "/x") for http in (eu, us) for _ in range(8))
            )
            return server.most_at_once

    assert asyncio.run(main()) == 3


def test_an_account_with_less_room_than_its_origin_asks_for_everything() -> None:
    """The slots are those of the first account; the second one's connections wait."""

    async def main() -> tuple[list[str], int]:
        wide, small = (
            Limits(in_flight=room, requests_per_second=10_000) for room in (12, 2)
        )
        async with (
            wire(slow) as server,
            Http(server.url, "canary-of-eu", limits=wide),
            Http(f"{server.url}/us", "canary-of-us", limits=small) as us,
        ):
            replies = await asyncio.gather(
                *(us.request("GET", "/x") for _ in range(12))
            )
            return [reply.outcome for reply in replies], server.most_at_once

    outcomes, most = asyncio.run(main())

    assert outcomes == ["ok"] * 12
    assert 2 <= most <= 12


def test_a_slow_origin_keeps_no_other_waiting() -> None:
    """Each host has slots of its own."""

    async def main() -> Reply:
        limits = Limits(in_flight=1, requests_per_second=10_000)
        async with (
            wire(Ending(b"", "stalled")) as silent,
            wire(answer()) as server,
            Http(silent.url, KEY, limits=limits) as waiting,
            Http(server.url, KEY, limits=limits) as http,
        ):
            kept = asyncio.ensure_future(waiting.request("GET", "/x"))
            await asyncio.sleep(0)
            reply = await asyncio.wait_for(http.request("GET", "/x"), timeout=5)
            kept.cancel()
            await asyncio.wait([kept])
            return reply

    assert asyncio.run(main()).outcome == "ok"


def test_requests_are_spaced_over_all_connections_to_an_origin() -> None:
    """No more requests than allowed start in any second, by evenly spacing them."""

    async def main() -> list[float]:
        limits = Limits(requests_per_second=50)
        async with wire(answer()) as server, Http(server.url, KEY, limits=limits) as a:
            async with Http(server.url, KEY, limits=limits) as b:
                await asyncio.gather(
                    *(http.request("GET", "/x") for http in (a, b) for _ in range(4))
                )
            return server.arrivals

    arrivals = asyncio.run(main())

    assert arrivals[-1] - arrivals[0] >= 7 / 50 - 0.02


def test_each_event_loop_has_its_own_limits() -> None:
    """Loops that run side by side do not wait for one another: limiters cannot."""

    async def asked(url: str) -> list[Reply]:
        limits = Limits(requests_per_second=100)
        async with Http(url, KEY, limits=limits) as http:
            return await asyncio.gather(*(http.request("GET", "/x") for _ in range(3)))

    async def main() -> list[Reply]:
        async with wire(slow) as server:
            here = asyncio.ensure_future(asked(server.url))
            there = await asyncio.to_thread(lambda: asyncio.run(asked(server.url)))
            return await here + there

    assert [reply.outcome for reply in asyncio.run(main())] == ["ok"] * 6


def test_a_cancelled_request_gives_its_slot_back() -> None:
    """Who leaves while waiting for an answer keeps nobody else out."""

    async def main() -> Reply:
        asked = asyncio.Event()

        async def silent(_: asyncio.StreamWriter) -> None:
            asked.set()
            await asyncio.Event().wait()

        limits = Limits(in_flight=1, requests_per_second=10_000)
        async with (
            wire(silent, answer()) as server,
            Http(server.url, KEY, limits=limits) as http,
        ):
            first = asyncio.ensure_future(http.request("GET", "/x"))
            await asked.wait()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            return await asyncio.wait_for(http.request("GET", "/x"), timeout=5)

    assert asyncio.run(main()).outcome == "ok"


# --- what a request carries ---------------------------------------------------


@dataclass
class Told:
    """A server that reads whole requests and gives the next of its statuses to each.

    The status 0 is a TCP reset after the request was read.
    """

    statuses: Sequence[int] = (200,)
    bodies: list[bytes] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = dict(scope["headers"])
        self.types.append(headers.get(b"content-type", b"").decode())
        self.bodies.append(body)
        status = self.statuses[min(len(self.bodies), len(self.statuses)) - 1]
        if status == 0:
            await reset(scope)
            return
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


def post(told: Told, **request: Any) -> tuple[Reply, Naps]:
    """Return the reply to one POST, and how long was waited for its tries."""

    async def main(url: str) -> tuple[Reply, Naps]:
        naps = Naps()
        async with Http(url, KEY, limits=FAST, sleep=naps) as http:
            return await http.request("POST", "/x", **request), naps

    with serve(told) as url:
        return asyncio.run(main(url))


def test_a_json_document_is_sent_as_it_is() -> None:
    """Law: what is given as JSON arrives as JSON, and says so."""
    told, document = Told(), {"inputs": [{"name": "ü", "value": None}], "n": 1.5}

    post(told, content=Content(json=document))

    assert told.types == ["application/json"]
    assert [json.loads(body) for body in told.bodies] == [document]


def parts(told: Told, turn: int = 0) -> list[tuple[Any, str | None, Any]]:
    """Return name, file name and bytes of each part of a form that was sent."""
    head = f"Content-Type: {told.types[turn]}\r\n\r\n".encode()
    form = message_from_bytes(head + told.bodies[turn], policy=HTTP)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_payload(decode=True),
        )
        for part in form.iter_parts()
    ]


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, Path]]:
    """Return two files of any bytes, with the names to send."""
    contents = {"a.pdf": bytes(range(256)) * 300, 'ü "b".txt': b""}
    given = []
    for number, (name, data) in enumerate(contents.items()):
        path = tmp_path / str(number)
        path.write_bytes(data)
        given.append((name, path))
    return given


def test_a_form_carries_fields_and_files(files: list[tuple[str, Path]]) -> None:
    """Law: each file comes whole, by its name, in the field ``files``."""
    told = Told()

    post(told, content=Content(fields={"timeout": "-1", "tags": "x"}, files=files))

    sent = parts(told)
    assert sorted(sent[:2]) == [("tags", None, b"x"), ("timeout", None, b"-1")]
    assert [(name, data) for name, _, data in sent[2:]] == [
        ("files", path.read_bytes()) for _, path in files
    ]
    assert sent[2][1] == "a.pdf"


def test_each_try_sends_the_files_anew(files: list[tuple[str, Path]]) -> None:
    """Law: a repeated upload is as whole as the first."""
    told = Told((429, 429, 200))

    reply, naps = post(told, content=Content(files=files), retry="unaccepted")

    assert (reply.http_status, reply.attempts, len(naps)) == (200, 3, 2)
    assert parts(told, 0) == parts(told, 1) == parts(told, 2)
    assert parts(told)[0][2] == files[0][1].read_bytes()


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 422, 0])
def test_what_may_have_begun_is_not_sent_again(status: int) -> None:
    """Law: with ``unaccepted``, nothing that the server may have taken is repeated."""
    told = Told((status, 200))

    reply, naps = post(told, content=Content(json={}), retry="unaccepted")

    assert (len(told.bodies), naps, reply.attempts) == (1, [], 1)
    assert reply.was_sent
    assert reply.http_status == (status or None)


def test_a_refused_connection_is_tried_again_although_nothing_may_be_repeated() -> None:
    """Law: where no connection was made, the server has done nothing."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"

    async def main() -> tuple[Reply, Naps]:
        naps = Naps()
        async with Http(url, KEY, limits=FAST, sleep=naps) as http:
            return await http.request("POST", "/x", retry="unaccepted"), naps

    reply, naps = asyncio.run(main())

    assert (reply.outcome, reply.was_sent) == ("transport_error", False)
    assert (reply.attempts, len(naps)) == (FAST.attempts, FAST.attempts - 1)


def test_a_file_that_cannot_be_read_was_never_sent(tmp_path: Path) -> None:
    """Law: without its file nothing goes out, and that is said."""
    told, gone = Told(), tmp_path / "gone.pdf"

    reply, _ = post(told, content=Content(files=[("a", gone)]), retry="none")

    assert (reply.outcome, reply.was_sent, told.bodies) == (
        "transport_error",
        False,
        [],
    )
    assert "gone.pdf" in (reply.error or "")


def test_a_request_may_have_patience_of_its_own() -> None:
    """Law: ``read_timeout_s`` of a request goes before that of the connection."""
    reply, server = ask(
        Ending(b"", "stalled"),
        limits=Limits(read_timeout_s=600),
        request={"read_timeout_s": 0.05, "retry": "none"},
    )

    assert (reply.outcome, len(server.requests)) == ("transport_error", 1)
    assert "ReadTimeout" in (reply.error or "")
    assert reply.was_sent


# --- what is left of a body that was arriving ---------------------------------


def recovered(arriving: Path) -> Reply:
    """Return what a process that died had received."""
    http = Http("http://127.0.0.1:1/", KEY)
    return http.recovered("GET", "/x", params={"id": 7}, arriving=arriving)


def kept_while(arriving: Path, *pieces: bytes) -> list[bytes]:
    """Return what the file holds after each piece of an answer; its end never comes."""
    seen: list[bytes] = []
    all_seen = asyncio.Event()

    def left() -> bytes:
        return arriving.read_bytes() if arriving.exists() else b""

    async def piecewise(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            end = piece.rpartition(b"\r\n\r\n")[2]
            while not left().endswith(end):  # noqa: ASYNC110 - only the file tells
                await asyncio.sleep(0.001)
            seen.append(left())
        all_seen.set()

    async def main() -> None:
        async with wire(piecewise) as server, Http(server.url, KEY) as http:
            asked = http.request("GET", "/x", retry="none", arriving=arriving)
            task = asyncio.ensure_future(asked)
            await all_seen.wait()
            task.cancel()  # as a kill would: nothing more is done
            await asyncio.wait([task])

    asyncio.run(main())
    return seen


def test_pieces_are_on_the_disk_while_the_rest_is_held_back(tmp_path: Path) -> None:
    """Law: what has arrived can be read by another process, before the answer ends."""
    arriving, whole = tmp_path / "a", answer(body=b'{"result": 42}')

    seen = kept_while(arriving, whole[:-11], whole[-11:-3])
    reply = recovered(arriving)

    assert [data.partition(b"\n")[2] for data in seen] == [b'{"r', b'{"result": ']
    assert arriving.stat().st_mode & 0o777 == 0o600
    assert (reply.outcome, reply.body) == ("truncated", b'{"result": ')
    assert (reply.size_bytes, reply.http_status) == (11, 200)
    assert reply.error == "the process ended while the body arrived"


def test_a_body_that_had_come_whole_is_recovered_as_an_answer(tmp_path: Path) -> None:
    """Law: it is the same reply as the one that was not kept any more."""
    arriving = tmp_path / "a"
    whole = answer(422, b'{"n": 1}', X_RateLimit_Limit="9", Set_Cookie="no")

    reply, _ = ask(whole, request={"retry": "none", "arriving": arriving})
    found = recovered(arriving)

    for name in ("http_status", "headers", "body", "body_sha256", "size_bytes"):
        assert getattr(found, name) == getattr(reply, name)
    assert (found.outcome, found.error) == ("http_error", None)
    assert (found.method, found.url) == (reply.method, reply.url)


@pytest.mark.parametrize(
    "left", [None, b"", b'{"method": "GE', b'{"method": "GET"'], ids=str
)
def test_where_nothing_had_come_no_answer_is_recovered(
    tmp_path: Path, left: bytes | None
) -> None:
    """Law: without a whole first line there was no answer: a fault of transport."""
    if left is not None:
        (tmp_path / "a").write_bytes(left)

    reply = recovered(tmp_path / "a")

    assert (reply.outcome, reply.http_status) == ("transport_error", None)
    assert (reply.body, reply.size_bytes, reply.was_sent) == (None, 0, True)
    assert reply.url == "http://127.0.0.1:1/x?id=7"


def test_the_key_stands_in_nothing_that_is_recovered(tmp_path: Path) -> None:
    """Law: what was masked in the answer is masked in what is left of it."""
    arriving = tmp_path / "a"
    echo = answer(200, KEY.encode(), X_Request_Id=KEY)

    ask(echo, request={"retry": "none", "arriving": arriving})
    reply = recovered(arriving)

    assert KEY not in repr(reply) + arriving.read_text()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (KEY, KEY),
        (KEY, KEY.replace("k", r"\u006b").replace("a", r"\u0061")),
        (KEY[:21], b64encode(KEY[:21].encode()).decode()),
    ],
)
def test_a_key_is_never_in_the_file_of_what_arrives_however_it_is_cut(
    tmp_path: Path, key: str, said: str
) -> None:
    """Law: after each byte the file is as long as what came, and has no whole key."""
    arriving, data = tmp_path / "a", f'{{"a": "{said}", "b": 1}}'.encode() * 9
    spool = Spool(arriving, {}, (key,))

    for place in range(len(data)):
        spool.write(data[place : place + 1])
        kept = arriving.read_bytes().partition(b"\n")[2]
        assert len(kept) == place + 1
        assert said.encode() not in kept
    spool.close()

    assert kept == data.replace(said.encode(), b"*" * len(said))


def gzipped(data: bytes) -> bytes:
    """Return an answer whose body is packed."""
    return answer(body=gzip.compress(data), Content_Encoding="gzip")


def test_a_packed_body_is_kept_unpacked(tmp_path: Path) -> None:
    """Law: also where the length is not said, a whole document is known as such."""
    arriving, data = tmp_path / "a", json.dumps({"n": list(range(999))}).encode()

    ask(gzipped(data), request={"retry": "none", "arriving": arriving})
    whole = recovered(arriving)
    arriving.write_bytes(arriving.read_bytes()[:-1])
    cut = recovered(arriving)

    assert (whole.outcome, whole.body) == ("ok", data)
    assert (cut.outcome, cut.body) == ("truncated", data[:-1])


@given(
    value=st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.none()))
)
def test_no_beginning_of_a_document_is_taken_for_a_whole_one(
    tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any]
) -> None:
    """Law: a body of unknown length that was cut anywhere is known to be cut."""
    arriving = tmp_path_factory.mktemp("cut") / "a"
    head = {"method": "GET", "url": "x", "http_status": 200, "headers": {}}
    data = json.dumps(value).encode()
    cuts = {0, 1, len(data) // 2, len(data) - 1}

    outcomes = set()
    for cut in cuts:
        spool = Spool(arriving, head | {"length": None})
        spool.write(data[:cut])
        spool.close()
        outcomes.add(recovered(arriving).outcome)

    assert outcomes == {"truncated"}


def test_an_earlier_try_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    """Law: what is recovered is never the answer to a try before the last."""
    arriving, seen = tmp_path / "a", []

    async def second(writer: asyncio.StreamWriter) -> None:
        seen.append(arriving.exists())
        writer.write(answer())

    ask(answer(429, b"wait"), second, request={"arriving": arriving})

    assert seen == [False]


def test_a_copy_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    """Law: what arrives is worth more than its copy."""
    arriving = tmp_path / "no such folder" / "a"

    reply, _ = ask(answer(body=b"42"), request={"retry": "none", "arriving": arriving})

    assert (reply.outcome, reply.body) == ("ok", b"42")


def test_after_a_full_disk_nothing_more_is_written_of_a_copy(tmp_path: Path) -> None:
    """Law: a copy never has a gap: it is whole, or it ends early."""
    spool = Spool(Path("/dev/full"), {})
    spool.write(b"one")

    spool._path = tmp_path / "a"
    spool.write(b"two")
    spool.close()

    assert not (tmp_path / "a").exists()
