"""The journal's file: one SQLite database, opened, made and changed durably.

``user_version`` is the version of the file's layout. A later layout is one more
script in ``_LAYOUT``; a file of an older version is brought up to it when opened.
"""

import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sources.errors import StoreError

__all__ = ["VERSION", "JournalFile", "from_us", "to_us"]

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
    """
    create table watched (
        provider text not null,
        connection text not null,
        scope text not null,
        execution_id text not null,
        tracked_at integer not null,  -- all times: microseconds since 1970, UTC
        started_at integer,
        expires_at integer not null,
        tags text not null,
        context text not null,
        broken_reads text not null default '[]',
        due_at integer not null,
        polls integer not null default 0,
        last_poll_at integer,
        status text not null default 'queued',
        result_state text not null default 'pending',
        last_error text,
        last_response_id text,
        last_sha256 text,
        owner text,
        asked_at integer,
        final_response_id text,
        primary key (provider, connection, scope, execution_id)
    ) without rowid;
    create index of_due on watched (provider, connection, due_at)
        where final_response_id is null;
    create index of_owner on watched (owner) where owner is not null;
    create index of_final on watched (final_response_id)
        where final_response_id is not null;
    create table submits (
        submit_id text primary key,
        provider text not null,
        connection text not null,
        scope text not null,
        submitted_at integer not null,  -- microseconds since 1970, UTC
        state text not null,
        what text not null,
        tags text not null,
        context text not null,
        owner text,
        response_id text,
        execution_id text,
        error text
    ) without rowid;
    """,
    # has all that is asked of it: SQLite 3.40 reads the row even for a column that the
    # condition of the index says
    """
    create index of_expiry on watched
        (provider, connection, expires_at, due_at, owner, final_response_id)
        where final_response_id is null and owner is null;
    """,
)
"""What each version added to the one before."""

VERSION = len(_LAYOUT)
"""Version of the layout that is written."""

_BUSY_S = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAMAGED = (
    '"execledger load" keeps what can be read of it. Move it and the files that begin '
    "with its name elsewhere only where that fails: the next load then starts a new "
    "journal and asks the providers again for what they still have."
)
_NEXT_STEP = {
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_FULL: "Free disk space and run it again.",
    sqlite3.SQLITE_READONLY: "Make it writable for this user.",
    sqlite3.SQLITE_BUSY: "Another process holds it: wait for that, or end it.",
}


def to_us(at: datetime) -> int:
    """Return a time as whole microseconds since 1970."""
    return (at - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """Return the time, in UTC, of whole microseconds since 1970."""
    return _EPOCH + us * _MICROSECOND


class JournalFile:
    """The file, open. May be used from several threads, the file by processes.

    Raises ``StoreError`` where it cannot be used: damaged, no journal, of a newer
    version, locked for more than 30 s, or the disk full.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self.in_words():
            if not path.exists():
                _create(path)
            self._con = sqlite3.connect(
                path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            try:
                self._con.execute("pragma synchronous = full")
                # Some builds write zeros over each page that is freed, though
                # ``shrink`` is to cut it off.
                self._con.execute("pragma secure_delete = fast").fetchall()
                self._check_version()
            except BaseException:
                self._con.close()
                raise

    def rows(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401 (a sequence or a mapping)
        """Return all rows of a query."""
        with self._lock, self.in_words():
            return self._con.execute(sql, values).fetchall()

    @contextmanager
    def transaction(self, *, is_synced: bool = True) -> Iterator[sqlite3.Connection]:
        """Commit all or nothing; the write lock is taken before anything is read.

        What is not synced survives a kill, but no power cut, until the next commit
        that is. One that begins within another of its thread is part of that: what
        it did is durable when the outer one ends, or undone with it.
        """
        with self._lock, self.in_words():
            if self._con.in_transaction:
                yield self._con
                return
            with self._synced(is_synced=is_synced), self._commit() as con:
                yield con

    def shrink(self) -> None:
        """Give the space of what was deleted back to the file system."""
        with self._lock, self.in_words():
            free, pages = (
                int(self._con.execute(f"pragma {count}").fetchall()[0][0])
                for count in ("freelist_count", "page_count")
            )
            if free > pages / 2:  # then it is less to write what stays
                self._con.execute("vacuum")
            else:  # a step frees one page: only a script steps to the end
                self._con.executescript("pragma incremental_vacuum")
            self._con.execute("pragma wal_checkpoint(truncate)").fetchall()

    def copy_to(self, path: Path) -> None:
        """Write a copy into a new file, as it is at one moment; others may go on."""
        with self._lock, self.in_words():
            path.touch(mode=0o600, exist_ok=False)
            with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                self._con.backup(copy)

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        with self._lock, self.in_words():
            self._con.close()

    @contextmanager
    def _synced(self, *, is_synced: bool) -> Iterator[None]:
        """Let commits wait for the disk, or not."""
        if is_synced:
            yield
            return
        self._con.execute("pragma synchronous = normal")
        try:
            yield
        finally:
            self._con.execute("pragma synchronous = full")

    @contextmanager
    def _commit(self) -> Iterator[sqlite3.Connection]:
        self._con.execute("begin immediate")
        try:
            yield self._con
            self._con.execute("commit")
        except BaseException:
            if self._con.in_transaction:  # SQLite ends it itself on a full disk
                self._con.execute("rollback")
            raise

    def _check_version(self) -> None:
        version = self._version()
        if version > VERSION:
            raise StoreError(
                f"The journal {self.path} was written by a newer execledger (version "
                f"{version}; this one knows {VERSION}). Install that one or a later."
            )
        if version < 1:
            raise StoreError(f"{self.path} is not a journal. {_DAMAGED}")
        if version < VERSION:
            with self._commit():  # another process may have done it meanwhile
                for statement in _statements(_LAYOUT[self._version() :]):
                    self._con.execute(statement)
                self._con.execute(f"pragma user_version = {VERSION}")

    def _version(self) -> int:
        return int(self._con.execute("pragma user_version").fetchall()[0][0])

    @contextmanager
    def in_words(self) -> Iterator[None]:
        """Raise a fault of SQLite or of the file system as ``StoreError``."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the primary code
            step = _NEXT_STEP.get(code, "Check the path, its rights and the disk.")
            raise StoreError(f"The journal {self.path}: {error}. {step}") from error


def _statements(scripts: Sequence[str]) -> Iterator[str]:
    """Yield single statements: a script would commit what goes before it."""
    for script in scripts:
        yield from filter(str.strip, script.split(";"))


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
            script = f"{''.join(_LAYOUT)} pragma user_version = {VERSION};"
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
