"""Where loads go: into the store of the home, or to a destination that many share.

Journal, watch-list and lock stay in the home whatever the destination: each loader has
a home of its own, and no two load the same account at once.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from shutil import rmtree
from typing import Any, Protocol

from pipelines.config import Account
from pipelines.draining import Inflow
from pipelines.embedded import embedded
from pipelines.query import Result
from pipelines.query import opened as opened_store
from pipelines.selecting import select_from
from pipelines.sql_files import SqlFile
from pipelines.store import Home
from sources.bulk import Looked
from sources.records import Record, Run
from sources.seen import Select
from sources.tables import Tables

__all__ = ["Shared", "Target", "emptied_work", "looking", "opened", "shared"]


class Target(Protocol):
    """A destination that is open for one load of some accounts."""

    @property
    def select(self) -> Select:
        """What looks up what it holds."""
        ...

    def drain(
        self, inflows: Sequence[Inflow], heaviest: Callable[[], int] | None
    ) -> list[Looked]:
        """Load what flows in, and return what was found in each.

        ``heaviest`` says how many bytes must be in memory together at the least, where
        little is to be used. Raises ``StoreError``.
        """
        ...

    def ask(self, file: SqlFile, given: Mapping[str, Any]) -> Result:
        """Run a select of ``sql/``, its bounds as ``$name``; raises ``StoreError``."""
        ...

    def add(self, record: type[Record], rows: Sequence[Record]) -> None:
        """Add rows to a table."""
        ...

    def give_meaning(self) -> list[str]:
        """Price new models and make the views; return in words what could not be."""
        ...

    def finish(self, run: Run, since: dict[tuple[str, str], str]) -> None:
        """Check what was loaded since these responses, and keep the row of the run.

        Raises ``LoadCheckFailed``.
        """
        ...


class Shared(Target, Protocol):
    """A destination that many share, open for accounts that nobody else loads."""

    def put(self, account: tuple[str, str], tables: Callable[[], Tables]) -> None:
        """Put rows of an account in place of what is there; raises ``StoreError``.

        ``tables`` gives them, each time it is called.
        """
        ...


@contextmanager
def opened(home: Home, accounts: Sequence[Account], wait_s: float) -> Iterator[Target]:
    """Open a home's destination for a load of accounts; the home must be ``locked``.

    ``wait_s`` is how long to wait while another loads one of them. Raises
    ``StoreLocked``, ``ConfigurationError``, ``StoreError``.
    """
    if home.destination is None:
        with embedded(home) as store:
            yield store
        return
    with shared(home).opened(home, [one.of for one in accounts], wait_s) as target:
        yield target


@contextmanager
def looking(home: Home) -> Iterator[Select]:
    """Look things up in a home's destination; before the first load, all is unknown."""
    if home.destination is not None:
        with shared(home).looking(home) as select:
            yield select
    elif home.published.exists():
        with opened_store(home) as con:
            yield select_from(con)
    else:
        yield lambda _sql, _values: []


@contextmanager
def emptied_work(home: Home) -> Iterator[None]:
    """Let dlt find no package in the work folder that a load left which was cut off."""
    rmtree(home.work, ignore_errors=True)
    try:
        yield
    finally:
        rmtree(home.work, ignore_errors=True)


def shared(home: Home) -> Any:  # noqa: ANN401 (a module)
    """Return the module of a destination that many share."""
    return import_module(f"pipelines.{home.destination}")
