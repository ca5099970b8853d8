"""A twin whose answers are spoilt on their way, and a load of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipelines.config import Account
from pipelines.demo import differences
from pipelines.load import load
from pipelines.query import opened
from pipelines.runs import Report
from pipelines.store import Home
from sources import part
from sources.journal import Journal
from sources.loopback import Twin, serve
from sources.provider import Window, settings_from
from sources.tracking import Started, track
from sources.values import timestamp

__all__ = ["Hostile", "hostile"]

Spoil = Callable[[bytes], bytes]
"""Gets the body of a good answer; returns what is sent instead."""

Instead = Callable[[str], ASGIApp | None]
"""Gets path and query of a request; returns what answers it instead, if anything."""


class Hostile:
    """A twin of any provider whose good answers are spoilt, and one account of it.

    ``instead`` keeps requests from the twin; it may be changed at any time.
    """

    def __init__(self, provider: str, spoil: Spoil, instead: Instead) -> None:
        self.provider = provider
        self.twin: Twin = part(provider, "twin").demo(datetime.now(UTC))
        self.spoil = spoil
        self.instead = instead

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        asked = f"{scope['path']}?{scope['query_string'].decode()}"
        answer = self.instead(asked)
        if answer is not None:
            await answer(scope, receive, send)
            return
        head: Message = {}

        async def spoilt(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message
                return
            body = message["body"]
            if head["status"] == 200:
                body = self.spoil(body)
            headers = [(k, v) for k, v in head["headers"] if k != b"content-length"]
            headers.append((b"content-length", str(len(body)).encode()))
            await send({**head, "headers": headers})
            await send({**message, "body": body})

        await self.twin.app(scope, receive, spoilt)

    def account(self, url: str, **settings: object) -> Account:
        """Return the account that reads the twin."""
        kind = part(self.provider, "settings").Settings
        quick = {"requests_per_second": 1_000, "poll_interval_s": 0.01}
        given = {**quick, **self.twin.settings(url), **settings}
        known = {key: given[key] for key in kind.__struct_fields__ if key in given}
        return Account(
            self.provider, "default", settings_from(kind, known, self.provider)
        )

    def load(self, home: Home, url: str, **settings: object) -> Report:
        """Track what was started, and load what is due."""
        account = self.account(url, **settings)
        home.create()
        started = [
            Started(
                execution_id=str(one["id"]), started_at=timestamp(one["started_at"])
            )
            for one in self.twin.started()
        ]
        if started:
            with Journal(home.journal) as journal:
                track(journal, *account.of, account.settings, started)
        return load(home, [account], window=Window(), watch=lambda *_: None)

    def differences(self, home: Home) -> list[str]:
        """Return where the store is not what could be had of the twin."""
        with opened(home) as con:
            return list(differences(con, self.provider, self.twin.obtained()))


@contextmanager
def hostile(
    provider: str, *, spoil: Spoil = bytes, instead: Instead = lambda _: None
) -> Iterator[tuple[Hostile, str]]:
    """Serve a twin of a provider whose good answers are spoilt; yield it and where."""
    twin = Hostile(provider, spoil, instead)
    with serve(twin.app) as url:
        yield twin, url
