"""One task's executions, in whichever dialect the server speaks."""

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from sources.errors import (
    BodyTooLarge,
    RequestRefused,
    ServerFault,
    UnexpectedAnswer,
)
from sources.observations import Sight
from sources.paging import Listing, Page, read_pages
from sources.torale.client import ToraleClient
from sources.torale.normalize import observe
from sources.torale.regular import sight_of
from sources.torale.settings import Settings
from sources.windows import read_window

__all__ = ["Lister"]

_DOCUMENTED_LIMIT = 20
_QUICK = 2
"""Tries where a server fault may be for ever: one bad row spoils a listing."""

_MAX_LOST = 3
"""Rows that the server cannot answer; where there are more, the server is down."""


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
        self._attempts: int | None = None
        self._ids: set[str] = set()
        self._lost: set[str] = set()
        self._spoilt: list[ServerFault] = []

    async def __call__(self, until: datetime | None) -> Listing:
        """Read down to ``until``; the first answer tells the dialect.

        The ids are those of executions, also from a page that failed as a whole.
        """
        if await self._recognise() == "window":
            listing = await read_window(
                self._window, first_limit=self._size, until=until
            )
        else:
            listing = await read_pages(
                self._page,
                page_size=self._size,
                until=until,
                concurrency=self._concurrency,
            )
        return replace(
            listing,
            ids=self._ids,
            is_complete=listing.is_complete and not self._spoilt,
            errors=[*self._spoilt[:1], *listing.errors],
        )

    async def _recognise(self) -> str | None:
        """Ask for the first page; a smaller one where the server will not give it."""
        try:
            self._first = await self._ask(page=1, limit=self._size)
        except (RequestRefused, BodyTooLarge):
            self._size = min(self._size, _DOCUMENTED_LIMIT)
            self._first = await self._ask(page=1, limit=self._size)
        except ServerFault:
            sight = await self._any_row()
            if sight.listing == "paged":  # nobody knows how far it would be clamped
                self._size = min(self._size, _DOCUMENTED_LIMIT)
            self._attempts = _QUICK
            return sight.listing
        if self._first.listing == "paged":
            self._size = _full_size(self._first, self._size)
        return self._first.listing

    async def _any_row(self) -> Sight:
        """Ask for one row: the newest, or where that is the bad one, the next."""
        try:
            return await self._ask(page=1, limit=1, attempts=_QUICK)
        except ServerFault:
            return await self._ask(page=2, limit=1, attempts=_QUICK)

    async def _page(self, number: int) -> Page:
        if number == 1 and self._first is not None:
            sight, self._first = self._first, None
            return self._as_page(sight, "paged")
        try:
            return await self._asked_page(number, self._size, self._attempts)
        except ServerFault as fault:
            page = await self._in_parts(number, self._size, fault)
            if number > 1:
                raise  # what there is of it was seen; the page itself failed
            self._spoilt.append(fault)  # without page 1 no other would be read
            return page

    async def _asked_page(self, number: int, size: int, attempts: int | None) -> Page:
        sight = await self._ask(page=number, limit=size, attempts=attempts)
        return self._as_page(sight, "paged")

    async def _in_parts(self, number: int, size: int, fault: ServerFault) -> Page:
        """Read what the server does answer of a page that one bad row spoils.

        The bad row is an id of its own on it, or the total could not be reached.
        Raises ``fault`` where too many rows are bad.
        """
        if len(self._lost) > _MAX_LOST:
            raise fault
        if size == 1:
            lost = f"row {number}"
            self._lost.add(lost)
            return Page(ids=[lost], times=[None])
        count = next(n for n in range(2, size + 1) if size % n == 0)
        parts = []
        for place in range((number - 1) * count + 1, number * count + 1):
            try:
                part = await self._asked_page(place, size // count, _QUICK)
            except ServerFault:
                part = await self._in_parts(place, size // count, fault)
            parts.append(part)
        return _joined(parts, size)

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
        sight = sight_of(response) or observe(response)
        if sight.outcome != "ok":
            raise UnexpectedAnswer(
                "Torale: the list of executions is neither a page nor an array. "
                "Check base_url."
            )
        return sight

    def _as_page(self, sight: Sight, dialect: str) -> Page:
        if sight.listing != dialect:
            raise UnexpectedAnswer(
                "Torale: the server changed its dialect while it was read. "
                "Run it again."
            )
        self._see(sight)
        self._ids.update(o.key for o in sight.observations if o.kind == "item")
        # a row without an id counts too, or the total could never be reached
        rows = [o for o in sight.observations if o.kind in {"item", "reject"}]
        return Page(
            ids=[o.key for o in rows],
            times=[o.at for o in rows],
            total=_count(sight.answered.get("total")),
            limit=_count(sight.answered.get("limit")),
        )


def _joined(parts: Sequence[Page], size: int) -> Page:
    totals = [part.total for part in parts if part.total is not None]
    return Page(
        ids=[one for part in parts for one in part.ids],
        times=[at for part in parts for at in part.times],
        total=totals[-1] if totals else None,
        limit=size,
    )


def _full_size(first: Sight, asked: int) -> int:
    """Return the rows of a full page: what the server clamps to, where page 1 shows."""
    limit = _count(first.answered.get("limit"))
    is_clamped = limit is not None and limit == len(first.observations) < asked
    return limit if limit and is_clamped else asked


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
