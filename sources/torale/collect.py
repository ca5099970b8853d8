"""What to read from Torale this time: which tasks, how deep, which details."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from sources.errors import (
    IncompleteListing,
    KeyRefused,
    NotFound,
    ProviderError,
    UnexpectedAnswer,
)
from sources.failures import failure
from sources.http import Http, Limits, Reply
from sources.journal import Journal
from sources.json_text import decode
from sources.observations import Observation, Sight
from sources.paging import Listing
from sources.provider import Collected, Progress, Window, unwatched
from sources.records import Response
from sources.seen import Seen
from sources.torale.client import TASKS, Keep, ToraleClient
from sources.torale.details import Details
from sources.torale.listing import Lister
from sources.torale.normalize import observe
from sources.torale.settings import Settings

__all__ = ["check", "collect", "connect", "planned"]

_OPEN_FOR = timedelta(days=30)
"""How long an execution that never ends is waited for; servers end a stuck one
within hours, so an older one was deleted."""


async def collect(
    settings: Settings,
    journal: Journal,
    seen: Seen,
    *,
    connection: str = "default",
    window: Window | None = None,
    unfinished: Mapping[str, str] | None = None,
    progress: Progress = unwatched,
) -> Collected:
    """Read what is due into the journal; what failed is returned, not raised."""
    keep = _keeper(journal, connection, progress)
    async with connect(settings) as http:
        client = ToraleClient(http, keep)
        due = dict(unfinished or {})
        horizons = _Horizons(seen, settings, window or Window(), due)
        reading = _Reading(settings, client, seen, horizons, progress)
        reading.result.unfinished = due
        await reading.everything()
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


def connect(settings: Settings) -> Http:
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
    )


def planned(
    settings: Settings, seen: Seen, *, window: Window, unfinished: Mapping[str, str]
) -> list[str]:
    """Return in words, by task, how far back a collecting would read now."""
    horizons = _Horizons(seen, settings, window, unfinished)
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
    """Return what the key can read; asks for the list of tasks, and keeps nothing.

    Raises ``ProviderError`` with the next step where that fails.
    """
    async with connect(settings) as http:
        reply = await http.request("GET", TASKS, attempts=1)
    error = failure(reply, "Torale")
    if isinstance(error, NotFound) and settings.task_ids:
        return "the server lists no tasks; task_ids are set"
    if error:
        raise error
    tasks = decode(reply.body or b"").value
    return f"{len(tasks) if isinstance(tasks, list) else 0} tasks"


class _Horizons:
    """How far back to read each task, from what the store holds."""

    def __init__(
        self,
        seen: Seen,
        settings: Settings,
        window: Window,
        unfinished: Mapping[str, str],
    ) -> None:
        now = datetime.now(UTC)
        self._held = seen.horizons(open_since=now - _OPEN_FOR)
        self._settle = timedelta(hours=settings.settle_hours)
        self._unfinished = unfinished
        self.window = window
        self.has_details = any(held.has_details for held in self._held.values())

    def scopes(self) -> list[str]:
        """Return the tasks of which the store has executions."""
        return sorted(self._held)

    def until(self, task_id: str) -> datetime | None:
        """Return the start down to which to read, or ``None`` for everything."""
        held = self._held.get(task_id)
        bounds = [held.until(self._settle) if held else None]
        if task_id in self._unfinished:
            due = self._unfinished[task_id]
            bounds.append(datetime.fromisoformat(due) if due else None)
        if self.window.since is not None:
            bounds.append(self.window.since)
        known = [bound for bound in bounds if bound is not None]
        return min(known) if len(known) == len(bounds) else None


class _Reading:
    """One collecting of one account."""

    def __init__(
        self,
        settings: Settings,
        client: ToraleClient,
        seen: Seen,
        horizons: _Horizons,
        progress: Progress,
    ) -> None:
        self.result = Collected(counts={"tasks": 0, "executions": 0, "details": 0})
        self._settings = settings
        self._client = client
        self._seen = seen
        self._horizons = horizons
        self._progress = progress
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
        configured = list(dict.fromkeys(self._settings.task_ids))
        try:
            response = await self._client.tasks()
        except NotFound:
            if configured:  # the documented API has no list of tasks
                return configured
            raise NotFound(
                "Torale: this server does not list tasks (404). Set "
                "SOURCES__TORALE__TASK_IDS to the ids of the tasks to read."
            ) from None
        except ProviderError as error:
            if isinstance(error, KeyRefused) or not configured:
                raise
            self.result.errors.append(error)
            return configured
        sight = observe(response)
        if sight.outcome != "ok" and not configured:
            raise UnexpectedAnswer(
                "Torale: the list of tasks is no list. Is base_url right? Else set "
                "SOURCES__TORALE__TASK_IDS to the ids of the tasks to read."
            )
        listed = [o.name for o in sight.observations if o.kind == "workflow"]
        return configured or listed

    async def _task(self, task_id: str) -> None:
        """Read one task's executions; a failure is noted and stops no other."""
        until = self._horizons.until(task_id)
        self.result.counts["tasks"] += 1
        try:
            listing = await Lister(self._client, self._settings, task_id, self._see)(
                until
            )
        except ProviderError as error:
            self._failed(task_id, error)
            return
        self.result.counts["executions"] += len(listing.ids)
        for fault in listing.errors:
            self._failed(task_id, fault)
        if listing.is_complete:
            self.result.unfinished.pop(task_id, None)
        else:
            self.result.unfinished[task_id] = until.isoformat() if until else ""
            if not listing.errors:
                self._failed(task_id, _moving(listing))

    def _failed(self, task_id: str, error: ProviderError) -> None:
        words = str(error)
        if isinstance(error, NotFound):
            words += " Was it deleted, made private, or is the key refused?"
        self.result.errors.append(type(error)(f"Task {task_id}: {words}"))

    def _see(self, sight: Sight) -> None:
        """Note of which executions on a page the details are due."""
        items = [o for o in sight.observations if o.kind == "item"]
        self._progress("executions", len(items))
        known = self._seen.executions(o.key for o in items)
        for item in items:
            held = known.get(item.key)
            is_new = held is None or held.list_sha256 != item.sha256
            is_meant = item.at is not None and item.at in self._horizons.window
            is_missing = (
                self._horizons.has_details
                and held is not None
                and held.content_sha256 == held.list_sha256
            )
            if item.is_terminal and (is_new or is_missing or is_meant):
                self._wanted[item.key] = item

    async def _details(self) -> None:
        """Read the details that are due, if the server has any."""
        details = Details(self._client, self._wanted, self._progress)
        await details.read(self._settings.concurrency)
        self.result.counts["details"] = details.count
        self.result.errors += details.errors


def _moving(listing: Listing) -> IncompleteListing:
    return IncompleteListing(
        f"the list changed faster than it could be read, {listing.rounds} times. "
        "What was seen is loaded; the next load reads it again."
    )
