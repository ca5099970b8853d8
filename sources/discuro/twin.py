"""A small server that behaves as Discuro does.

As its page on retrieving executions says, and the providers' notes: an execution is
asked for by its id, is not found before it is synced, and not any more when a day has
passed. The state is a ``World``, open to changes at any time.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, NamedTuple, cast

from sources.loopback import Obtained  # first: says what to install
from sources.twin_server import Hold, Refusal, TwinServer

# isort: split
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sources.discuro.twin_demo import furnish
from sources.discuro.twin_world import (
    Body,
    Execution,
    Kind,
    World,
    failure,
    printed,
    stamp,
)

__all__ = ["DiscuroTwin", "HandedOut", "demo"]

DEMO_LAG = timedelta(minutes=1)


class HandedOut(NamedTuple):
    """The answer about an execution that was last handed out whole.

    ``at`` is when that was, in the twin's time; ``times`` how often this answer was.
    """

    body: Body
    at: datetime
    times: int


class DiscuroTwin(TwinServer):
    """Discuro on loopback: ``world`` is its state, ``app`` what ``serve`` runs.

    ``key`` is the one good key, sent in ``auth_header`` behind ``auth_scheme``.
    ``clock`` gives the time. An execution can be asked for from ``sync_s`` after its
    start until ``result_ttl_s`` after it. The ``documented`` dialect prints failures
    as the page does, without a comma: they are no JSON.
    """

    ERRORS: ClassVar[Mapping[int, object]] = {
        400: failure("Operation failed - execution_log not found"),
        401: failure("Unauthorized"),
        429: failure("Too Many Requests"),
        503: "Service Unavailable",
    }
    """Only 400 is documented; the others are likely."""

    def __init__(
        self,
        *,
        key: str,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        latency_s: float = 0.0,
        sync_s: float = 60.0,
        result_ttl_s: float = 24 * 3600,
        dialect: Literal["documented", "live"] = "live",
    ) -> None:
        endpoints = {
            "/v1/executions/retrieve": self._retrieve,
            "/v1/orchestrators/execute": self._execute_orchestrator,
            "/v1/prompt-templates/execute": self._execute_prompt_template,
        }
        routes = [
            Route(slash + path, endpoint, methods=["POST"])
            for slash in ("", "/")  # the page's own path has two
            for path, endpoint in endpoints.items()
        ]
        super().__init__(routes, latency_s=latency_s)
        self.world = World(clock, sync_s=sync_s, result_ttl_s=result_ttl_s)
        self.is_documented = dialect == "documented"
        self._key = key
        self._auth_header = auth_header
        self._auth_scheme = auth_scheme
        self._handed: dict[tuple[str, str], HandedOut] = {}
        self._holds: list[Hold] = []

    @property
    def app(self) -> ASGIApp:
        """The twin itself, for ``serve``."""
        return self._deliver

    def settings(self, base_url: str) -> dict[str, str]:
        """Return the keys of ``[sources.discuro]`` that read this twin, quickly."""
        settings = {
            "base_url": base_url,
            "api_key": self._key,
            "assumed_model": "openai/gpt-4o",
            "poll_interval_s": "0.05",
            "first_poll_s": "0",
        }
        if (self._auth_header, self._auth_scheme) != ("Authorization", "Bearer"):
            settings["auth_header"] = self._auth_header
            settings["auth_scheme"] = self._auth_scheme
        return settings

    def pass_time(self) -> None:
        """Let time go on until what runs now has ended and can be asked for."""
        self.world.pass_time()

    def started(self) -> list[dict[str, object]]:
        """Return what a user who started the executions would track, one each."""
        return [
            {
                "id": str(one.execution_id),
                "started_at": stamp(one.started_at),
                "tags": [dict(tag) for tag in one.tags],
            }
            for one in list(self.world.executions.values())
        ]

    def obtained(self) -> dict[tuple[str, str], Obtained]:
        """Return ("", id) → what a store that lost nothing has of it, for all."""
        executions = list(self.world.executions.values())
        return {_key_of(one): self._obtained(one) for one in executions}

    def ledger(self) -> dict[tuple[str, str], HandedOut]:
        """Return ("", id) → the answer about it that was last handed out whole.

        An answer of the documented dialect that is no JSON is in here with its comma.
        """
        return dict(self._handed)

    def hold_next_body(self, fragment: str = "") -> Hold:
        """Stop the next body for a path and query with ``fragment`` half way.

        Its ``Content-Length`` promises the whole. What a client did not wait for is
        not in the ledger.
        """
        held = Hold(fragment)
        self._holds.append(held)
        return held

    def is_authorised(self, headers: Headers) -> bool:
        """Return whether the request brings the good key."""
        expected = f"{self._auth_scheme} {self._key}".strip()
        return headers.get(self._auth_header) == expected

    def _obtained(self, execution: Execution) -> Obtained:
        handed = self._handed.get(_key_of(execution))
        body = handed.body if handed else {}
        if body.get("status") == "ended":
            return _captured(body)
        if self.world.is_deleted(execution):
            return Obtained(None, "expired")
        return Obtained("started" if handed else None, "pending")

    async def _retrieve(self, request: Request) -> Response:
        self._check_key(request)
        execution_id = request.query_params.get("id", "")
        is_id = re.fullmatch(r"\d{1,18}", execution_id, re.ASCII)
        body = self.world.find(int(execution_id)) if is_id else None
        if body is None:
            raise Refusal(400, self.ERRORS[400])
        request.scope["twin.handing_out"] = body
        text = printed(body, is_documented=self.is_documented)
        return Response(text, media_type="application/json")

    async def _execute_orchestrator(self, request: Request) -> Response:
        return await self._execute(request, "orchestrator")

    async def _execute_prompt_template(self, request: Request) -> Response:
        return await self._execute(request, "prompt_template")

    async def _execute(self, request: Request, kind: Kind) -> Response:
        self._check_key(request)
        try:
            given = json.loads(await request.body())
        except ValueError:
            given = None
        return JSONResponse({"id": self.world.start(kind, given)})

    def _check_key(self, request: Request) -> None:
        if not self.is_authorised(request.headers):
            raise Refusal(401, self.ERRORS[401])

    async def _deliver(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; enter in the ledger what is sent to its last byte."""

        async def send_whole(message: Message) -> None:
            is_body = message["type"] == "http.response.body"
            if is_body and not message.get("more_body"):
                request = Request(scope, receive)
                held = self._held(request)
                if held is not None:
                    message = await _half_of(message, send)
                    if not await held.outlasts(request):
                        return
                self._enter(scope.get("twin.handing_out"))
            await send(message)

        await super().app(scope, receive, send_whole)

    def _held(self, request: Request) -> Hold | None:
        """Return how this body is to be held, if it is; once only."""
        asked = f"{request.url.path}?{request.url.query}"
        for held in self._holds:
            if held.fragment in asked:
                self._holds.remove(held)
                return held
        return None

    def _enter(self, body: Body | None) -> None:
        """Enter in the ledger the answer about an execution, if it is one."""
        if body is None:
            return
        key = ("", str(body["id"]))
        before = self._handed.get(key)
        times = before.times if before and before.body == body else 0
        self._handed[key] = HandedOut(body, self.world.now(), times + 1)


async def _half_of(message: Message, send: Send) -> Message:
    """Send half of a body; return the message that brings the other half."""
    body = message["body"]
    middle = len(body) // 2
    await send({**message, "body": body[:middle], "more_body": True})
    return {**message, "body": body[middle:]}


def _key_of(execution: Execution) -> tuple[str, str]:
    return "", str(execution.execution_id)


def _captured(body: Body) -> Obtained:
    """Return what a store has of an ended execution; a failure has no outputs."""
    came = cast("dict[str, Any]", body["transformation"])
    return Obtained(
        provider_status="ended",
        result_state="captured",
        outputs=came["data"] if isinstance(came["data"], list) else [],
        total_tokens=came["usage"]["total_tokens"],
    )


def demo(now: datetime) -> DiscuroTwin:
    """Return a twin with a dozen executions of a day and more.

    Its time is a minute before ``now`` and stands still; ``pass_time`` ends what runs,
    before ``now``. One is rate limited at its first poll, another is not answered.
    """
    present = now - DEMO_LAG
    twin = DiscuroTwin(key="dk_demo", clock=lambda: present)
    troubled = furnish(twin.world)
    for status, execution_id in troubled.items():
        twin.fail_next(f"id={execution_id}", status)
    return twin
