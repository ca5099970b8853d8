"""A lake in memory: tables that only grow, and the views of what is newest in them.

It is quick enough for generated input; another test holds it equal to real lakes.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from pipelines.lake_rows import in_two_steps, lake_schema, without_gone
from pipelines.newest import OBSERVATIONS, newest_views
from sources.fold import Batch, fold
from sources.observations import Normalizer
from sources.records import TABLES, Json, Response
from sources.seen import Seen
from sources.tables import columns, tables_of
from tests.plain_store import Rows, shown

Rowset = tuple[str, pa.Table]


class PlainLake:
    """Takes responses in loads, each of which may be cut off, and shows its views."""

    def __init__(self, normalizer: Normalizer, provider: str) -> None:
        self.con = duckdb.connect()
        self.con.execute("set timezone = 'UTC'")
        self.con.execute(f"create schema {OBSERVATIONS}; create schema execledger")
        for name, record in TABLES.items():
            json = [one.name for one in columns(record) if one.type is Json]
            casts = ", ".join(f"cast({one} as json) as {one}" for one in json)
            self.con.register("shape", lake_schema(record).empty_table())
            self.con.execute(
                f"create table {OBSERVATIONS}.{name} as select * "
                f"{f'replace ({casts})' if casts else ''} from shape"
            )
        for view in newest_views():
            self.con.execute(f"create view {view.qualified} as {view.sql}")
        self._normalizer = normalizer
        self._now = datetime(2026, 3, 9, tzinfo=UTC)
        self.seen = Seen(self._select, provider, "default")

    def _select(self, sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        qualified = sql.replace("{", "execledger.").replace("}", "")
        return self.con.execute(qualified, values).fetchall()

    def close(self) -> None:
        """Close the lake and let go of it: hypothesis holds on to its arguments."""
        self.con.close()
        del self.con, self.seen

    def clear(self) -> None:
        """Empty the lake."""
        for name in TABLES:
            self.con.execute(f"delete from {OBSERVATIONS}.{name}")

    def folded(self, responses: Sequence[Response]) -> list[Rowset]:
        """Return what a load of responses appends, by what the lake holds now."""
        self._now += timedelta(hours=7)
        batches = list(fold(lambda: iter(responses), self._normalizer, self.seen))
        return self.appended(batches)

    def appended(self, batches: Iterable[Batch]) -> list[Rowset]:
        """Return what is appended of these batches now."""
        return list(in_two_steps(tables_of(without_gone(batches)), self._now))

    def load(
        self,
        responses: Sequence[Response],
        cut: Callable[[list[Rowset]], list[Rowset]] = list,
    ) -> None:
        """Load responses; ``cut`` says which of the rows reach the lake."""
        self.take(cut(self.folded(responses)))

    def take(self, rowsets: Iterable[Rowset]) -> None:
        """Append rows."""
        for name, table in rowsets:
            self.con.register("news", table)
            self.con.execute(f"insert into {OBSERVATIONS}.{name} from news")
            self.con.unregister("news")

    def tables(self) -> Rows:
        """Return all rows of all views."""
        return {name: shown(self.con, name) for name in TABLES}
