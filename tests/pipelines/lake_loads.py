"""Loads into a lake, as the product does them."""

import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from pipelines.lake import Lake
from pipelines.lake_reading import known
from pipelines.lake_rows import LAST
from pipelines.lake_writing import append
from pipelines.selecting import select_from
from sources import part
from sources.fold import Batch, fold
from sources.records import TABLES, Response
from sources.seen import Seen

__all__ = ["load", "put"]


def load(to: Lake, provider: str, said: Sequence[Response], *, cut: str = "") -> None:
    """Load responses as the product does: what is known decides what is new.

    ``cut`` is the last table whose rows get there, where not all do.
    """
    with closing(known(to, [(provider, "default")])) as con:
        seen = Seen(select_from(con), provider, "default")
        batches = list(fold(lambda: iter(said), part(provider, "normalize"), seen))
    put(to, provider, [_until(cut, batch) for batch in batches] if cut else batches)


def put(to: Lake, provider: str | None, batches: Sequence[Batch]) -> None:
    """Append rows."""
    with tempfile.TemporaryDirectory() as folder:
        append(to, provider, lambda: batches, folder=Path(folder))
        assert list(Path(folder).iterdir()) == [], "nothing is left on its way"


def _until(cut: str, batch: Batch) -> Batch:
    order = [*sorted(TABLES.keys() - LAST), *sorted(LAST)]
    kept = order[: order.index(cut) + 1]
    rows = {name: rows for name, rows in batch.rows.items() if name in kept}
    return Batch(rows=rows, gone={})
