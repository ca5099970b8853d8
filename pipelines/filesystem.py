"""A lake as what a load goes into: files of a folder or object storage, only added to.

Nobody holds a lock: of what several writers append, the newest of each thing counts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any

import duckdb

from pipelines.destinations import emptied_work
from pipelines.draining import Inflow
from pipelines.embedded import ask, tried
from pipelines.lake import Lake, lake
from pipelines.lake_reading import known
from pipelines.lake_reading import opened as read_whole
from pipelines.lake_writing import append, append_tables
from pipelines.pricing import new_prices
from pipelines.prune import Pruned
from pipelines.query import Result
from pipelines.replay import Replayed
from pipelines.selecting import select_from
from pipelines.sql_files import SqlFile
from pipelines.store import Home
from sources.bulk import Looked
from sources.errors import ConfigurationError
from sources.fold import Batch, fold
from sources.records import ModelPrice, Record, Run
from sources.seen import Select
from sources.tables import Tables

__all__ = ["Filesystem", "looking", "opened", "prune", "replay"]


class Filesystem:
    """A lake, open for one load of some accounts.

    What is known of them is read once, and again after something was appended.
    """

    def __init__(
        self, home: Home, to: Lake, accounts: Sequence[tuple[str, str]]
    ) -> None:
        self._home = home
        self._lake = to
        self._accounts = accounts
        self._known: duckdb.DuckDBPyConnection | None = None
        self._whole: duckdb.DuckDBPyConnection | None = None

    def select(self, sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        """Look up what loads of the accounts ask for."""
        if self._known is None:
            self._known = known(self._lake, self._accounts)
        return select_from(self._known)(sql, values)

    def drain(
        self,
        inflows: Sequence[Inflow],
        heaviest: Callable[[], int] | None,  # noqa: ARG002 (dlt streams files)
    ) -> list[Looked]:
        """Append what flows in; raises ``StoreError``."""
        return [self._drain(inflow) for inflow in inflows]

    def _drain(self, inflow: Inflow) -> Looked:
        looked = Looked(listed=inflow.cut_off())
        if next(iter(inflow.waiting(None)), None) is not None:
            waiting = partial(inflow.waiting, None)
            # what is seen is trusted: half of a load that was cut off is not
            folded = partial(fold, waiting, inflow.normalizer, inflow.seen)
            self._write(append, inflow.provider, folded)
        return looked

    def put(self, account: tuple[str, str], tables: Callable[[], Tables]) -> None:
        """Append rows of an account, which are the newest then."""
        self._write(append_tables, account[0], tables)

    def ask(self, file: SqlFile, given: Mapping[str, Any]) -> Result:
        """Run a select of ``sql/``, its bounds as ``$name``; raises ``StoreError``."""
        return ask(self._all(), file, given)

    def add(self, record: type[Record], rows: Sequence[Record]) -> None:
        """Append rows of no account."""
        if rows:
            batch = Batch(rows={record.TABLE: list(rows)}, gone={})
            self._write(append, None, lambda: [batch])

    def give_meaning(self) -> list[str]:
        """Price new models, as the views have them; say in words what could not be."""
        return tried(self._price)

    def _price(self) -> None:
        self.add(ModelPrice, new_prices(select_from(self._all()), self._home))

    def finish(self, run: Run, since: dict[tuple[str, str], str]) -> None:  # noqa: ARG002
        """Keep the row of a run; what a load appends cannot be seen by halves."""
        self.add(Run, [run])

    def _all(self) -> duckdb.DuckDBPyConnection:
        if self._whole is None:
            self._whole = read_whole(self._lake, self._home)
        return self._whole

    def _write(self, how: Any, provider: str | None, rows: Callable[[], Any]) -> None:  # noqa: ANN401 (append or append_tables)
        self._home.work.mkdir(mode=0o700, exist_ok=True)
        how(self._lake, provider, rows, folder=self._home.work)
        self.close()

    def close(self) -> None:
        """Let go of what was read."""
        for con in filter(None, (self._known, self._whole)):
            con.close()
        self._known = self._whole = None


@contextmanager
def opened(
    home: Home,
    accounts: Sequence[tuple[str, str]],
    wait_s: float,  # noqa: ARG001 (nobody is waited for)
) -> Iterator[Filesystem]:
    """Open the lake that is configured. Raises ``ConfigurationError``."""
    with emptied_work(home), closing(Filesystem(home, lake(), accounts)) as target:
        yield target


@contextmanager
def looking(home: Home) -> Iterator[Select]:
    """Look things up in the whole lake."""
    with opened(home, (), 0) as target:
        yield select_from(target._all())  # noqa: SLF001 (of this module)


def prune(home: Home, *_: object, is_dry_run: bool) -> Pruned:
    """Raise ``ConfigurationError``: files of a lake are never changed from here."""
    del home, is_dry_run
    raise ConfigurationError(
        "Nothing in a lake is changed from here: old rows are removed by the tools of "
        'its table format, as in docs/scaling.md. "--destination duckdb" prunes the '
        "store of the home."
    )


def replay(home: Home, *, wait_s: float = 0) -> Replayed:
    """Raise ``ConfigurationError``: files of a lake are never changed from here."""
    del home, wait_s
    raise ConfigurationError(
        "Nothing in a lake is changed from here. What its raw responses say is rebuilt "
        "in a store of your own: load, or restore, one, and replay that."
    )
