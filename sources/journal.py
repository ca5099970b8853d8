"""The durable raw journal: responses that no load has committed yet.

One SQLite file. A response is committed, fsync included, before anything parses it,
and leaves only when the load that carries it is committed: a crash at any moment
loses nothing. ``user_version`` is the version of the file's layout; a later layout
is one more script in ``_LAYOUT``.
"""

import os
import secrets
import sqlite3
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol, Self

from sources.errors import StoreError
from sources.json_text import encode
from sources.records import Outcome, Response

__all__ = ["Journal", "ReplyLike", "utc_now", "uuid7"]

_LAYOUT = (
    """
    create table meta (name text primary key, value integer not null) without rowid;
    insert into meta values ('last_received_us', 0);
    create table responses (
        response_id text primary key,
        provider text not null,
        connection text not null,
        received_at integer not null unique,  -- microseconds since 1970, UTC
        endpoint text not null,
        method text not null,
        url text not null,
        params text not null,
        http_status integer,
        headers text not null,
        elapsed_ms integer not null,
        attempts integer not null,
        outcome text not null,
        body blob,
        body_sha256 text,
        size_bytes integer not null,
        error text
    );
    create index of_connection
        on responses (provider, connection, received_at, response_id);
    """,
)
"""What each version added to the one before."""

_VERSION = len(_LAYOUT)
_BUSY_S = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_COLUMNS = tuple(
    name for name in Response.__struct_fields__ if name != "normalizer_version"
)
_INSERT = (
    f"insert into responses ({', '.join(_COLUMNS)}) "  # noqa: S608 - names above
    f"values ({', '.join(f':{name}' for name in _COLUMNS)})"
)
_NEXT = (
    f"select {', '.join(_COLUMNS)} from responses "  # noqa: S608 - likewise
    "where provider = ? and connection = ? and received_at > ? and received_at <= ? "
    "order by received_at limit 1"
)
_LAST = "select value from meta where name = 'last_received_us'"
_DAMAGED = (
    "Move it and the files that begin with its name elsewhere; the next load starts "
    "a new journal and asks the providers again for what they still have."
)
_NEXT_STEP = {
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: "Free disk space and run it again.",
    sqlite3.SQLITE_READONLY: "Make it writable for this user.",
    sqlite3.SQLITE_BUSY: "Another process holds it: wait for that, or end it.",
}


class ReplyLike(Protocol):
    """What the journal keeps of an answer; ``sources.http.Reply`` is one."""

    @property
    def method(self) -> str:
        """HTTP method."""

    @property
    def url(self) -> str:
        """The address, secrets masked."""

    @property
    def http_status(self) -> int | None:
        """HTTP status; none where no answer came."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that may be kept."""

    @property
    def elapsed_ms(self) -> int:
        """From the last try's start to its end, milliseconds."""

    @property
    def attempts(self) -> int:
        """Tries that were made."""

    @property
    def outcome(self) -> Outcome:
        """What became of the request."""

    @property
    def body(self) -> bytes | None:
        """The decoded body, masked."""

    @property
    def body_sha256(self) -> str | None:
        """Hash of the body as it came."""

    @property
    def size_bytes(self) -> int:
        """Length of the body as it came."""

    @property
    def error(self) -> str | None:
        """What went wrong in transport, masked."""


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def uuid7(at: datetime) -> str:
    """Return a UUIDv7 (RFC 9562) that sorts as ``at`` does, to the microsecond.

    48 bits of milliseconds, the microseconds of that millisecond in ``rand_a``, and
    62 random bits. ``at`` is aware and not before 1970.

    >>> uuid7(datetime(2026, 1, 1, tzinfo=UTC))[:18]
    '019b76da-a800-7000'
    """
    ms, us = divmod(_microseconds(at), 1000)
    number = ms << 80 | 0x7 << 76 | us << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))


def _microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


class Journal:
    """The journal's file, open; also a context manager that closes it.

    May be used from several threads, and the file from several processes. Raises
    ``StoreError`` where the file cannot be used: damaged, no journal, of a newer
    version, locked for more than 30 s, or the disk full.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self._path = path
        self._now = now
        self._lock = threading.Lock()
        with self._in_words():
            if not path.exists():
                _create(path)
            self._con = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._check_version()
                self._con.execute("pragma synchronous = full")
            except BaseException:
                self._con.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(
        self,
        *,
        provider: str,
        connection: str,
        endpoint: str,
        params: Mapping[str, object],
        reply: ReplyLike,
    ) -> Response:
        """Keep an answer durably, and only then return it as a ``Response``.

        ``received_at`` rises by at least 1 µs over the journal's whole life, also
        when the clock steps back, after everything was cleared, and over processes.
        """
        with self._lock, self._in_words(), self._transaction():
            received = max(_microseconds(self._now()), self._one(_LAST) + 1)
            received_at = _EPOCH + received * _MICROSECOND
            response = Response(
                response_id=uuid7(received_at),
                provider=provider,
                connection=connection,
                received_at=received_at,
                endpoint=endpoint,
                method=reply.method,
                url=reply.url,
                params=encode(dict(params)),
                http_status=reply.http_status,
                headers=encode(dict(reply.headers)),
                elapsed_ms=reply.elapsed_ms,
                attempts=reply.attempts,
                outcome=reply.outcome,
                body=reply.body,
                body_sha256=reply.body_sha256,
                size_bytes=reply.size_bytes,
                error=reply.error,
            )
            row = {name: getattr(response, name) for name in _COLUMNS}
            self._con.execute(_INSERT, row | {"received_at": received})
            self._con.execute("update meta set value = ?", (received,))
        return response

    def waiting(self, provider: str, connection: str) -> Iterator[Response]:
        """Yield what waits now, in order of ``received_at``, one row in memory.

        What is appended after the call is not among it: rows only ever come behind
        the last one, so this needs no open transaction, which would keep SQLite from
        giving back space.
        """
        with self._lock, self._in_words():
            last = self._one(_LAST)
        return self._until(last, provider, connection)

    def _until(self, last: int, *of: str) -> Iterator[Response]:
        after = 0
        while True:
            with self._lock, self._in_words():
                rows = self._con.execute(_NEXT, (*of, after, last)).fetchall()
            if not rows:
                return
            values: dict[str, Any] = dict(zip(_COLUMNS, rows[0], strict=True))
            after = values["received_at"]
            yield Response(**values | {"received_at": _EPOCH + after * _MICROSECOND})

    def ids(self, provider: str, connection: str) -> list[str]:
        """Return the ``response_id`` of all that waits, in order of ``received_at``."""
        sql = (
            "select response_id from responses where provider = ? and connection = ? "
            "order by received_at"
        )
        with self._lock, self._in_words():
            rows = self._con.execute(sql, (provider, connection)).fetchall()
        return [row[0] for row in rows]

    def clear(self, response_ids: Iterable[str]) -> int:
        """Remove responses whose load is committed; return how many were there.

        Their space goes back to the file system.
        """
        rows = [(one,) for one in response_ids]
        sql = "delete from responses where response_id = ?"
        with self._lock, self._in_words():
            with self._transaction():
                removed = self._con.executemany(sql, rows).rowcount
            if removed > 0:
                # a step frees one page, and of the two only a script steps to the end
                self._con.executescript("pragma incremental_vacuum")
                self._con.execute("pragma wal_checkpoint(truncate)").fetchall()
        return max(removed, 0)

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many responses wait, by provider and connection."""
        sql = "select provider, connection, count(*) from responses group by 1, 2"
        with self._lock, self._in_words():
            rows = self._con.execute(sql).fetchall()
        return {(provider, connection): count for provider, connection, count in rows}

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        with self._lock, self._in_words():
            self._con.close()

    def _check_version(self) -> None:
        version = self._one("pragma user_version")
        if version > _VERSION:
            raise StoreError(
                f"The journal {self._path} was written by a newer execledger (version "
                f"{version}; this one knows {_VERSION}). Install that one or a later."
            )
        if version < 1:
            raise StoreError(f"{self._path} is not a journal. {_DAMAGED}")

    def _one(self, sql: str) -> int:
        return int(self._con.execute(sql).fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Commit all or nothing; the write lock is taken before anything is read."""
        self._con.execute("begin immediate")
        try:
            yield
            self._con.execute("commit")
        except BaseException:
            if self._con.in_transaction:  # SQLite ends it itself on a full disk
                self._con.execute("rollback")
            raise

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code
            step = _NEXT_STEP.get(code, "Check the path, its rights and the disk.")
            raise StoreError(f"The journal {self._path}: {error}. {step}") from error


def _create(path: Path) -> None:
    """Make a new journal beside its place and link it there, whole or not at all.

    So no process ever sees a half-made one, and of two that start at once the second
    finds the first one's. ``auto_vacuum`` must be set before the file has a page.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # 0600
    os.close(handle)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as con:
            con.execute("pragma auto_vacuum = incremental")
            con.execute("pragma journal_mode = wal").fetchall()
            script = f"{''.join(_LAYOUT)} pragma user_version = {_VERSION};"
            con.executescript(f"begin; {script} commit;")
        try:
            os.link(name, path)
        except FileExistsError:
            return
        _sync(path.parent)
    finally:
        Path(name).unlink()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
