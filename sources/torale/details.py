"""Single executions: what the list leaves out, where the server has it."""

import asyncio
from collections.abc import Iterator, Mapping

from sources.errors import KeyRefused, ProviderError, Throttled
from sources.observations import Observation
from sources.provider import Progress
from sources.torale.client import ToraleClient, has_no_details

__all__ = ["Details"]

_FAILURES = 5
"""Details that fail in a row before no more are asked for this time."""


class Details:
    """Reads single executions side by side, until it makes no sense to ask on."""

    def __init__(
        self,
        client: ToraleClient,
        wanted: Mapping[str, Observation],
        progress: Progress,
    ) -> None:
        self.count = 0
        self.errors: list[ProviderError] = []
        self._client = client
        self._wanted = wanted
        self._progress = progress
        self._failures = 0
        self._is_over = False

    async def read(self, concurrency: int) -> None:
        """Ask for one; where the server has it, for the others too."""
        waiting = iter(self._wanted.values())
        for first in waiting:
            await self._one(first)
            break
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(self._some(waiting))

    async def _some(self, waiting: Iterator[Observation]) -> None:
        for item in waiting:
            if self._is_over:
                return
            await self._one(item)

    async def _one(self, item: Observation) -> None:
        try:
            response = await self._client.execution(item.scope, item.name, item.sha256)
        except ProviderError as error:
            self._failures += 1
            is_final = isinstance(error, KeyRefused | Throttled)
            self._is_over |= is_final or self._failures >= _FAILURES
            if not self.errors:
                where = f"Details of execution {item.name}"
                self.errors.append(type(error)(f"{where}: {error}"))
            return
        self._failures = 0
        self._is_over |= has_no_details(response)
        self.count += response.outcome == "ok"
        self._progress("details", 1)
