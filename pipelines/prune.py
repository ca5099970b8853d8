"""Retention: old raw bodies go, and old texts if asked; what they came to stays."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from msgspec.structs import replace

from pipelines.destinations import shared
from pipelines.embedded import finish
from pipelines.runs import run_of
from pipelines.selecting import select_from
from pipelines.store import Home, locked, not_ours, work_copy
from pipelines.tables import add
from sources.records import Run
from sources.seen import Select

__all__ = ["REDACTED", "Pruned", "found", "prune", "remove"]

REDACTED = {
    "citations": ("text", "value"),
    "errors": ("message", "provider_message"),
    "execution_metadata": ("value",),
    "executions": ("change_summary", "notification", "error_message"),
    "grounding_sources": ("title", "snippet"),
    "outputs": ("value", "value_text"),
}
"""The tables with free texts, and the columns that hold them."""

_OLD = "response_id in (select response_id from {raw_responses} where received_at < ?)"


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

    @property
    def is_nothing(self) -> bool:
        """Tell whether there is nothing to remove."""
        return not (self.bodies or any(self.redacted.values()))

    @property
    def counts(self) -> dict[str, int]:
        """What the ledger of runs is told."""
        return {"bodies": self.bodies, "bytes": self.body_bytes, **self.redacted}


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
    given = (home, older_than_s, redact, wait_s)
    if home.destination is not None:
        return shared(home).prune(*given, is_dry_run=is_dry_run)  # type: ignore[no-any-return]
    home.require_store()
    with locked(home, wait_s=wait_s), work_copy(home) as work:
        started, size = datetime.now(UTC), home.published.stat().st_size
        run = select_from(work.con)
        pruned = found(run, home, started - timedelta(seconds=older_than_s), redact)
        if pruned is None:
            raise not_ours(home, LookupError("it has no table of responses"))
        if is_dry_run or pruned.is_nothing:
            return replace(pruned, store_bytes=(size, size))
        remove(run, pruned)
        add(work.con, Run, [run_of("prune", started, pruned.counts)])
        work.rewrite()
        finish(work, {})
    return replace(pruned, store_bytes=(size, home.published.stat().st_size))


def found(
    run: Select, home: Home, before: datetime, redact: Sequence[str]
) -> Pruned | None:
    """Return what a pruning would remove; none where there are no tables."""
    rows = run(
        "select count(*), coalesce(sum(size_bytes), 0) from {raw_responses} "
        "where body is not null and received_at < ?",
        [before],
    )
    for bodies, body_bytes in rows:
        return Pruned(
            home=str(home.path),
            older_than=before,
            bodies=bodies,
            body_bytes=int(body_bytes),
            redacted={name: _count(run, name, before) for name in redact},
            store_bytes=(0, 0),
        )
    return None


def remove(run: Select, pruned: Pruned) -> None:
    """Remove what was found, in the transaction that is open or by each statement."""
    for name in pruned.redacted:
        gone = ", ".join(f"{column} = null" for column in REDACTED[name])
        run(
            f"update {{{name}}} set {gone} where {_says(name)} and {_OLD}",
            [pruned.older_than],
        )
    run(
        "update {raw_responses} set body = null "
        "where body is not null and received_at < ?",
        [pruned.older_than],
    )


def _count(run: Select, name: str, before: datetime) -> int:
    """Return how many rows of a table lose a text."""
    sql = f"select count(*) from {{{name}}} where {_says(name)} and {_OLD}"
    return int(run(sql, [before])[0][0])


def _says(name: str) -> str:
    """Return the condition for rows of a table that have a text."""
    columns = ", ".join(f"cast({column} as text)" for column in REDACTED[name])
    return f"coalesce({columns}, null) is not null"
