"""Every normalized table anew from the raw responses; asks no provider."""

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from functools import partial

import duckdb
import msgspec

from pipelines.destinations import shared
from pipelines.draining import Inflow, drain
from pipelines.embedded import finish, give_meaning
from pipelines.runs import run_of
from pipelines.selecting import select_from
from pipelines.store import (
    Home,
    WorkCopy,
    in_little_memory,
    locked,
    not_ours,
    work_copy,
)
from pipelines.tables import add
from sources import part, providers
from sources.observations import Normalizer, Sight
from sources.records import TABLES, Mode, Response, Run
from sources.seen import Seen
from sources.tables import columns

__all__ = ["Replayed", "Sparing", "readable", "replay"]

_FETCH = 256

_KEYS = {
    **{n: "execution_key" for n, r in TABLES.items() if r.MODE is Mode.SNAPSHOT},
    "workflows": "workflow_key",
}
"""The tables that are rebuilt, and by which key their rows belong together."""

_FIRST_SEEN = {
    "executions": ", day = case when started_at is null and created_at is null "
    "then cast(old.first_seen_at as date) else day end",
    "workflows": "",
}
"""Those that have a column ``first_seen_at``, and what else hangs on it."""


class Replayed(msgspec.Struct, kw_only=True):
    """What a replay came to: executions rebuilt, and kept as they were.

    ``problems`` are those with prices and views; the tables are rebuilt all the same.
    """

    home: str
    responses: int
    executions: int
    kept: int
    problems: list[str]

    def run(self, started: datetime) -> Run:
        """Return the row of this replay, which ends now."""
        return run_of(
            "replay",
            started,
            {"executions": self.executions, "kept": self.kept},
            outcome="partial" if self.problems else "ok",
            problems=self.problems,
        )


def replay(home: Home, *, wait_s: float = 0) -> Replayed:
    """Rebuild every normalized table from ``raw_responses`` in one atomic step.

    What was read from a response that has no body any more (it was pruned), or of a
    provider that is not installed, keeps its rows. Raises ``StoreError``.
    """
    if home.destination is not None:
        return shared(home).replay(home, wait_s=wait_s)  # type: ignore[no-any-return]
    home.require_store()
    return in_little_memory(partial(_replay, home, wait_s))


def _replay(home: Home, wait_s: float, *, is_frugal: bool) -> Replayed:
    started = datetime.now(UTC)
    with locked(home, wait_s=wait_s), work_copy(home) as work:
        if is_frugal:
            work.use_little_memory(_heaviest(work.con))
        replayed = _rebuild(home, work)
        add(work.con, Run, [replayed.run(started)])
        finish(work, dict.fromkeys(_accounts(work.con), ""))
    return replayed


def _rebuild(home: Home, work: WorkCopy) -> Replayed:
    try:
        kept = _clear(work.con)
    except duckdb.CatalogException as error:
        raise not_ours(home, error) from error
    count = _count(work.con, "executions")
    drain(work, [_inflow(work, *of, kept) for of in _accounts(work.con)])
    _remember(work.con)
    return Replayed(
        home=str(home.path),
        responses=_count(work.con, f"raw_responses where {readable()}"),
        executions=_count(work.con, "executions") - count,
        kept=count,
        problems=give_meaning(work.con, home),
    )


def readable(of: str = "") -> str:
    """Return the condition for responses that can be read anew; ``of`` a table, ``r.``.

    What came without a body, as a fault of the connection, has no hash of one.
    """
    known = ", ".join(f"'{name}'" for name in providers())
    has_body = f"({of}body is not null or {of}body_sha256 is null)"
    return f"{has_body} and {of}provider in ({known})"


def _accounts(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    sql = (
        "select distinct provider, connection from execledger.raw_responses "
        f"where {readable()} order by all"
    )
    return con.execute(sql).fetchall()


def _clear(con: duckdb.DuckDBPyConnection) -> set[str]:
    """Remove the rows that can be read anew; return the keys of those that cannot."""
    kept: set[str] = set()
    for name, key in _KEYS.items():
        if name in _FIRST_SEEN:
            con.execute(
                f"create temp table first_seen_{name} as "
                f"select {key}, first_seen_at from execledger.{name}"
            )
        con.execute(
            f"delete from execledger.{name} where response_id in "
            f"(select response_id from execledger.raw_responses where {readable()})"
        )
        rows = con.execute(f"select distinct {key} from execledger.{name}").fetchall()
        kept.update(row[0] for row in rows)
    return kept


def _remember(con: duckdb.DuckDBPyConnection) -> None:
    """Bring back what only responses knew whose bodies are pruned.

    That is when something was first seen, and that a status which now seems to be
    the first was there before.
    """
    for name, also in _FIRST_SEEN.items():
        key = _KEYS[name]
        con.execute(
            f"update execledger.{name} as now set first_seen_at = old.first_seen_at"
            f"{also} from first_seen_{name} as old where now.{key} = old.{key} "
            "and old.first_seen_at < now.first_seen_at"
        )
        con.execute(f"drop table first_seen_{name}")
    con.execute(
        "delete from execledger.status_history where (execution_key, observed_at) in "
        "(select (execution_key, observed_at) from execledger.status_history qualify "
        "(status, provider_status) = lag((status, provider_status)) over ("
        "partition by execution_key order by observed_at))"
    )


def _heaviest(con: duckdb.DuckDBPyConnection) -> int:
    """Return the bytes of the 2,048 largest bodies."""
    sql = (
        "select coalesce(sum(size_bytes), 0) from (select size_bytes from "
        "execledger.raw_responses order by size_bytes desc limit 2048) as largest"
    )
    try:
        return int(con.execute(sql).fetchall()[0][0])
    except duckdb.CatalogException:  # no store of ours, as will be said
        return 0


def _count(con: duckdb.DuckDBPyConnection, where: str) -> int:
    rows = con.execute(f"select count(*) from execledger.{where}").fetchall()
    return int(rows[0][0])


class Sparing:
    """A normalizer that does not see what is to be kept as it is."""

    def __init__(self, normalizer: Normalizer, kept: Collection[str]) -> None:
        self.VERSION = normalizer.VERSION
        self.records = normalizer.records
        self._observe = normalizer.observe
        self._kept = kept

    def observe(self, response: Response) -> Sight:
        """Return what the response shows but for what is kept."""
        sight = self._observe(response)
        seen = [one for one in sight.observations if one.key not in self._kept]
        return msgspec.structs.replace(sight, observations=seen)


def _inflow(
    work: WorkCopy, provider: str, connection: str, kept: Collection[str]
) -> Inflow:
    return Inflow(
        provider=provider,
        seen=Seen(select_from(work.con), provider, connection),
        waiting=lambda only: _responses(work.con, (provider, connection), only),
        normalizer=Sparing(part(provider, "normalize"), kept),
        is_replay=True,
    )


def _responses(
    con: duckdb.DuckDBPyConnection, of: tuple[str, str], only: Collection[str] | None
) -> Iterator[Response]:
    """Yield the stored responses that have something to read, in their order."""
    names = [column.name for column in columns(Response)]
    chosen = "" if only is None else "and response_id = any(?)"
    cursor = con.cursor().execute(
        f"select {', '.join(names)} from execledger.raw_responses "
        f"where provider = ? and connection = ? and {readable()} {chosen} "
        "order by received_at, response_id",
        [*of, *([] if only is None else [list(only)])],
    )
    while rows := cursor.fetchmany(_FETCH):
        for row in rows:
            yield Response(**dict(zip(names, row, strict=True)))
