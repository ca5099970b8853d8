"""A lake of the demo's data and of all recordings, in loads that overlap."""

import tempfile
from collections.abc import Container, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pipelines.lake import Lake
from pipelines.lake_reading import known
from pipelines.lake_writing import append
from pipelines.readers import read_only
from pipelines.selecting import select_from
from pipelines.store import Home
from sources import part, providers
from sources.fold import Batch, fold
from sources.records import TABLES, Response
from sources.seen import Seen
from tests.responses import recorded, recordings

__all__ = ["append_demo", "append_recordings", "load", "put"]

LEDGERS = ("runs", "check_results", "model_prices")
"""The tables of no account."""


def append_recordings(to: Lake, but: Container[str] = ()) -> None:
    """Append every recording but some: one load for each provider."""
    for provider in providers():
        said = [
            recorded(provider, name, second=second)
            for second, name in enumerate(recordings(provider))
            if name not in but
        ]
        load(to, provider, said)


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


def load(to: Lake, provider: str, said: Sequence[Response]) -> None:
    """Load responses as the product does: what is known decides what is new."""
    with closing(known(to, [(provider, "default")])) as con:
        seen = Seen(select_from(con), provider, "default")
        batches = list(fold(lambda: iter(said), part(provider, "normalize"), seen))
    put(to, provider, batches)


def put(to: Lake, provider: str | None, batches: Sequence[Batch]) -> None:
    """Append rows."""
    with tempfile.TemporaryDirectory() as folder:
        append(to, provider, lambda: batches, folder=Path(folder))


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
