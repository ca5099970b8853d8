"""Retention in PostgreSQL: what ``prune`` removes, in one transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from pipelines.postgres_session import session
from pipelines.postgres_tables import create_tables
from pipelines.prune import Pruned, found, remove
from pipelines.runs import run_of
from pipelines.store import Home, locked
from sources.errors import StoreError
from sources.records import Run

__all__ = ["prune"]


def prune(
    home: Home,
    older_than_s: float,
    redact: Sequence[str],
    wait_s: float,
    *,
    is_dry_run: bool,
) -> Pruned:
    """Remove old bodies and texts in one transaction.

    What they took is free for new rows then; the files of the database shrink only by
    a ``vacuum full``, which keeps readers out. Raises ``StoreError``.
    """
    started = datetime.now(UTC)
    with locked(home, wait_s=wait_s), session() as con:
        create_tables(con)
        size = con.size()
        before = started - timedelta(seconds=older_than_s)
        pruned = found(con.select, home, before, redact)
        if pruned is None:
            raise StoreError(f"{con.where} has no tables of execledger.")
        if not (is_dry_run or pruned.is_nothing):
            with con.transaction():
                remove(con.select, pruned)
                con.insert(Run, [run_of("prune", started, pruned.counts)])
            for name in ("raw_responses", *redact):
                con.execute(f"vacuum execledger.{name}")
        return replace(pruned, store_bytes=(size, con.size()))
