"""The watch-list: which executions to ask for by their ids, when, and until when.

It lies in the journal's file, so that any process may add to it at any time, also
while a load is running. Whoever asks holds a lease: the same execution is never
asked for twice at once, and the lease of a dead process is taken over.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from sources.journal import Journal
from sources.journal_file import from_us, to_us
from sources.leases import Owner, inherit, is_alive, sweep
from sources.records import Response, ResultState, Status
from sources.watched import BrokenRead, Tag, Watched

__all__ = [
    "Entry",
    "Settled",
    "WatchList",
    "Watching",
    "watching",
]

_ADD = """
    insert into watched (
        provider, connection, scope, execution_id, tracked_at, started_at,
        expires_at, tags, context, broken_reads, due_at
    ) values (
        :provider, :connection, :scope, :execution_id, :tracked_at, :started_at,
        :expires_at, :tags, :context, :broken_reads, :due_at
    )
    on conflict do update set
        started_at = coalesce(watched.started_at, excluded.started_at),
        expires_at = case when watched.started_at is null and excluded.started_at
            is not null then excluded.expires_at else watched.expires_at end,
        tags = case watched.tags when '[]' then excluded.tags else watched.tags end,
        context = json_patch(watched.context, excluded.context),
        due_at = min(watched.due_at, excluded.due_at)
"""
_COLUMNS = (
    "scope, execution_id, tracked_at, started_at, expires_at, tags, context, "
    "broken_reads, due_at, polls, last_poll_at, status, result_state, last_error, "
    "last_response_id, last_sha256, owner, asked_at, final_response_id"
)
_NAMES = _COLUMNS.split(", ")
_OPEN = "provider = ? and connection = ? and final_response_id is null"
_THIS = (
    "provider = :provider and connection = :connection "
    "and scope = :scope and execution_id = :execution_id"
)
_DUE = f"""
    select {_COLUMNS} from watched
    where (provider, connection, scope, execution_id) in (
        select provider, connection, scope, execution_id
        from watched indexed by of_expiry
        where {_OPEN} and owner is null and due_at <= ?
        order by expires_at limit ?
    )
    order by expires_at
"""  # noqa: S608 - names above
"""In the order of expiry until there are enough: all that is due may be very much."""
_SETTLE = f"""
    update watched set due_at = :due_at,
        expires_at = coalesce(:expires_at, expires_at),
        broken_reads = :broken_reads, polls = polls + 1, last_poll_at = :at,
        status = :status, result_state = :result_state, last_error = :error,
        last_response_id = :response_id, last_sha256 = :sha256,
        final_response_id = :final, owner = null, asked_at = null
    where {_THIS} and owner = :owner
"""  # noqa: S608 - conditions above


class Entry(msgspec.Struct, kw_only=True):
    """One execution on the watch-list, as it stands there.

    ``asked_at`` is when it was asked for without an answer so far: by ``owner``, or
    by a process that died, whose lease was taken over.
    """

    watched: Watched
    due_at: datetime
    polls: int
    last_poll_at: datetime | None
    status: Status
    result_state: ResultState
    last_error: str | None
    last_response_id: str | None
    last_sha256: str | None
    owner: str | None
    asked_at: datetime | None
    is_final: bool


class Watching(msgspec.Struct, frozen=True):
    """An entry with the account that it belongs to."""

    provider: str
    connection: str
    entry: Entry


class Settled(msgspec.Struct, kw_only=True):
    """What becomes of an entry after an answer: when it is due again, or its end.

    ``expires_at`` is said where it has moved: otherwise it stays, also where somebody
    says meanwhile when the execution was started. ``sha256`` is the hash of the
    observation while it is pending, to know an equal answer by; ``is_final`` says
    that there is nothing more to ask for.
    """

    watched: Watched
    at: datetime
    due_at: datetime
    status: Status
    result_state: ResultState
    expires_at: datetime | None = None
    error: str | None = None
    response_id: str | None = None
    sha256: str | None = None
    is_final: bool = False


class WatchList:
    """The watch-list of one account."""

    def __init__(self, journal: Journal, provider: str, connection: str) -> None:
        self._journal = journal
        self._file = journal.file
        self._of: dict[str, object] = {"provider": provider, "connection": connection}
        self._account = (provider, connection)

    def add(self, added: Iterable[tuple[Watched, datetime]]) -> int:
        """Put executions on the list, due at a time each; return how many are new.

        One that is there already stays one entry; what was not known of it is added.
        """
        with self._file.transaction() as con:
            before = _count(con)
            con.executemany(_ADD, [self._row(one, due_at) for one, due_at in added])
            return _count(con) - before

    def _row(self, watched: Watched, due_at: datetime) -> dict[str, object]:
        return self._of | {
            "scope": watched.scope,
            "execution_id": watched.execution_id,
            "tracked_at": to_us(watched.tracked_at),
            "started_at": to_us(watched.started_at) if watched.started_at else None,
            "expires_at": to_us(watched.expires_at or watched.tracked_at),
            "tags": _json(watched.tags),
            "context": _json(watched.context),
            "broken_reads": _json(watched.broken_reads),
            "due_at": to_us(due_at),
        }

    def remove(self, execution_ids: Iterable[str], scope: str | None = None) -> int:
        """Take executions off the list; return how many were on it."""
        sql = "delete from watched where provider = ? and connection = ? and "
        sql += "execution_id = ? and (? is null or scope = ?)"
        rows = [(*self._account, one, scope, scope) for one in execution_ids]
        with self._file.transaction() as con:
            return max(con.executemany(sql, rows).rowcount, 0)

    def take(
        self,
        owner: Owner,
        due_by: datetime,
        at: datetime,
        limit: int,
        *,
        is_synced: bool = True,
    ) -> list[Entry]:
        """Lease what is due and free, the soonest to expire first.

        That each is about to be asked for is durable when this returns, if it is
        synced: without, a power cut leaves them free, as if nobody had asked.
        """
        with self._file.transaction(is_synced=is_synced) as con:
            found = (*self._account, to_us(due_by), limit)
            rows = con.execute(_DUE, found).fetchall()
            entries = [_entry(row) for row in rows]
            con.executemany(
                f"update watched set owner = :owner, asked_at = :at where {_THIS}",  # noqa: S608 - names above
                [self._lease(entry.watched, owner, at) for entry in entries],
            )
        return entries

    def _lease(self, watched: Watched, owner: Owner, at: datetime) -> dict[str, object]:
        return self._key(watched) | {"owner": owner.name, "at": to_us(at)}

    def _key(self, watched: Watched) -> dict[str, object]:
        return self._of | {
            "scope": watched.scope,
            "execution_id": watched.execution_id,
        }

    def take_over(self, owner: Owner, at: datetime) -> Iterator[tuple[Entry, Path]]:
        """Lease what dead processes held; yield each with what arrived there.

        ``asked_at`` of an entry is when the dead process asked; none if its answer
        was kept: that is then ``last_response_id``.
        """
        for name in self._dead():
            inherit(self._journal, name, owner)
            with self._file.transaction() as con:
                rows = con.execute(
                    f"select {_COLUMNS} from watched where {_OPEN} and owner = ?",  # noqa: S608 - names above
                    (*self._account, name),
                ).fetchall()
                entries = [_entry(row) for row in rows]
                con.executemany(
                    f"update watched set owner = :owner where {_THIS}",  # noqa: S608 - names above
                    [self._lease(entry.watched, owner, at) for entry in entries],
                )
            for entry in entries:
                one = entry.watched
                yield entry, owner.arriving(one.scope, one.execution_id)
        sweep(self._journal)

    def _dead(self) -> list[str]:
        """Return the owners of leases of this account that are no longer alive."""
        sql = (
            "select distinct owner from watched where provider = ? and connection = ? "
            "and owner is not null"
        )
        owners = [row[0] for row in self._file.rows(sql, self._account)]
        return [name for name in owners if not is_alive(self._journal, name)]

    def answered(
        self, owner: Owner, watched: Watched, broken: BrokenRead | None = None
    ) -> Callable[[sqlite3.Connection, Response], object]:
        """Return what ``Journal.append`` is to do with the answer to a lease.

        The entry then says that this answer is kept, and nothing is under way, and
        that it was a ``broken`` read, if it was.
        """
        key = self._key(watched) | {"owner": owner.name}
        sql = (
            "update watched set asked_at = null, last_response_id = :response_id, "  # noqa: S608 - names above
            f"broken_reads = :broken_reads where {_THIS} and owner = :owner"
        )

        def note(con: sqlite3.Connection, response: Response) -> None:
            known = watched.broken_by(broken, response).broken_reads
            more = {"response_id": response.response_id, "broken_reads": _json(known)}
            con.execute(sql, key | more)

        return note

    def settle(self, owner: Owner, settled: Sequence[Settled]) -> None:
        """Note what became of entries, and give their leases back.

        Not synced: after a power cut it is found again, from the answers that are
        kept.
        """
        if not settled:
            return
        rows = [self._settled(one) | {"owner": owner.name} for one in settled]
        with self._file.transaction(is_synced=False) as con:
            con.executemany(_SETTLE, rows)

    def _settled(self, one: Settled) -> dict[str, object]:
        return self._key(one.watched) | {
            "at": to_us(one.at),
            "due_at": to_us(one.due_at),
            "expires_at": to_us(one.expires_at) if one.expires_at else None,
            "broken_reads": _json(one.watched.broken_reads),
            "status": one.status,
            "result_state": one.result_state,
            "error": one.error,
            "response_id": one.response_id,
            "sha256": one.sha256,
            "final": one.response_id if one.is_final else None,
        }

    def defer(self, execution_id: str, due_at: datetime) -> None:
        """Ask for an execution no earlier: it is known to be going on."""
        sql = (
            f"update watched set due_at = max(due_at, ?) where {_OPEN} "  # noqa: S608 - names above
            "and execution_id = ? and owner is null"
        )
        with self._file.transaction() as con:
            con.execute(sql, (to_us(due_at), *self._account, execution_id))

    def release(self, owner: Owner, entries: Iterable[Entry]) -> None:
        """Give back what was leased and never asked for."""
        rows = [self._key(one.watched) | {"owner": owner.name} for one in entries]
        sql = (
            "update watched set owner = null, asked_at = null "  # noqa: S608 - names above
            f"where {_THIS} and owner = :owner"
        )
        with self._file.transaction() as con:
            con.executemany(sql, rows)

    def heed_clock(self, now: datetime) -> None:
        """Let be due now what a clock that was ahead of ``now`` has put off.

        Durable or not: the next run finds the same.
        """
        sql = (
            "update watched set due_at = :now, tracked_at = min(tracked_at, :now), "
            "last_poll_at = min(last_poll_at, :now) "
            "where provider = :provider and connection = :connection "
            "and final_response_id is null and due_at > :now "
            "and (tracked_at > :now or last_poll_at > :now)"
        )
        with self._file.transaction(is_synced=False) as con:
            con.execute(sql, self._of | {"now": to_us(now)})

    def next_due(self) -> datetime | None:
        """Return when the next entry is due that nobody asks for now."""
        sql = f"select min(due_at) from watched where {_OPEN} and owner is null"  # noqa: S608 - names above
        due = self._file.rows(sql, self._account)[0][0]
        return None if due is None else from_us(due)

    def entries(self) -> list[Entry]:
        """Return all entries, the soonest to expire first."""
        return [one.entry for one in watching(self._journal, self._account)]


def watching(
    journal: Journal, account: tuple[str, str] | None = None
) -> Iterator[Watching]:
    """Yield the entries of all accounts or of one, the soonest to expire first."""
    sql = f"select provider, connection, {_COLUMNS} from watched"  # noqa: S608 - names above
    if account:
        sql += " where provider = ? and connection = ?"
    rows = journal.file.rows(f"{sql} order by expires_at", account or ())
    for provider, connection, *row in rows:
        yield Watching(provider, connection, _entry(row))


def _count(con: sqlite3.Connection) -> int:
    return int(con.execute("select count(*) from watched").fetchall()[0][0])


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _entry(row: Sequence[Any]) -> Entry:
    found: Mapping[str, Any] = dict(zip(_NAMES, row, strict=True))
    return Entry(
        watched=Watched(
            execution_id=found["execution_id"],
            scope=found["scope"],
            tracked_at=from_us(found["tracked_at"]),
            started_at=_time(found["started_at"]),
            expires_at=from_us(found["expires_at"]),
            tags=msgspec.json.decode(found["tags"], type=tuple[Tag, ...]),
            broken_reads=msgspec.json.decode(
                found["broken_reads"], type=tuple[BrokenRead, ...]
            ),
            context=msgspec.json.decode(found["context"]),
        ),
        due_at=from_us(found["due_at"]),
        polls=found["polls"],
        last_poll_at=_time(found["last_poll_at"]),
        status=found["status"],
        result_state=found["result_state"],
        last_error=found["last_error"],
        last_response_id=found["last_response_id"],
        last_sha256=found["last_sha256"],
        owner=found["owner"],
        asked_at=_time(found["asked_at"]),
        is_final=found["final_response_id"] is not None,
    )


def _time(us: int | None) -> datetime | None:
    return None if us is None else from_us(us)
