"""A replay where many share the tables: execution by execution, with no table empty."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from pipelines.destinations import Shared, looking, shared
from pipelines.replay import Replayed, Sparing, readable
from pipelines.store import Home, locked
from sources import part
from sources.fold import Batch, fold
from sources.observations import Known
from sources.records import TABLES, Mode, Response, Snapshot
from sources.seen import Seen, Select
from sources.tables import columns, tables_of

__all__ = ["replay_shared"]

_FETCH = 256
_SNAPSHOTS = [name for name, one in TABLES.items() if one.MODE is Mode.SNAPSHOT]
_NAMES = [column.name for column in columns(Response)]


class Replayable(Shared, Protocol):
    """A destination whose rows can be replaced."""

    def settle_history(self, account: tuple[str, str]) -> None:
        """Remove what seems to be a change of status after a replay, and is none."""
        ...


def replay_shared(home: Home, *, wait_s: float = 0) -> Replayed:
    """Rebuild what raw responses say of each execution, and remove what none says.

    As ``replay``, but account by account, each execution in place of what it was; so
    one that is cut off is done again. Raises ``StoreError``.
    """
    started = datetime.now(UTC)
    with locked(home, wait_s=wait_s):
        with looking(home) as select:
            accounts = _accounts(select)
        with shared(home).opened(home, accounts, wait_s) as target:
            done = [_rebuild(target, home, account) for account in accounts]
            replayed = Replayed(
                home=str(home.path),
                responses=sum(one.responses for one in done),
                executions=sum(one.executions for one in done),
                kept=sum(one.kept for one in done),
                problems=target.give_meaning(),
            )
            target.finish(replayed.run(started), dict.fromkeys(accounts, ""))
    return replayed


def _accounts(select: Select) -> list[tuple[str, str]]:
    rows = select(
        "select distinct provider, connection from {raw_responses} "
        f"where {readable()} order by provider, connection",
        (),
    )
    return [(provider, connection) for provider, connection in rows]


def _rebuild(target: Replayable, home: Home, account: tuple[str, str]) -> Replayed:
    select = target.select
    kept = _keys(select, account, is_readable=False)
    known = _keys(select, account, is_readable=True) - kept
    normalizer = Sparing(part(account[0], "normalize"), kept)
    seen = _FirstSeen(select, *account)
    waiting = partial(_responses, select, account)
    folded = partial(fold, waiting, normalizer, seen, trusts_store=False)
    target.put(account, lambda: tables_of(_anew(folded(), known)))
    target.settle_history(account)
    of_account = "where provider = ? and connection = ?"
    ((responses,),) = select(
        f"select count(*) from {{raw_responses}} {of_account} and {readable()}", account
    )
    ((executions,),) = select(
        f"select count(*) from {{executions}} {of_account}", account
    )
    spared = _keys(select, account, is_readable=False, tables=["executions"])
    return Replayed(
        home=str(home.path),
        responses=responses,
        executions=executions - len(spared),
        kept=len(spared),
        problems=[],
    )


class _FirstSeen(Seen):
    """Knows of executions that they are there, and since when: all else is found anew.

    By what is known of a result, an older look at it would be left out.
    """

    def executions(self, keys: Iterable[str]) -> dict[str, Known]:
        """Return what is held of those executions of ``keys`` that are known."""
        found = super().executions(keys)
        return {key: replace(one, result_state=None) for key, one in found.items()}


def _keys(
    select: Select,
    account: tuple[str, str],
    *,
    is_readable: bool,
    tables: Collection[str] = (*_SNAPSHOTS, "workflows"),
) -> set[str]:
    """Return the keys whose rows were read from a response that can be read, or not."""
    found: set[str] = set()
    for name in tables:
        key = "workflow_key" if name == "workflows" else "execution_key"
        rows = select(
            f"select distinct t.{key} from {{{name}}} as t where t.provider = ? and "
            f"t.connection = ? and {'' if is_readable else 'not'} exists (select 1 "
            "from {raw_responses} as r where r.response_id = t.response_id and "
            f"{readable('r.')})",
            account,
        )
        found.update(row[0] for row in rows)
    return found


def _responses(select: Select, account: tuple[str, str]) -> Iterator[Response]:
    """Yield the stored responses that have something to read, in their order."""
    sql = (
        f"select {', '.join(_NAMES)} from {{raw_responses}} where provider = ? and "
        f"connection = ? and {readable()} and response_id > ? "
        f"order by response_id limit {_FETCH}"
    )
    last = ""
    while rows := select(sql, (*account, last)):
        for row in rows:
            yield Response(**dict(zip(_NAMES, row, strict=True)))
        last = rows[-1][_NAMES.index("response_id")]


def _anew(batches: Iterator[Batch], known: set[str]) -> Iterator[Batch]:
    """Yield the rows to be written, and at last what no response shows any more."""
    shown: set[str] = set()
    for batch in batches:
        rows = {
            name: rows for name, rows in batch.rows.items() if name != Response.TABLE
        }
        shown.update(
            row.execution_key
            for name in _SNAPSHOTS
            for row in rows.get(name, ())
            if isinstance(row, Snapshot)
        )
        yield replace(batch, rows=rows)
    if gone := sorted(known - shown):
        yield Batch(rows={}, gone=dict.fromkeys(_SNAPSHOTS, gone))
