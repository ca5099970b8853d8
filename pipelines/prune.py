"""Retention: old raw bodies go, and old texts if asked; what they came to stays."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import duckdb
import msgspec

from pipelines.load import finish
from pipelines.runs import insert_run, run_of
from pipelines.store import Home, locked, not_ours, work_copy

__all__ = ["REDACTED", "Pruned", "prune"]

REDACTED = {
    "citations": ("text", "value"),
    "errors": ("message", "provider_message"),
    "execution_metadata": ("value",),
    "executions": ("change_summary", "notification", "error_message"),
    "grounding_sources": ("title", "snippet"),
    "outputs": ("value", "value_text"),
}
"""The tables with free texts, and the columns that hold them."""

_OLD = (
    "response_id in "
    "(select response_id from execledger.raw_responses where received_at < ?)"
)


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What a pruning came to, or would.

    ``older_than`` is the time before which a response was received that is old,
    ``bodies`` how many lose their body, of ``body_bytes`` in all; ``redacted`` the
    rows that lose texts, by table. ``store_bytes`` is the size of the store before
    and after, the same where nothing was done.
    """

    home: str
    older_than: datetime
    bodies: int
    body_bytes: int
    redacted: dict[str, int]
    store_bytes: tuple[int, int]


def prune(
    home: Home,
    *,
    older_than_s: float,
    redact: Sequence[str] = (),
    is_dry_run: bool = False,
    wait_s: float = 0,
) -> Pruned:
    """Remove the raw bodies that were received so long ago, in one atomic step.

    ``redact`` names tables of ``REDACTED``: their texts go where they were read from
    a response as old. Hashes, counts, usage and costs stay. The store is written anew,
    so that nothing of what went is left in the file. Raises ``StoreError``.
    """
    home.require_store()
    started = datetime.now(UTC)
    before = started - timedelta(seconds=older_than_s)
    size = home.published.stat().st_size
    with locked(home, wait_s=wait_s), work_copy(home) as work:
        try:
            ((bodies, body_bytes),) = work.con.execute(
                "select count(*), coalesce(sum(size_bytes), 0) from "
                "execledger.raw_responses where body is not null and received_at < ?",
                [before],
            ).fetchall()
        except duckdb.CatalogException as error:
            raise not_ours(home, error) from error
        found = {name: _count(work.con, name, before) for name in redact}
        pruned = Pruned(
            home=str(home.path),
            older_than=before,
            bodies=bodies,
            body_bytes=int(body_bytes),
            redacted=found,
            store_bytes=(size, size),
        )
        if is_dry_run or not (bodies or any(found.values())):
            return pruned
        for name in redact:
            _redact(work.con, name, before)
        work.con.execute(
            "update execledger.raw_responses set body = null "
            "where body is not null and received_at < ?",
            [before],
        )
        counts = {"bodies": bodies, "bytes": pruned.body_bytes, **found}
        insert_run(work.con, run_of("prune", started, counts))
        work.rewrite()
        finish(work, None)
    now = home.published.stat().st_size
    return msgspec.structs.replace(pruned, store_bytes=(size, now))


def _count(con: duckdb.DuckDBPyConnection, name: str, before: datetime) -> int:
    """Return how many rows of a table lose a text."""
    sql = f"select count(*) from execledger.{name} where {_says(name)} and {_OLD}"
    return int(con.execute(sql, [before]).fetchall()[0][0])


def _redact(con: duckdb.DuckDBPyConnection, name: str, before: datetime) -> None:
    gone = ", ".join(f"{column} = null" for column in REDACTED[name])
    con.execute(
        f"update execledger.{name} set {gone} where {_says(name)} and {_OLD}",
        [before],
    )


def _says(name: str) -> str:
    """Return the condition for rows of a table that have a text."""
    columns = ", ".join(f"cast({column} as text)" for column in REDACTED[name])
    return f"coalesce({columns}, null) is not null"
