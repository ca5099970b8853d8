"""Unstract's endpoints: those of one API deployment, and of the platform.

The key of a deployment and the platform key are never sent to each other's
endpoints: each client has its own connection.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sources.addresses import quote_segment
from sources.exchange import Content, Reply
from sources.http import Http
from sources.unstract.settings import Settings

__all__ = ["DeploymentClient", "PlatformClient"]

_SLACK_S = 60
"""How much longer than its own time-out the synchronous form is waited for."""


class DeploymentClient:
    """Asks one API deployment; never raises for network or server."""

    def __init__(self, http: Http, settings: Settings) -> None:
        organization = quote_segment(settings.organization_id)
        self._http = http
        self._path = (
            f"/deployment/api/{organization}/{quote_segment(settings.api_name)}/"
        )
        self._include = {
            "include_metadata": settings.include_metadata,
            "include_metrics": settings.include_metrics,
            "include_extracted_text": settings.include_extracted_text,
        }
        self._read_timeout_s = settings.read_timeout_s

    async def execution(self, execution_id: str, arriving: Path | None = None) -> Reply:
        """Return the answer about one execution, asked for exactly once.

        If it is finished, this consumes the result; what it shall include must be
        said now, that of the start is not remembered.
        """
        return await self._http.request(
            "GET",
            self._path,
            params=self._query(execution_id),
            retry="none",
            arriving=arriving,
            read_timeout_s=self._read_timeout_s,
        )

    def recovered(self, execution_id: str, arriving: Path) -> Reply:
        """Return what a process that died had of that answer."""
        return self._http.recovered(
            "GET", self._path, params=self._query(execution_id), arriving=arriving
        )

    def _query(self, execution_id: str) -> Mapping[str, str | bool]:
        return {"execution_id": execution_id, **self._include}

    async def start(
        self,
        files: Sequence[tuple[str, Path]],
        fields: Mapping[str, str],
        *,
        timeout_s: int = -1,
        arriving: Path | None = None,
    ) -> Reply:
        """Start a run of the files, once: repeated only where none can have begun.

        ``timeout_s`` of 1 to 300 asks the server to wait for the result and to
        answer with it; else it answers at once.
        """
        include = {name: str(on).lower() for name, on in self._include.items()}
        form = {"timeout": str(timeout_s), **include, **fields}
        return await self._http.request(
            "POST",
            self._path,
            content=Content(fields=form, files=files),
            retry="unaccepted",
            arriving=arriving,
            read_timeout_s=max(self._read_timeout_s, timeout_s + _SLACK_S),
        )


class PlatformClient:
    """Asks the platform API of one organization, which consumes nothing."""

    def __init__(self, http: Http, settings: Settings) -> None:
        organization = quote_segment(settings.organization_id)
        self._http = http
        self._path = f"/api/v1/unstract/{organization}/"

    async def executions(self, page: int, page_size: int) -> Reply:
        """Return one page of the executions of API deployments, newest first."""
        return await self._get(
            "execution/",
            {
                "execution_entity": "API",
                "ordering": "-created_at",
                "page": page,
                "page_size": page_size,
            },
        )

    async def usage(self, execution_id: str, page: int, page_size: int) -> Reply:
        """Return one page of the model calls of an execution."""
        query: dict[str, str | int] = {
            "workflow_execution_id": execution_id,
            "page": page,
            "page_size": page_size,
        }
        return await self._get("usage/", query)

    async def deployments(self, page: int, page_size: int) -> Reply:
        """Return one page of the API deployments of the organization."""
        query = {"page": page, "page_size": page_size}
        return await self._get("api/deployment/", query)

    async def _get(self, path: str, query: Mapping[str, str | int]) -> Reply:
        return await self._http.request("GET", self._path + path, params=query)
