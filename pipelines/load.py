"""One load: collect what is due, drain it into a work copy, check, publish."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import duckdb
import msgspec

from pipelines.config import Account, quiet_dlt
from pipelines.store import Home, WorkCopy, locked, work_copy
from pipelines.views import comment_tables, create_views
from sources import part
from sources.errors import ExecledgerError, LoadCheckFailed, StoreError
from sources.journal import Journal, uuid7
from sources.json_text import encode
from sources.provider import Collected, Window
from sources.records import Record, Run
from sources.seen import Seen, Select
from sources.tables import to_arrow

__all__ = ["AccountReport", "Report", "load", "planned", "select_from", "unfinished"]

Watch = Callable[[Account, str, int], None]
"""Told of progress: the account, what was read, how many more."""


class AccountReport(msgspec.Struct, kw_only=True):
    """What one load brought of one account."""

    account: str
    read: dict[str, int]
    new: int
    changed: int
    errors: list[str]
    unfinished: dict[str, str]


class Report(msgspec.Struct, kw_only=True):
    """What one load came to."""

    home: str
    run_id: str
    outcome: str
    started_at: datetime
    ended_at: datetime
    accounts: list[AccountReport]


def load(
    home: Home,
    accounts: Sequence[Account],
    *,
    window: Window,
    watch: Watch,
    wait_s: float = 0,
) -> Report:
    """Load what is due of all accounts in one atomic step.

    What a provider does not answer is in the report; all else is loaded. Raises
    ``StoreError`` where nothing could be loaded: the store is then as it was, and
    the journal keeps every response for the next run.
    """
    started = datetime.now(UTC)
    home.create()
    with (
        locked(home, wait_s=wait_s),
        work_copy(home) as work,
        Journal(home.journal) as journal,
    ):
        select = select_from(work.con)
        due = unfinished(work.con)
        collected = asyncio.run(
            _collect_all(accounts, journal, select, due=due, window=window, watch=watch)
        )
        loads = [_Load(account, journal, select) for account in accounts]
        drain(work, [load.source() for load in loads])
        reports = [
            load.report(result) for load, result in zip(loads, collected, strict=True)
        ]
        report = _report(home, started, reports)
        _insert_run(work.con, report, due)
        finish(work)
        for each in loads:
            journal.clear(each.ids)
    return report


async def _collect_all(
    accounts: Sequence[Account],
    journal: Journal,
    select: Select,
    *,
    due: Mapping[str, dict[str, str]],
    window: Window,
    watch: Watch,
) -> list[Collected]:
    async def one(account: Account) -> Collected:
        def progress(what: str, more: int) -> None:
            watch(account, what, more)

        try:
            collected: Collected = await part(account.provider, "collect").collect(
                account.settings,
                journal,
                Seen(select, account.provider, account.connection),
                connection=account.connection,
                window=window,
                unfinished=due.get(account.name, {}),
                progress=progress,
            )
        except ExecledgerError as error:  # one account's fault stops no other
            return Collected(errors=[error], unfinished=due.get(account.name, {}))
        return collected

    return await asyncio.gather(*map(one, accounts))


class _Load:
    """What waits of one account, and what of it is in the store afterwards."""

    def __init__(self, account: Account, journal: Journal, select: Select) -> None:
        self._account = account
        self._journal = journal
        self._select = select
        self._of = (account.provider, account.connection)
        self.ids = journal.ids(*self._of)

    def source(self) -> Any:  # noqa: ANN401 (dlt's)
        from sources.source import drain_source

        return drain_source(
            self._account.provider,
            lambda: self._journal.waiting(*self._of),
            part(self._account.provider, "normalize"),
            Seen(self._select, *self._of),
        )

    def report(self, collected: Collected) -> AccountReport:
        """Return what was loaded; raises ``LoadCheckFailed`` if something is not."""
        loaded = Seen(self._select, *self._of).responses(self.ids)
        if missing := len(set(self.ids) - loaded):
            raise LoadCheckFailed(
                f"{missing} responses did not reach the store. Nothing was published; "
                'the journal keeps them: run "execledger load" again.'
            )
        new, changed = self._changes()
        return AccountReport(
            account=self._account.name,
            read=collected.counts,
            new=new,
            changed=changed,
            errors=[str(error) for error in collected.errors],
            unfinished=collected.unfinished,
        )

    def _changes(self) -> tuple[int, int]:
        """Return how many executions are new, and how many known ones changed."""
        if not self.ids:
            return 0, 0
        sql = (
            "select count(*), count(case when e.first_seen_at >= r.received_at then 1 "
            "end) from {executions} e, {raw_responses} r where e.provider = ? and "
            "e.connection = ? and e.response_id >= ? and r.response_id = ?"
        )
        values = (*self._of, self.ids[0], self.ids[0])
        every, new = self._select(sql, values)[0]
        return new, every - new


def drain(work: WorkCopy, sources: Sequence[Any]) -> None:
    """Load the sources into the work copy, as one dlt package."""
    quiet_dlt()
    import dlt
    from dlt.pipeline.exceptions import PipelineStepFailed

    pipeline = dlt.pipeline(
        "execledger",
        pipelines_dir=str(work.dlt_dir),
        destination=dlt.destinations.duckdb(work.con),
        dataset_name="execledger",
    )
    try:
        pipeline.run(sources, loader_file_format="parquet")
    except PipelineStepFailed as failed:
        cause = failed.exception
        if isinstance(cause, KeyboardInterrupt | ExecledgerError):
            raise cause from None
        raise StoreError(
            f"The load failed in dlt's step {failed.step!r}: {cause}. The store is as "
            "it was, and the journal keeps every response for the next run."
        ) from failed


def finish(work: WorkCopy) -> None:
    """Check what was loaded, write comments and views, and publish."""
    _check(work.con)
    comment_tables(work.con)
    create_views(work.con)
    work.publish()


_CHECKS = {
    "executions stand twice": (
        "select execution_key from execledger.executions "
        "group by execution_key having count(*) > 1"
    ),
    "sources belong to no execution": (
        "select execution_key from execledger.grounding_sources "
        "anti join execledger.executions using (execution_key)"
    ),
    "outputs belong to no execution": (
        "select execution_key from execledger.outputs "
        "anti join execledger.executions using (execution_key)"
    ),
}


def _check(con: duckdb.DuckDBPyConnection) -> None:
    for what, sql in _CHECKS.items():
        if rows := con.execute(f"{sql} limit 3").fetchall():
            keys = ", ".join(str(row[0]) for row in rows)
            raise LoadCheckFailed(
                f"After the load, {what} (such as {keys}). Nothing was published; the "
                "journal keeps every response."
            )


def select_from(con: duckdb.DuckDBPyConnection) -> Select:
    """Return a ``Select`` on the tables of an open store."""

    def select(sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        try:
            return con.execute(_qualified(sql), values).fetchall()
        except duckdb.CatalogException:  # before the first load
            return []

    return select


def _qualified(sql: str) -> str:
    return sql.replace("{", "execledger.").replace("}", "")


def unfinished(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, str]]:
    """Return, by account, the listings that the last load could not finish."""
    last = select_from(con)(
        "select counts from {runs} where command = 'load' "
        "order by started_at desc limit 1",
        (),
    )
    counts = json.loads(last[0][0]) if last else {}
    found: dict[str, dict[str, str]] = counts.get("unfinished", {})
    return found


def _report(home: Home, started: datetime, reports: Iterable[AccountReport]) -> Report:
    accounts = list(reports)
    has_failed = any(report.errors for report in accounts)
    return Report(
        home=str(home.path),
        run_id=uuid7(started),
        outcome="partial" if has_failed else "ok",
        started_at=started,
        ended_at=datetime.now(UTC),
        accounts=accounts,
    )


def _insert_run(
    con: duckdb.DuckDBPyConnection, report: Report, due: Mapping[str, dict[str, str]]
) -> None:
    """Add the row of this run; it is published with what it loaded, or not at all."""
    still = {**due, **{a.account: a.unfinished for a in report.accounts}}
    counts = {
        "accounts": {
            a.account: {**a.read, "new": a.new, "changed": a.changed}
            for a in report.accounts
        },
        "unfinished": {name: scopes for name, scopes in still.items() if scopes},
    }
    errors = [f"{a.account}: {error}" for a in report.accounts for error in a.errors]
    run = Run(
        run_id=report.run_id,
        command="load",
        started_at=report.started_at,
        ended_at=report.ended_at,
        outcome=report.outcome,
        counts=encode(counts),
        error="\n".join(errors) or None,
    )
    insert(con, run)


def insert(con: duckdb.DuckDBPyConnection, record: Record) -> None:
    """Insert one row of a ledger that comes from no response."""
    con.register("one_row", to_arrow(type(record), [record]))
    con.execute(f"insert into execledger.{record.TABLE} by name from one_row")
    con.unregister("one_row")


def planned(home: Home, accounts: Sequence[Account], window: Window) -> list[str]:
    """Return in words what a load would read now; asks no provider."""
    lines = []
    with locked(home), work_copy(home) as work, Journal(home.journal) as journal:
        select = select_from(work.con)
        waiting, due = journal.counts(), unfinished(work.con)
        for account in accounts:
            of = (account.provider, account.connection)
            lines += part(account.provider, "collect").planned(
                account.settings,
                Seen(select, *of),
                window=window,
                unfinished=due.get(account.name, {}),
            )
            if waiting.get(of):
                lines.append(f"{waiting[of]} responses wait in the journal")
    return lines
