"""From raw responses into the work copy: what is new is appended, the rest merged.

A first load, a backfill and a replay are almost all new rows: they go straight into the
tables. What was seen before is folded; dlt merges what came of that, if anything did.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain

import msgspec
import pyarrow as pa

from pipelines.config import quiet_dlt
from pipelines.store import WorkCopy, causes
from pipelines.tables import appender, create_tables
from sources import optional_part
from sources.bulk import Looked, append_new
from sources.errors import ExecledgerError, StoreError
from sources.fold import Batch, fold
from sources.leftovers import listed_scopes
from sources.observations import Normalizer
from sources.records import TABLES, Mode, Response
from sources.seen import Seen
from sources.tables import tables_of, to_arrow

__all__ = ["INTERRUPTED", "Inflow", "cause", "drain"]

INTERRUPTED = "Query interrupted"
"""What a ``RuntimeError`` of DuckDB says that was Ctrl-C."""


class Inflow(msgspec.Struct, frozen=True):
    """Responses of one account, and how rows are made of them.

    ``waiting`` gives them in order, or of some ids only. ``is_replay`` is for those
    that are in the store already. Without ``trusts_store``, what seems to be loaded
    is loaded again: a load that was cut off may have brought half of it.
    """

    provider: str
    seen: Seen
    waiting: Callable[[set[str] | None], Iterable[Response]]
    normalizer: Normalizer
    is_replay: bool = False
    trusts_store: bool = True

    def cut_off(self) -> set[tuple[str, str]]:
        """Return what is listed in what waits, where a load was cut off."""
        if self.trusts_store:
            return set()
        return set(listed_scopes(self.waiting(None), self.normalizer))


def drain(work: WorkCopy, inflows: Sequence[Inflow]) -> list[Looked]:
    """Load what flows in into the work copy; what dlt merges, as one package.

    Returns what was found in each. Raises ``StoreError`` where that fails; the copy is
    then of no use.
    """
    # Arrow's own pool keeps what was freed, a third more memory here.
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        create_tables(work.con)
        looked = _append_all(work, inflows)
        merges = [
            _merges(work, inflow, found.rest)
            for inflow, found in zip(inflows, looked, strict=True)
        ]
        _merge(work, inflows, merges)
    except Exception as failed:
        raise cause(failed) from failed
    return looked


def _append_all(work: WorkCopy, inflows: Sequence[Inflow]) -> list[Looked]:
    """Append what is new, in one transaction: so whole row groups are written."""
    # DuckDB writes no log of what it takes into the file at once.
    work.con.execute("set checkpoint_threshold = '100KB'")
    work.con.begin()
    looked = [_append(work, inflow) for inflow in inflows]
    work.con.commit()
    work.con.execute("reset checkpoint_threshold")
    return looked


def _append(work: WorkCopy, inflow: Inflow) -> Looked:
    """Append what is new."""
    return append_new(
        lambda: inflow.waiting(None),
        inflow.normalizer,
        inflow.seen,
        appender(work.con, keeps_ledgers=inflow.is_replay),
        columnar=optional_part(inflow.provider, "columns"),
        keeps_raw=not inflow.is_replay,
    )


def _merges(work: WorkCopy, inflow: Inflow, rest: set[str]) -> Iterator[Batch]:
    """Fold the rest: append to the ledgers, and yield what is to be merged."""
    if not rest:
        return
    append = appender(work.con, keeps_ledgers=True)
    left = partial(inflow.waiting, rest)
    for batch in fold(left, inflow.normalizer, inflow.seen):
        rows = dict(batch.rows)
        for name in [one for one in rows if TABLES[one].MODE is Mode.LEDGER]:
            found = rows.pop(name)
            if not (inflow.is_replay and name == Response.TABLE):
                append(name, to_arrow(TABLES[name], found))
        if rows or batch.gone:
            yield Batch(rows=rows, gone=batch.gone)


def _merge(
    work: WorkCopy, inflows: Sequence[Inflow], merges: Sequence[Iterator[Batch]]
) -> None:
    """Have dlt merge what there is, if there is anything."""
    begun = [(next(batches, None), batches) for batches in merges]
    if all(first is None for first, _ in begun):
        return
    quiet_dlt()
    import dlt

    from sources.source import drain_source

    sources = [
        drain_source(inflow.provider, tables_of(chain([first], batches)))
        for inflow, (first, batches) in zip(inflows, begun, strict=True)
        if first is not None
    ]
    pipeline = dlt.pipeline(
        "execledger",
        pipelines_dir=str(work.dlt_dir),
        destination=dlt.destinations.duckdb(work.con),
        dataset_name="execledger",
    )
    pipeline.run(sources, loader_file_format="parquet")


_AS_IT_WAS = (
    "The store is as it was, and the journal keeps every response: run it again."
)


def cause(failed: BaseException, left: str = _AS_IT_WAS) -> BaseException:
    """Return what made a load fail, if it is ours or Ctrl-C, else a ``StoreError``.

    ``left`` says what it left behind.
    """
    chained = causes(failed)
    for error in chained:
        if isinstance(error, KeyboardInterrupt | ExecledgerError):
            return error
        if str(error) == INTERRUPTED:
            return KeyboardInterrupt()
    step = getattr(failed, "step", None)
    place = f" in dlt's step {step!r}" if step else ""
    reason = str(chained[-1]).strip().partition("\n")[0]
    return StoreError(f"The load failed{place}: {reason}. {left}")
