"""Single executions: what the list leaves out, where the server has it."""

import asyncio
from collections.abc import Iterable, Iterator

from sources.errors import KeyRefused, ProviderError, Throttled
from sources.observations import Observation
from sources.provider import Progress
from sources.torale.client import ToraleClient
from sources.torale.normalize import has_no_details

__all__ = ["Details"]

_FAILURES = 5
"""Details that fail in a row before no more are asked for this time."""


class Details:
    """Reads single executions side by side, until it makes no sense to ask on.

    ``missed`` has those that should have been read and could not be.
    """

    def __init__(
        self, client: ToraleClient, wanted: Iterable[Observation], progress: Progress
    ) -> None:
        self.count = 0
        self.missed: list[Observation] = []
        self._client = client
        self._waiting: Iterator[Observation] = iter(wanted)
        self._progress = progress
        self._first: ProviderError | None = None
        self._failures = 0
        self._is_over = False
        self._are_offered = True

    async def read(self, concurrency: int) -> ProviderError | None:
        """Ask for one, then for the others; return the error that stands for all."""
        for first in self._waiting:
            await self._one(first)
            break
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(self._some())
        if not self._are_offered:
            self.missed.clear()
        elif self._is_over:
            self.missed += self._waiting
        return self._error()

    def _error(self) -> ProviderError | None:
        if self._first is None or not self.missed:
            return None
        return type(self._first)(
            f"Details of execution {self.missed[0].name}: {self._first} "
            f"Details not read: {len(self.missed)}; the next load asks again."
        )

    async def _some(self) -> None:
        while not self._is_over:
            item = next(self._waiting, None)
            if item is None:
                return
            await self._one(item)

    async def _one(self, item: Observation) -> None:
        try:
            response = await self._client.execution(item.scope, item.name, item.sha256)
        except ProviderError as error:
            self.missed.append(item)
            self._first = self._first or error
            self._failures += 1
            is_final = isinstance(error, KeyRefused | Throttled)
            self._is_over |= is_final or self._failures >= _FAILURES
            return
        self._failures = 0
        self.count += response.outcome == "ok"
        self._progress("details", 1)
        if has_no_details(response):
            self._is_over, self._are_offered = True, False
