"""The store's files: where they are, who may load, the work copy, and publishing.

A load never writes to the file that readers open. It writes to a copy, which then
takes that file's place in one rename.
"""

import errno
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from filelock import FileLock, Timeout

from pipelines.placing import sync
from sources.errors import StoreError, StoreLocked

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "LAYOUT",
    "LOGS",
    "OFFLINE",
    "Destination",
    "Home",
    "WorkCopy",
    "causes",
    "copy_store",
    "in_little_memory",
    "in_words",
    "layout",
    "locked",
    "logs",
    "not_ours",
    "unreadable",
    "version_of",
    "work_copy",
]

_log = logging.getLogger(__name__)

T = TypeVar("T")

LAYOUT = 1
"""Version of a store's layout: one more where older programs must not write to it."""

LOGS = (".wal", ".wal.checkpoint", ".wal.recovery")
"""What DuckDB keeps beside a file that somebody writes to."""

_CHUNK = 1 << 30
_LITTLE = 256_000_000
_TIMES = 2
"""Memory at the least, bytes; and how often the heaviest rows must fit into it."""

_COPY_TRIES = 10
_COPY_PAUSE_S = 0.05
OFFLINE = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
"""DuckDB's settings that keep it from the network."""

_ROOM = "Free disk space: a load needs room for a second copy of the store."
_RIGHTS = "Make it writable for this user, or choose another home with --home."
_NEXT_STEP = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EROFS: _RIGHTS,
}

_OUT_OF_MEMORY = re.compile("out of memory|failed to pin block", re.IGNORECASE)

_Version = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of change of the store's file and of each log."""


Destination = Literal["postgres", "filesystem"]
"""What loads can go to beside the store of a home, as dlt names it."""


@dataclass(frozen=True)
class Home:
    """The folder that holds everything that execledger keeps.

    ``own_rules`` is the folder of the user's own rules and prices, where that is
    another than ``rules`` in the home. ``destination`` is where loads go, where that
    is not the store here: journal and lock are here all the same.
    """

    path: Path
    own_rules: Path | None = None
    destination: Destination | None = None

    @property
    def published(self) -> Path:
        """The store, as readers open it."""
        return self.path / "published.duckdb"

    @property
    def journal(self) -> Path:
        """The raw responses that are not loaded yet."""
        return self.path / "journal.sqlite"

    @property
    def work(self) -> Path:
        """The folder of a load; there only while one runs, or after a crash."""
        return self.path / "work"

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.path / "reports"

    @property
    def rules(self) -> Path:
        """The folder of the user's own rules and prices; need not be there."""
        return self.own_rules or self.path / "rules"

    def require_store(self) -> None:
        """Raise ``StoreError`` where there is no store yet."""
        if self.published.exists():
            return
        if self.destination is not None:
            raise StoreError(
                f"There is no store in {self.path}: loads go to {self.destination}, "
                "and this command asks the home's own store. docs/scaling.md says what "
                "does the same there."
            )
        raise StoreError(
            f'There is no store in {self.path} yet: run "execledger load" or '
            '"execledger demo" first.'
        )

    @property
    def restoring(self) -> Path:
        """A mark that is there while a backup takes the place of what was here."""
        return self.path / "restoring"

    @property
    def lock_file(self) -> Path:
        """The file that a load holds locked; stays when it is done."""
        return self.path / "load.lock"

    def create(self) -> None:
        """Make the folder, for its owner alone, where it is not there yet."""
        with in_words(self.path):
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)


@contextmanager
def locked(
    home: Home, *, wait_s: float = 0, is_restore: bool = False
) -> Iterator[None]:
    """Hold the home's lock; wait up to ``wait_s`` seconds for it (inf: for ever).

    Raises ``StoreLocked``; where a restore was cut short, ``StoreError`` for all but
    that. The operating system frees the lock of a dead process.
    """
    home.create()
    lock = FileLock(home.lock_file, timeout=wait_s, mode=0o600)
    owner = home.lock_file.with_suffix(".owner")
    with in_words(home.lock_file):
        try:
            lock.acquire()
        except Timeout:
            raise StoreLocked(
                f"Another run holds {home.path} ({_owner(owner)}). Wait for it with "
                "--wait, or end that process."
            ) from None
    try:
        since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
        with in_words(owner):
            owner.touch(mode=0o600)
            owner.write_text(f"pid {os.getpid()}, since {since}", "utf-8")
        if home.restoring.exists() and not is_restore:
            raise StoreError(
                f"A restore into {home.path} was cut short: half of it is there. Run "
                '"execledger restore" again.'
            )
        yield
    finally:
        with suppress(OSError):
            owner.unlink()
        lock.release()


def _owner(file: Path) -> str:
    try:
        return file.read_text("utf-8") or "it has just begun"
    except OSError:
        return "it has just begun"


class WorkCopy:
    """A copy of the store to load into.

    ``con`` is the open connection to it, with UTC as its time zone; ``dlt_dir`` the
    folder for dlt's own files. Both go when the load ends.
    """

    def __init__(
        self, home: Home, folder: Path, version: _Version, flushed: Future[None]
    ) -> None:
        self._published = home.published
        self._file = folder / home.published.name
        self._flushed = flushed
        self.dlt_dir = home.work / "dlt"
        self.con, self._version = _open_copy(home.published, self._file, version)
        if (found := layout(self.con)) > LAYOUT:
            self.con.close()
            raise StoreError(
                f"{home.published} was written by a newer execledger (layout {found}; "
                f"this one knows {LAYOUT}). Install that one or a later."
            )

    def use_little_memory(self, heaviest: int) -> None:
        """Let DuckDB take no more memory than it needs; see ``in_little_memory``.

        ``heaviest`` are the bytes of the largest bodies that may come together in
        what it handles at once, 2,048 rows, all of which it must hold.
        """
        limit = max(_LITTLE, _TIMES * heaviest)
        self.con.execute(f"set memory_limit = '{limit // 1_000_000} MB'")

    def rewrite(self) -> None:
        """Write the copy anew: nothing is left of what was removed from it.

        Ends every cursor of ``con``, which is another afterwards. Raises
        ``StoreError``, with the store as it was.
        """
        import duckdb

        fresh = self._file.with_name("rewritten.duckdb")
        path, name = str(fresh).replace("'", "''"), self._file.stem
        try:
            self.con.execute(f"attach '{path}' as rewritten")
            self.con.execute(f'copy from database "{name}" to rewritten')
            self.con.execute("detach rewritten")
            self.con.close()
        except duckdb.Error as error:
            raise _unfinished(self._file, error) from error
        self._flushed.result()
        self._file.unlink()
        self._file = fresh
        self.con = _connect(fresh)

    def publish(self) -> None:
        """Put the copy in the store's place, in one rename, and close ``con``.

        Readers that have the old file open keep it. Raises ``StoreError``, with the
        store as it was, also where another program wrote to it since the copy.
        """
        import duckdb

        try:
            self.con.execute("drop schema if exists execledger_staging cascade")
            self.con.execute("checkpoint")
            self.con.close()
        except duckdb.Error as error:
            raise _unfinished(self._file, error) from error
        self._take_place()

    def _take_place(self) -> None:
        published = self._published
        if version_of(published) != self._version:
            raise StoreError(
                f"Another program wrote to {published} while this load ran, so nothing "
                "was published: its changes are kept, and the next run loads the same "
                "again. Close that program, or let it open the store read-only."
            )
        with in_words(published):
            self._flushed.result()
            self._file.chmod(0o600)
            # Opening and closing it also frees the lock that DuckDB keeps on it as
            # long as anything in this process still refers to the connection.
            sync(self._file)
            self._file.replace(published)
            sync(published.parent)
            # A log that lies here now is in the new file: it was copied with the old
            # one. Removed before the rename, a crash between would lose its changes
            # from the store. Removed after, a crash between leaves a log of an older
            # state than the file's: DuckDB refuses to apply that (the checkpoint that
            # took it in counted the file one up), and the next copy sets it aside.
            for log in logs(published):
                log.unlink(missing_ok=True)


def _unfinished(file: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{file} could not be finished: {error}. The store is as it was; the next run "
        "does the same again."
    )


def layout(con: "duckdb.DuckDBPyConnection") -> int:
    """Return the version of a store's layout; 0 where it says none."""
    import duckdb

    try:
        return int(con.execute("select execledger.layout()").fetchall()[0][0])
    except duckdb.CatalogException:
        return 0


def in_little_memory(load: Callable[..., T]) -> T:
    """Do a load in little memory; all over again, in as much as it takes, if need be.

    ``load`` is told with ``is_frugal`` whether memory is to be kept small. All that
    was received is in the journal, so that nothing is lost by the first try.
    """
    import duckdb

    try:
        return load(is_frugal=True)
    except (duckdb.Error, StoreError) as failed:
        if not any(_OUT_OF_MEMORY.search(str(one)) for one in causes(failed)):
            raise
        _log.warning("Once more, with more memory: %s", failed)
    return load(is_frugal=False)


def causes(failed: BaseException) -> list[BaseException]:
    """Return an error and what it comes from, the innermost last."""
    chained: list[BaseException] = []
    inner: BaseException | None = failed
    while inner is not None and inner not in chained:  # one may be raised from itself
        chained.append(inner)
        inner = getattr(inner, "exception", None) or inner.__cause__
    return chained


@contextmanager
def work_copy(home: Home) -> Iterator[WorkCopy]:
    """Copy the store and open the copy; without ``publish`` the store stays as it is.

    To be used while the home is ``locked``: what lies in the work folder is taken
    for the remains of a crash and removed. What the machine refuses meanwhile (a full
    disk, at any statement) is raised as ``StoreError``.
    """
    import duckdb

    with in_words(home.work):
        if home.work.is_dir() and not home.work.is_symlink():
            shutil.rmtree(home.work)
        else:
            home.work.unlink(missing_ok=True)
        # Never the same path twice: DuckDB would hand a connection that something
        # still refers to out again, and the load would go into a file long deleted.
        folder = home.work / secrets.token_hex(8)
        home.work.mkdir(mode=0o700)
        folder.mkdir()
    try:
        with ThreadPoolExecutor(1) as beside:
            version = copy_store(home.published, folder)
            # to the disk while the load goes on: what is large takes a while
            flushed = beside.submit(_flush, folder / home.published.name)
            work = WorkCopy(home, folder, version, flushed)
            try:
                yield work
            except (
                duckdb.IOException,
                duckdb.TransactionException,
                duckdb.FatalException,
                duckdb.OutOfMemoryException,
            ) as error:
                raise _unfinished(folder / home.published.name, error) from error
            finally:
                work.con.close()
    finally:
        shutil.rmtree(home.work, ignore_errors=True)


def copy_store(store: Path, folder: Path) -> _Version:
    """Copy the store's file and logs as they stand together at one time.

    Another program may have the store open and write to it: no lock of DuckDB's is
    needed for a copy, but what changed in between is copied again.
    """
    for _ in range(_COPY_TRIES):
        before = version_of(store)
        with in_words(store), suppress(FileNotFoundError):  # a log just folded in
            for name, *_ in before:
                _copy(store.with_name(name), folder / name)
            if version_of(store) == before:
                return before
        for file in folder.iterdir():
            file.unlink()
        time.sleep(_COPY_PAUSE_S)
    raise StoreError(
        f"{store} changed each time it was copied: another program writes to it. Close "
        "that program and run this again; nothing is lost."
    )


def _copy(source: Path, target: Path) -> None:
    """Copy a file inside the kernel, which clones it where the file system can."""
    with source.open("rb") as old, target.open("xb") as new:
        try:
            while os.copy_file_range(old.fileno(), new.fileno(), _CHUNK):
                pass
        except (AttributeError, OSError):  # not on this system or file system
            shutil.copyfileobj(old, new)


def _open_copy(
    store: Path, copy: Path, version: _Version
) -> tuple["duckdb.DuckDBPyConnection", _Version]:
    """Open a copy; a log that is not this file's is put aside, with a warning."""
    import duckdb

    try:
        return _connect(copy), version
    except duckdb.Error as error:
        if not logs(copy):
            raise unreadable(store, error) from error
        reason = error
    for log in logs(copy):
        log.unlink()
    try:
        con = _connect(copy)
    except duckdb.Error as error:
        raise unreadable(store, error) from error
    for log in logs(store):
        aside = log.rename(log.with_name(f"{log.name}.unused"))
        _log.warning("%s is no log of the store beside it: %s", aside, reason)
    return con, version[:1]


def _connect(copy: Path) -> "duckdb.DuckDBPyConnection":
    import duckdb

    spill = {"temp_directory": str(copy.parent / "spill")}
    con = duckdb.connect(str(copy), config={**OFFLINE, **spill})
    con.execute("set global timezone = 'UTC'")
    # Two threads would take half as much CPU again, and leave a larger file.
    con.execute("set threads = 1")
    return con


def unreadable(store: Path, error: Exception) -> StoreError:
    """Return in words that a store cannot be opened."""
    return StoreError(
        f"{store} cannot be opened: {error}. If another program has it open for "
        "writing, close that program. If the file is damaged, put a backup in its "
        'place with "execledger restore"; or move it away, and the next load begins a '
        "new store."
    )


def not_ours(home: Home, error: Exception) -> StoreError:
    """Return in words that what is in a store's place lacks its tables."""
    return StoreError(
        f"{home.published} is no store of execledger: {error}. Say another --home."
    )


def logs(store: Path) -> list[Path]:
    """Return what DuckDB has left beside a store's file."""
    found = (store.with_name(store.name + suffix) for suffix in LOGS)
    return [log for log in found if log.exists()]


def version_of(store: Path) -> _Version:
    """Return what tells a store's file, and what lies beside it, from another."""
    found = []
    for file in (store, *logs(store)):
        with suppress(FileNotFoundError):
            stat = file.stat()
            found.append((file.name, stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return tuple(found)


def _flush(copy: Path) -> None:
    with suppress(FileNotFoundError):  # a first load copies nothing
        sync(copy)


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Raise a fault of the file system as ``StoreError``, with the next step."""
    try:
        yield
    except OSError as error:
        step = _NEXT_STEP.get(error.errno or 0, "Check the path and the disk.")
        place, reason = error.filename or path, error.strerror or error
        raise StoreError(f"{place}: {reason}. {step}") from error
