"""One load: collect what is due, drain it into a work copy, check, publish."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import duckdb

from pipelines.collect import Watch, collect_all
from pipelines.config import Account
from pipelines.draining import Inflow, drain
from pipelines.outlook import outlook
from pipelines.pricing import price_new_models
from pipelines.readers import read_only
from pipelines.rewatching import watch_again
from pipelines.runs import (
    AccountReport,
    Report,
    insert_run,
    load_run,
    summed,
    unfinished,
)
from pipelines.store import (
    Home,
    WorkCopy,
    in_little_memory,
    locked,
    work_copy,
)
from pipelines.tables import comment_tables
from pipelines.views import make_views
from sources import part
from sources.errors import ExecledgerError, LoadCheckFailed
from sources.journal import Journal
from sources.leftovers import note_cut_listings
from sources.polling import SYSTEM_CLOCK, Clock
from sources.provider import Collected, Window
from sources.salvage import mend
from sources.seen import ANY, Seen, Select
from sources.submitting import recover

__all__ = [
    "finish",
    "give_meaning",
    "load",
    "planned",
    "select_from",
    "waiting",
]


def load(
    home: Home,
    accounts: Sequence[Account],
    *,
    window: Window,
    watch: Watch,
    wait_s: float = 0,
    max_wait_s: float = 0,
    schedule_s: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Report:
    """Load what is due of all accounts in one atomic step.

    ``wait_s`` is for the lock; ``max_wait_s`` how long to go on polling until all is
    done; ``schedule_s`` when the next load is due, where that is known.

    What a provider does not answer is in the report; all else is loaded. Raises
    ``StoreError`` where nothing could be loaded: the store is then as it was, and
    the journal keeps every response for the next run.
    """
    return in_little_memory(
        partial(
            _load,
            home,
            accounts,
            window=window,
            watch=watch,
            wait_s=wait_s,
            max_wait_s=max_wait_s,
            schedule_s=schedule_s,
            clock=clock,
        )
    )


def _load(
    home: Home,
    accounts: Sequence[Account],
    *,
    is_frugal: bool,
    window: Window,
    watch: Watch,
    wait_s: float,
    max_wait_s: float,
    schedule_s: float | None,
    clock: Clock,
) -> Report:
    started = clock.now()
    home.create()
    with ExitStack() as stack:
        stack.enter_context(locked(home, wait_s=wait_s))
        work = stack.enter_context(work_copy(home))
        damage = mend(home.journal, started)
        journal = stack.enter_context(Journal(home.journal, now=clock.now))
        select = select_from(work.con)
        if damage:
            watch_again(journal, select, accounts, started)
        due = unfinished(select)
        _go_on(journal, select)
        recover(journal, {account.of: account.settings for account in accounts})
        left = [frozenset(journal.ids(*account.of)) for account in accounts]
        collected = collect_all(
            accounts,
            journal,
            select,
            due=due,
            window=window,
            watch=watch,
            max_wait_s=max_wait_s,
            clock=clock,
        )
        loads = [_Load(account, journal, select) for account in accounts]
        if is_frugal:
            work.use_little_memory(journal.heaviest())
        looked = drain(work, [load.inflow for load in loads])
        for result, before, found in zip(collected, left, looked, strict=True):
            note_cut_listings(result, before, found.listed)
        reports = [
            load.report(result) for load, result in zip(loads, collected, strict=True)
        ]
        now = clock.now()
        ahead = outlook(
            accounts,
            journal,
            select,
            response_ids=[one for load in loads for one in load.ids],
            schedule_s=schedule_s,
            took=now - started,
            now=now,
        )
        problems = give_meaning(work.con, home)
        if damage:
            problems.insert(0, damage)
        report = summed(home, (started, clock.now()), reports, ahead, problems)
        insert_run(work.con, load_run(report, due))
        ids = [each.ids[0] for each in loads if each.ids]
        finish(work, min(ids, default=None))
        for each in loads:
            journal.clear(each.ids)
    return report


def _go_on(journal: Journal, select: Select) -> None:
    """Let what is received be newer than all in the store, with any clock and journal.

    A new journal knows of no earlier time, and by the times is told what is newest.
    """
    for (newest,) in select("select max(received_at) from {raw_responses}", ()):
        if newest is not None:
            journal.go_on_after(newest)


class _Load:
    """What waits of one account, and what of it is in the store afterwards."""

    def __init__(self, account: Account, journal: Journal, select: Select) -> None:
        self._account = account
        self._select = select
        self.ids = journal.ids(*account.of)
        self.inflow = Inflow(
            provider=account.provider,
            seen=Seen(select, *account.of),
            waiting=lambda only: journal.waiting(*account.of, only=only),
            normalizer=part(account.provider, "normalize"),
        )

    def report(self, collected: Collected) -> AccountReport:
        """Return what was loaded; raises ``LoadCheckFailed`` if something is not."""
        loaded = self.inflow.seen.responses(self.ids)
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
        values = (*self._account.of, self.ids[0], self.ids[0])
        every, new = self._select(sql, values)[0]
        return new, every - new


def give_meaning(con: duckdb.DuckDBPyConnection, home: Home) -> list[str]:
    """Price models that are new, and make the views; return in words what could not be.

    The facts are loaded all the same, and prices and views are then as they were: a
    slip in a file of rules keeps no result from the store.
    """
    problems = []
    for step in (price_new_models, make_views):
        try:
            step(con, home)
        except ExecledgerError as error:
            problems.append(f"{error} The facts are loaded, the views as they were.")
    return problems


def finish(work: WorkCopy, since: str | None) -> None:
    """Check what was loaded, write the comments on the tables, and publish.

    ``since`` is the first response of which there are new rows, if there is any.
    """
    if since is not None:
        _check(work.con, since)
    comment_tables(work.con)
    work.publish()


_CHECKS = {
    "executions stand twice": (
        "select execution_key from execledger.executions where execution_key in "
        "(select execution_key from execledger.executions where response_id >= ?) "
        "group by execution_key having count(*) > 1"
    ),
    "sources belong to no execution": (
        "select execution_key from execledger.grounding_sources "
        "anti join execledger.executions using (execution_key) where response_id >= ?"
    ),
    "outputs belong to no execution": (
        "select execution_key from execledger.outputs "
        "anti join execledger.executions using (execution_key) where response_id >= ?"
    ),
}


def _check(con: duckdb.DuckDBPyConnection, since: str) -> None:
    for what, sql in _CHECKS.items():
        if rows := con.execute(f"{sql} limit 3", [since]).fetchall():
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
    if sql.endswith(ANY):
        # DuckDB would read every column of every row, to keep the few that are asked
        # for: it is told to find those rows first, by their numbers.
        head, _, condition = sql.partition(" where ")
        table = head.partition(" from ")[2]
        sql = f"{head} where rowid in (select rowid from {table} where {condition})"
    return sql.replace("{", "execledger.").replace("}", "")


def planned(home: Home, accounts: Sequence[Account], window: Window) -> list[str]:
    """Return in words what a load would read now; asks no provider, makes no file."""
    lines = []
    left = waiting(home)
    store = read_only(home) if home.published.exists() else duckdb.connect()
    with ExitStack() as stack:
        con = stack.enter_context(closing(store))
        journal = None
        if home.journal.exists():
            journal = stack.enter_context(Journal(home.journal))
        select = select_from(con)
        due = unfinished(select)
        for account in accounts:
            lines += part(account.provider, "collect").planned(
                account.settings,
                Seen(select, *account.of),
                journal=journal,
                connection=account.connection,
                window=window,
                unfinished=due.get(account.name, {}),
            )
            if count := left.get(account.of):
                lines.append(f"{count} responses of {account.name} wait in the journal")
    return lines


def waiting(home: Home) -> dict[tuple[str, str], int]:
    """Return how many responses wait, by provider and connection."""
    if not home.journal.exists():
        return {}
    with Journal(home.journal) as journal:
        return journal.counts()
