"""A DuckDB store in memory, loaded by plain SQL by the model's rules, without dlt.

Quick enough for generated input; another test holds it equal to what dlt loads.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import duckdb

from pipelines.selecting import select_from
from pipelines.tables import appender, create_tables
from sources import optional_part
from sources.bulk import append_new
from sources.fold import Batch, fold
from sources.observations import Normalizer
from sources.records import TABLES, Mode, Record, Response
from sources.seen import Seen
from sources.tables import columns, to_arrow

Rows = dict[str, list[tuple[Any, ...]]]


class PlainStore:
    """Takes responses in loads, as the product does, and shows its tables.

    ``rest`` has the ids of the responses that the last load did not just append.
    """

    def __init__(self, normalizer: Normalizer, provider: str = "torale") -> None:
        self.con = duckdb.connect()
        self.con.execute("set timezone = 'UTC'")
        create_tables(self.con)
        self._normalizer = normalizer
        self._columnar = optional_part(provider, "columns")
        self.seen = Seen(select_from(self.con), provider, "default")

    def close(self) -> None:
        """Close the store and let go of it: hypothesis holds on to its arguments."""
        self.con.close()
        del self.con, self.seen

    def after(
        self,
        *loads: Sequence[Response],
        trusts_store: bool = True,
        appends: bool = False,
    ) -> Self:
        """Empty the store, take these loads, and return the store."""
        for name in TABLES:
            self.con.execute(f"delete from execledger.{name}")
        for responses in loads:
            self.load(responses, trusts_store=trusts_store, appends=appends)
        return self

    def load(
        self,
        responses: Sequence[Response],
        *,
        trusts_store: bool = True,
        appends: bool = False,
    ) -> None:
        """Fold and load responses, as one load; or append first what is new."""
        self.rest = {one.response_id for one in responses}
        if appends:
            self.rest = append_new(
                lambda: iter(responses),
                self._normalizer,
                self.seen,
                appender(self.con),
                columnar=self._columnar,
            ).rest
        batches = fold(
            lambda: (one for one in responses if one.response_id in self.rest),
            self._normalizer,
            self.seen,
            trusts_store=trusts_store,
        )
        self.apply(list(batches))

    def both_ways(self, *said: Response) -> tuple[Rows, Rows]:
        """Return all tables after one load: as the fold makes them, and appended."""
        folded = self.after([*said]).tables(only=TABLES)
        return folded, self.after([*said], appends=True).tables(only=TABLES)

    def apply(self, batches: Iterable[Batch]) -> None:
        """Add rows by each table's mode: replace the execution, upsert, or append."""
        for batch in batches:
            for name, record in TABLES.items():
                rows, gone = batch.rows.get(name, []), batch.gone.get(name, [])
                if rows or gone:
                    self._merge(record, rows, gone)

    def _merge(
        self, record: type[Record], rows: Sequence[Record], gone: Sequence[str]
    ) -> None:
        table = f"execledger.{record.TABLE}"
        self.con.register("news", to_arrow(record, rows, gone))
        keys = ["execution_key"] if record.MODE is Mode.SNAPSHOT else [*record.KEY]
        same = " and ".join(f"news.{key} = old.{key}" for key in keys)
        if record.MODE is Mode.LEDGER:
            self.con.execute(
                f"insert into {table} from news "
                f"where not exists (from {table} old where {same})"
            )
            return
        self.con.execute(f"delete from {table} old using news where {same}")
        kept = "where is_gone is null" if record.MODE is Mode.SNAPSHOT else ""
        self.con.execute(f"insert into {table} from news {kept}")

    def tables(self, *, only: Iterable[str] = ()) -> Rows:
        """Return all rows of the tables named, or of every snapshot and entity."""
        wanted = [*only] or [
            name for name, table in TABLES.items() if table.MODE is not Mode.LEDGER
        ]
        return {name: shown(self.con, name) for name in wanted}


def shown(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    """Return a table's rows in an order of their own, JSON as text."""
    names = ", ".join(
        f"cast({column.name} as varchar)" for column in columns(TABLES[table])
    )
    return sorted(
        con.execute(f"select {names} from execledger.{table}").fetchall(), key=repr
    )
