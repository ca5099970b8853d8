"""Unstract and Discuro as small servers, with a home that watches what they run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter

from starlette.types import ASGIApp

from pipelines.config import Account
from pipelines.demo import differences
from pipelines.load import load
from pipelines.query import opened
from pipelines.runs import Report
from pipelines.store import Home
from sources import part
from sources.discuro.twin import DiscuroTwin
from sources.discuro.twin import demo as discuro_demo
from sources.journal import Journal
from sources.loopback import Twin, serve
from sources.provider import Window, settings_from
from sources.tracking import Started, track
from sources.unstract.twin import US, UnstractTwin
from sources.unstract.twin import demo as unstract_demo
from sources.values import timestamp

QUICK = {"requests_per_second": "1000", "poll_interval_s": "0.01"}


@dataclass(frozen=True)
class Polled:
    """Both servers, and the accounts that read them."""

    unstract: UnstractTwin
    discuro: DiscuroTwin
    accounts: list[Account]
    environment: Mapping[str, str]

    @property
    def twins(self) -> dict[str, UnstractTwin | DiscuroTwin]:
        """The servers by their providers."""
        return {"unstract": self.unstract, "discuro": self.discuro}

    def pass_time(self) -> None:
        """Let what runs now finish."""
        for twin in self.twins.values():
            twin.pass_time()

    def track(self, home: Home) -> None:
        """Put on the watch-list what the users of both started."""
        home.create()
        with Journal(home.journal) as journal:
            for account in self.accounts:
                started = [
                    Started(
                        execution_id=str(one["id"]),
                        started_at=timestamp(one["started_at"]),
                    )
                    for one in self.twins[account.provider].started()
                ]
                track(journal, *account.of, account.settings, started)

    def load(self, home: Home, *, max_wait_s: float = 0) -> Report:
        """Load what is due."""
        return load(
            home,
            self.accounts,
            window=Window(),
            watch=lambda *_: None,
            max_wait_s=max_wait_s,
        )

    def handed_out(self) -> set[str]:
        """Return the executions whose result was handed out whole: Unstract's."""
        return {
            execution_id
            for (_, execution_id), given in self.unstract.ledger().items()
            if given.is_whole and given.to == US
        }

    def differences(self, home: Home) -> list[str]:
        """Return where the store is not what could be had of the servers."""
        return unlike(home, self.twins)


def watch_discuro(home: Home, started_at: datetime) -> None:
    """Put an execution on the watch-list of Discuro; nobody need answer for it."""
    home.create()
    kind = part("discuro", "settings").Settings
    settings = settings_from(kind, {"api_key": "any"}, "sources.discuro")
    started = Started(execution_id="7", started_at=started_at)
    with Journal(home.journal) as journal:
        track(journal, "discuro", "default", settings, [started])


def unlike(home: Home, twins: Mapping[str, Twin]) -> list[str]:
    """Return where the store is not what could be had of the twins, by provider."""
    with opened(home) as con:
        return [
            said
            for name, twin in twins.items()
            for said in differences(con, name, twin.obtained())
        ]


@contextmanager
def polled(
    app_of: Callable[[UnstractTwin | DiscuroTwin], ASGIApp] = attrgetter("app"),
    **settings: str,
) -> Iterator[Polled]:
    """Serve the demo's worlds of both providers; ``settings`` are for both."""
    now = datetime.now(UTC)
    unstract, discuro = unstract_demo(now), discuro_demo(now)
    with serve(app_of(unstract)) as one, serve(app_of(discuro)) as other:
        given = {
            "unstract": {**unstract.settings(one), **QUICK, **settings},
            "discuro": {**discuro.settings(other), **QUICK, **settings},
        }
        yield Polled(
            unstract=unstract,
            discuro=discuro,
            accounts=[account_at(name, raw) for name, raw in given.items()],
            environment={
                f"SOURCES__{name.upper()}__{key.upper()}": value
                for name, raw in given.items()
                for key, value in raw.items()
            },
        )


def account_at(provider: str, raw: Mapping[str, str]) -> Account:
    """Return the account that these settings are of."""
    kind = part(provider, "settings").Settings
    return Account(provider, "default", settings_from(kind, raw, provider))
