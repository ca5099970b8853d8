"""Opening the store for those who only read it."""

from pathlib import Path

import duckdb

from pipelines.store import (
    OFFLINE,
    Home,
    locked,
    logs,
    unreadable,
    version_of,
    work_copy,
)

__all__ = ["read_only", "try_store"]


def read_only(home: Home) -> duckdb.DuckDBPyConnection:
    """Open the store for queries that can change nothing and reach nothing else.

    No file can be read or written through the connection, not even the store's own
    (hence a query that outgrows memory fails: it cannot spill), no extension loaded
    and no setting changed. Use the connection itself: a cursor of it does not have
    the store as its default. Raises ``StoreError``.
    """
    home.require_store()
    tries = 0
    while True:
        before = version_of(home.published)
        try:
            return _attached(home.published)
        except duckdb.Error as error:
            tries += 1
            has_log = bool(logs(home.published))
            # a load may have put another store in its place just now
            is_another = version_of(home.published) != before
            if tries == _TRIES or not (has_log or is_another):
                raise unreadable(home.published, error) from error
        if has_log:
            with locked(home), work_copy(home):
                pass  # what a crash or another program left was in the way: now aside


_TRIES = 3

_HARDENED = (
    "use published",
    "set global timezone = 'UTC'",
    "set enable_external_access = false",
    # Without this, COPY may write to every attached file, so also over the store.
    "set disabled_filesystems = 'LocalFileSystem'",
    "set lock_configuration = true",
)


def _attached(store: Path) -> duckdb.DuckDBPyConnection:
    """Attach the store to a database in memory.

    Opened by its path, it would be the file that this process opened there earlier,
    though a load has put another in its place since.
    """
    con = duckdb.connect(config={**OFFLINE, "temp_directory": ""})
    try:
        path = str(store).replace("'", "''")
        con.execute(f"attach '{path}' as published (read_only)")
        for setting in _HARDENED:
            con.execute(setting)
    except duckdb.Error:
        con.close()
        raise
    return con


def try_store(store: Path) -> None:
    """Open a store's file and close it; raises ``StoreError`` where that fails."""
    try:
        _attached(store).close()
    except duckdb.Error as error:
        raise unreadable(store, error) from error
