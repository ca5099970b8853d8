"""A network that hurts what goes through it: a proxy before one of the twins."""

import asyncio
import random
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args
from urllib.parse import parse_qs, urlsplit

__all__ = ["HURTS", "Network", "Way", "through"]

Way = Literal[
    "drops before it is asked",
    "drops the answer",
    "cuts the body",
    "resets after the headers",
    "stalls before it is asked",
    "stalls within the answer",
    "answers byte by byte",
    "answers 429",
]

HURTS: tuple[Way, ...] = get_args(Way)

_THROTTLED = (
    b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: %d\r\nContent-Length: 2\r\n"
    b"Connection: close\r\n\r\n{}"
)
_SPOILS: tuple[Way, ...] = (
    "drops the answer",
    "cuts the body",
    "resets after the headers",
    "stalls within the answer",
)


class Network:
    """Passes requests on, and hurts a part of them in one way.

    ``hurt`` counts those; a 429 asks to wait for ``wait_s`` seconds. ``spoilt`` are the
    executions whose answer it had, and did not pass on whole.
    """

    def __init__(
        self, target: str, way: Way, *, share: float, seed: int = 0, wait_s: int = 0
    ) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname or "", parts.port or 80)
        self._way = way
        self.share = share
        self._wait_s = wait_s
        self._chance = random.Random(seed)  # noqa: S311 - which to hurt, no secret
        self._for_ever = asyncio.Event()  # holds who waits for it
        self.hurt = 0
        self.spoilt: set[str] = set()

    async def pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection: one request, and its answer or what is left of it."""
        try:
            request = await _message(reader)
            if request:
                await self._answer(request, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        is_hurt = self._chance.random() < self.share
        self.hurt += is_hurt
        if is_hurt and self._way == "drops before it is asked":
            return
        if is_hurt and self._way == "stalls before it is asked":
            await self._for_ever.wait()
        if is_hurt and self._way == "answers 429":
            writer.write(_THROTTLED % self._wait_s)
            await writer.drain()
            return
        answer = await self._asked(request)
        if not is_hurt:
            writer.write(answer)
            await writer.drain()
            return
        if self._way in _SPOILS:
            self.spoilt |= _about(request)
        await self._hurt(answer, writer)

    async def _asked(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._target)
        writer.write(re.sub(rb"(?i)\r\nconnection:[^\r]*", b"", request, count=1))
        try:
            answer = await _message(reader, closes=True)
        finally:
            writer.close()
        return answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)

    async def _hurt(self, answer: bytes, writer: asyncio.StreamWriter) -> None:
        head, _, body = answer.partition(b"\r\n\r\n")
        if self._way == "answers byte by byte":
            for place in range(len(answer)):
                writer.write(answer[place : place + 1])
                await writer.drain()
        elif self._way == "cuts the body":
            writer.write(head + b"\r\n\r\n" + body[: len(body) // 2])
            await writer.drain()
        elif self._way == "stalls within the answer":
            writer.write(head + b"\r\n\r\n" + body[: len(body) // 2])
            await self._for_ever.wait()
        elif self._way == "resets after the headers":
            writer.write(head + b"\r\n\r\n")
            await writer.drain()
            _reset(writer)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Let the connection end with a reset instead of an end."""
    connection = writer.get_extra_info("socket")
    linger = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def _about(request: bytes) -> set[str]:
    """Return the id of the execution that a request of Unstract asks for."""
    target = request.split(b" ", 2)[1].decode()
    return set(parse_qs(urlsplit(target).query).get("execution_id", []))


async def _message(reader: asyncio.StreamReader, *, closes: bool = False) -> bytes:
    """Return a request or answer, whole; nothing where none comes."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if length:
        return head + await reader.readexactly(int(length[1]))
    return head + (await reader.read() if closes else b"")


@contextmanager
def through(network: Network) -> Iterator[str]:
    """Serve a network on loopback, in a thread of its own; yield where."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        asyncio.start_server(network.pass_on, "127.0.0.1", 0)
    )
    beside = threading.Thread(target=loop.run_forever)
    beside.start()
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        beside.join()
        server.close()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.wait(tasks))
        loop.close()
