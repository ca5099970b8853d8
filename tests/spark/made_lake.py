"""A lake of the demo's data and of all recordings, in loads that overlap."""

from collections.abc import Container, Iterator
from typing import Any

from pipelines.lake import Lake
from pipelines.readers import read_only
from pipelines.store import Home
from sources import providers
from sources.fold import Batch
from sources.records import TABLES, Response
from tests.pipelines.lake_loads import load, put
from tests.responses import every_recording

__all__ = ["append_demo", "append_recordings"]

LEDGERS = ("runs", "check_results", "model_prices")
"""The tables of no account."""


def append_recordings(to: Lake, but: Container[str] = ()) -> None:
    """Append every recording but some: one load for each provider."""
    for provider in providers():
        load(to, provider, every_recording(provider, but))


def append_demo(to: Lake, home: Home) -> None:
    """Append what is in the store of the demo: two loads for each provider."""
    for provider in providers():
        said = [Response(**row) for row in _rows(home, "raw_responses", provider)]
        load(to, provider, said[: len(said) * 2 // 3])
        load(to, provider, said[len(said) // 2 :])
    ledgers = {
        name: [TABLES[name](**row) for row in _rows(home, name)] for name in LEDGERS
    }
    put(to, None, [Batch(rows=ledgers, gone={})])


def _rows(
    home: Home, table: str, provider: str | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table of a store, of one provider or of all."""
    names = list(TABLES[table].__struct_fields__)
    where = "where provider = ? order by response_id" if provider else ""
    with read_only(home) as con:
        con.execute(
            f"select {', '.join(names)} from execledger.{table} {where}",
            [provider] if provider else [],
        )
        for row in con.fetchall():
            yield dict(zip(names, row, strict=True))
