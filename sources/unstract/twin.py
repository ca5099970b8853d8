"""A small server that behaves as Unstract does, in either of its dialects.

Live is what its server does (providers' notes, August 2026); documented is what its
pages say. A finished result is handed out once: the ledger knows to whom, and whether
it arrived whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, NamedTuple
from uuid import UUID

from sources.loopback import Obtained  # first: says what to install
from sources.twin_server import PAGE, Fault, Hold, TwinServer

# isort: split
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from sources.unstract.twin_demo import furnish, outcome
from sources.unstract.twin_dialects import (
    NO_FILES,
    Answer,
    Dialect,
    asked_by,
    counted_tokens,
    envelope,
    invalid,
    items_of,
    outputs,
    polled,
    shown,
    submitted,
    word_of,
)
from sources.unstract.twin_platform import Platform, usage_rows
from sources.unstract.twin_world import (
    FINAL,
    Asked,
    Execution,
    FileRun,
    Form,
    Handed,
    Item,
    Reader,
    Sent,
    World,
    refusal,
)

__all__ = ["Submission", "UnstractTwin", "demo", "demo_documented"]

DEMO_LAG = timedelta(minutes=1)
LOST = frozenset({500, 502, 504})
"""What is answered when the endpoint has run and its answer was lost on the way."""

US: Reader = "the reader with the key"
BUSY = (
    "Organization has reached the maximum concurrent API requests limit "
    "({}/{}). Please try again later."
)


class Submission(NamedTuple):
    """A POST that started an execution."""

    execution_id: str
    form: Form

    @property
    def files(self) -> tuple[Sent, ...]:
        """The files as they were sent, the ones of the same name as well."""
        return tuple(Sent.of(name, content) for name, content in self.form.files)


class _Halves(JSONResponse):
    """A response whose second half waits, and then counts as handed out."""

    def __init__(
        self, answer: Answer, hold: Hold, when_whole: Callable[[], None]
    ) -> None:
        super().__init__(answer[1], answer[0])
        self._hold = hold
        self._when_whole = when_whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        half = len(self.body) // 2
        start = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        first, rest = bytes(self.body[:half]), bytes(self.body[half:])
        await send({"type": "http.response.body", "body": first, "more_body": True})
        if await self._hold.outlasts(Request(scope, receive)):
            self._when_whole()
            await send({"type": "http.response.body", "body": rest})


class UnstractTwin(TwinServer):
    """Unstract on loopback: ``world`` is its state, ``app`` what ``serve`` runs.

    ``key`` is the key of the one API deployment that can be called, ``platform_key``
    that of the platform API. ``outcome`` says what comes of a file that is sent, and
    ``submissions`` is what was started by a POST. An endpoint whose answer is lost
    (``fail_next`` with hang, reset, cut, 500, 502, 504) has run: it has consumed the
    result, or started the execution.
    """

    ERRORS: ClassVar[Mapping[int, object]] = {
        400: invalid("non_field_errors", NO_FILES).body,
        401: refusal(401, "Unauthorized").body,
        403: refusal(403, "Missing API key").body,
        404: refusal(404, "API not found").body,
        406: {"status": "COMPLETED", "message": "Result already acknowledged"},
        422: refusal(422, "Pipeline 'invoices' is inactive, please activate it").body,
        429: refusal(429, BUSY.format(20, 20)).body,
        500: refusal(500, "A server error occurred.", kind="server_error").body,
    }

    def __init__(
        self,
        *,
        key: str,
        organization_id: str = "org_demo",
        api_name: str = "invoices",
        dialect: Dialect = "live",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        latency_s: float = 0.0,
        result_ttl_s: float = 3 * 3600,
        platform_key: str | None = None,
        max_concurrent: int = 20,
        omits_execution_id: bool = False,
    ) -> None:
        self.world = World(clock, organization_id, api_name)
        self.outcome: Callable[[str, bytes], FileRun] = outcome
        self.submissions: list[Submission] = []
        self.max_concurrent = max_concurrent
        self._platform = Platform(self.world, platform_key)
        self._platform_key = platform_key
        path = "/deployment/api/{organization}/{api}/"
        super().__init__(
            [
                Route(path, self._post, methods=["POST"]),
                Route(path, self._get),
                *self._platform.routes(),
            ],
            latency_s=latency_s,
        )
        self._key = key
        self._dialect: Dialect = dialect
        self._ttl = timedelta(seconds=result_ttl_s)
        self._omits_id = omits_execution_id or dialect == "documented"
        self._holds: list[Hold] = []

    @property
    def scope(self) -> str:
        """The scope of the executions of this deployment."""
        return f"{self.world.organization_id}/{self.world.api_name}"

    def settings(self, base_url: str) -> dict[str, str]:
        """Return the keys of ``[sources.unstract]`` that read this twin."""
        settings = {
            "base_url": base_url,
            "api_key": self._key,
            "organization_id": self.world.organization_id,
            "api_name": self.world.api_name,
            "poll_interval_s": "0.05",
        }
        if self._platform_key is not None:
            settings["platform_key"] = self._platform_key
        return settings

    def pass_time(self) -> None:
        """Let time go on until what runs now has finished."""
        self.world.pass_time()

    def started(self) -> list[dict[str, object]]:
        """Return what who started the executions knows of each, in that order."""
        return [
            {
                "id": one.execution_id,
                "started_at": one.started_at.isoformat(),
                "tags": list(one.tags),
            }
            for one in self._own()
            if one.is_known
        ]

    def obtained(self) -> dict[tuple[str, str], Obtained]:
        """Return (scope, id) → what a store that lost nothing has of it.

        Of all executions whose start was answered; with a platform key, of all.
        """
        return {
            (self.scope, one.execution_id): self._obtained(one)
            for one in self._own()
            if one.is_known or self._platform_key is not None
        }

    def ledger(self) -> dict[tuple[str, str], Handed]:
        """Return (scope, id) → what was handed out, whole or not, and to whom."""
        return {
            (self.scope, one.execution_id): one.handed
            for one in self._own()
            if one.handed is not None
        }

    def hold_next_body(self) -> Hold:
        """Send the next result in two halves, the second when the hold is released.

        All of it is promised in Content-Length. It counts as handed out whole only if
        the client is still there when it is released.
        """
        self._holds.append(Hold())
        return self._holds[-1]

    def read_elsewhere(self, execution_id: str) -> None:
        """Let somebody else read an execution, who gets its result if it is final."""
        one = self.world.executions[execution_id]
        if one.word(self.world.now()) in FINAL:
            self._hand_out(one, Asked(), "somebody else", is_whole=True)

    def is_authorised(self, headers: Headers) -> bool:
        """Return whether the request brings one of the good keys."""
        keys = {f"Bearer {key}" for key in (self._key, self._platform_key) if key}
        return headers.get("authorization") in keys

    async def play(
        self, fault: Fault | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Run the endpoint also where its answer is lost on the way."""
        answer = fault.answer if fault else None
        if answer in ("hang", "reset") or getattr(answer, "status_code", 0) in LOST:
            scope["twin.is_whole"] = False
            await self._routes(scope, receive, _nowhere)
        await super().play(fault, scope, receive, send)

    async def _get(self, request: Request) -> Response:
        self._check_key(request)
        asked = asked_by(request.query_params)
        one = self._found(request.query_params.get("execution_id", "").strip())
        is_heard = (
            request.scope["twin.is_whole"] and not await request.is_disconnected()
        )
        if (word := one.word(self.world.now())) not in FINAL:
            if is_heard:
                one.answered = word
            status, body = polled(self._dialect, self._path(), one, word, None)
            return JSONResponse(body, status)
        if request.method == "HEAD":  # the result is gone, and nobody has it
            status, body = self._hand_out(one, asked, "somebody else", is_whole=False)
            return JSONResponse(body, status)
        if one.handed is None and is_heard and self._holds:
            answer = self._hand_out(one, asked, US, is_whole=False)
            return _Halves(answer, self._holds.pop(0), lambda: _arrived(one))
        status, body = self._hand_out(one, asked, US, is_whole=is_heard)
        return JSONResponse(body, status)

    async def _post(self, request: Request) -> Response:
        self._check_key(request)
        kind = request.headers.get("content-type", "")
        form = submitted(kind, await request.body())
        running = self.world.under_way()
        if running >= self.max_concurrent:
            raise refusal(429, BUSY.format(running, self.max_concurrent))
        is_heard = (
            request.scope["twin.is_whole"] and not await request.is_disconnected()
        )
        one = self.world.begin(form, self.outcome, is_known=is_heard)
        self.submissions.append(Submission(one.execution_id, form))
        if form.timeout_s > 0:
            needed_s = (one.ends_at - self.world.now()).total_seconds()
            self.world.let_pass(max(0.0, min(needed_s, form.timeout_s)))
        word = one.word(self.world.now())
        if word in FINAL:
            status, body = self._hand_out(
                one, form.asked, US, is_whole=is_heard, is_post=True
            )
            return JSONResponse(body, status)
        one.answered = word if is_heard else None
        return JSONResponse(self._envelope(one, word, None))

    def _hand_out(
        self,
        one: Execution,
        asked: Asked,
        to: Reader,
        *,
        is_whole: bool,
        is_post: bool = False,
    ) -> Answer:
        """Return the result to who reads it first, and note it; refuse the others."""
        with self.world.lock:
            now = self.world.now()
            word = one.word(now)
            if one.handed is not None:
                one.handed = replace(one.handed, reads=one.handed.reads + 1)
                gone = "Result already acknowledged"
                return 406, {"status": word, "message": gone}
            items = None
            if now < one.changed_at(now) + self._ttl:
                items = shown(self._dialect, word, one.items, asked)
            answer = polled(self._dialect, self._path(), one, word, items)
            if is_post:
                status = 422 if word == "ERROR" else 200
                answer = status, self._envelope(one, word, items)
            one.handed = Handed(at=now, to=to, body=answer[1], is_whole=is_whole)
            return answer

    def _obtained(self, one: Execution) -> Obtained:
        now = self.world.now()
        word, handed = one.word(now), one.handed
        is_expired = word in FINAL and now >= one.changed_at(now) + self._ttl
        if handed is None and not is_expired:
            return Obtained(one.answered, "pending")
        tokens = None
        if one.is_usage_known:
            tokens = sum(row["total_tokens"] for row in usage_rows(self.world, one))
        if handed is None:
            return Obtained(word, "expired", total_tokens=tokens)
        if handed.to != US:
            return Obtained(word, "acknowledged_elsewhere", total_tokens=tokens)
        if not handed.is_whole:
            return Obtained(word, "lost_in_transit", total_tokens=tokens)
        if items_of(handed.body) is None:
            return Obtained(word, "expired", total_tokens=tokens)
        counted = counted_tokens(handed.body, one.execution_id)
        return Obtained(
            word_of(handed.body),
            "captured",
            outputs(handed.body),
            total_tokens=tokens if counted is None else counted,
        )

    def _own(self) -> list[Execution]:
        """Return the executions of the deployment that can be called."""
        with self.world.lock:
            known = list(self.world.executions.values())
        return [one for one in known if one.api_name == self.world.api_name]

    def _path(self) -> str:
        return f"/deployment/api/{self.scope}/"

    def _envelope(self, one: Execution, word: str, items: list[Item] | None) -> Item:
        return envelope(self._path(), one, word, items, omits_id=self._omits_id)

    def _check_key(self, request: Request) -> None:
        """Refuse in the server's order: no key, no such API, not its key."""
        said = request.headers.get("authorization", "")
        if not said.startswith("Bearer "):
            raise refusal(403, "Missing API key")
        asked = (request.path_params["organization"], request.path_params["api"])
        if asked != (self.world.organization_id, self.world.api_name):
            raise refusal(404, "API not found")
        if said != f"Bearer {self._key}":
            raise refusal(401, "Unauthorized")

    def _found(self, execution_id: str) -> Execution:
        if not execution_id:
            raise invalid("execution_id", "This field is required.", code="required")
        if not _is_uuid(execution_id):
            fault = f"Invalid execution_id '{execution_id}'. Must be a valid UUID."
            raise invalid("execution_id", fault)
        one = self.world.executions.get(execution_id)
        if one is not None and one.api_name == self.world.api_name:
            return one
        missing = f"Execution with ID '{execution_id}' does not exist."
        raise refusal(404, missing)


async def _nowhere(_message: Message) -> None:
    """Send nothing."""


def _arrived(one: Execution) -> None:
    """Note that a result which was handed out has arrived."""
    if one.handed is not None:
        one.handed = replace(one.handed, is_whole=True)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _demo(now: datetime, dialect: Dialect) -> UnstractTwin:
    present = now - DEMO_LAG
    twin = UnstractTwin(key="demo_key", dialect=dialect, clock=lambda: present)
    scenes = furnish(twin.world)
    twin.read_elsewhere(scenes.read_elsewhere)
    twin.fail_next(scenes.rate_limited, 429)
    headers = {"content-type": "text/html"}
    twin.fail_next(scenes.behind_a_proxy, 503, body=PAGE, headers=headers)
    return twin


def demo(now: datetime) -> UnstractTwin:
    """Return a twin with a dozen executions, in the live dialect.

    Its time is a minute before ``now`` and stands still; ``pass_time`` finishes what
    runs, none of it after ``now``.
    """
    return _demo(now, "live")


def demo_documented(now: datetime) -> UnstractTwin:
    """Return the world of ``demo`` in the documented dialect."""
    return _demo(now, "documented")
