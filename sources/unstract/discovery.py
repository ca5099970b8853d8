"""Finding executions, and what they used, by the platform API: it consumes nothing.

What is found finished and unread goes on the watch-list, so that its result is read
exactly once, by the deployment's own key; what is still running is not polled.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

from msgspec.structs import replace

from sources.errors import NotFound, ProviderError, UnexpectedAnswer
from sources.exchange import Reply
from sources.failures import failure
from sources.journal import Journal
from sources.json_text import NotJsonError, decode, resolve
from sources.observations import Known, Observation
from sources.polling import Clock
from sources.provider import Collected, Progress
from sources.records import Response
from sources.seen import Seen
from sources.unstract.client import PlatformClient
from sources.unstract.normalize import observe
from sources.unstract.settings import Settings
from sources.unstract.tracking import watch
from sources.values import MisfitError, timestamp
from sources.watched import Watched
from sources.watchlist import WatchList

__all__ = ["Discovery"]

_PAGE_SIZE = 1000
_FORGOTTEN = timedelta(days=30)
"""How long an execution that never ends is looked for in the listing."""

Page = Mapping[str, Any]


class Discovery:
    """Lists the executions of one deployment, and what became of them."""

    def __init__(
        self,
        settings: Settings,
        client: PlatformClient,
        journal: Journal,
        seen: Seen,
        *,
        connection: str,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.result = Collected(counts={"listed": 0, "found": 0, "usage": 0})
        self._settings = settings
        self._client = client
        self._journal = journal
        self._seen = seen
        self._connection = connection
        self._progress = progress
        self._clock = clock
        self._list = WatchList(journal, "unstract", connection)
        self._known = {
            "organization_id": settings.organization_id,
            "api_name": settings.api_name,
        }
        self.is_open = False
        self._has_usage = True
        self._handled: set[str] = set()
        self._elsewhere: list[tuple[Observation, object]] = []

    async def run(self, unfinished: Mapping[str, str]) -> None:
        """List what changed, and put what can be read on the watch-list."""
        scope = self._settings.scope
        until = self._until(unfinished)
        self.is_open = False
        self.result.unfinished[scope] = until.isoformat() if until else ""
        try:
            ours = await self._pipeline_ids()
            async for response, page in self._executions(ours):
                items = [one for one in observe(response).observations if one.at]
                await self._items(items, page)
                if until and items and min(o.at for o in items if o.at) < until:
                    break
        except ProviderError as error:
            self.result.errors.append(error)
            return
        del self.result.unfinished[scope]

    def _until(self, unfinished: Mapping[str, str]) -> datetime | None:
        """Return how far back the listing is read; ``None``: to its end."""
        scope = self._settings.scope
        horizons = self._seen.horizons(open_since=self._clock.now() - _FORGOTTEN)
        horizon = horizons.get(scope)
        if horizon is None or unfinished.get(scope) == "":
            return None
        until = horizon.until(timedelta(hours=self._settings.settle_hours))
        if until is None or scope not in unfinished:
            return until
        return min(until, datetime.fromisoformat(unfinished[scope]))

    async def _pipeline_ids(self) -> list[str]:
        """Return the ids by which executions name our deployment."""
        found = []
        async for _, page in self._pages(
            "deployments", self._client.deployments, self._known
        ):
            found += [
                str(row.get("id"))
                for row in _results(page)
                if row.get("api_name") == self._settings.api_name
            ]
        if not found:
            raise NotFound(
                "Unstract: the platform key sees no API deployment "
                f"{self._settings.api_name!r}. Check api_name and organization_id."
            )
        return found

    def _executions(
        self, pipeline_ids: Sequence[str]
    ) -> AsyncIterator[tuple[Response, Page]]:
        params = {**self._known, "pipeline_ids": list(pipeline_ids)}
        return self._pages("executions", self._client.executions, params)

    async def _items(self, items: Sequence[Observation], page: Page) -> None:
        """Look at the executions of one page that the store does not have so."""
        self._progress("executions", len(items))
        self.result.counts["listed"] += len(items)
        known = self._seen.executions(one.key for one in items)
        for item in (one for one in items if one.kind == "item"):
            held = known.get(item.key)
            if item.result_state == "pending":
                self.is_open = True
                self._list.defer(item.name, self._clock.now() + timedelta(seconds=60))
            elif item.key not in self._handled and _is_wanted(item, held):
                self._handled.add(item.key)
                listed = resolve(page, item.pointer)
                if item.result_state == "available":
                    await self._finished(item, listed)
                else:
                    self._elsewhere.append((item, listed))

    async def rest(self) -> None:
        """Read what executions used whose results others have: that is in no hurry."""
        for item, listed in self._elsewhere:
            if self._has_usage:
                await self._finished(item, listed)
        self._elsewhere.clear()

    async def _finished(self, item: Observation, listed: object) -> None:
        """Read what an execution used; its result is then read by its own key."""
        watched = Watched(
            execution_id=item.name,
            scope=self._settings.scope,
            tracked_at=self._clock.now(),
            started_at=item.at,
            expires_at=self._expires_at(listed),
            context={**self._known, "listed": listed, "deployment_is_listed": True},
        )
        if self._has_usage:
            watched = await self._with_usage(watched)
        if item.result_state == "available":
            self.result.counts["found"] += self._list.add(
                [watch(self._settings, watched)]
            )

    def _expires_at(self, listed: object) -> datetime | None:
        """Return when the result is gone: so long after the last change."""
        changed = listed.get("modified_at") if isinstance(listed, dict) else None
        try:
            ttl = timedelta(hours=self._settings.result_ttl_hours)
            return timestamp(changed) + ttl
        except (MisfitError, OverflowError):
            return None

    async def _with_usage(self, watched: Watched) -> Watched:
        """Return it with the rows of usage/; without, where they cannot be had."""
        rows: list[object] = []

        def asked(page: int, size: int) -> Any:  # noqa: ANN401 (a coroutine)
            return self._client.usage(watched.execution_id, page, size)

        def params(page: Page) -> dict[str, Any]:
            is_last = not page.get("next")
            context = watched.context | {"usage": list(rows), "complete": is_last}
            return replace(watched, context=context).as_params()

        try:
            async for _, page in self._pages("usage", asked, params):
                rows += _results(page)
        except ProviderError as error:  # as likely for the others: once is enough
            self._has_usage = False
            self.result.errors.append(error)
            return watched
        self.result.counts["usage"] += len(rows)
        return replace(watched, context=watched.context | {"usage": rows})

    async def _pages(
        self,
        endpoint: str,
        ask: Callable[[int, int], Any],
        params: Mapping[str, Any] | Callable[[Page], Mapping[str, Any]],
    ) -> AsyncIterator[tuple[Response, Page]]:
        """Yield the pages of an endpoint, each kept in the journal, by number.

        ``next`` is built from a header that anybody may set: it is never followed, and
        where it never ends, a page that is empty, or the one before once more, does.
        """
        number, before = 1, None
        while True:
            reply: Reply = await ask(number, _PAGE_SIZE)
            page = _page(reply)
            of = params(page) if callable(params) else params
            self._progress("requests", 1)
            response = self._journal.append(
                provider="unstract",
                connection=self._connection,
                endpoint=endpoint,
                params={**of, "page": number, "page_size": _PAGE_SIZE},
                reply=reply,
            )
            if number > 1 and reply.http_status == HTTPStatus.NOT_FOUND:
                return  # it became shorter meanwhile
            if error := failure(reply, "Unstract"):
                raise error
            if "results" not in page:
                raise UnexpectedAnswer(
                    f"Unstract: {reply.url} answered no page of results. "
                    "Check base_url."
                )
            rows = _results(page)
            if number > 1 and (not rows or rows == before):
                return
            yield response, page
            if not page.get("next"):
                return
            number, before = number + 1, rows


def _is_wanted(item: Observation, held: Known | None) -> bool:
    """Tell whether there is more to learn of a finished execution.

    What the store has from the list alone lacks what the execution used.
    """
    if held is None:
        return True
    if held.result_state == "captured":
        return False
    is_listed_only = held.content_sha256 == held.list_sha256
    is_changed = held.list_sha256 != item.sha256
    return item.result_state == "available" or is_changed or is_listed_only


def _page(reply: Reply) -> Page:
    """Return a page as an object; a bare list is one whole page."""
    try:
        value = decode(reply.body or b"").value
    except NotJsonError:
        return {}
    if isinstance(value, list):
        return {"results": value}
    return value if isinstance(value, dict) else {}


def _results(page: Page) -> list[dict[str, Any]]:
    rows = page.get("results")
    return (
        [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    )
