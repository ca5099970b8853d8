"""Every normalized table anew from the raw responses; asks no provider."""

from collections.abc import Iterator
from datetime import UTC, datetime

import duckdb
import msgspec

from pipelines.load import drain, finish, insert, select_from
from pipelines.store import Home, WorkCopy, locked, work_copy
from sources import part, providers
from sources.errors import StoreError
from sources.journal import uuid7
from sources.json_text import encode
from sources.records import TABLES, Mode, Response, Run
from sources.seen import Seen
from sources.tables import columns

__all__ = ["Replayed", "replay"]

_FETCH = 256


class Replayed(msgspec.Struct, kw_only=True):
    """What a replay came to: executions rebuilt, and kept as they were."""

    home: str
    responses: int
    executions: int
    kept: int


def replay(home: Home, *, wait_s: float = 0) -> Replayed:
    """Rebuild every normalized table from ``raw_responses`` in one atomic step.

    An execution whose response has no body any more (it was pruned) keeps its rows.
    """
    if not home.published.exists():
        raise StoreError(f'{home.published} is not there: run "execledger load" first.')
    started = datetime.now(UTC)
    with locked(home, wait_s=wait_s), work_copy(home) as work:
        kept = _clear(work.con)
        drain(work, [_source(work, *of) for of in _accounts(work.con)])
        replayed = Replayed(
            home=str(home.path),
            responses=_count(work.con, f"raw_responses where {_READABLE}"),
            executions=_count(work.con, "executions"),
            kept=kept,
        )
        _insert_run(work.con, started, replayed)
        finish(work)
    return replayed


_READABLE = "(body is not null or outcome not in ('ok', 'unchanged', 'pending'))"


def _accounts(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    sql = "select distinct provider, connection from execledger.raw_responses"
    known = providers()
    return sorted(row for row in con.execute(sql).fetchall() if row[0] in known)


def _clear(con: duckdb.DuckDBPyConnection) -> int:
    """Remove what can be rebuilt; return how many executions cannot and stay."""
    con.execute(
        "create temp table pruned as select e.execution_key "
        "from execledger.executions e left join execledger.raw_responses r "
        "using (response_id) where r.body is null"
    )
    for name, record in TABLES.items():
        if record.MODE is Mode.SNAPSHOT:
            con.execute(
                f"delete from execledger.{name} where execution_key not in "
                "(select execution_key from pruned)"
            )
    con.execute(
        "delete from execledger.workflows where response_id in "
        "(select response_id from execledger.raw_responses where body is not null)"
    )
    kept = _count(con, "executions")
    con.execute("drop table pruned")
    return kept


def _count(con: duckdb.DuckDBPyConnection, where: str) -> int:
    rows = con.execute(f"select count(*) from execledger.{where}").fetchall()
    return int(rows[0][0])


def _source(work: WorkCopy, provider: str, connection: str) -> object:
    from sources.source import drain_source

    def waiting() -> Iterator[Response]:
        return _responses(work.con, provider, connection)

    normalizer = part(provider, "normalize")
    seen = Seen(select_from(work.con), provider, connection)
    return drain_source(provider, waiting, normalizer, seen, keeps_raw=False)


def _responses(
    con: duckdb.DuckDBPyConnection, provider: str, connection: str
) -> Iterator[Response]:
    """Yield the stored responses that have something to read, in their order."""
    names = [column.name for column in columns(Response)]
    cursor = con.cursor().execute(
        f"select {', '.join(names)} from execledger.raw_responses "
        f"where provider = ? and connection = ? and {_READABLE} "
        "order by received_at, response_id",
        [provider, connection],
    )
    while rows := cursor.fetchmany(_FETCH):
        for row in rows:
            yield Response(**dict(zip(names, row, strict=True)))


def _insert_run(
    con: duckdb.DuckDBPyConnection, started: datetime, replayed: Replayed
) -> None:
    run = Run(
        run_id=uuid7(started),
        command="replay",
        started_at=started,
        ended_at=datetime.now(UTC),
        outcome="ok",
        counts=encode({"executions": replayed.executions, "kept": replayed.kept}),
    )
    insert(con, run)
