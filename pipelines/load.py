"""One load: collect what is due, drain it into its destination, check, publish."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

from pipelines.collect import Watch, collect_all
from pipelines.config import Account
from pipelines.destinations import looking, opened
from pipelines.draining import Inflow
from pipelines.outlook import outlook
from pipelines.past_loads import unfinished
from pipelines.rewatching import watch_again
from pipelines.runs import AccountReport, Report, load_run, summed
from pipelines.store import Home, in_little_memory, locked
from sources import part
from sources.errors import LoadCheckFailed
from sources.journal import Journal
from sources.leftovers import note_cut_listings
from sources.polling import SYSTEM_CLOCK, Clock
from sources.provider import Collected, Window
from sources.salvage import mend
from sources.seen import Seen, Select
from sources.submitting import recover

__all__ = ["load", "planned", "waiting"]


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
    """Load what is due of all accounts; into a home's own store, in one atomic step.

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
        target = stack.enter_context(opened(home, accounts, wait_s))
        damage = mend(home.journal, started)
        journal = stack.enter_context(Journal(home.journal, now=clock.now))
        select = target.select
        if damage:
            watch_again(journal, select, accounts, started)
        due = unfinished(select, [account.name for account in accounts])
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
        loads = [
            _Load(account, journal, select, trusts_store=not before)
            for account, before in zip(accounts, left, strict=True)
        ]
        looked = target.drain(
            [load.inflow for load in loads], journal.heaviest if is_frugal else None
        )
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
        problems = target.give_meaning()
        if damage:
            problems.insert(0, damage)
        report = summed(home, (started, clock.now()), reports, ahead, problems)
        since = {load.account.of: load.ids[0] for load in loads if load.ids}
        target.finish(load_run(report, due), since)
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

    def __init__(
        self, account: Account, journal: Journal, select: Select, *, trusts_store: bool
    ) -> None:
        self.account = account
        self._select = select
        self.ids = journal.ids(*account.of)
        self.inflow = Inflow(
            provider=account.provider,
            seen=Seen(select, *account.of),
            waiting=lambda only: journal.waiting(*account.of, only=only),
            normalizer=part(account.provider, "normalize"),
            trusts_store=trusts_store,
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
            account=self.account.name,
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
        values = (*self.account.of, self.ids[0], self.ids[0])
        every, new = self._select(sql, values)[0]
        return new, every - new


def planned(
    home: Home,
    accounts: Sequence[Account],
    window: Window,
) -> list[str]:
    """Return in words what a load would read now; asks no provider, makes no file."""
    lines = []
    left = waiting(home)
    with ExitStack() as stack:
        select = stack.enter_context(looking(home))
        journal = None
        if home.journal.exists():
            journal = stack.enter_context(Journal(home.journal))
        due = unfinished(select, [account.name for account in accounts])
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
