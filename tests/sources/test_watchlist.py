"""The watch-list: one entry for each execution, one asker, and nothing forgotten."""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sources.errors import StoreError
from sources.exchange import Reply
from sources.journal import Journal
from sources.leases import Owner, owned
from sources.records import Response
from sources.submits import Draft, arriving, begin, settle
from sources.watched import BrokenRead, Watched
from sources.watchlist import Entry, Settled, WatchList, watching

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OF = ("discuro", "default")
REPLY = Reply(
    method="POST", url="https://discuro.example/", elapsed_ms=1, outcome="ok", body=b"1"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where a journal may be made."""
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """Yield a journal."""
    with Journal(path) as opened:
        yield opened


@pytest.fixture
def listed(journal: Journal) -> WatchList:
    """Return the watch-list of the account ``OF``."""
    return WatchList(journal, *OF)


def known(execution_id: str = "98", **more: Any) -> Watched:
    """Return an execution as it is put on the list."""
    return Watched(execution_id=execution_id, **{"tracked_at": NOON} | more)


def due(execution_id: str = "98", **more: Any) -> tuple[Watched, datetime]:
    """Return an execution that is due at noon and expires in a day."""
    return known(execution_id, **{"expires_at": NOON + 24 * HOUR} | more), NOON


def take(listed: WatchList, owner: Owner, limit: int = 99) -> list[str]:
    """Return the ids of what is leased."""
    taken = listed.take(owner, NOON, NOON, limit)
    return [entry.watched.execution_id for entry in taken]


def settled(entry: Entry, **more: Any) -> Settled:
    """Return what becomes of an entry: due again in an hour."""
    fields: dict[str, Any] = {
        "watched": entry.watched,
        "at": NOON,
        "due_at": NOON + HOUR,
        "status": "running",
        "result_state": "pending",
    }
    return Settled(**fields | more)


def keep(journal: Journal, **more: Any) -> Response:
    """Append an answer."""
    given: dict[str, Any] = {"endpoint": "execution", "params": {}, "reply": REPLY}
    return journal.append(provider=OF[0], connection=OF[1], **given | more)


def only(listed: WatchList) -> Entry:
    """Return the one entry."""
    (entry,) = listed.entries()
    return entry


# --- a wrong clock ----------------------------------------------------------


def test_what_a_clock_that_was_ahead_put_off_is_due_now(
    listed: WatchList, journal: Journal
) -> None:
    """Law: times that lie ahead of the clock put nothing off; others stand."""
    later = NOON + 5 * HOUR
    ahead = known("never asked", tracked_at=later, expires_at=later)
    listed.add([(ahead, later), due("asked")])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 99)
        listed.settle(owner, [settled(entry, at=later, due_at=later + HOUR)])
    listed.add([(known("waits"), NOON + HOUR)])

    listed.heed_clock(NOON)

    due_at = {one.watched.execution_id: one.due_at for one in listed.entries()}
    assert due_at == {"never asked": NOON, "asked": NOON, "waits": NOON + HOUR}


# --- what is on it ------------------------------------------------------------


def test_an_entry_comes_back_as_it_was_put_there(listed: WatchList) -> None:
    """Law: whatever is known of an execution is kept, to the microsecond."""
    full = known(
        "a/b ü",
        scope="org/api",
        tracked_at=NOON + timedelta(microseconds=1),
        started_at=NOON - HOUR,
        expires_at=NOON + HOUR,
        tags=(("run", "7"), ("nightly", None)),
        context={"sent": [{"name": "a.pdf"}], "n": 1.5, "none": []},
    )

    new = listed.add([(full, NOON + HOUR)])

    entry = only(listed)
    assert new == 1
    assert entry.watched == full
    assert (entry.due_at, entry.polls, entry.status) == (NOON + HOUR, 0, "queued")
    assert (entry.result_state, entry.is_final) == ("pending", False)


def test_the_same_id_twice_is_one_entry(listed: WatchList) -> None:
    """Law: an execution is on the list once, however often it is put there."""
    new = listed.add([due("1"), due("2"), due("1")])
    again = listed.add([due("2"), due("3")])

    assert (new, again) == (2, 1)
    assert sorted(e.watched.execution_id for e in listed.entries()) == ["1", "2", "3"]


def test_what_is_learnt_later_is_added(listed: WatchList) -> None:
    """Law: start, tags and context fill what was not known, and expiry follows."""
    listed.add([due(context={"a": 1})])

    begun, tags = NOON - 2 * HOUR, (("run", "7"),)
    later = due(
        started_at=begun, expires_at=begun + HOUR, tags=tags, context={"b": [2]}
    )
    listed.add([later])

    watched = only(listed).watched
    assert (watched.started_at, watched.expires_at) == (begun, begun + HOUR)
    assert (watched.tags, watched.context) == (tags, {"a": 1, "b": [2]})


def test_what_is_known_is_not_overwritten(listed: WatchList) -> None:
    """Law: the first word on start and tags holds; a bare id takes nothing away."""
    first = due(started_at=NOON - HOUR, tags=(("run", "7"),), context={"a": 1})
    listed.add([first])

    listed.add([due()])
    listed.add([due(started_at=NOON, expires_at=NOON, tags=(("x", None),))])

    assert only(listed).watched == first[0]


def test_a_start_that_is_learnt_under_way_moves_the_expiry(
    journal: Journal, listed: WatchList
) -> None:
    """Law: what an answer settles does not undo what was tracked meanwhile."""
    listed.add([due()])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        listed.add([due(started_at=NOON - HOUR, expires_at=NOON + 23 * HOUR)])
        listed.settle(owner, [settled(entry)])

    watched = only(listed).watched
    assert watched.started_at == NOON - HOUR
    assert watched.expires_at == NOON + 23 * HOUR


def test_accounts_and_scopes_are_kept_apart(
    journal: Journal, listed: WatchList
) -> None:
    """Law: the same id of another account or scope is another execution."""
    other = WatchList(journal, OF[0], "eu")
    listed.add([due("1", scope="a"), due("1", scope="b")])
    other.add([due("1", scope="a")])

    removed = listed.remove(["1"], "a")

    left = [(one.connection, one.entry.watched.scope) for one in watching(journal)]
    assert removed == 1
    assert sorted(left) == [("default", "b"), ("eu", "a")]
    assert [one.connection for one in watching(journal, OF)] == ["default"]


def test_removing_takes_off_and_counts(listed: WatchList) -> None:
    """Law: without a scope the id goes in all; what is not there is not counted."""
    listed.add([due("1", scope="a"), due("1", scope="b"), due("2")])

    assert listed.remove(["1", "3"]) == 2
    assert listed.remove([]) == 0
    assert only(listed).watched.execution_id == "2"


def test_entries_are_shown_the_soonest_to_expire_first(listed: WatchList) -> None:
    """Law: what is lost first stands first."""
    hours = {"a": 5, "b": 1, "c": 3}
    listed.add([due(name, expires_at=NOON + h * HOUR) for name, h in hours.items()])

    assert [e.watched.execution_id for e in listed.entries()] == ["b", "c", "a"]


ADDING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from sources.journal import Journal
from sources.watched import Watched
from sources.watchlist import WatchList

now = datetime(2026, 3, 1, 12, tzinfo=UTC)
with Journal(Path(sys.argv[1])) as journal:
    listed = WatchList(journal, "discuro", "default")
    for number in range(10):
        for name in (f"{sys.argv[2]}-{number}", f"shared-{number}"):
            listed.add([(Watched(execution_id=name, tracked_at=now), now)])
"""


def python(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program of these tests."""
    return subprocess.Popen(  # noqa: S603 - a program above or below
        [sys.executable, "-c", program, *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_eight_processes_add_at_once_and_nothing_is_lost(path: Path) -> None:
    """Law: any process may add at any time, also to a journal that is not there."""
    processes = [python(ADDING, path, number) for number in range(8)]
    for process in processes:
        process.communicate()

    with Journal(path) as journal:
        names = {one.entry.watched.execution_id for one in watching(journal)}

    own = {f"{process}-{number}" for process in range(8) for number in range(10)}
    assert [process.returncode for process in processes] == [0] * 8
    assert names == own | {f"shared-{number}" for number in range(10)}


# --- leases -------------------------------------------------------------------


def test_the_soonest_to_expire_is_taken_first(
    journal: Journal, listed: WatchList
) -> None:
    """Law: where there is no room for all, what is lost first is asked for first."""
    hours = {"a": 5, "b": 1, "c": 3}
    listed.add([due(name, expires_at=NOON + h * HOUR) for name, h in hours.items()])

    with owned(journal) as owner:
        assert [take(listed, owner, 2), take(listed, owner, 2)] == [["b", "c"], ["a"]]


def test_taking_some_does_not_look_at_all_that_is_due(
    journal: Journal, listed: WatchList
) -> None:
    """Law: what a taking costs does not grow with the list, but with what is taken."""
    steps: list[int] = []
    with owned(journal) as owner:
        for upto in (200, 4000):
            listed.add([due(str(number)) for number in range(upto)])
            steps.append(0)

            def more() -> None:
                steps[-1] += 1

            journal.file._con.set_progress_handler(more, 10)
            taken = take(listed, owner, limit=20)
            journal.file._con.set_progress_handler(None, 0)
            assert len(taken) == 20

    few, many = steps
    assert 0 < many < 1.5 * few


def test_a_watch_list_of_an_older_version_is_taken_from(path: Path) -> None:
    """Law: an older journal gets what the taking needs."""
    with Journal(path) as journal:
        WatchList(journal, *OF).add([due()])
    older = sqlite3.connect(path)
    older.executescript("drop index of_expiry; pragma user_version = 2;")
    older.close()

    with Journal(path) as journal, owned(journal) as owner:
        assert take(WatchList(journal, *OF), owner) == ["98"]


def test_only_what_is_due_is_taken(journal: Journal, listed: WatchList) -> None:
    """Law: ``due_by`` is inclusive, and what is due later stays."""
    listed.add([due("now"), (known("later"), NOON + timedelta(microseconds=1))])

    with owned(journal) as owner:
        assert take(listed, owner) == ["now"]


def test_nothing_is_taken_twice(journal: Journal, listed: WatchList) -> None:
    """Law: what one asks for is not given to another, nor to itself again."""
    listed.add([due("1"), due("2")])

    with owned(journal) as one, owned(journal) as other:
        taken = [take(listed, one, 1), take(listed, other), take(listed, one)]

    assert taken == [["1"], ["2"], []]


def test_what_is_under_way_is_told(journal: Journal, listed: WatchList) -> None:
    """Law: before anything is sent, who asks and since when is durable."""
    listed.add([due()])
    with owned(journal) as owner:
        listed.take(owner, NOON, NOON + HOUR, 1)
        with Journal(journal.file.path) as other:
            entry = only(WatchList(other, *OF))

        assert (entry.owner, entry.asked_at) == (owner.name, NOON + HOUR)


TAKING = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from sources.journal import Journal
from sources.leases import owned
from sources.watchlist import WatchList

now = datetime(2026, 3, 1, 12, tzinfo=UTC)
with Journal(Path(sys.argv[1])) as journal, owned(journal) as owner:
    listed = WatchList(journal, "discuro", "default")
    sys.stdin.readline()
    while taken := listed.take(owner, now, now, 3):
        print(*[entry.watched.execution_id for entry in taken], flush=True)
        for entry in taken:
            one = entry.watched
            owner.arriving(one.scope, one.execution_id).write_text(one.execution_id)
    print("done", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def taking(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process that takes, three at a time, all that is due when told to."""
    with python(TAKING, path) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> None:
    """Let a process go on."""
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


def printed(process: subprocess.Popen[str]) -> list[str]:
    """Return what a process has taken."""
    assert process.stdout
    lines: list[str] = []
    for line in process.stdout:
        if line == "done\n":
            return " ".join(lines).split()
        lines.append(line)
    raise AssertionError("the process ended too early")


def test_two_processes_never_take_the_same(path: Path, listed: WatchList) -> None:
    """Law: each execution has one asker, over processes that take at once."""
    names = [f"{number:03}" for number in range(60)]
    listed.add(map(due, names))

    with taking(path) as one, taking(path) as other:
        told(one)
        told(other)
        taken = printed(one), printed(other)

    assert sorted(taken[0] + taken[1]) == names


def test_the_leases_of_a_killed_process_are_taken_over(
    path: Path, journal: Journal, listed: WatchList
) -> None:
    """Law: after ``kill -9`` what was under way is told, with what had arrived."""
    listed.add([due("1"), due("2")])
    with taking(path) as process:
        told(process)
        assert len(printed(process)) == 2
        process.kill()
        assert process.wait() == -signal.SIGKILL

    with owned(journal) as owner:
        assert take(listed, owner) == []
        over = {
            entry.watched.execution_id: (entry.asked_at, file.read_text())
            for entry, file in listed.take_over(owner, NOON + HOUR)
        }
        again = list(listed.take_over(owner, NOON))
        folders = list(path.with_name("journal.sqlite-polls").glob("*/"))

    assert over == {"1": (NOON, "1"), "2": (NOON, "2")}
    assert again == []
    assert folders == [owner.folder]


def test_the_leases_of_a_living_process_are_not_taken_over(
    path: Path, journal: Journal, listed: WatchList
) -> None:
    """Law: a result that is read once is asked for by nobody else meanwhile."""
    listed.add([due("1")])
    with taking(path) as process:
        told(process)
        assert printed(process) == ["1"]
        with owned(journal) as owner:
            over = list(listed.take_over(owner, NOON))
            (entry,) = listed.entries()
            assert entry.owner

    folder = path.with_name("journal.sqlite-polls") / entry.owner
    assert over == []
    assert [file.read_text() for file in folder.iterdir()] == ["1"]


def test_one_account_leaves_the_leases_of_another_alone(
    path: Path, journal: Journal, listed: WatchList
) -> None:
    """Law: a dead owner's folder stays while any account's lease is its."""
    listed.add([due("1")])
    with taking(path) as process:
        told(process)
        printed(process)
    other = WatchList(journal, OF[0], "eu")

    with owned(journal) as owner:
        assert list(other.take_over(owner, NOON)) == []
        ((_, file),) = listed.take_over(owner, NOON)
        assert file.read_text() == "1"


def test_what_arrived_outlives_a_second_kill(
    journal: Journal, listed: WatchList
) -> None:
    """Law: a take-over that is itself cut off anywhere leaves the body to the next."""
    listed.add([due("1")])
    with owned(journal) as first:
        (entry,) = listed.take(first, NOON, NOON, 1)
        one = entry.watched
        first.arriving(one.scope, one.execution_id).write_bytes(b"half a res")
    with owned(journal) as second:
        next(listed.take_over(second, NOON + HOUR))  # and no further

    with owned(journal) as third:
        ((entry, file),) = listed.take_over(third, NOON + 2 * HOUR)
        assert file.read_bytes() == b"half a res"

    assert entry.asked_at == NOON


def test_an_owner_that_ends_well_leaves_nothing_behind(
    path: Path, journal: Journal, listed: WatchList
) -> None:
    """Law: folder and lock go with the owner, once its leases are given back."""
    listed.add([due("1")])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        one = entry.watched
        owner.arriving(one.scope, one.execution_id).write_bytes(b"1")
        listed.settle(owner, [settled(entry)])

    left = [file.name for file in path.with_name("journal.sqlite-polls").iterdir()]
    assert left in ([], ["guard"])


def test_an_owner_that_ends_with_a_lease_leaves_it_to_the_next(
    journal: Journal, listed: WatchList
) -> None:
    """Law: what ends between answer and journal loses no body that has arrived."""
    listed.add([due("1")])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        one = entry.watched
        owner.arriving(one.scope, one.execution_id).write_bytes(b"all of it")

    with owned(journal) as other:
        ((entry, file),) = listed.take_over(other, NOON + HOUR)
        assert file.read_bytes() == b"all of it"

    assert entry.asked_at == NOON


def test_what_arrived_of_the_answer_to_a_submit_is_not_swept(
    journal: Journal, listed: WatchList
) -> None:
    """Law: a folder stays while a submit is its owner's, also beyond a kill."""
    draft = Draft(provider=OF[0], connection=OF[1], scope="", what={})
    with owned(journal) as owner:
        submit = begin(journal, owner, draft, NOON)
        arriving(journal, submit).write_bytes(b"the id of what was started")

    with owned(journal) as other:
        assert list(listed.take_over(other, NOON)) == []
        assert arriving(journal, submit).exists()
        settle(journal, replace(submit, state="unknown", owner=None), was="sending")
        list(listed.take_over(other, NOON))

    assert not arriving(journal, submit).exists()


def test_what_was_never_asked_for_is_given_back(
    journal: Journal, listed: WatchList
) -> None:
    """Law: a released entry is as if nobody had taken it; another's lease stays."""
    listed.add([due("1"), due("2")])
    with owned(journal) as one, owned(journal) as other:
        released = listed.take(one, NOON, NOON, 1)
        kept = listed.take(other, NOON, NOON, 1)
        listed.release(one, [*released, *kept])

        assert [e.asked_at for e in listed.entries()] == [None, NOON]
        assert take(listed, one) == ["1"]


def test_the_folder_of_an_owner_is_its_users_alone(journal: Journal) -> None:
    """Law: bodies that arrive are for nobody else's eyes."""
    with owned(journal) as owner:
        lock = owner.folder.with_suffix(".lock")
        modes = [path.stat().st_mode & 0o777 for path in (owner.folder, lock)]

    assert modes == [0o700, 0o600]


def test_many_owners_begin_while_leftovers_are_swept(
    journal: Journal, listed: WatchList
) -> None:
    """Law: no sweeping takes an owner who just begins for a dead one's leftover."""
    with owned(journal) as sweeper:
        for number in range(20):
            listed.add([due(str(number))])
            with owned(journal) as owner:
                assert take(listed, owner) == [str(number)]
                assert list(listed.take_over(sweeper, NOON)) == []
                assert owner.folder.is_dir()
                listed.release(owner, listed.entries())
            listed.remove([str(number)])


# --- what becomes of an entry -------------------------------------------------


def test_an_answer_is_noted_in_the_transaction_that_keeps_it(
    journal: Journal, listed: WatchList
) -> None:
    """Law: nothing is under way from the moment on in which the answer is kept."""
    listed.add([due()])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        response = keep(journal, also=listed.answered(owner, entry.watched))
        noted = only(listed)
        listed.settle(owner, [settled(entry)])

    assert (noted.asked_at, noted.owner) == (None, owner.name)
    assert noted.last_response_id == response.response_id


def test_a_broken_read_is_noted_with_its_answer(
    journal: Journal, listed: WatchList
) -> None:
    """Law: that a read broke is durable as soon as its answer is."""
    earlier = BrokenRead(at=NOON - HOUR, reason="reset", size_bytes=3)
    now = BrokenRead(at=NOON, reason="cut", size_bytes=5)
    listed.add([due()])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        watched = entry.watched.broken_by(earlier, keep(journal))
        response = keep(journal, also=listed.answered(owner, watched, now))
        reads = only(listed).watched.broken_reads

    assert [(read.reason, read.size_bytes) for read in reads] == [
        ("reset", 3),
        ("cut", 5),
    ]
    assert reads[1].response_id == response.response_id


def test_an_answer_that_is_not_kept_is_not_noted(
    journal: Journal, listed: WatchList
) -> None:
    """Law: the entry says that its answer is kept if and only if it is."""
    listed.add([due()])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        note = listed.answered(owner, entry.watched)

        def broken(con: sqlite3.Connection, response: Response) -> None:
            note(con, response)
            raise sqlite3.OperationalError("disk I/O error")

        with pytest.raises(StoreError, match="disk I/O error"):
            keep(journal, also=broken)

        assert only(listed).asked_at == NOON
        assert journal.ids(*OF) == []


def test_settling_says_when_it_is_due_again(
    journal: Journal, listed: WatchList
) -> None:
    """Law: everything that an answer said stands in the entry; the lease is back."""
    read = BrokenRead(at=NOON, reason="cut")
    listed.add([due()])
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        watched = entry.watched.broken_by(read, keep(journal))
        outcome = settled(
            entry,
            watched=watched,
            expires_at=NOON + 3 * HOUR,
            error="no answer",
            response_id="r",
            sha256="s",
        )
        listed.settle(owner, [outcome])

    now = only(listed)
    assert (now.due_at, now.polls, now.last_poll_at) == (NOON + HOUR, 1, NOON)
    assert (now.status, now.result_state) == ("running", "pending")
    assert now.watched.broken_reads == watched.broken_reads
    assert now.watched.expires_at == NOON + 3 * HOUR
    assert (now.last_error, now.last_response_id) == ("no answer", "r")
    assert (now.last_sha256, now.owner, now.asked_at) == ("s", None, None)


def test_settling_with_a_lost_lease_changes_nothing(
    journal: Journal, listed: WatchList
) -> None:
    """Law: whoever was taken for dead has no say any more."""
    listed.add([due()])
    with owned(journal) as one, owned(journal) as other:
        (entry,) = listed.take(one, NOON, NOON, 1)
        listed.release(one, [entry])
        listed.take(other, NOON, NOON + HOUR, 1)
        before = only(listed)
        listed.settle(one, [settled(entry, status="failed")])
        keep(journal, also=listed.answered(one, entry.watched))

        assert only(listed) == before


def final(journal: Journal, listed: WatchList, execution_id: str) -> Response:
    """Let an answer end an entry; return the answer."""
    with owned(journal) as owner:
        (entry,) = listed.take(owner, NOON, NOON, 1)
        assert entry.watched.execution_id == execution_id
        response = keep(journal, also=listed.answered(owner, entry.watched))
        ended = settled(
            entry,
            due_at=NOON,
            response_id=response.response_id,
            status="succeeded",
            result_state="captured",
            is_final=True,
        )
        listed.settle(owner, [ended])
    return response


def test_what_is_final_is_asked_for_no_more(
    journal: Journal, listed: WatchList
) -> None:
    """Law: the end of an entry is the end, also when its id is tracked again."""
    listed.add([due()])
    final(journal, listed, "98")

    new = listed.add([due(started_at=NOON, tags=(("again", None),))])

    entry = only(listed)
    with owned(journal) as owner:
        assert take(listed, owner) == []
    assert (new, entry.is_final, listed.next_due()) == (0, True, None)
    assert (entry.status, entry.result_state) == ("succeeded", "captured")


def test_a_final_entry_goes_when_its_answer_is_loaded(
    journal: Journal, listed: WatchList
) -> None:
    """Law: clearing the answer that ended it takes an entry off, and no other."""
    listed.add([due("1")])
    response = final(journal, listed, "1")
    listed.add([due("2")])
    unrelated = keep(journal)

    journal.clear([unrelated.response_id])
    before = [entry.watched.execution_id for entry in listed.entries()]
    journal.clear([response.response_id])

    assert sorted(before) == ["1", "2"]
    assert only(listed).watched.execution_id == "2"


def test_what_is_known_to_go_on_is_deferred(
    journal: Journal, listed: WatchList
) -> None:
    """Law: deferring moves a free entry later, never earlier, and no leased one."""
    listed.add([due("free"), due("leased", expires_at=NOON), due("later")])
    with owned(journal) as owner:
        take(listed, owner, 1)
        for name in ("free", "leased", "later"):
            listed.defer(name, NOON + 2 * HOUR)
        listed.defer("later", NOON + HOUR)

        found = {e.watched.execution_id: e.due_at - NOON for e in listed.entries()}

    assert found == {"free": 2 * HOUR, "leased": 0 * HOUR, "later": 2 * HOUR}


def test_the_next_that_is_due_is_told(journal: Journal, listed: WatchList) -> None:
    """Law: it is the earliest that is neither final nor under way."""
    assert listed.next_due() is None
    listed.add([due("1"), (known("2"), NOON + HOUR)])
    assert listed.next_due() == NOON

    with owned(journal) as owner:
        take(listed, owner)
        assert listed.next_due() == NOON + HOUR


# --- names of files -----------------------------------------------------------

ODD = ["../x", "..", ".", "a/b", "a\\b", "ü" * 300, "x" * 500, "%2F", "CON", "a\tb"]


@given(ids=st.lists(st.text(min_size=1) | st.sampled_from(ODD), unique=True))
def test_the_file_of_an_odd_id_is_its_own_and_stays_in_the_folder(
    ids: list[str],
) -> None:
    """Law: no id leads out of the folder, is too long, or shares another's file."""
    owner = Owner("o", Path("/polls/o"))
    scopes = ["", "a", "a/b"]

    files = {owner.arriving(scope, one) for one in ids for scope in scopes}

    assert len(files) == len(ids) * len(scopes)
    assert {file.parent for file in files} <= {owner.folder}
    assert all(file.name.isalnum() and len(file.name) <= 100 for file in files)


def test_ids_that_end_alike_or_meet_at_the_slash_have_files_of_their_own() -> None:
    """Law: neither a long common end nor a slash in a scope makes two ids one."""
    owner = Owner("o", Path("/polls/o"))
    long = [known(f"{number}{'x' * 400}") for number in range(3)]
    slashed = [known("c", scope="a/b"), known("b/c", scope="a")]

    files = {owner.arriving(one.scope, one.execution_id) for one in [*long, *slashed]}

    assert len(files) == 5
