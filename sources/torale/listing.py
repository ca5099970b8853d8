"""One task's executions, in whichever dialect the server speaks."""

from collections.abc import Callable
from datetime import datetime

from sources.errors import RequestRefused, ServerFault, UnexpectedAnswer
from sources.observations import Sight
from sources.paging import Listing, Page, read_pages, read_window
from sources.torale.client import ToraleClient
from sources.torale.normalize import observe
from sources.torale.settings import Settings

__all__ = ["Lister"]

_DOCUMENTED_LIMIT = 20
_QUICK = 2
"""Tries where a server fault may be for ever: one bad row spoils a listing."""


class Lister:
    """Reads one task's executions in the dialect that the server speaks."""

    def __init__(
        self,
        client: ToraleClient,
        settings: Settings,
        task_id: str,
        see: Callable[[Sight], None],
    ) -> None:
        self._client = client
        self._task_id = task_id
        self._see = see
        self._size = settings.page_size
        self._concurrency = settings.concurrency
        self._first: Sight | None = None

    async def __call__(self, until: datetime | None) -> Listing:
        """Read down to ``until``; the first answer tells the dialect."""
        dialect = await self._recognise()
        if dialect == "window":
            return await read_window(self._window, first_limit=self._size, until=until)
        return await read_pages(
            self._page,
            page_size=self._size,
            until=until,
            concurrency=self._concurrency,
        )

    async def _recognise(self) -> str | None:
        """Ask for the first page; a smaller one where the server will not give it."""
        try:
            self._first = await self._ask(page=1, limit=self._size)
        except RequestRefused:
            self._size = min(self._size, _DOCUMENTED_LIMIT)
            self._first = await self._ask(page=1, limit=self._size)
        except ServerFault:
            sight = await self._ask(page=1, limit=1, attempts=_QUICK)
            if sight.listing == "paged":
                self._size = min(self._size, _DOCUMENTED_LIMIT)
            return sight.listing
        return self._first.listing

    async def _page(self, number: int) -> Page:
        if number == 1 and self._first is not None:
            sight, self._first = self._first, None
        else:
            sight = await self._ask(page=number, limit=self._size)
        return self._as_page(sight, "paged")

    async def _window(self, limit: int) -> Page:
        if limit == self._size and self._first is not None:
            sight, self._first = self._first, None
        else:
            sight = await self._ask(limit=limit, attempts=_QUICK)
        return self._as_page(sight, "window")

    async def _ask(
        self, *, limit: int, page: int | None = None, attempts: int | None = None
    ) -> Sight:
        response = await self._client.executions(
            self._task_id, page=page, limit=limit, attempts=attempts
        )
        sight = observe(response)
        if sight.outcome != "ok":
            raise UnexpectedAnswer(
                "the list of executions is neither a page nor an array. "
                "Is base_url right?"
            )
        return sight

    def _as_page(self, sight: Sight, dialect: str) -> Page:
        if sight.listing != dialect:
            raise UnexpectedAnswer(
                "the server changed its dialect while it was read. "
                "The next load reads it again."
            )
        self._see(sight)
        # a row without an id counts too, or the total could never be reached
        rows = [o for o in sight.observations if o.kind in {"item", "reject"}]
        return Page(
            ids=[o.key for o in rows],
            times=[o.at for o in rows],
            total=_count(sight.answered.get("total")),
            limit=_count(sight.answered.get("limit")),
        )


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return int(str(value)) if is_count else None
