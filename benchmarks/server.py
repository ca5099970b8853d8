"""A server on loopback that answers what was made up, each time after a while."""

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from urllib.parse import parse_qs

from sources.loopback import serve  # first: says what to install

# isort: split
from starlette.types import Receive, Scope, Send

__all__ = ["NOTHING", "Pages", "Pending", "serving"]

_NO_ROUTE = b'{"detail":"Not Found"}'

Query = Mapping[str, list[str]]


class Pages:
    """Torale's lists of executions: bodies by task and page; beyond them, nothing."""

    def __init__(self, bodies: Mapping[tuple[str, int], bytes], delay_s: float) -> None:
        self.delay_s = delay_s
        self._bodies = bodies

    def answer(self, path: str, query: Query) -> tuple[int, bytes]:
        """Return status and body; there are no tasks to list, nor single executions."""
        *_, task, last = path.split("/")
        if last != "executions":
            return (404, _NO_ROUTE) if last else (200, b"[]")
        page = int(query.get("page", ["1"])[0])
        nothing = {"executions": [], "total": 0, "page": page, "limit": 100}
        return 200, self._bodies.get((task, page), json.dumps(nothing).encode())


NOTHING = Pages({}, 0)


class Pending:
    """Discuro, where nothing is ever done; notes for how long it is asked."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s
        self._times: list[list[float]] = []

    def begin(self) -> None:
        """Begin to note the times of one more run."""
        self._times.append([])

    def answer(self, path: str, query: Query) -> tuple[int, bytes]:
        """Return status and body."""
        del path
        self._times[-1].append(time.perf_counter())
        body = {"id": int(query["id"][0]), "status": "running"}
        return 200, json.dumps(body).encode()

    def span_s(self) -> float:
        """Return the median seconds from the first request to the last answer."""
        return median(run[-1] - run[0] + self.delay_s for run in self._times)


@contextmanager
def serving(what: Pages | Pending) -> Iterator[str]:
    """Answer in a thread of this process; yields the base URL."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        query = parse_qs(scope["query_string"].decode())
        status, body = what.answer(scope["path"], query)
        if what.delay_s:
            await asyncio.sleep(what.delay_s)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})

    with serve(app) as url:
        yield url
