"""Discuro's endpoints."""

from collections.abc import Mapping, Sequence
from typing import Literal

from sources.exchange import Content, Reply
from sources.http import Http

__all__ = ["DiscuroClient", "Kind"]

Kind = Literal["orchestrator", "prompt-template"]
"""What an execution is of."""

_RETRIEVE = "/v1/executions/retrieve"
_START = {
    "orchestrator": ("/v1/orchestrators/execute", "orchestrator_uuid"),
    "prompt-template": ("/v1/prompt-templates/execute", "prompt_template_uuid"),
}
_ATTEMPTS = 3


class DiscuroClient:
    """Asks one account; never raises for what the network or the server does."""

    def __init__(self, http: Http) -> None:
        self._http = http

    async def execution(self, execution_id: str) -> Reply:
        """Return the answer about one execution.

        A POST, but a read: it consumes nothing and may be repeated.
        """
        params = {"id": execution_id}
        return await self._http.request(
            "POST", _RETRIEVE, params=params, attempts=_ATTEMPTS
        )

    async def start(
        self,
        kind: Kind,
        uuid: str,
        inputs: Mapping[str, str],
        tags: Sequence[tuple[str, str | None]],
    ) -> Reply:
        """Start an execution, once: repeated only where nothing can have begun."""
        path, name = _START[kind]
        document = {
            name: uuid,
            "inputs": [{"name": key, "value": given} for key, given in inputs.items()],
            "tags": [{"key": key, "value": given} for key, given in tags],
        }
        content = Content(json=document)
        return await self._http.request(
            "POST", path, content=content, retry="unaccepted"
        )
