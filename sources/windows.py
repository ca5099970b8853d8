"""Reading a listing that knows no pages: windows that grow from its top.

As ``paging``, it decides only what to ask next; the caller fetches and keeps.
"""

from datetime import datetime

from sources.errors import (
    BodyTooLarge,
    ProviderError,
    RequestRefused,
    ServerFault,
)
from sources.paging import Fetch, Listing, Page, is_past, oldest

__all__ = ["read_window"]

_MAX_BISECTIONS = 12  # from 4,096 rows down to the single one that is bad
_SMALLEST_LIMIT = 20  # the documented default: a server that refuses it refuses all


async def read_window(
    fetch: Fetch, *, first_limit: int, until: datetime | None, growth: int = 4
) -> Listing:
    """Read a listing that knows no pages, by windows that grow from its top.

    ``fetch(limit)`` reads the newest ``limit`` rows, or raises a ``ProviderError``.
    Each window is ``growth`` (at least 2) times the one before, until an answer is
    shorter than asked for, or holds a row older than ``until``: then it is complete.

    One stored row that the server cannot answer fails every window that holds it
    (``ServerFault``): the rows above it are found by bisection. A first window that
    is refused or too large is halved, down to 20. Any other error is raised where
    nothing was read yet, and recorded where a smaller window was.

    An answer shorter than asked for is the end, also where a smaller window was full
    of as many rows: a server that never gives more, and does not say so, cannot be
    told from one that has no more. None was observed.
    """
    window = _Window(fetch, until, growth)
    limit: int | None = first_limit
    while limit is not None:
        limit = await window.ask(limit)
    if not window.good:
        raise window.errors[-1]
    return Listing(
        ids=window.ids,
        is_complete=window.is_complete,
        total=None,
        rounds=window.asked,
        errors=window.errors,
        oldest_read=window.oldest,
    )


class _Window:
    """What windows brought so far, and which one to ask for next."""

    def __init__(self, fetch: Fetch, until: datetime | None, growth: int) -> None:
        self.fetch, self.until, self.growth = fetch, until, growth
        self.ids: set[str] = set()
        self.errors: list[ProviderError] = []
        self.oldest: datetime | None = None
        self.is_complete = False
        self.asked = self.bisections = 0
        self.good = 0  # the largest limit that was answered
        self.bad: int | None = None  # smallest limit at which the server fell over

    async def ask(self, limit: int) -> int | None:
        """Ask for ``limit`` rows; return what to ask for next, None at the end."""
        self.asked += 1
        try:
            page = await self.fetch(limit)
        except ServerFault as fault:
            if self.bad is None:
                self.errors.append(fault)
            self.bad = limit
            return self._between(limit)
        except ProviderError as error:
            is_first = not self.good and self.bad is None
            is_size = isinstance(error, RequestRefused | BodyTooLarge)
            if is_first and is_size and limit > _SMALLEST_LIMIT:
                return max(limit // 2, _SMALLEST_LIMIT)
            self.errors.append(error)
            return None
        return self._take(limit, page)

    def _take(self, limit: int, page: Page) -> int | None:
        rows = len(page.ids)
        self.ids.update(page.ids)
        self.oldest = oldest([self.oldest, *page.times])
        self.good = limit
        if rows < limit or is_past(page, self.until):
            self.is_complete = True
            self.errors.clear()  # a bad row further down is none of those wanted
            return None
        return limit * self.growth if self.bad is None else self._between(self.bad)

    def _between(self, bad: int) -> int | None:
        self.bisections += 1
        middle = (self.good + bad) // 2
        is_exact = middle == self.good  # the row behind the good ones is the bad one
        return None if is_exact or self.bisections > _MAX_BISECTIONS else middle
