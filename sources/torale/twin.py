"""A small server that behaves as Torale does, in either of its dialects.

Paged is what Torale's page on executions says; window is what its server does
(providers' notes, April 2026). The state is a ``World``, open to changes at any time.
"""

import contextlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal

from sources.loopback import Obtained  # first: says what to install
from sources.twin_server import Refusal, TwinServer

# isort: split
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sources.torale.twin_demo import furnish
from sources.torale.twin_dialects import Item, shown, task_shown
from sources.torale.twin_world import Columns, QueryFailed, Task, World

__all__ = ["ToraleTwin", "demo", "demo_window"]

DEMO_LAG = timedelta(minutes=1)
NO_INTEGER: dict[str, object] = {
    "type": "int_parsing",
    "loc": [],
    "msg": "Input should be a valid integer, unable to parse string as an integer",
}

Handed = dict[tuple[str, str], Item]

_ENDED = frozenset({"success", "failed", "cancelled"})


class ToraleTwin(TwinServer):
    """Torale on loopback: ``world`` is its state, ``app`` what ``serve`` runs.

    ``key`` is the one good key. ``clock`` gives the time. ``has_details`` says
    whether single executions can be asked for (by default in the paged dialect
    only), ``has_task_list`` whether tasks can be listed.
    """

    ERRORS: ClassVar[Mapping[int, object]] = {
        401: {"detail": "Invalid API key"},
        403: {"detail": "Not authorized to access this execution"},
        404: {"detail": "Execution not found"},
        422: {"detail": [NO_INTEGER | {"loc": ["query", "limit"], "input": "abc"}]},
        429: {"error": "Rate limit exceeded: 10 per 1 minute"},
        500: "Internal Server Error",
    }

    def __init__(
        self,
        *,
        key: str,
        dialect: Literal["paged", "window"] = "paged",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        latency_s: float = 0.0,
        has_details: bool | None = None,
        has_task_list: bool = True,
        default_limit: int | None = None,
        max_limit: int = 100,
    ) -> None:
        self.is_paged = dialect == "paged"
        has_details = self.is_paged if has_details is None else has_details
        executions = "/api/v1/tasks/{task_id}/executions"
        routes = [Route(executions, self._executions)]
        if has_details:
            routes.append(Route(executions + "/{execution_id}", self._execution))
        if has_task_list:
            routes.append(Route("/api/v1/tasks/", self._task_list))
        super().__init__(routes, latency_s=latency_s)
        self.world = World(clock)
        self.has_task_list = has_task_list
        self.max_limit = max_limit
        self.default_limit = default_limit or (20 if self.is_paged else 100)
        self._key = key
        self._lists: Handed = {}
        self._details: Handed = {}
        self._last: Handed = {}

    def settings(self, base_url: str) -> dict[str, str]:
        """Return the keys of ``[sources.torale]`` that read this twin."""
        settings = {"base_url": base_url, "api_key": self._key}
        if not self.has_task_list:
            settings["task_ids"] = ",".join(self.world.tasks)
        return settings

    def pass_time(self) -> None:
        """Let time go on until what runs now has finished."""
        self.world.pass_time()

    def started(self) -> list[dict[str, object]]:
        """Return nothing to track: Torale lists its executions."""
        return []

    def obtained(self) -> dict[tuple[str, str], Obtained]:
        """Return (task, id) → what a store that lost nothing has of it."""
        return {key: _obtained(item) for key, item in self._last.items()}

    def ledger(self) -> Handed:
        """Return (task, id) → the execution as last handed out whole.

        That is the single execution, where it was asked for and is still true; else
        the item of the last list, which leaves some of it out.
        """
        return dict(self._last)

    def ledger_lists(self) -> Handed:
        """Return (task, id) → the execution as last handed out in a list."""
        return dict(self._lists)

    def ledger_details(self) -> Handed:
        """Return (task, id) → the execution as last handed out by itself."""
        return dict(self._details)

    def is_authorised(self, headers: Headers) -> bool:
        """Return whether the request brings the good key."""
        return headers.get("authorization") == f"Bearer {self._key}"

    async def _executions(self, request: Request) -> Response:
        self._check_key(request)
        limit = _whole_number(request, "limit", self.default_limit)
        page = _whole_number(request, "page", 1) if self.is_paged else 1
        limit = min(limit, self.max_limit) if self.is_paged else limit
        status = request.query_params.get("status") if self.is_paged else None
        task = self._readable_task(request)
        rows, total = self.world.window(
            task.task_id, offset=(page - 1) * limit, limit=limit, status=status
        )
        items = [shown(row, is_paged=self.is_paged, is_whole=False) for row in rows]
        if request.scope["twin.is_whole"]:
            for row, item in zip(rows, items, strict=True):
                self._enter(task, row, item, self._lists)
        if not self.is_paged:
            return JSONResponse(items)
        return JSONResponse(
            {"executions": items, "total": total, "page": page, "limit": limit}
        )

    async def _execution(self, request: Request) -> Response:
        self._check_key(request)
        task = self._readable_task(request)
        row = self.world.find(task.task_id, request.path_params["execution_id"])
        if row is None:
            raise self._own(404)
        item = shown(row, is_paged=self.is_paged, is_whole=True)
        if request.scope["twin.is_whole"]:
            self._enter(task, row, item, self._details)
        return JSONResponse(item)

    async def _task_list(self, request: Request) -> Response:
        if not self.is_authorised(request.headers):
            raise self._own(401)
        tasks = [one for one in self.world.tasks.values() if not one.is_forbidden]
        return JSONResponse([task_shown(one, self._newest(one)) for one in tasks])

    def _newest(self, task: Task) -> Item | None:
        """Return a task's newest success as the list of tasks has it, if readable."""
        with contextlib.suppress(QueryFailed):
            rows, _ = self.world.window(
                task.task_id, offset=0, limit=1, status="success"
            )
            for row in rows:
                item = shown(row, is_paged=self.is_paged, is_whole=False)
                return item | {"created_at": None}
        return None

    def _own(self, status: int) -> Refusal:
        return Refusal(status, self.ERRORS[status])

    def _check_key(self, request: Request) -> None:
        """Refuse a bad key; the window dialect takes its bearer for an anonymous."""
        if self.is_paged and not self.is_authorised(request.headers):
            raise self._own(401)

    def _readable_task(self, request: Request) -> Task:
        """Return the task that is asked about, if this key may read it."""
        task = self.world.tasks.get(request.path_params["task_id"])
        if task is None:
            raise Refusal(404, {"detail": "Task not found"})
        is_owner = self.is_authorised(request.headers) and not task.is_forbidden
        if is_owner or task.is_public:
            return task
        if self.is_paged:
            raise self._own(403)
        raise Refusal(404, {"detail": "Task not found"})

    def _enter(self, task: Task, row: Columns, item: Item, handed: Handed) -> None:
        """Enter in the ledger what is about to be sent, in whole.

        A list takes nothing back: while a single execution that was handed out is
        still true, it stays the last word.
        """
        key = (task.task_id, str(item["id"]))
        handed[key] = item
        whole = shown(row, is_paged=self.is_paged, is_whole=True)
        self._last[key] = whole if self._details.get(key) == whole else item


def _obtained(item: Item) -> Obtained:
    result, sources = item.get("result"), item.get("grounding_sources")
    status = str(item["status"])
    return Obtained(
        provider_status=status,
        result_state="captured" if status in _ENDED else "pending",
        outputs=[] if result is None else [result],
        sources=len(sources) if isinstance(sources, list) else 0,
    )


def _whole_number(request: Request, name: str, default: int) -> int:
    """Return a number of the query, or refuse it as FastAPI does."""
    text = request.query_params.get(name)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        fault = NO_INTEGER | {"loc": ["query", name], "input": text}
        raise Refusal(422, {"detail": [fault]}) from None


def _demo(now: datetime, dialect: Literal["paged", "window"]) -> ToraleTwin:
    present = now - DEMO_LAG
    twin = ToraleTwin(key="sk_demo", dialect=dialect, clock=lambda: present)
    furnish(twin.world, dialect)
    return twin


def demo(now: datetime) -> ToraleTwin:
    """Return a twin with two weeks of executions, in the paged dialect.

    Its time is a minute before ``now`` and stands still; ``pass_time`` finishes what
    runs, and lets a few more things happen, none of them after ``now``.
    """
    return _demo(now, "paged")


def demo_window(now: datetime) -> ToraleTwin:
    """Return the world of ``demo`` in the window dialect."""
    return _demo(now, "window")
