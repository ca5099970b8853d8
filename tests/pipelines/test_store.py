"""The store: a load is all or nothing, readers are let be, and faults are in words."""

import errno
import logging
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from filelock import FileLock

from pipelines import store
from pipelines.readers import _attached, read_only
from pipelines.store import Home, locked, work_copy
from sources.errors import StoreError, StoreLocked
from tests.full_disk import full_disk
from tests.pipelines.killed_load import (
    AFTER_COPY,
    AFTER_RENAME,
    BEFORE_RENAME,
    WHILE_WRITING,
)

ROOT = Path(__file__).resolve().parents[2]
WAL = "published.duckdb.wal"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home that is there, with nothing in it."""
    made = Home(tmp_path / "it's home")
    made.create()
    return made


def publish(home: Home, *numbers: int) -> None:
    """Load numbers into the store's table."""
    with locked(home), work_copy(home) as work:
        work.con.execute("create table if not exists numbers (number integer)")
        work.con.executemany("insert into numbers values (?)", [[n] for n in numbers])
        work.publish()


def numbers(home: Home) -> list[int]:
    """Return what the store's table holds."""
    with read_only(home) as con:
        rows = con.execute("select number from numbers order by 1").fetchall()
    return [row[0] for row in rows]


class Other:
    """Another process with a connection to the store; it runs SQL line by line."""

    PROGRAM = """
import duckdb, sys
con = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "read")
print("open", flush=True)
for sql in sys.stdin:
    print(con.execute(sql).fetchall(), flush=True)
"""

    def __init__(self, home: Home, mode: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - the program above
            [sys.executable, "-c", self.PROGRAM, str(home.published), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said = self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def ask(self, sql: str) -> str:
        """Run a statement there; return its rows as Python prints them."""
        assert self._process.stdin is not None
        self._process.stdin.write(sql + "\n")
        self._process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        """End it without a chance to clean up."""
        self._process.kill()
        self._process.communicate()

    def end(self) -> None:
        """Let it close its connection and end."""
        self._process.communicate()
        assert self._process.returncode == 0


@contextmanager
def other(home: Home, mode: str) -> Iterator[Other]:
    """Start another process with the store open, to ``read`` or to ``write``."""
    process = Other(home, mode)
    try:
        assert process.said == "open"
        yield process
    finally:
        process.kill()


def left_a_log(home: Home, *added: int) -> None:
    """Have a process write to the store and be killed before it takes its log in."""
    with other(home, "write") as writer:
        for number in added:
            writer.ask(f"insert into numbers values ({number})")
        writer.kill()
    assert (home.path / WAL).exists()


# --- paths and the lock -------------------------------------------------------


def test_a_home_is_its_owners_alone(home: Home) -> None:
    """Law: the folder is 0700, the store 0600; names are the documented ones."""
    publish(home, 1)

    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.published.stat().st_mode) == 0o600
    assert [
        p.name for p in (home.published, home.journal, home.work, home.reports)
    ] == [
        "published.duckdb",
        "journal.sqlite",
        "work",
        "reports",
    ]


LOCKER = """
import os, signal, sys
from pathlib import Path
from pipelines import store
from pipelines.store import Home, locked
with locked(Home(Path(sys.argv[1]))):
    print(os.getpid(), flush=True)
    if sys.stdin.readline() == "die\\n":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@contextmanager
def locker(home: Home) -> Iterator["subprocess.Popen[str]"]:
    """Start another process that holds the lock until it is told to end."""
    with subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", LOCKER, str(home.path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        yield process
        if not process.stdin or not process.stdin.closed:
            process.communicate()


def test_a_second_run_is_told_who_holds_the_lock(home: Home) -> None:
    """Law: ``StoreLocked`` names the process, since when, and how to wait."""
    with (
        locker(home) as holder,
        pytest.raises(
            StoreLocked,
            match=rf"pid {holder.pid}, since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d.*--wait",
        ),
        locked(home),
    ):
        pytest.fail("two runs hold one home")


def test_a_lock_whose_holder_has_not_said_who_it_is_is_told_too(home: Home) -> None:
    """Law: between taking the lock and the note about it, the error stands as well."""
    with (
        FileLock(home.lock_file),
        pytest.raises(StoreLocked, match=r"has just begun.*--wait"),
        locked(home),
    ):
        pytest.fail("two runs hold one home")


def test_a_run_may_wait_for_the_lock(home: Home) -> None:
    """Law: within ``wait_s`` a run takes over as soon as the other has ended."""
    with locker(home) as holder:
        assert holder.stdin is not None
        end = threading.Timer(0.2, holder.stdin.close)
        end.start()
        with locked(home, wait_s=float("inf")):
            owner = (home.path / "load.owner").read_text()
        end.join()

    assert owner.startswith(f"pid {os.getpid()},")


def test_a_lock_left_by_a_killed_process_is_taken_over(home: Home) -> None:
    """Law: no lock outlives its process, whatever files it leaves."""
    with locker(home) as holder:
        holder.communicate("die\n")
    assert holder.returncode == -signal.SIGKILL
    assert (home.path / "load.owner").exists()

    with locked(home):
        owner = (home.path / "load.owner").read_text()

    assert owner.startswith(f"pid {os.getpid()},")


def test_the_lock_is_free_after_a_run_that_fails(home: Home) -> None:
    """Law: the lock ends with the block, and its note with it; both are private."""
    with pytest.raises(ZeroDivisionError), locked(home):
        raise ZeroDivisionError

    with locked(home):
        modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in home.path.iterdir()}

    assert modes == {"load.lock": 0o600, "load.owner": 0o600}
    assert not (home.path / "load.owner").exists()


# --- the work copy ------------------------------------------------------------


def test_a_load_that_does_not_publish_changes_nothing(home: Home) -> None:
    """Law: without ``publish`` the store stays as it is, byte by byte."""
    publish(home, 1)
    before = home.published.read_bytes()

    with work_copy(home) as work:
        work.con.execute("insert into numbers values (2)")
        work.con.execute("checkpoint")
    with pytest.raises(duckdb.CatalogException), work_copy(home) as work:
        work.con.execute(
            "insert into numbers values (3); insert into unknown values (1)"
        )

    assert home.published.read_bytes() == before
    assert [file.name for file in home.path.iterdir()].count("work") == 0


def test_a_first_load_makes_the_store(home: Home) -> None:
    """Law: where no store is, the copy starts empty; its catalog is ``published``."""
    with work_copy(home) as work:
        found = work.con.execute("select current_database()").fetchall()
        assert work.con.execute("show all tables").fetchall() == []
    assert not home.published.exists()

    publish(home, 1)

    assert found == [("published",)]
    assert numbers(home) == [1]


def test_publishing_leaves_the_store_and_nothing_else(home: Home) -> None:
    """Law: no staging, no log, no work folder."""
    publish(home, 1)
    with work_copy(home) as work:
        work.dlt_dir.mkdir()
        work.con.execute("create schema execledger_staging")
        work.con.execute("create table execledger_staging.numbers as select 1 as one")
        work.publish()

    with read_only(home) as con:
        schemas = con.execute("select schema_name from duckdb_schemas()").fetchall()
    assert ("execledger_staging",) not in schemas
    assert {f.name for f in home.path.iterdir()} == {"published.duckdb", "load.lock"}


def test_time_is_utc_on_every_connection(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: times read the same wherever the program runs."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    sql = "select current_setting('TimeZone')"

    with work_copy(home) as work:
        found = [con.execute(sql).fetchall() for con in (work.con, work.con.cursor())]
        work.publish()
    with read_only(home) as con:
        found.append(con.execute(sql).fetchall())

    assert found == [[("UTC",)]] * 3


def test_what_does_not_fit_into_memory_spills_inside_the_home(home: Home) -> None:
    """Law: a load writes nothing outside of its work folder, and nothing stays."""
    with work_copy(home) as work:
        work.con.execute("set memory_limit = '40MB'")
        work.con.execute("set threads = 1")
        spilled = {home.work}
        sorting = work.con.execute(
            "select * from (select range, md5(range::text) as hash "
            "from range(1500000) order by hash)"
        )
        spilled |= set(home.work.glob("*/spill/*"))
        assert len(sorting.fetchmany(2)) == 2

    assert len(spilled) > 1
    assert not home.work.exists()


def test_a_transaction_left_open_is_told_and_publishes_nothing(home: Home) -> None:
    """Law: what could not be finished is not published."""
    publish(home, 1)

    with work_copy(home) as work:
        work.con.execute("begin")
        work.con.execute("insert into numbers values (2)")
        with pytest.raises(StoreError, match=r"could not be finished.*as it was"):
            work.publish()

    assert numbers(home) == [1]


def test_what_the_machine_refuses_at_any_statement_is_told_in_words(home: Home) -> None:
    """Law: between copying and publishing, too, a fault of the copy is one line."""
    publish(home, 1)

    with (
        pytest.raises(StoreError, match=r"could not be finished.*as it was"),
        work_copy(home) as work,
    ):
        work.con.execute("copy (select 1) to '/dev/null/no folder/a.csv'")

    assert numbers(home) == [1]


def test_a_cursor_that_outlives_its_load_does_not_catch_the_next_one(
    home: Home,
) -> None:
    """Law: each load writes to its own copy, also where an earlier one is still held.

    DuckDB hands out an open file again by its path, though it was deleted since. And
    closing a connection closes its cursors, but not the cursors of these.
    """
    publish(home, 1)
    with work_copy(home) as work:
        held = work.con.cursor().cursor()

    publish(home, 2)

    held.close()
    assert numbers(home) == [1, 2]


def test_a_cursor_that_outlives_its_load_keeps_no_reader_out(home: Home) -> None:
    """Law: once published, the store is not locked, whatever still refers to it."""
    with work_copy(home) as work:
        work.con.execute("create table numbers as select 1 as number")
        held = work.con.cursor().cursor()
        work.publish()

    with other(home, "read") as reader:
        assert reader.ask("select number from numbers") == "[(1,)]"
    held.close()


# --- others that have the store open ------------------------------------------


def test_a_reader_keeps_what_it_opened_over_two_loads(home: Home) -> None:
    """Law: a reader neither stops a load nor notices one; who comes later sees it."""
    publish(home, 1)
    sql = "select list(number order by number) from numbers"

    with other(home, "read") as reader:
        reader.ask("begin")
        seen = [reader.ask(sql)]
        for number in (2, 3):
            publish(home, number)
            seen.append(reader.ask(sql))
        reader.ask("commit")
        seen.append(reader.ask(sql))
        reader.end()
    with other(home, "read") as reader:
        later = reader.ask(sql)

    assert seen == ["[([1],)]"] * 4
    assert later == "[([1, 2, 3],)]"


def test_a_store_that_is_replaced_while_it_is_opened_is_opened_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: no reader fails because a load publishes at that very moment."""
    publish(home, 1)
    tries: list[Path] = []

    def attached(store: Path) -> duckdb.DuckDBPyConnection:
        tries.append(store)
        if len(tries) > 1:
            return _attached(store)
        publish(home, 2)
        raise duckdb.IOException("it was another file a moment ago")

    monkeypatch.setattr("pipelines.readers._attached", attached)

    assert numbers(home) == [1, 2]
    assert len(tries) == 2


def test_a_reader_in_the_same_process_sees_the_store_that_is_there_now(
    home: Home,
) -> None:
    """Law: ``read_only`` opens the newest store though an older one is still open."""
    publish(home, 1)
    with read_only(home) as old:
        publish(home, 2)
        now = numbers(home)
        kept = old.execute("select number from numbers").fetchall()

    assert now == [1, 2]
    assert kept == [(1,)]


def test_what_another_program_wrote_is_kept_by_the_next_load(home: Home) -> None:
    """Law: what lies in the log of a program that is still open is in the store."""
    publish(home, 1)

    with other(home, "write") as writer:
        writer.ask("insert into numbers values (10)")
        assert (home.path / WAL).exists()
        publish(home, 2)
        assert not (home.path / WAL).exists()
        assert numbers(home) == [1, 2, 10]
        writer.end()

    assert numbers(home) == [1, 2, 10]
    publish(home, 3)
    assert numbers(home) == [1, 2, 3, 10]


def test_what_a_killed_program_wrote_is_kept_by_the_next_load(home: Home) -> None:
    """Law: a log that its writer left is part of the store."""
    publish(home, 1)
    left_a_log(home, 10)
    assert numbers(home) == [1, 10]

    publish(home, 2)

    assert numbers(home) == [1, 2, 10]
    assert not (home.path / WAL).exists()


def test_a_program_that_only_opens_the_store_for_writing_stops_no_load(
    home: Home,
) -> None:
    """Law: opening and closing during a load is no change."""
    publish(home, 1)

    with other(home, "write") as before, work_copy(home) as work:
        work.con.execute("insert into numbers values (2)")
        before.end()
        with other(home, "write") as during:
            during.ask("select * from numbers")
            work.publish()
            during.end()

    assert numbers(home) == [1, 2]


@pytest.mark.parametrize("ends", [True, False])
def test_what_another_program_writes_during_a_load_is_not_lost(
    home: Home, *, ends: bool
) -> None:
    """Law: a load does not overwrite what it has not seen; the next one has it."""
    publish(home, 1)

    with other(home, "write") as writer:
        with work_copy(home) as work:
            work.con.execute("insert into numbers values (2)")
            writer.ask("insert into numbers values (10)")
            if ends:
                writer.end()  # its log is folded into the store's file
            with pytest.raises(StoreError, match=r"Another program wrote.*next run"):
                work.publish()
        publish(home, 3)

    assert numbers(home) == [1, 3, 10]


def test_a_log_of_an_older_store_is_put_aside_and_never_applied(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    """Law: what is written to a file that a load has replaced does not come back."""
    publish(home, 1)
    with other(home, "write") as writer:
        publish(home, 2)
        writer.ask("insert into numbers values (10)")
        writer.kill()
    assert (home.path / WAL).exists()

    with caplog.at_level(logging.WARNING):
        publish(home, 3)

    assert numbers(home) == [1, 2, 3]
    assert "published.duckdb.wal.unused is no log of the store" in caplog.text
    assert (home.path / f"{WAL}.unused").exists()


@pytest.fixture
def writes(home: Home, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let another program write each time the store is copied, as long as numbers last.

    Stands for what no test can time: a write in the moment of the copy.
    """
    left: list[int] = []

    def copy(source: Path, target: Path) -> None:
        store_copy(source, target)
        if left:
            with duckdb.connect(str(home.published)) as con:
                con.execute("insert into numbers values (?)", [left.pop()])

    store_copy = store._copy
    monkeypatch.setattr(store, "_copy", copy)
    monkeypatch.setattr("time.sleep", lambda _: None)
    return left


def test_a_store_that_changes_while_it_is_copied_is_copied_again(
    home: Home, writes: list[int]
) -> None:
    """Law: a copy is of one moment."""
    publish(home, 1)
    writes[:] = [10, 11]

    publish(home, 2)

    assert numbers(home) == [1, 2, 10, 11]


def test_a_store_that_changes_all_the_time_is_told(
    home: Home, writes: list[int]
) -> None:
    """Law: where no copy is of one moment, there is none."""
    publish(home, 1)
    writes[:] = range(100, 200)

    with (
        pytest.raises(StoreError, match=r"changed each time.*Close that"),
        work_copy(home),
    ):
        pytest.fail("a torn copy was opened")

    writes.clear()
    assert numbers(home)[0] == 1


# --- crashes ------------------------------------------------------------------


def killed_load(home: Home, stage: str) -> None:
    """Run a load that adds a 2 and is killed at a stage."""
    done = subprocess.run(  # noqa: S603 - a module of these tests
        [sys.executable, "-m", "tests.pipelines.killed_load", str(home.path), stage],
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("has_log", [False, True])
@pytest.mark.parametrize(
    ("stage", "added"),
    [
        (AFTER_COPY, []),
        (WHILE_WRITING, []),
        (BEFORE_RENAME, []),
        (AFTER_RENAME, [2]),
    ],
)
def test_a_killed_load_leaves_the_old_store_or_the_new_one(
    home: Home, stage: str, added: list[int], *, has_log: bool
) -> None:
    """Law: at no moment is there half a load, and the next one clears the remains."""
    publish(home, 1)
    if has_log:
        left_a_log(home, 10)
    whole = sorted([1, *added, *([10] if has_log else [])])

    killed_load(home, stage)

    assert home.work.exists()
    assert numbers(home) == whole
    publish(home, 3)
    assert numbers(home) == sorted([*whole, 3])
    assert not home.work.exists()
    assert not (home.path / WAL).exists()


@pytest.mark.parametrize("stage", [AFTER_COPY, WHILE_WRITING, BEFORE_RENAME])
def test_a_killed_first_load_leaves_no_store(home: Home, stage: str) -> None:
    """Law: a store is there whole or not at all."""
    killed_load(home, stage)

    assert not home.published.exists()
    publish(home, 3)
    assert numbers(home) == [3]


# --- reading ------------------------------------------------------------------


@pytest.mark.parametrize(
    "sql",
    [
        "insert into numbers values (2)",
        "create table more as select 1",
        "drop table numbers",
        "select * from read_csv('/etc/hostname')",
        "select * from read_blob('{store}')",
        "copy numbers to '{home}/numbers.csv'",
        "copy numbers to '{store}' (format csv, use_tmp_file false)",
        "copy numbers to '{store}.wal' (format csv)",
        "copy numbers to '/dev/stderr' (format csv)",
        "export database '{home}/exported'",
        "attach '{store}' as again",
        "attach '{home}/new.duckdb' as new",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set disabled_filesystems = ''",
        "set timezone = 'Asia/Tokyo'",
        "set threads = 1",
        "select * from frame",
    ],
)
def test_a_query_can_neither_write_nor_leave_the_store(home: Home, sql: str) -> None:
    """Law: whatever SQL is asked, files, settings and the store stay as they are."""
    publish(home, 1)
    quoted = str(home.path).replace("'", "''")
    sql = sql.format(home=quoted, store=f"{quoted}/published.duckdb")
    before = {f.name: f.read_bytes() for f in home.path.iterdir()}
    frame = pa.table({"a": [1]})

    with read_only(home) as con, pytest.raises(duckdb.Error):
        con.execute(sql)
    del frame

    assert {f.name: f.read_bytes() for f in home.path.iterdir()} == before
    assert numbers(home) == [1]


def test_a_query_reaches_no_network(home: Home) -> None:
    """Law: the settings that close a connection are set, and cannot be opened."""
    publish(home, 1)
    names = (
        "enable_external_access",
        "autoinstall_known_extensions",
        "autoload_known_extensions",
        "lock_configuration",
    )

    with read_only(home) as con:
        found = [
            con.execute(f"select current_setting('{name}')").fetchall()
            for name in names
        ]

    assert found == [[(False,)], [(False,)], [(False,)], [(True,)]]


def test_a_query_has_json_and_time_zones_without_any_download(home: Home) -> None:
    """Law: what the views need works in a closed connection."""
    publish(home, 1)

    with read_only(home) as con:
        found = con.execute(
            "select '{\"a\": [1]}'::json ->> '$.a[0]', "
            "timestamptz '2026-01-01 00:00:00+00'::text, current_database()"
        ).fetchall()

    assert found == [("1", "2026-01-01 00:00:00+00", "published")]


def test_reading_where_no_store_is_says_what_to_run(home: Home) -> None:
    """Law: the error names the home and the next step, and makes nothing."""
    with pytest.raises(StoreError, match=r'no store in .*"execledger load".*demo'):
        read_only(home)

    assert list(home.path.iterdir()) == []


def test_a_store_open_for_writing_elsewhere_is_told_to_readers(home: Home) -> None:
    """Law: what DuckDB refuses comes with the next step."""
    publish(home, 1)

    with other(home, "write") as writer:
        writer.ask("insert into numbers values (10)")
        with pytest.raises(StoreError, match=r"cannot be opened.*close that program"):
            read_only(home)

    assert numbers(home) == [1, 10]


@pytest.mark.parametrize("has_log", [False, True])
def test_a_damaged_store_is_told_in_words(home: Home, *, has_log: bool) -> None:
    """Law: the error names the file and the next step; the file is not touched."""
    home.published.write_bytes(b"no database at all, " * 1000)
    if has_log:
        (home.path / WAL).write_bytes(b"no log at all")
    words = r"published\.duckdb cannot be opened.*restore"

    with pytest.raises(StoreError, match=words):
        read_only(home)
    with pytest.raises(StoreError, match=words), work_copy(home):
        pytest.fail("a damaged store was loaded into")

    assert home.published.stat().st_size == 20_000
    assert (home.path / WAL).exists() == has_log
    assert not home.work.exists()


# --- faults of the disk -------------------------------------------------------


def test_a_disk_too_full_for_the_copy_is_told_in_words(home: Home) -> None:
    """Law: the error names the file and asks for room; the store stays."""
    publish(home, 1)

    with (
        full_disk(100_000),
        pytest.raises(StoreError, match=r"published.duckdb.*Free disk space"),
        work_copy(home),
    ):
        pytest.fail("half a copy was opened")

    assert numbers(home) == [1]
    assert not home.work.exists()


def test_a_disk_that_fills_while_publishing_is_told_in_words(home: Home) -> None:
    """Law: what DuckDB cannot write is not published; the store stays."""
    publish(home, 1)
    size = home.published.stat().st_size

    with work_copy(home) as work:
        work.con.execute("set checkpoint_threshold = '1TB'")
        work.con.execute(
            "create table texts as select md5(range::text) as text from range(50000)"
        )
        with (
            full_disk(size + 100_000),
            pytest.raises(StoreError, match=r"could not be finished.*as it was"),
        ):
            work.publish()

    assert numbers(home) == [1]


def test_a_copy_that_the_disk_did_not_take_is_not_published(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a fault is told once, to whom it meets first; it is not lost there."""
    publish(home, 1)
    faults = [OSError(errno.EIO, "Input/output error")]
    sync = os.fsync

    def fail_once(handle: int) -> None:
        if faults:
            raise faults.pop()
        sync(handle)

    monkeypatch.setattr(os, "fsync", fail_once)
    with work_copy(home) as work:
        work.con.execute("insert into numbers values (2)")
        with pytest.raises(StoreError, match=r"Input/output error.*Check the path"):
            work.publish()

    assert numbers(home) == [1]


def test_a_home_that_may_not_be_written_is_told_in_words(home: Home) -> None:
    """Law: the error names the path and how to get a home that can be written."""
    publish(home, 1)
    words = r"home.*: Permission denied.*--home"
    is_root = os.geteuid() == 0
    home.path.chmod(0o500)
    if is_root:  # whom no mode stops
        os.seteuid(65534)
    try:
        with pytest.raises(StoreError, match=words), locked(home):
            pytest.fail("a lock was written")
        with pytest.raises(StoreError, match=words), work_copy(home):
            pytest.fail("a copy was written")
    finally:
        if is_root:
            os.seteuid(0)
        home.path.chmod(0o700)


def test_a_home_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    """Law: what the operating system refuses is a ``StoreError`` with the path."""
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"file/home: .*Check the path"):
        Home(tmp_path / "file" / "home").create()
