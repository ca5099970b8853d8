"""One account at the twin, read and loaded as the product does, over real sockets."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sources.journal import Journal
from sources.json_text import decode
from sources.loopback import serve
from sources.provider import Collected
from sources.records import Response
from sources.torale import normalize
from sources.torale.collect import collect
from sources.torale.settings import Settings
from sources.torale.twin import ToraleTwin
from sources.torale.twin_world import Task
from tests.plain_store import PlainStore

KEY = "sk_canary_7d1f0c55e2"
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
HOUR = timedelta(hours=1)

Open = Callable[..., "Account"]
"""Opens an account at a twin; what else is given are its settings."""


def twin_of(
    counts: Mapping[str, int],
    dialect: Literal["paged", "window"] = "paged",
    *,
    every: timedelta = HOUR,
    **kind: Any,
) -> ToraleTwin:
    """Return a twin with so many executions by task: ``e0`` is the newest."""
    twin = ToraleTwin(key=KEY, dialect=dialect, clock=lambda: NOW, **kind)
    for task_id, count in counts.items():
        twin.world.add_task(Task(task_id=task_id))
        for number in range(count):
            add(twin, f"e{number}", NOW - number * every, task_id)
    return twin


def add(
    twin: ToraleTwin,
    execution_id: str,
    at: datetime,
    task_id: str = "t1",
    *,
    is_poisoned: bool = False,
    **columns: object,
) -> None:
    """Add an execution that started then; a success unless ``columns`` say else."""
    twin.world.add_execution(
        task_id,
        {"id": execution_id, "started_at": at, **columns},
        is_poisoned=is_poisoned,
    )


class Account:
    """A twin that is served, a journal file, and a store that takes loads."""

    def __init__(
        self, twin: ToraleTwin, journal: Journal, store: PlainStore, settings: Settings
    ) -> None:
        self.twin = twin
        self.journal = journal
        self.store = store
        self.settings = settings

    def collect(self, **how: Any) -> Collected:
        """Read what is due into the journal; forgets what was asked before."""
        self.twin.requests.clear()
        return asyncio.run(collect(self.settings, self.journal, self.store.seen, **how))

    def load(self, **how: Any) -> Collected:
        """Collect, and bring what is in the journal into the store."""
        collected = self.collect(**how)
        self.drain()
        return collected

    def drain(self) -> None:
        """Bring what is in the journal into the store, as one load."""
        waiting = self.waiting()
        self.store.load(waiting)
        self.journal.clear(response.response_id for response in waiting)

    def waiting(self) -> list[Response]:
        """Return what the journal holds."""
        return list(self.journal.waiting("torale", "default"))

    def asked(self) -> list[str]:
        """Return the last collecting's requests, in order: ``t1?page=1&limit=100``.

        ``t1/e1`` asks for a single execution, ``tasks`` for the list of tasks.
        """
        return [
            _short(noted.path) + (f"?{noted.query}" if noted.query else "")
            for noted in self.twin.requests
        ]

    def lists(self, task_id: str) -> list[str]:
        """Return what the last collecting asked a task's list for, in order."""
        asked = [one.partition("?") for one in self.asked()]
        return [query for path, _, query in asked if path == task_id]

    def details(self) -> list[str]:
        """Return the single executions that the last collecting asked for, sorted."""
        return sorted(one for one in self.asked() if "/" in one)

    def expected(self) -> dict[str, list[str]]:
        """Return what ``held`` gives where the store has all that the twin has."""
        tasks = self.twin.world.tasks.items()
        return {name: sorted(t.executions) for name, t in tasks if t.executions}

    def held(self) -> dict[str, list[str]]:
        """Return the ids of the store's executions, sorted, by task."""
        rows = self.query("select scope, execution_id from execledger.executions")
        found: dict[str, list[str]] = {}
        for scope, execution_id in sorted(rows):
            found.setdefault(scope, []).append(execution_id)
        return found

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows of a select on the store."""
        return self.store.con.execute(sql).fetchall()


def _short(path: str) -> str:
    path = path.removeprefix("/api/v1/tasks/").replace("/executions", "", 1)
    return path or "tasks"


def params_of(response: Response) -> dict[str, Any]:
    """Return what a response was asked with."""
    params = decode(response.params.encode()).value
    assert isinstance(params, dict)
    return params


@contextmanager
def opener(folder: Path) -> Iterator[Open]:
    """Yield what opens accounts; their files are in ``folder``."""
    with ExitStack() as stack:

        def opened(twin: ToraleTwin, **settings: Any) -> Account:
            url = stack.enter_context(serve(twin.app))
            journal = stack.enter_context(Journal(folder / "journal.sqlite"))
            store = stack.enter_context(closing(PlainStore(normalize)))
            settings = {"api_key": KEY, "requests_per_second": 1e5, **settings}
            return Account(twin, journal, store, Settings(base_url=url, **settings))

        yield opened
