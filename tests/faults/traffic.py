"""Executions that start, run and end at three providers, minute by minute.

Each provider is a small server that behaves as it does, behind a front that hurts a
share of the answers.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from pipelines.config import Account
from pipelines.store import Home
from sources import part
from sources.discuro.twin import DiscuroTwin
from sources.discuro.twin_world import Execution, Step
from sources.journal import Journal
from sources.loopback import serve
from sources.provider import settings_from
from sources.torale.twin import ToraleTwin
from sources.torale.twin_world import Task
from sources.tracking import Started, track
from sources.twin_server import Trouble
from sources.unstract.twin import UnstractTwin
from sources.unstract.twin_demo import failed, recorded
from tests.pipelines.polled_twins import unlike
from tests.pipelines.small_torale import source
from tests.sources.virtual_time import NOON

# isort: split
from starlette.types import Message, Receive, Scope, Send

__all__ = ["FOREVER", "SHARES", "WAYS", "Traffic", "serving"]

SHARES = {"torale": 0.7, "unstract": 0.15, "discuro": 0.15}
"""How much of the traffic is whose."""

MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)
KEPT = timedelta(minutes=30)
FOREVER = timedelta(minutes=40)
"""How long the longest run: beyond the time for which Discuro keeps them."""

TASKS, OF_A_KIND = 20, 80
"""Tasks of Torale; of so many executions of Discuro, one runs for ever."""

QUICK = {"requests_per_second": "100000"}
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "torale": {"page_size": "250", "settle_hours": "0.01"},
    "unstract": {"poll_interval_s": "5"},
    "discuro": {
        "poll_interval_s": "5",
        "first_poll_s": "20",
        "result_ttl_hours": str(KEPT / timedelta(hours=1)),
    },
}

_Twin = ToraleTwin | UnstractTwin | DiscuroTwin


class Way(NamedTuple):
    """How an answer is hurt: by the server itself, or on its way out."""

    fault: int | Trouble | None = None
    more: Mapping[str, Any] = {}
    spoilt: Callable[[Send], Send] | None = None


def _slowly(send: Send) -> Send:
    """Send a body in two halves, the second after a while."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.body":
            body = message["body"]
            half = len(body) // 2
            await send({**message, "body": body[:half], "more_body": True})
            await asyncio.sleep(0.02)
            message = {**message, "body": body[half:]}
        await send(message)

    return sent


def _as_a_page(send: Send) -> Send:
    """Send a body as of another type."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [one for one in message["headers"] if one[0] != b"content-type"]
            message = {**message, "headers": [*kept, (b"content-type", b"text/html")]}
        await send(message)

    return sent


WAYS: Mapping[str, Way] = {
    "resets the connection": Way("reset"),
    "cuts the body": Way("cut"),
    "answers 429": Way(429, {"headers": {"Retry-After": "1"}}),
    "answers 500": Way(500),
    "answers 503": Way(503, {"headers": {"Retry-After": "2"}}),
    "answers a page of HTML": Way("html"),
    "answers half a document": Way(200, {"body": b'{"status": "COMP'}),
    "answers another document": Way(200, {"body": b'{"ok": true}'}),
    "answers slowly": Way(spoilt=_slowly),
    "says another type": Way(spoilt=_as_a_page),
}


class Front:
    """What stands before a server: hurts a ``share`` of its answers, in all ways."""

    def __init__(self, twin: _Twin, share: float, chance: random.Random) -> None:
        self.share = share
        self.asked = 0
        self.hurt: Counter[str] = Counter()
        self._twin = twin
        self._chance = chance

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; its answer may be hurt."""
        self.asked += 1
        if self._chance.random() < self.share:
            name = self._chance.choice(list(WAYS))
            self.hurt[name] += 1
            way = WAYS[name]
            if way.fault is not None:
                asked = f"{scope['path']}?{scope['query_string'].decode()}"
                self._twin.fail_next(asked, way.fault, **way.more)
            if way.spoilt is not None:
                send = way.spoilt(send)
        await self._twin.app(scope, receive, send)


class Traffic:
    """The servers of three providers, whose time is ``now``, and what runs there."""

    def __init__(self, share: float) -> None:
        self.now = NOON
        self.started = 0
        self.torale = ToraleTwin(key="sk_soak", dialect="window", clock=self._clock)
        self.unstract = UnstractTwin(key="uk_soak", clock=self._clock)
        self.discuro = DiscuroTwin(
            key="dk_soak",
            clock=self._clock,
            sync_s=20,
            result_ttl_s=KEPT.total_seconds(),
        )
        for number in range(TASKS):
            self.torale.world.add_task(Task(task_id=f"task-{number}"))
        self._chance = random.Random(11)  # noqa: S311 - invention, no secrets
        self.fronts = {
            name: Front(twin, share, self._chance) for name, twin in self.twins.items()
        }
        self._run: Mapping[str, Callable[[], Started | None]] = {
            "torale": self._run_torale,
            "unstract": self._run_unstract,
            "discuro": self._run_discuro,
        }
        self.accounts: list[Account] = []

    @property
    def twins(self) -> Mapping[str, _Twin]:
        """The servers by their providers."""
        return {
            "torale": self.torale,
            "unstract": self.unstract,
            "discuro": self.discuro,
        }

    @property
    def hurt(self) -> Counter[str]:
        """How many answers were hurt, by way."""
        return sum((front.hurt for front in self.fronts.values()), Counter())

    @property
    def asked(self) -> int:
        """How many requests came."""
        return sum(front.asked for front in self.fronts.values())

    def heal(self) -> None:
        """Hurt no answer any more."""
        for front in self.fronts.values():
            front.share = 0

    def go_on(self, home: Home, count: int) -> None:
        """Let a minute pass in which so many executions start, and track them."""
        self.now += MINUTE
        home.create()
        with Journal(home.journal, now=self._clock) as journal:
            for account in self.accounts:
                run = self._run[account.provider]
                of_it = round(count * SHARES[account.provider])
                found = [run() for _ in range(of_it)]
                self.started += of_it
                if started := [one for one in found if one is not None]:
                    track(journal, *account.of, account.settings, started)

    def handed_out(self) -> set[str]:
        """Return the executions of which a result was handed out whole."""
        return {
            execution_id
            for twin in self.twins.values()
            for (_, execution_id), had in twin.obtained().items()
            if had.result_state == "captured"
        }

    def differences(self, home: Home) -> list[str]:
        """Return where the store is not what could be had of the servers."""
        return unlike(home, self.twins)

    def _clock(self) -> Any:
        return self.now

    def _begun(self) -> Any:
        return self.now - MINUTE * self._chance.random()

    def _run_torale(self) -> None:
        number, began = self._chance.randrange(10**9), self._begun()
        ends = began + SECOND * self._chance.uniform(2, 50)
        found: dict[str, object] = {"status": "success", "completed_at": ends}
        found["result"] = {"evidence": f"It costs {number} now.", "confidence": 90}
        found["grounding_sources"] = [source(number % 89 + n) for n in range(2)]
        if not number % 30:
            found = {"status": "failed", "error_message": f"Timed out at {number}"}
        task_id = f"task-{number % TASKS}"
        known = {"status": "running", "started_at": began}
        self.torale.world.add_execution(task_id, known, life=[(ends, found)])

    def _run_unstract(self) -> Started:
        number, ends_s = self._chance.randrange(10**9), self._chance.uniform(4, 40)
        name = f"inv-{number}.pdf"
        file = recorded(name, {"invoice_number": number, "total": number / 100})
        one = self.unstract.world.start(
            file if number % 30 else failed(name),
            started_at=self._begun(),
            life=(
                (0, "PENDING"),
                (2, "EXECUTING"),
                (ends_s, "COMPLETED" if number % 30 else "ERROR"),
            ),
        )
        return Started(execution_id=one.execution_id, started_at=one.started_at)

    def _run_discuro(self) -> Started:
        new_id = len(self.discuro.world.executions) + 1
        fault = "upstream connect error" if not new_id % 30 else None
        runs_s = self._chance.uniform(2, 40)
        if not new_id % OF_A_KIND:
            runs_s = FOREVER.total_seconds()
        one = Execution(
            execution_id=new_id,
            started_at=self._begun(),
            runs_s=runs_s,
            data=({"review": f"Boils in {new_id} s.", "stars": new_id % 5},),
            steps=(Step(step_id="71", name="review", error=fault),),
        )
        self.discuro.world.add_execution(one)
        return Started(execution_id=str(new_id), started_at=one.started_at)


@contextmanager
def serving(traffic: Traffic) -> Iterator[Mapping[str, str]]:
    """Serve the three on loopback; yield the environment by which they are read."""
    environment: dict[str, str] = {}
    with ExitStack() as stack:
        for name, twin in traffic.twins.items():
            url = stack.enter_context(serve(traffic.fronts[name]))
            given = {**twin.settings(url), **QUICK, **SETTINGS[name]}
            kind = part(name, "settings").Settings
            traffic.accounts.append(
                Account(name, "default", settings_from(kind, given, name))
            )
            section = f"SOURCES__{name}__".upper()
            environment |= {f"{section}{key.upper()}": v for key, v in given.items()}
        yield environment
