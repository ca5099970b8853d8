"""What the twins of all providers have in common: notes, latency and faults."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar, Literal, NamedTuple, cast

from sources.loopback import reset  # first: says how to install what is needed below

# isort: split
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Fault", "Hold", "Noted", "Refusal", "Trouble", "TwinServer"]

Trouble = Literal["cut", "hang", "html", "reset"]
"""A body cut in half, no answer, a page of HTML, a connection that breaks."""

_TURN_S = 0.005

PAGE = "<!DOCTYPE html>\n<html><body><h1>One moment, please</h1></body></html>\n"


class Noted(NamedTuple):
    """A request as it came; the key itself is not kept."""

    method: str
    path: str
    query: str
    is_authorised: bool


class Refusal(Exception):
    """An endpoint's way to answer an error: text as it is, the rest as JSON."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body

    def answer(self) -> Response:
        """Return the error as an answer."""
        kind = PlainTextResponse if isinstance(self.body, str) else JSONResponse
        return kind(self.body, self.status)


@dataclass
class Fault:
    """An answer to give instead of the true one, so many times."""

    fragment: str
    answer: Response | Literal["cut", "hang", "reset"]
    times: int


class Hold:
    """A body that stops half way, until it is released or nobody waits for it.

    ``half_sent`` is set when the first half is on its way. ``fragment`` says which
    requests it is for: it stands in their path and query.
    """

    def __init__(self, fragment: str = "") -> None:
        self.fragment = fragment
        self.half_sent = threading.Event()
        self._released = threading.Event()

    def release(self) -> None:
        """Let the rest be sent, if the client is still there."""
        self._released.set()

    async def outlasts(self, request: Request) -> bool:
        """Wait for the release; return whether the client waited, too."""
        self.half_sent.set()
        while not self._released.is_set():
            if await request.is_disconnected():
                return False
            await asyncio.sleep(_TURN_S)
        await asyncio.sleep(_TURN_S)  # the loop learns of a client that is just gone
        return not await request.is_disconnected()


class TwinServer:
    """An ASGI app that notes its requests and fails where it is told to.

    A provider's twin derives from it, gives the routes, says which requests are
    authorised, and has the provider's error bodies by status in ``ERRORS``.
    """

    ERRORS: ClassVar[Mapping[int, object]] = {}

    def __init__(self, routes: Sequence[BaseRoute], *, latency_s: float) -> None:
        self.latency_s = latency_s
        self.requests: list[Noted] = []
        self.max_in_flight = 0
        self._in_flight = 0
        self._faults: list[Fault] = []
        self._callbacks: list[Callable[[Noted], object]] = []
        self._routes = Starlette(
            routes=routes,
            exception_handlers={HTTPException: _no_route, Refusal: _refused},
        )

    @property
    def app(self) -> ASGIApp:
        """The twin itself, for ``serve``."""
        return self._front

    def is_authorised(self, headers: Headers) -> bool:
        """Return whether the request brings the right key; here: always."""
        del headers
        return True

    def on_request(self, callback: Callable[[Noted], object]) -> None:
        """Call ``callback`` with each request from now on, before its answer."""
        self._callbacks.append(callback)

    def count(self, fragment: str) -> int:
        """Return how many requests had ``fragment`` in their path and query."""
        return sum(fragment in f"{noted.path}?{noted.query}" for noted in self.requests)

    def fail_next(
        self,
        fragment: str,
        fault: int | Trouble,
        *,
        body: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Spoil the next answers to paths and queries that hold ``fragment``.

        ``fault`` is a status, whose ``body`` is the provider's own unless one is
        given, or a ``Trouble``. Faults that fit the same request come in order.
        """
        answer: Response | Literal["cut", "hang", "reset"]
        if fault == "html":
            answer = HTMLResponse(PAGE, headers=headers)
        elif not isinstance(fault, int):
            answer = fault
        elif body is not None:
            answer = Response(body, fault, headers, "application/json")
        else:
            own = self.ERRORS.get(fault, {"detail": HTTPStatus(fault).phrase})
            answer = Refusal(fault, own).answer()
            answer.headers.update(headers or {})
        self._faults.append(Fault(fragment, answer, times))

    async def _front(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            fault = self._note(Request(scope))
            await asyncio.sleep(self.latency_s)
            await self.play(fault, scope, receive, send)
        finally:
            self._in_flight -= 1

    def _note(self, request: Request) -> Fault | None:
        """Note the request, tell the callbacks, and return the fault due, if any."""
        path, query = request.url.path, request.url.query
        noted = Noted(request.method, path, query, self.is_authorised(request.headers))
        self.requests.append(noted)
        for callback in self._callbacks:
            callback(noted)
        for fault in self._faults:
            if fault.fragment in f"{path}?{query}":
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return fault
        return None

    async def play(
        self, fault: Fault | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Give the true answer, half of it, another one, or none.

        A twin whose endpoints have run although their answer is lost overrides it.
        """
        answer = fault.answer if fault else None
        scope["twin.is_whole"] = answer is None
        if answer is None:
            await self._routes(scope, receive, send)
        elif answer == "cut":
            await self._routes(scope, receive, _half(send))
        elif answer == "hang":
            while (await receive())["type"] != "http.disconnect":
                pass
        elif answer == "reset":
            await reset(scope)
        else:
            await answer(scope, receive, send)


def _half(send: Send) -> Send:
    """Return a ``send`` that promises the whole body and never ends it."""

    async def send_half(message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message["body"]
            message = {**message, "body": body[: len(body) // 2], "more_body": True}
        await send(message)

    return send_half


def _no_route(_request: Request, refused: Exception) -> Response:
    """Answer an unknown path or method in JSON, as FastAPI does."""
    known = cast("HTTPException", refused)
    return Refusal(known.status_code, {"detail": known.detail}).answer()


def _refused(_request: Request, refused: Exception) -> Response:
    return cast("Refusal", refused).answer()
