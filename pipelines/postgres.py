"""PostgreSQL as what a load goes into: many loaders, each of accounts of its own.

dlt merges, with a staging schema for each account: in one that several share, rows
would be lost in silence. Its packages are many transactions. What one of them that was
cut off has left half done, the next load of the account does again from its journal.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from pipelines.config import quiet_dlt
from pipelines.destinations import emptied_work
from pipelines.dialects import bound
from pipelines.draining import Inflow, cause
from pipelines.embedded import check_load, tried
from pipelines.postgres_prune import prune
from pipelines.postgres_rows import fitting
from pipelines.postgres_session import Session, session
from pipelines.postgres_tables import create_tables
from pipelines.postgres_views import make_views
from pipelines.pricing import new_prices
from pipelines.query import Result
from pipelines.replay_shared import replay_shared as replay
from pipelines.sql_files import SqlFile, parameters
from pipelines.store import Home
from sources.bulk import Looked
from sources.fold import fold
from sources.records import ModelPrice, Record, Run
from sources.seen import Select
from sources.tables import Tables, tables_of

if TYPE_CHECKING:
    import dlt

__all__ = ["Postgres", "looking", "opened", "prune", "replay"]

_DLT = {
    "LOAD__WORKERS": "4",
    "RESTORE_FROM_DESTINATION": "false",
}
"""How dlt loads: over few connections, and without the state of a pipeline."""

_REPEATED = """
    delete from execledger.status_history as h using (
        select execution_key, observed_at,
            (status, provider_status) is not distinct from (
                lag(status) over changes, lag(provider_status) over changes
            ) as is_repeated
        from execledger.status_history where provider = %s and connection = %s
        window changes as (partition by execution_key order by observed_at)
    ) as found
    where found.is_repeated and h.execution_key = found.execution_key
    and h.observed_at = found.observed_at
"""

_FORGET = (
    "delete from execledger._dlt_version where inserted_at < "
    "(select max(inserted_at) from execledger._dlt_version)"
)
"""dlt keeps a version of its schema for each load, some 40 KB."""

_CUT = "What was loaded stays, and the journal keeps every response: run it again."


class Postgres:
    """A database, open for one load of some accounts."""

    def __init__(self, home: Home, session: Session) -> None:
        self._home = home
        self._session = session
        self.select = session.select

    def drain(
        self,
        inflows: Sequence[Inflow],
        heaviest: Callable[[], int] | None,  # noqa: ARG002 (dlt streams files)
    ) -> list[Looked]:
        """Load what flows in, one package for each account that has something.

        Raises ``StoreError``.
        """
        return [self._drain(inflow) for inflow in inflows]

    def _drain(self, inflow: Inflow) -> Looked:
        looked = Looked(listed=inflow.cut_off())
        folded = partial(
            fold,
            partial(inflow.waiting, None),
            inflow.normalizer,
            inflow.seen,
            trusts_store=inflow.trusts_store,
        )
        self.put(inflow.seen.of, lambda: tables_of(folded()))
        return looked

    def put(self, account: tuple[str, str], tables: Callable[[], Tables]) -> None:
        """Have dlt merge rows of an account; raises ``StoreError``."""
        rows = tables()
        first = next(rows, None)
        if first is None:
            return
        name = name_of(account)
        pipeline = self._pipeline(name)
        from sources.source import drain_source

        source = drain_source(account[0], fitting(chain([first], rows)))
        try:
            pipeline.run(source, loader_file_format="parquet")
        except Exception as failed:
            raise cause(failed, _CUT) from failed
        self._tidy(name)

    def _tidy(self, name: str) -> None:
        """Remove what dlt needs only while it loads."""
        self._session.execute(
            f"drop schema if exists execledger_staging_{name} cascade"
        )
        self._session.execute(_FORGET)

    def settle_history(self, account: tuple[str, str]) -> None:
        """Remove what seems to be a change of status after a replay, and is none."""
        self._session.execute(_REPEATED, account)

    def _pipeline(self, name: str) -> "dlt.Pipeline":
        quiet_dlt()
        for variable, value in _DLT.items():
            os.environ.setdefault(variable, value)
        import dlt

        return dlt.pipeline(
            f"execledger_{name}",
            pipelines_dir=str(self._home.work / "dlt"),
            destination=dlt.destinations.postgres(
                self._session.credentials,
                staging_dataset_name_layout=f"%s_staging_{name}",
            ),
            dataset_name="execledger",
        )

    def ask(self, file: SqlFile, given: Mapping[str, Any]) -> Result:
        """Run a select of ``sql/``, its bounds as ``$name``; raises ``StoreError``."""
        sql = bound(file, parameters(file, given), "postgres")
        names, rows = self._session.table(sql)
        return Result(names, rows)

    def add(self, record: type[Record], rows: Sequence[Record]) -> None:
        """Add rows to a table."""
        self._session.insert(record, rows)

    def give_meaning(self) -> list[str]:
        """Price new models and make the views; return in words what could not be."""
        session, home = self._session, self._home
        return tried(self._price, partial(make_views, session, home))

    def _price(self) -> None:
        with self._session.transaction("prices"):
            if prices := new_prices(self.select, self._home):
                self.add(ModelPrice, prices)

    def finish(self, run: Run, since: dict[tuple[str, str], str]) -> None:
        """Check what was loaded since these responses, and keep the row of the run."""
        check_load(self.select, since, _CUT)
        self.add(Run, [run])


def name_of(account: tuple[str, str]) -> str:
    """Return the name of an account's pipeline and of its staging schema."""
    return f"{account[0]}_{sha256(account[1].encode()).hexdigest()[:8]}"


@contextmanager
def opened(
    home: Home, accounts: Sequence[tuple[str, str]], wait_s: float
) -> Iterator[Postgres]:
    """Connect, for a load of these accounts; nobody else loads them meanwhile.

    Raises ``StoreLocked``, ``ConfigurationError``, ``StoreError``.
    """
    with session() as connected, emptied_work(home):
        for account in sorted(accounts):
            connected.lock(account, wait_s)
        create_tables(connected)
        yield Postgres(home, connected)


@contextmanager
def looking(_home: Home) -> Iterator[Select]:
    """Look things up in the database."""
    with session() as connected:
        yield connected.select
