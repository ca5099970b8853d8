"""A server that hurts, and repeats every key it knows in all that it says."""

import asyncio
import gzip
import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

__all__ = ["WAYS", "Parrot", "Way", "listening"]

Way = Literal[
    "401",
    "403",
    "404",
    "422",
    "429",
    "500",
    "to another origin",
    "round and round",
    "to nowhere",
    "cut",
    "cut before its end is said",
    "silent",
    "no JSON",
    "HTML",
    "another shape",
    "gzip",
    "no gzip",
    "no HTTP",
    "good",
]
WAYS: tuple[Way, ...] = get_args(Way)

_STATUS = {"good": 200, "another shape": 200, "gzip": 200, "HTML": 200, "no JSON": 200}


def _spellings(key: str) -> list[str]:
    """Return a key as servers may write it, ready to stand in a JSON text."""
    escaped = "".join(f"\\u{ord(char):04x}" for char in key)
    return [
        key,
        escaped,
        escaped[:6] + key[1:],
        "".join(f"%{ord(char):02X}" for char in key),
        b64encode(key.encode()).decode(),
        f"Basic {b64encode(f'me:{key}'.encode()).decode()}",
        f"https://me:{key}@a.example/?api_key={key}&X-Amz-Signature={key}",
        f'{{\\"inner\\": \\"{escaped.replace(chr(92), chr(92) * 2)}\\"}}',
    ]


class Parrot:
    """Knows the keys of one account; ``way`` is how it answers from now on."""

    def __init__(self, *keys: str, elsewhere: str = "") -> None:
        self.keys = keys
        self.way: Way = "good"
        self.elsewhere = elsewhere
        self.heard: list[str] = []

    async def answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Serve one connection: one request, and whatever comes of it."""
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heard.append(head)
            if length := re.search(r"(?i)\r\ncontent-length: *(\d+)", head):
                await reader.readexactly(int(length[1]))
            way = self.way
            if way == "silent" and "/deployment/api/" not in head:
                way = "good"  # only there may one set how long is waited
            writer.write(self._said(head, way))
            await writer.drain()
            if way == "silent":
                await reader.read()  # until the client leaves
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _said(self, head: str, way: Way) -> bytes:
        keys = " ".join(self.keys)
        if way == "no HTTP":
            return f"{keys}\r\n\r\n{keys}".encode()
        body, length = self._body(head, way), None
        location = ""
        status = _STATUS.get(way, 200)
        if way.isdigit():
            status = int(way)
        elif way in {"to another origin", "round and round", "to nowhere"}:
            status = 307
            location = {
                "to another origin": f"{self.elsewhere}/x?token={keys}",
                "round and round": head.split(" ")[1],
                "to nowhere": f"http://[::1/{keys}",
            }[way].replace(" ", "%20")
        if way in {"cut", "silent"}:
            length = len(body) + 99
        encoding = ""
        if way == "gzip":
            body, encoding = gzip.compress(body), "gzip"
        if way == "no gzip":
            encoding = f"gzip-{keys}"
        kind = "text/html" if way == "HTML" else "application/json"
        headers = {
            "Content-Type": f"{kind}; key={keys}",
            "Set-Cookie": f"key={keys}",
            "X-Request-Id": keys,
            "ETag": f'"{keys}"',
            "Server": keys,
            "X-RateLimit-Key": keys,
            "Retry-After": "0",
            "Location": location,
            "Content-Encoding": encoding,
            "Connection": "close",
        }
        if way != "cut before its end is said":
            headers["Content-Length"] = str(length or len(body))
        else:
            headers["Transfer-Encoding"] = "chunked"
            body = f"{len(body) + 5:x}\r\n".encode() + body
        lines = [f"HTTP/1.1 {status} {keys}"]
        lines += [f"{name}: {value}" for name, value in headers.items() if value]
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _body(self, head: str, way: Way) -> bytes:
        said = [each for key in self.keys for each in _spellings(key)]
        text = " and ".join(said)
        if way == "HTML":
            return f"<html><title>{text}</title>".encode()
        if way == "no JSON":
            return f'{{"error": "{text}", {text}'.encode()
        if way in {"good", "gzip"}:
            return _good(head, text, self.elsewhere).encode()
        return (
            f'{{"detail": "{text}", "{text}": {{"{text}": ["{text}", null]}}, '
            f'"error": {json.dumps(json.dumps({"message": self.keys[0]}))}}}'
        ).encode()


def _good(head: str, text: str, elsewhere: str) -> str:
    """Return what the provider who is asked for would answer, full of a text.

    All links of Unstract's answers lead elsewhere.
    """
    method, target = head.split(" ")[:2]
    if method == "POST" and "/deployment/api/" in target:
        return (
            '{"message": {"execution_status": "PENDING", "status_api": '
            f'"{elsewhere}{target}?execution_id=e-1", "error": "{text}"}}}}'
        )
    if target.startswith("/api/v1/tasks/") and "executions" in target:
        return (
            f'{{"executions": [{{"id": "e-{len(target)}", "task_id": "t", '
            f'"status": "failed", "error_message": "{text}", "result": {{"answer": '
            f'"{text}", "{text}": 1}}, "started_at": "2026-01-31T12:00:00Z"}}], '
            '"total": 1, "page": 1, "limit": 100}'
        )
    if target.startswith("/api/v1/tasks/"):
        return f'[{{"id": "t", "name": "{text}", "{text}": "{text}"}}]'
    if "/deployment/api/" in target:
        return (
            f'{{"status": "COMPLETED", "message": [{{"file": "{text}", "status": '
            f'"Success", "result": {{"output": {{"{text}": "{text}"}}}}, '
            f'"metadata": {{"{text}": "{text}"}}}}]}}'
        )
    if "/v1/" in target and "retrieve" in target:
        return (
            f'{{"id": 131, "status": "ended", "passed": false, "error": "{text}", '
            f'"transformation": {{"data": ["{text}"]}}}}'
        )
    following = f'"{elsewhere}{target}"' if "page=1&" in target else "null"
    return (
        f'{{"count": 2, "next": {following}, "previous": null, "results": '
        f'[{{"id": "{len(target)}", "api_name": "invoices", "workflow": "w", "a": '
        f'"{text}"}}]}}'
    )


@contextmanager
def listening(*parrots: Parrot) -> Iterator[list[str]]:
    """Serve parrots on loopback, in a thread of their own; yield where each is."""
    loop = asyncio.new_event_loop()
    servers = [
        loop.run_until_complete(asyncio.start_server(each.answer, "127.0.0.1", 0))
        for each in parrots
    ]
    beside = threading.Thread(target=loop.run_forever)
    beside.start()
    try:
        names = [server.sockets[0].getsockname() for server in servers]
        yield [f"http://{host}:{port}" for host, port in names]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        beside.join()
        for server in servers:
            server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
