"""Starting runs of an Unstract API deployment, not too many at once.

What is open is asked for meanwhile, so that there is room for the next one: each
result lands in the journal, as in any load.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec

from sources.errors import ConfigurationError, KeyRefused
from sources.exchange import Reply
from sources.http import Http
from sources.journal import Journal
from sources.leases import owned
from sources.polled import Poller
from sources.polling import SYSTEM_CLOCK, Clock
from sources.provider import unwatched
from sources.seen import Seen
from sources.sending import Desk, Post, refuse, send
from sources.submits import Draft, Submit, begin_if_room, open_runs
from sources.submitting import recover
from sources.unstract.batches import File
from sources.unstract.client import DeploymentClient
from sources.unstract.collect import connect, line_of
from sources.unstract.settings import Settings
from sources.watchlist import WatchList

__all__ = ["Form", "Runs", "recovered"]

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_LONGEST_S = 5.0
"""Until it is looked again whether there is room: others poll the same list."""

_MAX_TIMEOUT_S = 300


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent beside the files; ``timeout_s`` asks for the synchronous form."""

    tag: str | None = None
    use_file_history: bool = False
    llm_profile_id: str | None = None
    timeout_s: int | None = None

    def __post_init__(self) -> None:
        if self.tag is not None and not _TAG.fullmatch(self.tag):
            raise ConfigurationError(
                f"The tag {self.tag!r} is none: a letter, then letters, digits, - or _."
            )
        timeout_s = self.timeout_s
        if timeout_s is not None and not 1 <= timeout_s <= _MAX_TIMEOUT_S:
            raise ConfigurationError(f"A time-out is 1 to {_MAX_TIMEOUT_S} seconds.")

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the form, but for those that every request has."""
        given = {
            "tags": self.tag,
            "use_file_history": "true" if self.use_file_history else None,
            "llm_profile_id": self.llm_profile_id,
        }
        return {name: value for name, value in given.items() if value}


class Runs:
    """One submitting of several runs; an asynchronous context manager.

    ``concurrency`` is how many runs of the deployment may be open at once; ``told``
    hears in words what is waited for, ``done`` what became of each submit.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        seen: Seen,
        form: Form,
        *,
        connection: str = "default",
        concurrency: int = 5,
        told: Callable[[str], object],
        done: Callable[[Submit], object],
        max_wait_s: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._seen = seen
        self._form = form
        self._connection = connection
        self._concurrency = concurrency
        self._told = told
        self._done = done
        self._clock = clock
        self._troubles: set[type[Exception]] = set()
        self._until: datetime | None = None
        if max_wait_s is not None:
            self._until = clock.now() + timedelta(seconds=max_wait_s)
        self._desk = Desk(journal, settings, told, max_wait_s=max_wait_s, clock=clock)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            sending = await stack.enter_async_context(self._connect())
            self._client = DeploymentClient(sending, self._settings)
            asking = connect(self._settings, self._settings.api_key)
            http = await stack.enter_async_context(asking)
            client = DeploymentClient(http, self._settings)
            line = line_of(self._settings, self._connection, client)
            self._context: dict[str, Any] = line.context
            poller = Poller(line, self._journal, self._seen, unwatched, self._clock)
            self._poller = stack.enter_context(poller)
            self._owner = stack.enter_context(owned(self._journal))
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def _connect(self) -> Http:
        """Return an HTTP client that tries once: each try is told and noted.

        Opened first, it sets how much is in flight: a synchronous one stays there
        for minutes, and must not be in the way of the polls.
        """
        return connect(
            self._settings,
            self._settings.api_key,
            beside=self._concurrency,
            attempts=1,
        )

    async def submit(self, batches: Sequence[Sequence[File]]) -> list[Sequence[File]]:
        """Start a run of each batch; return those that were never sent.

        That is where the key is refused, or there was no room in time.
        """
        left = deque(batches)
        tasks: set[asyncio.Task[None]] = set()
        try:
            while left or tasks:
                while left and (task := self._start(left[0])):
                    left.popleft()
                    tasks.add(task)
                if tasks:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    for task in [task for task in tasks if task.done()]:
                        tasks.remove(task)
                        task.result()  # raises what is no provider's fault
                elif not await self._room():
                    break
        finally:
            await _ended(tasks)
        return list(left)

    def _start(self, files: Sequence[File]) -> asyncio.Task[None] | None:
        """Start to send a run, or return ``None`` where there is no room for it."""
        if self._desk.is_key_refused:
            return None
        submit = begin_if_room(
            self._journal,
            self._owner,
            self._draft(files),
            self._clock.now(),
            self._concurrency,
        )
        return asyncio.ensure_future(self._send(submit, files)) if submit else None

    async def _send(self, submit: Submit, files: Sequence[File]) -> None:
        changed = [file.name for file in files if file.has_changed]
        if changed:
            words = f"{', '.join(changed)} changed since it was read: run it again"
            self._done(refuse(self._journal, submit, words))
        else:
            self._done(await send(self._desk, submit, self._post(files)))

    def _post(self, files: Sequence[File]) -> Post:
        async def post(arriving: Path) -> Reply:
            return await self._client.start(
                [(file.name, file.path) for file in files],
                self._form.fields,
                timeout_s=self._form.timeout_s or -1,
                arriving=arriving,
            )

        return post

    def _draft(self, files: Sequence[File]) -> Draft:
        form = msgspec.structs.asdict(self._form)
        tag = self._form.tag
        sent = [{"name": one.name, "sha256": one.sha256} for one in files]
        what = {
            "said": ", ".join(one.name for one in files),
            "form": {name: value for name, value in form.items() if value},
            "sizes": [one.size_bytes for one in files],
            "may_consume": self._form.timeout_s is not None,
        }
        return Draft(
            provider="unstract",
            connection=self._connection,
            scope=self._settings.scope,
            what=what,
            tags=((tag, None),) if tag else (),
            context=self._context | {"sent": sent},
        )

    async def _room(self) -> bool:
        """Ask for what is open, and wait a little; tell whether to try again."""
        now = self._clock.now()
        if self._desk.is_key_refused:
            return False
        if self._until is not None and now >= self._until:
            self._told("there was no room in time")
            return False
        of = ("unstract", self._connection)
        recover(self._journal, {of: self._settings})
        result = await self._poller.run()
        for error in result.errors:
            if type(error) not in self._troubles:
                self._troubles.add(type(error))
                self._told(str(error))
        if KeyRefused in self._troubles:
            return False
        if open_runs(self._journal, *of) < self._concurrency:
            return True
        self._told(f"waiting for one of {self._concurrency} open runs to end")
        due = WatchList(self._journal, *of).next_due()
        wait_s = (due - now).total_seconds() if due else _LONGEST_S
        await self._clock.sleep(min(max(wait_s, 0.01), _LONGEST_S))
        return True


async def _ended(tasks: set[asyncio.Task[None]]) -> None:
    """End what waits for its next try, and wait for the answers to what is out."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def recovered(settings: Settings, arriving: Path) -> Reply:
    """Return what a process that died had of the answer to a submit."""
    client = DeploymentClient(connect(settings, settings.api_key), settings)
    return client.recovered("", arriving)
