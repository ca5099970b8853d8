"""What to read from Torale this time: which tasks, how deep, which details."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from http import HTTPStatus

from sources.errors import (
    IncompleteListing,
    KeyRefused,
    NotFound,
    ProviderError,
    UnexpectedAnswer,
)
from sources.exchange import Limits, Reply
from sources.failures import failure
from sources.http import Http
from sources.journal import Journal
from sources.json_text import NotJsonError, decode
from sources.observations import Observation, Sight
from sources.paging import Listing
from sources.polling import SYSTEM_CLOCK, Clock
from sources.provider import Collected, Progress, Window, unwatched
from sources.records import Response
from sources.seen import Seen
from sources.torale.client import TASKS, Keep, ToraleClient, executions_path
from sources.torale.details import Details
from sources.torale.horizons import Horizons
from sources.torale.listing import Lister
from sources.torale.normalize import observe
from sources.torale.settings import Settings

__all__ = ["check", "collect", "connect", "planned"]

_SET_IDS = "Set SOURCES__TORALE__TASK_IDS to the ids of the tasks to read."
_LISTS_NONE = f"Torale: this server does not list tasks (404). {_SET_IDS}"
_NO_LIST = f"Torale: the list of tasks is no list. Check base_url. Else: {_SET_IDS}"


async def collect(
    settings: Settings,
    journal: Journal,
    seen: Seen,
    *,
    connection: str = "default",
    window: Window | None = None,
    unfinished: Mapping[str, str] | None = None,
    max_wait_s: float = 0,
    progress: Progress = unwatched,
    clock: Clock = SYSTEM_CLOCK,
) -> Collected:
    """Read what is due into the journal; what failed is returned, not raised.

    What still runs is listed again by the next load: nothing here expires, so
    ``max_wait_s`` changes nothing. Raises what is not the provider's fault:
    ``ConfigurationError``, ``StoreError``.
    """
    del max_wait_s
    keep = _keeper(journal, connection, progress)
    due = (window or Window(), unfinished or {})
    horizons = Horizons(seen, settings, *due, now=clock.now())
    try:
        async with connect(settings, clock.sleep) as http:
            client = ToraleClient(http, keep)
            reading = _Reading(
                settings, client, seen, horizons, progress=progress, clock=clock
            )
            await reading.everything()
    except ExceptionGroup as failed:  # of what ran side by side
        raise failed.exceptions[0] from None
    return reading.result


def _keeper(journal: Journal, connection: str, progress: Progress) -> Keep:
    def keep(endpoint: str, params: Mapping[str, object], reply: Reply) -> Response:
        progress("requests", 1)
        return journal.append(
            provider="torale",
            connection=connection,
            endpoint=endpoint,
            params=params,
            reply=reply,
        )

    return keep


def connect(
    settings: Settings, sleep: Callable[[float], Awaitable[None]] = SYSTEM_CLOCK.sleep
) -> Http:
    """Return the HTTP client of an account, within the limits it is given."""
    limits = Limits(
        max_body_bytes=int(settings.max_body_mb * 2**20),
        requests_per_second=settings.requests_per_second,
        in_flight=settings.concurrency,
    )
    return Http(
        settings.base_url,
        settings.api_key,
        limits=limits,
        allow_http=settings.allow_http,
        ca_file=settings.ca_file,
        sleep=sleep,
    )


def planned(
    settings: Settings,
    seen: Seen,
    *,
    journal: Journal | None,
    connection: str,
    window: Window,
    unfinished: Mapping[str, str],
) -> list[str]:
    """Return in words, by task, how far back a collecting would read now."""
    del journal, connection
    now = SYSTEM_CLOCK.now()
    horizons = Horizons(seen, settings, window, unfinished, now=now)
    if not settings.task_ids:
        scopes, first = horizons.scopes(), "Torale: every task that the key can list"
    else:
        scopes, first = list(settings.task_ids), "Torale: the tasks of task_ids"
    lines = [f"{first}; a task that is not in the store yet is read whole"]
    for scope in scopes:
        until = horizons.until(scope)
        depth = f"back to {until:%Y-%m-%d %H:%M} UTC" if until else "whole"
        lines.append(f"Torale: task {scope}, {depth}")
    return lines


async def check(settings: Settings) -> str:
    """Return what the key can read; keeps nothing.

    Asks for the list of tasks; of a server that has none, for the newest execution
    of the first of ``task_ids``. Raises ``ProviderError`` with the next step.
    """
    async with connect(settings) as http:
        reply = await http.request("GET", TASKS, attempts=1)
        is_listing = reply.http_status != HTTPStatus.NOT_FOUND
        if not is_listing and settings.task_ids:
            path = executions_path(settings.task_ids[0])
            reply = await http.request("GET", path, params={"limit": 1}, attempts=1)
    if not is_listing and not settings.task_ids:
        raise NotFound(_LISTS_NONE)
    if error := failure(reply, "Torale"):
        raise error
    if not is_listing:
        return "it lists no tasks, and the first of task_ids can be read"
    return f"{_count_of(reply)} tasks"


def _count_of(reply: Reply) -> int:
    try:
        tasks = decode(reply.body or b"").value
    except NotJsonError:
        tasks = None
    if not isinstance(tasks, list):
        raise UnexpectedAnswer(_NO_LIST)
    return len(tasks)


class _Reading:
    """One collecting of one account."""

    def __init__(
        self,
        settings: Settings,
        client: ToraleClient,
        seen: Seen,
        horizons: Horizons,
        *,
        progress: Progress,
        clock: Clock,
    ) -> None:
        self.result = Collected(
            counts={"tasks": 0, "executions": 0, "details": 0},
            unfinished=dict(horizons.unfinished),
        )
        self._settings = settings
        self._client = client
        self._seen = seen
        self._is_first = seen.is_blank()
        self._horizons = horizons
        self._progress = progress
        self._clock = clock
        self._wanted: dict[str, Observation] = {}

    async def everything(self) -> None:
        """Read the tasks, their executions, and the details that are due."""
        try:
            task_ids = await self._task_ids()
        except ProviderError as error:
            self.result.errors.append(error)
            return
        async with asyncio.TaskGroup() as group:
            for task_id in task_ids:
                group.create_task(self._task(task_id))
        await self._details()

    async def _task_ids(self) -> list[str]:
        """Return the configured tasks, else every task that the key can list."""
        configured = self._settings.task_ids
        listed: list[str] = []
        try:
            listed = await self._listed()
        except ProviderError as error:
            if isinstance(error, KeyRefused) or not configured:
                raise
            # the documented API has no list, and with ids none is needed
            if not isinstance(error, NotFound | UnexpectedAnswer):
                self.result.errors.append(error)
        return list(dict.fromkeys(configured or listed))

    async def _listed(self) -> list[str]:
        try:
            sight = observe(await self._client.tasks())
        except NotFound:
            raise NotFound(_LISTS_NONE) from None
        if sight.outcome != "ok":
            raise UnexpectedAnswer(_NO_LIST)
        return [o.name for o in sight.observations if o.kind == "workflow"]

    async def _task(self, task_id: str) -> None:
        """Read one task's executions; a failure is noted and stops no other."""
        until = self._horizons.until(task_id)
        self.result.counts["tasks"] += 1
        self.result.unfinished[task_id] = until.isoformat() if until else ""
        read = Lister(self._client, self._settings, task_id, self._see)
        try:
            listing = await read(until)
        except ProviderError as error:
            self._failed(task_id, error)
            return
        self.result.counts["executions"] += len(listing.ids)
        if listing.is_complete:
            del self.result.unfinished[task_id]
            return
        for fault in listing.errors or [_moving(listing)]:
            self._failed(task_id, fault, _so_far(listing))

    def _failed(self, task_id: str, error: ProviderError, so_far: str = "") -> None:
        task = f"Task {task_id}"
        if isinstance(error, NotFound):
            task += " (deleted, made private, or not to be read with this key)"
        self.result.errors.append(type(error)(f"{task}: {error}{so_far}"))

    def _see(self, sight: Sight) -> None:
        """Note of which executions on a page the details are due."""
        items = [o for o in sight.observations if o.kind == "item"]
        self._progress("executions", len(items))
        keys = () if self._is_first else (o.key for o in items)
        known = self._seen.executions(keys)
        for item in items:
            held = known.get(item.key)
            is_new = held is None or held.list_sha256 != item.sha256
            is_meant = item.at is not None and item.at in self._horizons.window
            is_bare = held is not None and held.content_sha256 == held.list_sha256
            if item.is_terminal and (
                is_new or is_meant or (is_bare and self._may_have_more(item.scope))
            ):
                self._wanted[item.key] = item

    def _may_have_more(self, scope: str) -> bool:
        """Tell whether details of a task may be there that no load has read."""
        return scope in self._horizons.unfinished or self._horizons.has_details

    async def _details(self) -> None:
        """Read the details that are due, if the server has any."""
        details = Details(self._client, self._wanted.values(), self._progress)
        error = await details.read(self._settings.concurrency)
        self.result.counts["details"] = details.count
        if error:
            self.result.errors.append(error)
        for item in details.missed:
            self._is_due(item)

    def _is_due(self, item: Observation) -> None:
        """Let the next collecting of a task read down to this execution at least."""
        due = self.result.unfinished.get(item.scope)
        if due != "":
            until = item.at or self._clock.now()  # without a time it is listed first
            until = min(until, datetime.fromisoformat(due)) if due else until
            self.result.unfinished[item.scope] = until.isoformat()


def _moving(listing: Listing) -> IncompleteListing:
    return IncompleteListing(
        "Torale: the list changed faster than it could be read, "
        f"{listing.rounds} times."
    )


def _so_far(listing: Listing) -> str:
    oldest = listing.oldest_read
    back = f", back to {oldest:%Y-%m-%d %H:%M:%S} UTC" if oldest else ""
    return (
        f" Executions read: {len(listing.ids)}{back}; "
        "the next load asks for the others again."
    )
