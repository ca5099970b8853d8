"""The part of Unstract's platform API that looks at executions; it consumes nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from sources.twin_server import Refusal  # first: says what to install

# isort: split
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sources.unstract.twin_world import (
    FINAL,
    Execution,
    Item,
    World,
    named_id,
    refusal,
    usage_parts,
)

__all__ = ["Platform", "usage_rows"]

PAGE_SIZE, MAX_PAGE_SIZE = 50, 1000


def _stamp(moment: datetime) -> str:
    """Return a time as the platform writes it: UTC, six digits, ``Z``."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")


def usage_rows(world: World, one: Execution) -> list[Item]:
    """Return a row for each model that a file of an execution has used.

    A file without such parts has one row, its roll-up; one from the file history has
    none, for another execution spent its tokens.
    """
    return [
        _usage_row(world, one, item, purpose, part)
        for item in one.items
        if item["metadata"]["execution_id"] == one.execution_id
        for purpose, part in list(usage_parts(item)) or _rolled_up(item)
    ]


def _rolled_up(item: Item) -> list[tuple[str, Item]]:
    usage = item["metadata"].get("usage")
    return [("extraction", {**usage, "model_name": "azure/gpt-4o"})] if usage else []


def _usage_row(
    world: World, one: Execution, item: Item, purpose: str, part: Item
) -> Item:
    """Return a row with the observed fields, in their order."""
    is_llm = purpose != "embedding"
    embedded = part.get("embedding_tokens", 0)
    finished_at = _stamp(one.ends_at)
    return {
        "id": named_id(item["file_execution_id"], purpose, part["model_name"]),
        "created_at": finished_at,
        "modified_at": finished_at,
        "workflow_id": world.workflow_id(one.api_name),
        "execution_id": one.execution_id,
        "adapter_instance_id": named_id(part["model_name"]),
        "run_id": item["file_execution_id"],
        "usage_type": "llm" if is_llm else "embedding",
        "llm_usage_reason": purpose if is_llm else None,
        "model_name": part["model_name"],
        "embedding_tokens": embedded,
        "prompt_tokens": part.get("input_tokens", part.get("prompt_tokens", 0)),
        "completion_tokens": part.get(
            "output_tokens", part.get("completion_tokens", 0)
        ),
        "total_tokens": part.get("total_tokens", embedded),
        "cost_in_dollars": float(part["cost_in_dollars"] or 0),
        "project_id": None,
        "prompt_id": None,
        "execution_time_ms": 1503,
        "status": "SUCCESS",
        "error_message": None,
        "organization": 1,
    }


class Platform:
    """The endpoints below ``/api/v1/unstract/{organization}/``, for one platform key.

    Without a key, every request is refused.
    """

    def __init__(self, world: World, key: str | None) -> None:
        self._world = world
        self._key = key

    def routes(self) -> list[Route]:
        """Return the routes of these endpoints."""
        base = "/api/v1/unstract/{organization}"
        return [
            Route(f"{base}/execution/", self._executions),
            Route(f"{base}/usage/", self._usage),
            Route(f"{base}/api/deployment/", self._deployments),
        ]

    def _check_key(self, request: Request) -> None:
        """Refuse every key but the platform's, and other organizations."""
        said = request.headers.get("authorization")
        if self._key is None or said != f"Bearer {self._key}":
            raise Refusal(401, {"message": "Unauthorized"})
        if request.path_params["organization"] != self._world.organization_id:
            raise refusal(404, "Not found.", code="not_found")

    async def _executions(self, request: Request) -> Response:
        self._check_key(request)
        known = self._known()
        if request.query_params.get("execution_entity", "API") != "API":
            known = []
        is_down = request.query_params.get("ordering", "-created_at").startswith("-")
        known.sort(key=lambda one: one.started_at, reverse=is_down)
        return _page(request, [self._listed(one) for one in known])

    async def _usage(self, request: Request) -> Response:
        self._check_key(request)
        wanted = request.query_params.get("workflow_execution_id")
        now = self._world.now()
        rows = []
        for one in self._known():
            if wanted in (None, one.execution_id) and one.word(now) in FINAL:
                one.is_usage_known |= request.scope["twin.is_whole"]
                rows += usage_rows(self._world, one)
        return _page(request, rows)

    async def _deployments(self, request: Request) -> Response:
        self._check_key(request)
        names = {self._world.api_name, *(one.api_name for one in self._known())}
        return _page(request, [self._deployment(name) for name in sorted(names)])

    def _known(self) -> list[Execution]:
        with self._world.lock:
            return list(self._world.executions.values())

    def _deployment(self, name: str) -> Item:
        organization_id = self._world.organization_id
        runs = sum(one.api_name == name for one in self._known())
        return {
            "id": named_id(organization_id, name, "pipeline"),
            "workflow": self._world.workflow_id(name),
            "workflow_name": name,
            "display_name": name.capitalize(),
            "description": "",
            "is_active": True,
            "api_endpoint": f"deployment/api/{organization_id}/{name}/",
            "api_name": name,
            "run_count": runs,
        }

    def _listed(self, one: Execution) -> Item:
        """Return an execution with the observed fields, in their order."""
        now = self._world.now()
        word = one.word(now)
        states = [item["status"] for item in one.items if word in FINAL]
        lasted = (min(now, one.ends_at) - one.started_at).total_seconds()
        pages = [item["metadata"]["total_pages_processed"] for item in one.items]
        return {
            "id": one.execution_id,
            "workflow_name": one.api_name,
            "pipeline_name": one.api_name.capitalize(),
            "successful_files": states.count("Success"),
            "failed_files": states.count("Failed"),
            "aggregated_total_pages_processed": sum(pages) if states else None,
            "execution_time": str(timedelta(seconds=int(lasted))),
            "created_at": _stamp(one.started_at),
            "modified_at": _stamp(one.changed_at(now)),
            "pipeline_id": named_id(
                self._world.organization_id, one.api_name, "pipeline"
            ),
            "queue_message_id": None,
            "execution_mode": "QUEUE",
            "execution_method": "DIRECT",
            "status": word,
            "result_acknowledged": one.handed is not None,
            "total_files": len(one.sent),
            "error_message": "",
            "attempts": 0,
            "workflow": self._world.workflow_id(one.api_name),
            "tags": [named_id(self._world.organization_id, tag) for tag in one.tags],
        }


def _page(request: Request, rows: Sequence[Item]) -> Response:
    """Return the page that is asked for; the links are built from the Host header."""
    asked = dict(request.query_params)
    size = _number(asked.get("page_size", "")) or PAGE_SIZE
    size = min(size, MAX_PAGE_SIZE)
    number = _number(asked.get("page", "1"))
    last = max(1, -(-len(rows) // size))
    if not 1 <= number <= last:
        raise refusal(404, "Invalid page.", code="not_found")

    def link(to: int) -> str | None:
        if not 1 <= to <= last:
            return None
        query = urlencode(sorted({**asked, "page": str(to)}.items()))
        return f"http://{request.headers['host']}{request.url.path}?{query}"

    return JSONResponse(
        {
            "count": len(rows),
            "next": link(number + 1),
            "previous": link(number - 1),
            "results": list(rows[(number - 1) * size : number * size]),
        }
    )


def _number(text: str) -> int:
    """Return a whole number, or 0 where the text is none."""
    return int(text) if text.isdecimal() else 0
