"""The journal: durable before it answers, rising in time, and whole over processes."""

import signal
import sqlite3
import stat
import subprocess
import sys
import tracemalloc
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources import journal_file
from sources.errors import StoreError
from sources.exchange import Reply
from sources.journal import Journal, ReplyLike, uuid7
from sources.journal_file import to_us
from sources.records import Json, Response

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF = ("torale", "default")


def reply(**changed: Any) -> Reply:
    """Return an answer as the HTTP client gives it."""
    fields: dict[str, Any] = {
        "method": "GET",
        "url": "https://torale.example/api/v1/tasks/1/executions?limit=5",
        "http_status": 200,
        "headers": {"content-type": "application/json"},
        "elapsed_ms": 12,
        "attempts": 2,
        "outcome": "ok",
        "body": b'{"items":[]}',
        "body_sha256": "ab" * 32,
        "size_bytes": 12,
    }
    return Reply(**fields | changed)


def keep(journal: Journal, answer: ReplyLike | None = None, **more: Any) -> Response:
    """Append an answer of the account ``OF``."""
    return journal.append(
        provider=OF[0],
        connection=OF[1],
        endpoint="executions",
        params={"limit": 5, "task_id": "a"},
        reply=answer or reply(),
        **more,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a journal may be made."""
    return tmp_path / "home" / "journal.sqlite"


PROGRAM = """
import os, signal, sys
from pathlib import Path
from sources.http import Reply
from sources.journal import Journal

path, times, end = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
answer = Reply(
    method="GET", url="https://torale.example/", elapsed_ms=1, outcome="ok",
    http_status=200, body=os.urandom(2000),
)
journal = Journal(path)
for number in range(times):
    response = journal.append(
        provider="torale", connection="default", endpoint="executions",
        params={"process": os.getpid(), "number": number}, reply=answer,
    )
    print(response.response_id, flush=True)
if end == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
journal.close()
"""


def appender(path: Path, times: int, end: str) -> subprocess.Popen[str]:
    """Start a process that appends, prints the ids, and ends as told."""
    return subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", PROGRAM, str(path), str(times), end],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_response_is_still_there_after_a_kill_right_behind_its_append(
    path: Path,
) -> None:
    """Law: what ``append`` has returned survives ``kill -9``."""
    with appender(path, 3, "kill") as process:
        printed = process.communicate()[0].split()

    with Journal(path) as journal:
        kept = list(journal.waiting(*OF))

    assert process.returncode == -signal.SIGKILL
    assert [response.response_id for response in kept] == printed
    assert [len(response.body or b"") for response in kept] == [2000] * 3


def test_a_commit_waits_for_the_disk(path: Path) -> None:
    """Law: the file is in WAL mode and each commit is synced (power, not only kill)."""
    with Journal(path) as journal:
        asked = ("pragma synchronous", "pragma auto_vacuum")
        mode = tuple(journal.file.rows(pragma)[0][0] for pragma in asked)
        wal = journal.file._con.execute("pragma journal_mode").fetchone()

    assert mode == (2, 2)
    assert wal == ("wal",)


def test_a_commit_that_need_not_wait_for_the_disk_does_not(path: Path) -> None:
    """Law: only what asks for it goes without a sync, and only that."""
    synced: list[int] = []
    with Journal(path) as journal:
        for is_synced in (True, False):
            with (
                suppress(ZeroDivisionError),
                journal.file.transaction(is_synced=is_synced) as con,
            ):
                synced += con.execute("pragma synchronous").fetchone()
                raise ZeroDivisionError
        synced += journal.file.rows("pragma synchronous")[0]

    assert synced == [2, 1, 2]


def test_four_processes_append_at_once_and_nothing_is_lost(path: Path) -> None:
    """Law: over processes ``received_at`` rises strictly, and ids sort as it does."""
    processes = [appender(path, 25, "close") for _ in range(4)]
    printed = [process.communicate()[0].split() for process in processes]

    with Journal(path) as journal:
        kept = list(journal.waiting(*OF))
        ids = journal.ids(*OF)

    times = [response.received_at for response in kept]
    assert [process.returncode for process in processes] == [0] * 4
    assert sorted(ids) == sorted(chain.from_iterable(printed))
    assert ids == sorted(ids) == [response.response_id for response in kept]
    assert all(earlier < later for earlier, later in pairwise(times))


def test_threads_may_append_at_once(path: Path) -> None:
    """Law: one journal serves the event loop's thread and others."""
    with Journal(path) as journal, ThreadPoolExecutor(4) as threads:
        kept = list(threads.map(lambda _: keep(journal), range(40)))
        ids = journal.ids(*OF)

    assert ids == sorted(response.response_id for response in kept)


def test_a_response_comes_back_as_it_was_kept(path: Path) -> None:
    """Law: no field changes on the way through the file."""
    answers = [
        reply(),
        reply(body=b"", size_bytes=0),
        reply(body=b"\x00\xff" * 9, headers={}),
        reply(
            http_status=None, body=None, body_sha256=None, error="timed out \u00e9\x00"
        ),
    ]
    with Journal(path) as journal:
        kept = [keep(journal, answer) for answer in answers]

    with Journal(path) as journal:
        found = list(journal.waiting(*OF))

    assert found == kept
    assert found[0] == Response(
        provider="torale",
        connection="default",
        response_id=kept[0].response_id,
        endpoint="executions",
        method="GET",
        url="https://torale.example/api/v1/tasks/1/executions?limit=5",
        params=Json('{"limit":5,"task_id":"a"}'),
        http_status=200,
        headers=Json('{"content-type":"application/json"}'),
        received_at=kept[0].received_at,
        elapsed_ms=12,
        attempts=2,
        outcome="ok",
        body=b'{"items":[]}',
        body_sha256="ab" * 32,
        size_bytes=12,
    )


def test_received_at_rises_though_the_clock_stands_or_steps_back(path: Path) -> None:
    """Law: each response is later than the one before, by a microsecond at least."""
    clock = [NOON, NOON, NOON - timedelta(days=400), NOON + timedelta(seconds=1)]
    with Journal(path, now=iter(clock).__next__) as journal:
        kept = [keep(journal).received_at for _ in clock]

    assert [(at - NOON) // timedelta(microseconds=1) for at in kept] == [
        0,
        1,
        2,
        1_000_000,
    ]


def test_received_at_rises_over_clearing_and_reopening(path: Path) -> None:
    """Law: the last time is remembered though no response is left to show it."""
    with Journal(path, now=lambda: NOON) as journal:
        first = keep(journal)
        journal.clear([first.response_id])

    with Journal(path, now=lambda: NOON - timedelta(hours=1)) as journal:
        second = keep(journal)

    assert second.received_at == first.received_at + timedelta(microseconds=1)
    assert second.response_id > first.response_id


def test_received_at_rises_above_what_was_received_with_another_journal(
    path: Path,
) -> None:
    """Law: what ``go_on_after`` is told is earlier than all that comes."""
    with Journal(path, now=lambda: NOON) as journal:
        journal.go_on_after(NOON + timedelta(hours=5))
        journal.go_on_after(NOON)
        kept = keep(journal)

    assert kept.received_at == NOON + timedelta(hours=5, microseconds=1)


def test_a_clock_of_another_zone_is_kept_in_utc(path: Path) -> None:
    """Law: ``received_at`` is aware and in UTC."""
    tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
    with Journal(path, now=lambda: tokyo) as journal:
        kept = keep(journal)

    assert kept.received_at == NOON
    assert kept.received_at.tzinfo is UTC


def test_waiting_shows_what_was_there_when_it_was_asked_for(path: Path) -> None:
    """Law: what comes later is not among it, however slowly it is read."""
    with Journal(path) as journal:
        kept = [keep(journal) for _ in range(3)]
        waiting = journal.waiting(*OF)
        later = keep(journal)
        found = [next(waiting)]
        keep(journal)
        found += waiting
        again = list(journal.waiting(*OF))

    assert found == kept
    assert again[:4] == [*kept, later]
    assert len(again) == 5


@pytest.mark.parametrize("size", [1_000_000, 50_000])
def test_waiting_holds_few_bodies_in_memory(path: Path, size: int) -> None:
    """Law: a journal of any size is read in bounded memory."""
    with Journal(path) as journal:
        for _ in range(30_000_000 // size):
            keep(journal, reply(body=bytes(size)))
        tracemalloc.start()
        count = sum(1 for _ in journal.waiting(*OF))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    assert count == 30_000_000 // size
    assert peak < 5_000_000


def test_some_of_what_waits_can_be_read_alone(path: Path) -> None:
    """Law: in the order of their times, and only what waits."""
    with Journal(path) as journal:
        kept = [keep(journal) for _ in range(4)]
        of = (kept[0].provider, kept[0].connection)
        chosen = {kept[2].response_id, kept[0].response_id, "another"}

        assert list(journal.waiting(*of, only=chosen)) == [kept[0], kept[2]]
        assert list(journal.waiting(*of, only=())) == []


def test_the_heaviest_bodies_are_weighed(path: Path) -> None:
    """Law: the bytes of so many of the largest; none where nothing waits."""
    with Journal(path) as journal:
        assert journal.heaviest() == 0
        for size in (1, 5, 3):
            keep(journal, reply(body=b"x" * size))

        assert journal.heaviest(2) == 8


def test_accounts_are_kept_apart(path: Path) -> None:
    """Law: what waits, its ids and its count are those of one account."""
    with Journal(path) as journal:
        for provider, connection in [OF, OF, ("torale", "eu"), ("discuro", "default")]:
            journal.append(
                provider=provider,
                connection=connection,
                endpoint="executions",
                params={},
                reply=reply(),
            )
        counts = journal.counts()
        eu = list(journal.waiting("torale", "eu"))
        ids = journal.ids("torale", "eu")

    assert counts == {OF: 2, ("torale", "eu"): 1, ("discuro", "default"): 1}
    assert [(r.provider, r.connection, r.response_id) for r in eu] == [
        ("torale", "eu", *ids)
    ]


def test_clearing_removes_those_and_no_others(path: Path) -> None:
    """Law: only what is named leaves; what is unknown counts for nothing."""
    with Journal(path) as journal:
        kept = [keep(journal).response_id for _ in range(4)]
        removed = journal.clear(iter([kept[0], kept[2], "unknown"]))
        again = journal.clear([kept[0]]), journal.clear([])
        left = journal.ids(*OF)

    assert (removed, again) == (2, (0, 0))
    assert left == [kept[1], kept[3]]


def test_clearing_gives_disk_space_back(path: Path) -> None:
    """Law: the file and its log shrink when what they held has been loaded."""
    with Journal(path) as journal:
        kept = [keep(journal, reply(body=bytes(200_000))) for _ in range(20)]
        journal.clear([])
        before = sum(file.stat().st_size for file in path.parent.iterdir())
        journal.clear(response.response_id for response in kept)
        after = sum(file.stat().st_size for file in path.parent.iterdir())

    assert before > 4_000_000
    assert after < 200_000


def test_clearing_in_the_middle_of_reading_neither_waits_nor_breaks(path: Path) -> None:
    """Law: a reader holds no transaction open; what it has not read yet may go."""
    large = reply(body=bytes(2_000_000))
    with Journal(path) as journal:
        kept = [keep(journal, large) for _ in range(3)]
        waiting = journal.waiting(*OF)
        first = next(waiting)
        journal.clear([kept[0].response_id, kept[1].response_id])
        rest = list(waiting)

    assert [first, *rest] == [kept[0], kept[2]]


def test_only_the_owner_may_read_the_journal(path: Path) -> None:
    """Law: bodies are private: 0600, log included, in a folder of 0700."""
    with Journal(path) as journal:
        keep(journal)
        modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in path.parent.iterdir()}

    assert modes == {
        "journal.sqlite": 0o600,
        "journal.sqlite-wal": 0o600,
        "journal.sqlite-shm": 0o600,
    }
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_journal_of_a_newer_version_is_refused_in_words(path: Path) -> None:
    """Law: an older program neither reads nor changes a newer layout."""
    Journal(path).close()
    con = sqlite3.connect(path)
    con.execute("pragma user_version = 9")
    con.close()

    with pytest.raises(StoreError, match=r"newer execledger \(version 9.*Install"):
        Journal(path)


def test_a_journal_of_an_older_version_is_brought_up_to_date(path: Path) -> None:
    """Law: what waited in an older layout waits in the newer one."""
    with Journal(path) as journal:
        kept = keep(journal)
    older = sqlite3.connect(path)
    older.executescript("drop table watched; drop table submits;")
    older.execute("pragma user_version = 1")
    older.close()

    with Journal(path) as journal:
        waiting = list(journal.waiting(*OF))
        version = journal.file.rows("pragma user_version")
        tables = journal.file.rows("select count(*) from watched")

    assert (waiting, tables) == ([kept], [(0,)])
    assert version == [(journal_file.VERSION,)]


@pytest.mark.parametrize(
    "content", [b"no database, but long enough to be taken for one " * 50, b""]
)
def test_a_file_that_is_no_journal_is_refused_in_words(
    path: Path, content: bytes
) -> None:
    """Law: the error names the file and the next step, and changes nothing."""
    path.parent.mkdir()
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r"journal\.sqlite.*Move it"):
        Journal(path)

    assert path.read_bytes() == content


def test_a_damaged_journal_is_told_in_words(path: Path) -> None:
    """Law: damage found while reading names the file and the next step."""
    with Journal(path) as journal:
        for _ in range(50):
            keep(journal, reply(body=bytes(5000)))
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * (len(whole) - 8192))

    with (
        Journal(path) as journal,
        pytest.raises(StoreError, match=r"journal\.sqlite.*malformed.*Move it"),
    ):
        list(journal.waiting(*OF))


def test_a_folder_in_the_journals_place_is_told_in_words(path: Path) -> None:
    """Law: what the operating system refuses is a ``StoreError`` with the path."""
    path.mkdir(parents=True)

    with pytest.raises(StoreError, match=r"journal\.sqlite: unable to open.*rights"):
        Journal(path)


def test_a_path_below_a_file_is_told_in_words(tmp_path: Path) -> None:
    """Law: a folder that cannot be made is a ``StoreError`` with the path."""
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match=r"file/journal\.sqlite: .*Check the path"):
        Journal(tmp_path / "file" / "journal.sqlite")


def test_a_full_disk_keeps_what_is_there_and_takes_up_again(path: Path) -> None:
    """Law: an append that finds no room raises, is not half there, and may be retried.

    ``max_page_count`` makes SQLite give the same error as a full disk.
    """
    with Journal(path) as journal:
        first = keep(journal)
        journal.file._con.execute("pragma max_page_count = 20")
        with pytest.raises(StoreError, match=r"full.*Free disk space"):
            keep(journal, reply(body=bytes(500_000)))
        journal.file._con.execute("pragma max_page_count = 100000")
        second = keep(journal)
        found = list(journal.waiting(*OF))

    assert found == [first, second]


def test_a_locked_journal_is_told_in_words(path: Path) -> None:
    """Law: who waits in vain for another process learns of it."""
    Journal(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")

    with Journal(path) as journal:
        journal.file._con.execute("pragma busy_timeout = 10")
        with pytest.raises(StoreError, match=r"locked.*Another process"):
            keep(journal)
        other.close()
        kept = keep(journal)
        found = journal.ids(*OF)

    assert found == [kept.response_id]


def test_making_a_journal_leaves_nothing_else_behind(path: Path) -> None:
    """Law: a closed journal is one file."""
    Journal(path).close()

    assert [file.name for file in path.parent.iterdir()] == ["journal.sqlite"]


def test_parameters_that_json_cannot_say_leave_no_row_and_no_lock(path: Path) -> None:
    """Law: an append that fails for any reason ends its transaction."""
    with Journal(path) as journal:
        with pytest.raises(TypeError):
            journal.append(
                provider=OF[0],
                connection=OF[1],
                endpoint="executions",
                params={"odd": object()},
                reply=reply(),
            )
        kept = keep(journal)
        found = journal.ids(*OF)

    assert found == [kept.response_id]


times = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis wants it naive
    max_value=datetime(9999, 12, 31),  # noqa: DTZ001 - likewise
    timezones=st.just(UTC),
)


@given(times, times)
def test_ids_sort_as_their_times_do(one: datetime, other: datetime) -> None:
    """Law: of two times, to the microsecond, the later has the greater id."""
    if one != other:
        assert (uuid7(one) < uuid7(other)) == (one < other)


@given(times)
def test_an_id_is_a_uuid_of_version_7_that_tells_its_time(at: datetime) -> None:
    """Law: RFC 9562: version, variant, milliseconds; microseconds in ``rand_a``."""
    parsed = uuid.UUID(uuid7(at))

    microseconds = (parsed.int >> 80) * 1000 + (parsed.int >> 64 & 0xFFF)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds) == at


def test_two_ids_of_the_same_time_differ() -> None:
    """Law: what is left of an id is random."""
    assert len({uuid7(NOON) for _ in range(100)}) == 100


def test_every_column_of_a_response_is_kept_but_the_rules_version(path: Path) -> None:
    """Law: a field that the model gains must be given a place in the journal."""
    with Journal(path) as journal:
        rows = journal.file._con.execute("pragma table_info(responses)").fetchall()

    fields = {field.name for field in msgspec.structs.fields(Response)}
    assert {row[1] for row in rows} == fields - {"normalizer_version"}


# --- what the watch-list needs of it ------------------------------------------


def test_what_goes_with_an_answer_is_committed_with_it(path: Path) -> None:
    """Law: ``also`` is done in the transaction that keeps the response."""

    def note(con: sqlite3.Connection, response: Response) -> None:
        values = (response.response_id, to_us(response.received_at))
        con.execute("insert into meta values (?, ?)", values)

    with Journal(path) as journal:
        response = keep(journal, also=note)
        said = "select value from meta where name = ?"
        rows = journal.file.rows(said, (response.response_id,))

    assert rows == [(to_us(response.received_at),)]


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        (sqlite3.IntegrityError("odd"), StoreError),
        (ZeroDivisionError(), ZeroDivisionError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=repr,
)
def test_an_answer_is_not_kept_without_what_goes_with_it(
    path: Path, fault: BaseException, raised: type[BaseException]
) -> None:
    """Law: where ``also`` fails, neither is there, and the journal takes up again."""

    def failing(con: sqlite3.Connection, _: Response) -> None:
        con.execute("delete from meta")
        raise fault

    with Journal(path) as journal:
        first = keep(journal)
        with pytest.raises(raised):
            keep(journal, also=failing)
        second = keep(journal)

        assert list(journal.waiting(*OF)) == [first, second]


def test_what_is_kept_within_a_transaction_is_durable_when_that_ends(
    path: Path,
) -> None:
    """Law: several answers may be one commit: all of them are there, or none."""
    with Journal(path) as journal, Journal(path) as elsewhere:
        with journal.file.transaction():
            kept = [keep(journal), keep(journal)]
            before = elsewhere.ids(*OF)
        after = elsewhere.ids(*OF)
        with suppress(ZeroDivisionError), journal.file.transaction():
            keep(journal)
            raise ZeroDivisionError
        kept.append(keep(journal))

        assert before == []
        assert after == [response.response_id for response in kept[:2]]
        assert list(elsewhere.waiting(*OF)) == kept


def test_a_draft_is_what_would_be_kept_and_keeps_nothing(path: Path) -> None:
    """Law: but for its id a draft is the response; the journal is as it was."""
    given: dict[str, Any] = {
        "provider": OF[0],
        "connection": OF[1],
        "endpoint": "executions",
        "params": {"limit": 5, "task_id": "a"},
        "reply": reply(),
    }

    with Journal(path, now=lambda: NOON) as journal:
        draft = journal.draft(**given)
        nothing = journal.ids(*OF)
        kept = journal.append(**given)

    assert nothing == []
    assert msgspec.structs.replace(draft, response_id=kept.response_id) == kept


def test_an_answer_that_came_again_is_counted_while_it_waits(path: Path) -> None:
    """Law: ``repeat`` counts the tries up, and says whether there was what to count."""
    with Journal(path) as journal:
        kept, other = keep(journal), keep(journal)
        told = [journal.repeat(kept.response_id), journal.repeat(kept.response_id)]
        attempts = [response.attempts for response in journal.waiting(*OF)]
        journal.clear([kept.response_id])

        assert told == [True, True]
        assert attempts == [kept.attempts + 2, other.attempts]
        assert journal.repeat(kept.response_id) is False


def test_a_response_is_found_by_its_id_while_it_waits(path: Path) -> None:
    """Law: it is the response as it was kept, or nothing."""
    with Journal(path) as journal:
        kept, _ = keep(journal), keep(journal)
        found = journal.response(kept.response_id)
        journal.clear([kept.response_id])

        assert found == kept
        assert journal.response(kept.response_id) is None


def test_clearing_takes_what_it_ended_off_the_watch_list(path: Path) -> None:
    """Law: with the response goes the execution that it ended, in one transaction."""
    insert = (
        "insert into watched (provider, connection, scope, execution_id, tracked_at, "
        "expires_at, tags, context, due_at, final_response_id) "
        "values ('p', 'c', '', ?, 0, 0, '[]', '{}', 0, ?)"
    )
    with Journal(path) as journal:
        ended, other = keep(journal).response_id, keep(journal).response_id
        with journal.file.transaction() as con:
            rows = [("ended", ended), ("other", other), ("open", None)]
            con.executemany(insert, rows)
        removed = journal.clear([ended])
        left = journal.file.rows("select execution_id from watched order by 1")

    assert (removed, left) == (1, [("open",), ("other",)])


UPGRADING = """
import sys
from pathlib import Path
from sources.journal import Journal

sys.stdin.readline()
with Journal(Path(sys.argv[1])) as journal:
    print(journal.file.rows("pragma user_version")[0][0])
"""


def test_an_older_journal_is_brought_up_to_date_once_over_processes(
    path: Path,
) -> None:
    """Law: of several that open an older journal at once, each finds it made."""
    with Journal(path) as journal:
        kept = keep(journal)
    older = sqlite3.connect(path)
    older.executescript("drop table watched; drop table submits;")
    older.execute("pragma user_version = 1")
    older.close()

    processes = [
        subprocess.Popen(  # noqa: S603 - the program above
            [sys.executable, "-c", UPGRADING, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    printed = [process.communicate("\n")[0] for process in processes]

    with Journal(path) as journal:
        assert list(journal.waiting(*OF)) == [kept]
    assert printed == [f"{journal_file.VERSION}\n"] * 4


def test_an_upgrade_that_fails_leaves_the_older_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a layout is brought up whole or not at all."""
    with Journal(path) as journal:
        kept = keep(journal)
    more = "create table another (one text); create table responses (one text);"
    layout = (*journal_file._LAYOUT, more)

    with monkeypatch.context() as patched:
        patched.setattr(journal_file, "_LAYOUT", layout)
        patched.setattr(journal_file, "VERSION", len(layout))
        with pytest.raises(StoreError, match="responses already exists"):
            Journal(path)

    with Journal(path) as journal:
        assert list(journal.waiting(*OF)) == [kept]
        assert journal.file.rows("pragma user_version") == [(len(layout) - 1,)]
        assert not journal.file.rows(
            "select * from sqlite_master where name = 'another'"
        )
