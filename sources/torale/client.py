"""Torale's endpoints. Each answer is kept before anything looks at it."""

from collections.abc import Callable, Mapping
from http import HTTPStatus

from sources.addresses import quote_segment
from sources.exchange import Reply
from sources.failures import failure
from sources.http import Http
from sources.records import Response

__all__ = ["TASKS", "Keep", "ToraleClient", "executions_path"]

Keep = Callable[[str, Mapping[str, object], Reply], Response]
"""Puts an answer into the journal, by endpoint and what was asked with."""

TASKS = "/api/v1/tasks/"  # without its slash the server redirects to plain http


def executions_path(task_id: str) -> str:
    """Return the path of a task's executions, which ends in no slash."""
    return f"{TASKS}{quote_segment(task_id)}/executions"


class ToraleClient:
    """Asks one account; raises ``ProviderError`` for whatever is no good answer."""

    def __init__(self, http: Http, keep: Keep) -> None:
        self._http = http
        self._keep = keep

    async def tasks(self) -> Response:
        """Return the list of tasks, a bare array; the documentation has none."""
        return await self._get("tasks", TASKS, {}, {})

    async def executions(
        self,
        task_id: str,
        *,
        page: int | None = None,
        limit: int | None = None,
        attempts: int | None = None,
    ) -> Response:
        """Return one page or window of a task's executions, newest first.

        ``attempts`` bounds the tries; a listing that holds one bad row is 500 for
        ever, so trying sizes need not be patient.
        """
        query = {"page": page, "limit": limit}
        asked = {name: value for name, value in query.items() if value is not None}
        path = executions_path(task_id)
        params = {"task_id": task_id, **asked}
        return await self._get("executions", path, params, asked, attempts)

    async def execution(
        self, task_id: str, execution_id: str, list_sha256: str
    ) -> Response:
        """Return one execution with what the list leaves out, or the 404.

        ``list_sha256`` is the hash of the list item that it completes.
        """
        path = f"{executions_path(task_id)}/{quote_segment(execution_id)}"
        params = {
            "task_id": task_id,
            "execution_id": execution_id,
            "list_sha256": list_sha256,
        }
        return await self._get("execution", path, params, {}, missing_is_an_answer=True)

    async def _get(
        self,
        endpoint: str,
        path: str,
        params: Mapping[str, object],
        query: Mapping[str, int],
        attempts: int | None = None,
        *,
        missing_is_an_answer: bool = False,
    ) -> Response:
        reply = await self._http.request("GET", path, params=query, attempts=attempts)
        response = self._keep(endpoint, params, reply)
        is_missing = reply.http_status == HTTPStatus.NOT_FOUND
        error = failure(reply, "Torale")
        if error and not (is_missing and missing_is_an_answer):
            raise error
        return response
