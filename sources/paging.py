"""Reading a listing to its end, or back to a time, while its rows move.

Nothing here knows a provider or a network: the caller gives ``fetch``, which
reads one page (or one window), keeps its rows, and answers what is on it. This
module decides what to ask next, and whether a row can have been missed.

A listing is ordered newest first by a time, without a tie-breaker. New rows
enter at the top and push the others to later pages, where they are seen twice.
A deletion pulls rows to earlier pages: one is missed, and ``total`` is smaller.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from enum import Enum, auto
from itertools import pairwise

import msgspec

from sources.errors import (
    KeyRefused,
    NotFound,
    ProviderError,
    Throttled,
)

__all__ = ["Fetch", "Listing", "Page", "is_past", "oldest", "read_pages"]

_FINAL = (KeyRefused, NotFound, Throttled)  # every further page would end so too
_MAX_FAILURES = 10  # in a row: the server is down, and each cost its retries
_MAX_BISECTIONS = 12  # from 4,096 rows down to the single one that is bad
_SMALLEST_LIMIT = 20  # the documented default: who refuses it refuses any


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of a listing, newest row first."""

    ids: Sequence[str]
    """The ids of its rows."""
    times: Sequence[datetime | None]
    """Their times, in the same order; None (unknown) never stops a reading."""
    total: int | None = None
    """Rows of the whole listing, as this answer says."""
    limit: int | None = None
    """Rows of a full page, as this answer says: it may be clamped."""


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """What a reading brought, and whether it can have missed a row."""

    ids: set[str]
    """Every id that was seen, in any round."""
    is_complete: bool
    """Whether each row was seen that stood there from start to end of the reading
    and is not older than ``until``."""
    total: int | None
    """Rows of the whole listing, the most that its last round was told."""
    rounds: int
    """Passes over the pages, or windows asked for."""
    errors: list[ProviderError]
    """What kept needed rows back, where an answer shows it."""
    oldest_read: datetime | None
    """The oldest known time of a row that was read."""


Fetch = Callable[[int], Awaitable[Page]]


async def read_pages(
    fetch: Fetch,
    *,
    page_size: int,
    until: datetime | None,
    concurrency: int,
    max_rounds: int = 5,
) -> Listing:
    """Read a paged listing to its end, or to the first page that is past ``until``.

    ``fetch(number)`` reads a page, from 1, of ``page_size`` rows, or raises a
    ``ProviderError``. Page 1 is read alone, then at most ``concurrency`` side by
    side; where no ``total`` is stated, one by one, since nobody knows the end (nor
    can a deletion be noticed). A page is past ``until`` where a row is older.

    A page that fails leaves the listing incomplete, and its round is the last; page
    1 failing at the start is raised, and ten failures in a row end the reading.
    Rounds are repeated while rows move, until ``max_rounds``, or until one brings
    only what the one before it brought.
    """
    rounds: list[_Round] = []
    while len(rounds) < max_rounds and not _is_settled(rounds):
        grown = rounds[-1] if rounds and rounds[-1].verdict is _Verdict.GREW else None
        rounds.append(_Round(fetch, page_size, until, grown))
        await rounds[-1].read(concurrency)
    if 1 in rounds[0].failures:
        raise rounds[0].failures[1]
    pages = [page for each in rounds for page in each.pages.values()]
    return Listing(
        ids=set().union(*(page.ids for page in pages)),
        is_complete=rounds[-1].verdict is _Verdict.COMPLETE,
        total=next((each.total for each in rounds[::-1] if each.pages), None),
        rounds=len(rounds),
        errors=rounds[-1].errors(),
        oldest_read=oldest(time for page in pages for time in page.times),
    )


class _Verdict(Enum):
    COMPLETE = auto()
    FAILED = auto()  # a page that is needed could not be read
    MOVED = auto()  # a row may have slipped through: all must be read again
    GREW = auto()  # only rows that came meanwhile are missing: read the top again


class _Round:
    """One pass over the pages: what was answered, and how far to read."""

    def __init__(
        self, fetch: Fetch, size: int, until: datetime | None, grown: "_Round | None"
    ) -> None:
        self.fetch, self.size, self.until, self.grown = fetch, size, until, grown
        self.pages: dict[int, Page] = {}
        self.failures: dict[int, ProviderError] = {}
        self.ids: set[str] = set(grown.ids) if grown else set()
        self.total: int | None = grown.total if grown else None
        self.asked, self.end = 1, sys.maxsize  # no page beyond the end is needed
        self.failing = 0  # pages in a row, as they arrive
        self.verdict = _Verdict.MOVED

    async def read(self, concurrency: int) -> None:
        """Read page 1, then the others side by side; sets ``verdict``."""
        await self._ask(1)
        is_blind = self.total is None or self.grown is not None
        workers = 1 if is_blind else min(concurrency, self._last())
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(workers):
                    group.create_task(self._work())
        except ExceptionGroup as failed:
            # Not the provider's fault, say a full disk: the caller knows it by name.
            raise failed.exceptions[0] from None
        self.verdict = self._judge()

    def errors(self) -> list[ProviderError]:
        """Return the errors of needed pages: some are asked for ahead of the end."""
        return [e for number, e in sorted(self.failures.items()) if number <= self.end]

    async def _work(self) -> None:
        while self.asked < self._last():
            self.asked += 1
            await self._ask(self.asked)

    async def _ask(self, number: int) -> None:
        try:
            page = await self.fetch(number)
        except ProviderError as error:
            self.failures[number] = error
            self.failing += 1
            is_down = self.failing >= _MAX_FAILURES
            if number == 1 or is_down or isinstance(error, _FINAL):
                self.end = min(self.end, number)
        else:
            self._take(number, page)

    def _take(self, number: int, page: Page) -> None:
        self.pages[number] = page
        self.failing = 0
        total = _total(page)
        if total is not None:
            self.total = max(self.total or 0, total)
        if number == 1:
            self.size = _full_size(page, self.size)
        is_short = self.total is None and len(page.ids) < self.size
        # Nothing new: past the end, or a server that knows no pages at all.
        if is_short or self.ids.issuperset(page.ids) or is_past(page, self.until):
            self.end = min(self.end, number)
        self.ids.update(page.ids)

    def _last(self) -> int:
        """Return the last page that is needed, as far as is known by now."""
        if self.total is None:
            return self.end
        return min(self.end, -(-self.total // self.size))

    def _judge(self) -> _Verdict:
        if self.errors():
            return _Verdict.FAILED
        pages = [page for n, page in sorted(self.pages.items()) if n <= self.end]
        reaches = is_past(pages[-1], self.until)
        floor = self.grown.total if self.grown else None
        if _shrinks([floor, *map(_total, pages)]):
            return _Verdict.MOVED
        if not self.grown and not _is_gapless(pages, is_whole=not reaches):
            return _Verdict.MOVED
        if reaches or (self.total is None and len(pages[-1].ids) < self.size):
            return _Verdict.COMPLETE
        if self.total is None:
            return _Verdict.MOVED
        return _Verdict.COMPLETE if len(self.ids) >= self.total else _Verdict.GREW


def _is_settled(rounds: Sequence[_Round]) -> bool:
    """Tell whether another round is of no use."""
    if not rounds or rounds[-1].verdict is _Verdict.GREW:
        return False
    if rounds[-1].verdict is not _Verdict.MOVED:
        return True
    # Twice the same, and still not all of ``total``: it counts what it never shows.
    alike = [(each.ids, each.total) for each in rounds[-2:]]
    return len(alike) > 1 and alike[0] == alike[1]


def _is_gapless(pages: Sequence[Page], *, is_whole: bool) -> bool:
    """Tell whether these pages must hold each row that stood there at page 1.

    A row that enters makes ``total`` grow by one, and makes at most one other be
    seen twice. More doubles than growth, counted page by page: rows were pushed over
    an edge whose far side had been read before (a server answers requests that are
    side by side in any order), so one was missed. A row newer than all of page 1
    was not there yet: it proves as little as a double, and counts as one.
    """
    stood_at_first = _total(pages[0])
    if stood_at_first is None:
        return True
    newest = max((t for t in pages[0].times if t is not None), default=None)
    rows, total, stood = 0, stood_at_first, set[str]()
    for page in pages:
        stood.update(
            row
            for row, time in zip(page.ids, page.times, strict=True)
            if time is None or newest is None or time <= newest
        )
        rows += len(page.ids)
        total = _total(page) or total
        if rows - len(stood) > total - stood_at_first:
            return False
    return len(stood) >= stood_at_first or not is_whole


def _shrinks(totals: Iterable[int | None]) -> bool:
    """Tell whether rows went between neighbouring pages, whichever came first."""
    known = [total for total in totals if total is not None]
    return any(later < earlier for earlier, later in pairwise(known))


def _total(page: Page) -> int | None:
    """Return the stated total, None where the page itself belies it."""
    is_known = page.total is not None and page.total >= len(page.ids)
    return page.total if is_known else None


def _full_size(first: Page, asked: int) -> int:
    """Return the rows of a full page: as stated, unless page 1 shows another."""
    rows = len(first.ids)
    if first.limit is None or first.limit <= 0 or rows < (_total(first) or 0):
        return rows or asked
    return first.limit


def oldest(times: Iterable[datetime | None]) -> datetime | None:
    """Return the oldest of the known times, if there is one."""
    return min((time for time in times if time is not None), default=None)


def is_past(page: Page, until: datetime | None) -> bool:
    """Tell whether a page holds a row that is older than ``until``."""
    last = oldest(page.times)
    return until is not None and last is not None and last < until
