"""A damaged journal: set aside, and all that can be read of it kept in a new one.

What is unreadable cannot be had again from here: it is said in words, and what may have
been read by one of the answers that are gone is noted in the watch-list, so that a
result that is there no more is ``lost_in_transit`` and not somebody else's.
"""

import hashlib
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from sources.errors import StoreError
from sources.journal_file import VERSION, JournalFile, to_us
from sources.masking import MASK
from sources.watched import BrokenRead

__all__ = ["broken_by_damage", "mend"]

_TABLES = {
    "responses": ("response_id",),
    "watched": ("provider", "connection", "scope", "execution_id"),
    "submits": ("submit_id",),
}
"""What is read, and by which columns each row is found by itself."""

_NO_END = "null as final_response_id"
_INDEXES = {
    "responses": [("of_connection", "response_id", "")],
    "watched": [
        (
            "of_expiry",
            _NO_END,
            "where final_response_id is null and owner is null",
        ),
        ("of_owner", _NO_END, "where owner is not null"),
        ("of_final", "final_response_id", "where final_response_id is not null"),
    ],
}
"""Indexes that hold the keys once more, and what else one of them knows."""

_JSON = {"params", "headers", "tags", "context", "broken_reads"}
"""Columns of any table that hold JSON."""

_WITH_ROWID = {"responses"}
_LOGS = ("-wal", "-shm")
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_REASON = "the journal was damaged, and answers that it held may be gone"
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_FRAME = 24

_BY_NAME = """
    insert or ignore into watched (
        provider, connection, scope, execution_id, tracked_at, expires_at, due_at,
        final_response_id, tags, context
    ) values (?, ?, ?, ?, ?, ?, ?, ?, '[]', '{}')
"""
"""Of an execution of which an index alone knows, the name is kept."""

Row = tuple[Any, ...]


def mend(path: Path, at: datetime) -> str | None:
    """Replace a damaged journal; return in words what was damaged, or ``None``.

    To be called before it is opened, by one process at a time. The damaged files stay
    beside it, byte by byte. Raises ``StoreError`` for a file that is no journal, which
    is not touched.
    """
    version = _version(path)
    if version is None or version > VERSION:
        return None  # who opens it says so
    is_cut = _log_lacks_commits(path)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as name:
        if not is_cut and _is_whole(path):
            return None
        old, new = Path(name) / "old", Path(name) / path.name
        for suffix in ("", "-wal"):
            with suppress(FileNotFoundError):
                shutil.copyfile(f"{path}{suffix}", f"{old}{suffix}")
        with closing(JournalFile(new)) as journal:
            kept = _salvage(old, journal, at)
        if not any(kept.values()) and not version:
            raise StoreError(
                f"{path} is not a journal, or nothing of it can be read. Move it and "
                "the files that begin with its name elsewhere; the next load starts a "
                "new journal and asks the providers again for what they still have."
            )
        aside = path.with_name(f"{path.name}.broken-{at:%Y%m%dT%H%M%S%f}")
        for suffix in _LOGS:
            with suppress(FileNotFoundError):
                Path(f"{path}{suffix}").rename(f"{aside}{suffix}")
        path.rename(aside)
        new.replace(path)
    return (
        f"{path} was damaged. It is kept as {aside.name}; {kept['responses']:,} "
        f"responses and {kept['watched']:,} watched executions could be read and are "
        "in a new journal. Answers that it held may be gone: where a result is, the "
        "store says lost_in_transit. Executions that were never asked for may be "
        "missing: track again what you tracked since the last load."
    )


def broken_by_damage(at: datetime) -> BrokenRead:
    """Return the note that an answer may have been in a journal that was damaged."""
    return BrokenRead(at=at, reason=_REASON)


def _is_whole(path: Path) -> bool:
    """Tell whether SQLite, and the hashes of the bodies, find nothing wrong."""
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as con:
            said = con.execute("pragma quick_check(1)").fetchall()
            return said == [("ok",)] and not any(_spoilt(con))
    except sqlite3.DatabaseError as error:
        # of anything else, such as rights, who opens it says what it is
        return error.sqlite_errorcode & 0xFF not in _DAMAGE


def _spoilt(con: sqlite3.Connection) -> Iterator[str]:
    """Yield the responses whose body is not the one that came; of masked ones, none."""
    sql = (
        "select response_id, body, body_sha256 from responses "
        "where length(body) = size_bytes and body_sha256 is not null"
    )
    with suppress(sqlite3.OperationalError):  # of a file without this table
        for response_id, body, sha256 in con.execute(sql):
            is_masked = MASK.encode() in body
            if not is_masked and hashlib.sha256(body).hexdigest() != sha256:
                yield response_id


def _log_lacks_commits(path: Path) -> bool:
    """Tell whether the log ends before the last commit that its index knows.

    SQLite drops in silence what follows the first frame that is not whole. The index
    outlives a process that is killed, with the number of frames that were committed.
    """
    try:
        index = Path(f"{path}-shm").read_bytes()
        log = Path(f"{path}-wal").read_bytes()
    except FileNotFoundError:
        return False
    if len(index) < _HEADER or not log:
        return False
    committed: int = struct.unpack_from("=I", index, 16)[0]
    salts = index[32:40]
    if not committed or not any(salts):
        return False
    if log[16:24] != salts:
        return len(log) < 32 or not _is_header(log)  # noqa: PLR2004 - its header's size
    return _whole_frames(log) < committed


def _is_header(log: bytes) -> bool:
    order = ">" if log[3] & 1 else "<"
    return _sum(log[:24], (0, 0), order) == struct.unpack_from(">II", log, 24)


def _whole_frames(log: bytes) -> int:
    """Return how many frames of a log follow its header whole."""
    if not _is_header(log):
        return 0
    order = ">" if log[3] & 1 else "<"
    size: int = struct.unpack_from(">I", log, 8)[0]
    known: tuple[int, ...] = struct.unpack_from(">II", log, 24)
    count = 0
    for place in range(32, len(log) - _FRAME - size + 1, _FRAME + size):
        known = _sum(log[place : place + 8], known, order)
        known = _sum(log[place + _FRAME : place + _FRAME + size], known, order)
        if log[place + 8 : place + 16] != log[16:24]:
            break
        if known != struct.unpack_from(">II", log, place + 16):
            break
        count += 1
    return count


def _sum(data: bytes, known: Sequence[int], order: str) -> tuple[int, ...]:
    """Return SQLite's running checksum of a log after some more of it."""
    first, second = known
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second


def _version(path: Path) -> int | None:
    """Return the version that a file says; 0 where it says none, nothing if empty."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
    except OSError:
        return None
    if not head.startswith(_MAGIC) or len(head) < _HEADER:
        return 0 if head else None
    version: int = struct.unpack_from(">I", head, 60)[0]
    return version


def _salvage(old: Path, journal: JournalFile, at: datetime) -> dict[str, int]:
    """Copy what can be read into a journal; return how many rows, by table."""
    with closing(_readable(old, journal.path)) as con:
        spoilt: set[str] = set()
        with suppress(sqlite3.DatabaseError):
            spoilt.update(_spoilt(con))
        kept = {}
        with journal.transaction() as new:
            for table in _TABLES:
                columns = [row[1] for row in new.execute(f"pragma table_info({table})")]
                rows = _sound(_rows(con, table, columns), columns)
                if table == "responses":
                    at_id = columns.index("response_id")
                    rows = {k: r for k, r in rows.items() if r[at_id] not in spoilt}
                marks = ", ".join("?" * len(columns))
                sql = f"insert or ignore into {table} values ({marks})"  # noqa: S608 - names above
                new.executemany(sql, rows.values())
                kept[table] = len(rows)
            for key, final in _keys(con, "watched").items():
                new.execute(_BY_NAME, (*key, *[to_us(at)] * 3, final))
            with suppress(sqlite3.DatabaseError):
                (last,) = con.execute("select max(value) from meta").fetchall()
                new.execute("update meta set value = max(value, ?)", last)
            new.execute(
                "update meta set value = max(value, "
                "(select coalesce(max(received_at), 0) from responses))"
            )
            _note(new, at)
    return kept


def _note(new: sqlite3.Connection, at: datetime) -> None:
    """Have asked again what lost its answer, and note that one may have been lost."""
    new.execute(
        "update watched set final_response_id = null, owner = null, asked_at = null "
        "where final_response_id not in (select response_id from responses)"
    )
    broken = msgspec.json.encode(broken_by_damage(at)).decode()
    new.execute(
        "update watched set broken_reads = json_insert(broken_reads, '$[#]', json(?)) "
        "where final_response_id is null",
        (broken,),
    )


def _readable(old: Path, fresh: Path) -> sqlite3.Connection:
    """Open a file; where its first page is gone, with that of a new journal."""
    con = sqlite3.connect(old, isolation_level=None)
    try:
        con.execute("select count(*) from sqlite_schema").fetchall()
    except sqlite3.DatabaseError:
        con.close()
        _lend_first_page(old, fresh)
        con = sqlite3.connect(old, isolation_level=None)
    return con


def _lend_first_page(old: Path, fresh: Path) -> None:
    with closing(sqlite3.connect(fresh, isolation_level=None)) as con:
        (size,) = con.execute("pragma page_size").fetchall()[0]
        con.execute("pragma wal_checkpoint(truncate)").fetchall()
    page = bytearray(fresh.read_bytes()[:size])
    pages = old.stat().st_size // size
    struct.pack_into(">I", page, 28, pages)
    struct.pack_into(">II", page, 32, 0, 0)  # no free pages
    with old.open("r+b") as file:
        file.write(page)


def _rows(
    con: sqlite3.Connection, table: str, columns: Sequence[str]
) -> dict[Row, Row]:
    """Return by key the rows that can be read: from both ends, then one by one."""
    key = _TABLES[table]
    of = ", ".join(columns)
    places = [columns.index(name) for name in key]
    found: dict[Row, Row] = {}
    sorted_by = ["rowid"] if table in _WITH_ROWID else key
    for way in ("asc", "desc"):
        order = ", ".join(f"{name} {way}" for name in sorted_by)
        sql = f"select {of} from {table} not indexed order by {order}"  # noqa: S608 - names above
        with suppress(sqlite3.DatabaseError):
            for row in con.execute(sql):
                found[tuple(row[place] for place in places)] = row
    this = " and ".join(f"{name} = ?" for name in key)
    for one in _keys(con, table):
        if one not in found:
            with suppress(sqlite3.DatabaseError):
                for row in con.execute(f"select {of} from {table} where {this}", one):  # noqa: S608 - names above
                    found[one] = row
    return found


def _sound(rows: Mapping[Row, Row], columns: Sequence[str]) -> dict[Row, Row]:
    """Return the rows whose texts are such: of a cut file, zeros may have been read."""
    return {
        key: row
        for key, row in rows.items()
        if all(_is_sound(*one) for one in zip(columns, row, strict=True))
    }


def _is_sound(column: str, value: object) -> bool:
    if not isinstance(value, str):
        return True
    if column in _JSON:
        try:
            msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return False
    return "\0" not in value


def _keys(con: sqlite3.Connection, table: str) -> dict[Row, object]:
    """Return the keys that the indexes of a table know, and the value beside each."""
    key = ", ".join(_TABLES[table])
    keys: dict[Row, object] = {}
    for name, beside, only in _INDEXES.get(table, ()):
        sql = f"select {beside}, {key} from {table} indexed by {name} {only}"  # noqa: S608 - names above
        with suppress(sqlite3.DatabaseError):
            for value, *found in con.execute(sql):
                keys[tuple(found)] = value
    return keys
