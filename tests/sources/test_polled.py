"""Polled providers: kept first, judged then; and nothing read once is lost unsaid."""

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sources.errors import KeyRefused, ServerFault, StoreError, TransportFault
from sources.exchange import Reply
from sources.http import Http
from sources.journal import Journal
from sources.json_text import canonical_sha256
from sources.leases import owned
from sources.lines import ENDPOINT, Line
from sources.loopback import serve
from sources.observations import Observation, Sight
from sources.polled import Poller, added, planned_polls
from sources.polling import Pace
from sources.provider import Collected, unwatched
from sources.records import Response, execution_key
from sources.seen import Seen
from sources.watched import GIVE_UP, Watched, watched
from sources.watchlist import Entry, WatchList
from tests.sources.virtual_time import NOON, VirtualTime

ROOT = Path(__file__).resolve().parents[2]
OF = ("small", "default")
HOUR = timedelta(hours=1)
URL = "http://small.example/x"


def said(code: int = 200, /, **body: Any) -> Reply:
    """Return an answer with a JSON document."""
    data = json.dumps(body).encode()
    return Reply(
        method="GET",
        url=URL,
        http_status=code,
        elapsed_ms=1,
        outcome="ok" if code == 200 else "http_error",
        body=data,
        body_sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
    )


def broken(outcome: Any = "transport_error", **more: Any) -> Reply:
    """Return what a request came to that brought no whole answer."""
    fields: dict[str, Any] = {
        "method": "GET",
        "url": URL,
        "elapsed_ms": 1,
        "outcome": outcome,
        "error": "ReadError: reset",
    }
    return Reply(**fields | more)


RUNNING = said(status="running")
DONE = said(status="succeeded", result="42")


def observe(response: Response) -> Sight:
    """Say what a body says: a status that is known, of the execution asked for."""
    known = watched(response)
    document = json.loads(response.body or b"") if response.outcome == "ok" else {}
    if response.http_status == 406:
        document = {"status": "unknown", "lost": "acknowledged_elsewhere"}
    if "status" not in document:
        if not known.is_given_up(response.received_at):
            return Sight(outcome=response.outcome)
        document = {"status": "unknown", "lost": "missing"}
    is_over = document["status"] not in {"queued", "running"}
    state = document.get("lost", "captured" if is_over else "pending")
    seen = Observation(
        kind="detail",
        key=execution_key(*OF, known.scope, known.execution_id),
        pointer="",
        sha256=canonical_sha256([document, known.context.get("meaning")]),
        status=document["status"],
        result_state=state,
        is_terminal=is_over and state != "pending",
    )
    return Sight(outcome="ok", observations=[seen])


class Small:
    """A provider in memory: it gives each id its next answer, the last always."""

    def __init__(self, journal: Journal, time: VirtualTime) -> None:
        self.journal = journal
        self.time = time
        self.answers: dict[str, list[Reply | Exception]] = defaultdict(
            lambda: [RUNNING]
        )
        self.asked: list[str] = []
        self.recovered: list[Path] = []
        self.left: list[bytes] = []
        self.found = broken(error="the process ended before an answer came")
        self.observed: list[Response] = []
        self.stored: dict[str, str] = {}
        self.line: dict[str, Any] = {}
        self.listed = WatchList(journal, *OF)

    async def ask(self, known: Watched, arriving: Path | None) -> Reply:
        """Answer; what arrives is in the file meanwhile, if there is one."""
        name = known.execution_id
        if arriving is not None:
            self._arrives(arriving)
        self.asked.append(name)
        answers = self.answers[name]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _arrives(self, arriving: Path) -> None:
        assert not arriving.exists()
        arriving.write_bytes(b"arriving")

    def find(self, known: Watched, arriving: Path) -> Reply:
        """Return what a process that died had of an answer."""
        del known
        self.recovered.append(arriving)
        self.left += [arriving.read_bytes()] if arriving.exists() else []
        return self.found

    def observe(self, response: Response) -> Sight:
        """Observe, and note what was looked at."""
        self.observed.append(response)
        return observe(response)

    def add(self, *names: str, **more: Any) -> None:
        """Put executions on the list, due now."""
        ttl = more.pop("ttl", 24 * HOUR)
        begun = {"tracked_at": self.time.now()} | more
        known = [Watched(execution_id=name, **begun) for name in names]
        self.listed.add([added(one, ttl) for one in known])

    def poller(self, journal: Journal | None = None) -> Poller:
        """Return one collecting."""
        fields: dict[str, Any] = {
            "provider": OF[0],
            "title": "Small",
            "connection": OF[1],
            "ask": self.ask,
            "recovered": self.find,
            "observe": self.observe,
            "pace": Pace(interval_s=5, jitter=0),
            "in_flight": 4,
            "ttl": 24 * HOUR,
        }
        seen = Seen(self.select, *OF)
        line = Line(**fields | self.line)
        clock = self.time.clock
        return Poller(line, journal or self.journal, seen, unwatched, clock)

    def select(self, sql: str, values: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """Return what the store holds of executions."""
        del sql
        rows = [(key, self.stored[key]) for key in values[-1] if key in self.stored]
        return [(k, "succeeded", None, NOON, NOON, None, "", s) for k, s in rows]

    def run(self, max_wait_s: float = 0) -> Collected:
        """Collect once."""

        async def main() -> Collected:
            with self.poller() as poller:
                return await poller.run(max_wait_s)

        return self.time.run(main())

    def again(self, after_s: float = 3600.0, max_wait_s: float = 0) -> Collected:
        """Collect once more, later."""
        passed = self.time.passed_s + after_s
        self.time = VirtualTime()
        self.time.passed_s = passed
        return self.run(max_wait_s)

    @property
    def entry(self) -> Entry:
        """The one entry of the watch-list."""
        (found,) = self.listed.entries()
        return found

    @property
    def kept(self) -> list[Response]:
        """What is in the journal."""
        return list(self.journal.waiting(*OF))

    def reads(self) -> list[tuple[datetime, str, int]]:
        """Return the broken reads of the one entry, without their answers."""
        reads = self.entry.watched.broken_reads
        assert [one.response_id in self.journal.ids(*OF) for one in reads] == [
            True for _ in reads
        ]
        return [(one.at, one.reason, one.size_bytes) for one in reads]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Small]:
    """Yield a provider with an empty watch-list."""
    held: list[Small] = []

    def now() -> datetime:
        return held[0].time.now()

    with Journal(tmp_path / "journal.sqlite", now=now) as journal:
        held.append(Small(journal, VirtualTime()))
        yield held[0]


# --- kept, then judged --------------------------------------------------------


def test_an_answer_is_kept_before_anything_looks_at_it(small: Small) -> None:
    """Law: what ``observe`` is given is in the journal, and survives its failure."""
    small.add("1")
    kept: list[list[str]] = []

    def looking(response: Response) -> Sight:
        kept.append(small.journal.ids(*OF))
        assert response.response_id in kept[-1]
        raise ZeroDivisionError

    small.line["observe"] = looking
    with pytest.raises(ZeroDivisionError):
        small.run()

    assert kept == [small.journal.ids(*OF)]
    assert len(small.kept) == 1


def test_answers_that_come_together_are_kept_before_one_is_looked_at(
    small: Small,
) -> None:
    """Law: what comes in one turn is there by then, for other processes too."""
    small.add("1", "2", "3")
    seen: list[int] = []

    def looking(response: Response) -> Sight:
        with Journal(small.journal.file.path) as elsewhere:
            seen.append(len(elsewhere.ids(*OF)))
        return observe(response)

    small.line["observe"] = looking
    small.run()

    assert seen == [3, 3, 3]
    assert [one.polls for one in small.listed.entries()] == [1, 1, 1]


def test_what_was_known_of_an_execution_goes_with_its_answer(small: Small) -> None:
    """Law: rows can be made of the answer alone."""
    small.line["context"] = {"model": "m"}
    small.add("1", scope="s", tags=(("run", "7"),), context={"sent": [1]})

    small.run()

    (response,) = small.kept
    known = watched(response)
    assert (response.endpoint, known.execution_id, known.scope) == (ENDPOINT, "1", "s")
    assert known.tags == (("run", "7"),)
    assert known.context == {"sent": [1], "model": "m"}
    assert known.expires_at == NOON + 24 * HOUR


def test_a_round_captures_what_is_done_and_waits_for_the_rest(small: Small) -> None:
    """Law: what is final is asked for no more, what is pending after the interval."""
    small.add("done", "runs")
    small.answers["done"] = [DONE]

    collected = small.run()
    entries = {one.watched.execution_id: one for one in small.listed.entries()}
    small.again()

    assert collected.counts == {"polls": 2, "captured": 1}
    assert collected.errors == []
    assert entries["done"].is_final
    assert entries["done"].result_state == "captured"
    assert (entries["runs"].status, entries["runs"].polls) == ("running", 1)
    wait = entries["runs"].due_at - (entries["runs"].last_poll_at or NOON)
    assert wait == timedelta(seconds=5)
    assert sorted(small.asked) == ["done", "runs", "runs"]


def test_polling_goes_on_until_all_is_done(small: Small) -> None:
    """Law: with time to wait, polls grow rarer and end with the last result."""
    small.add("1")
    small.answers["1"] = [*(said(status="running", n=n) for n in range(4)), DONE]

    collected = small.run(max_wait_s=600)

    assert collected.counts == {"polls": 5, "captured": 1}
    assert small.time.passed_s == pytest.approx(5 + 7.5 + 11.25 + 16.875)
    assert len(small.kept) == 5


def test_nothing_is_left_of_the_file_when_the_answer_is_kept(
    small: Small, tmp_path: Path
) -> None:
    """Law: what arrived is in one place: the journal."""
    small.add("1", "2")

    small.run()

    assert [p for p in tmp_path.rglob("*") if p.is_dir()] == [
        tmp_path / "journal.sqlite-polls"
    ]
    assert len(small.kept) == 2


# --- equal answers ------------------------------------------------------------


def test_equal_pending_answers_are_one_with_their_number(small: Small) -> None:
    """Law: a thousand times "running" is one response that came so often."""
    small.add("1")

    small.run()
    small.again()
    small.again()

    (response,) = small.kept
    assert response.attempts == 3
    assert small.entry.polls == 3
    assert small.entry.last_poll_at == NOON + 2 * HOUR


def test_after_a_load_an_equal_answer_is_kept_anew(small: Small) -> None:
    """Law: only with one that still waits is an answer merged."""
    small.add("1")
    small.run()
    first = small.kept[0].response_id
    small.journal.clear([first])

    small.again()

    (response,) = small.kept
    assert (response.response_id != first, response.attempts) == (True, 1)


def test_another_answer_is_kept_by_itself(small: Small) -> None:
    """Law: what differs in any byte is another response."""
    small.add("1")
    small.answers["1"] = [RUNNING, said(status="running", n=1), RUNNING]

    small.run()
    small.again()
    small.again()

    assert [response.attempts for response in small.kept] == [1, 1, 1]


def test_equal_bytes_that_mean_another_thing_are_kept(small: Small) -> None:
    """Law: the same answer with new knowledge changes rows, so it is kept."""
    small.add("1")
    small.run()
    small.listed.add([(Watched(execution_id="1", tracked_at=NOON), NOON)])
    small.line["context"] = {"meaning": "changed"}

    small.again()

    assert [response.attempts for response in small.kept] == [1, 1]


def test_the_same_answer_in_the_end_is_kept_as_the_last(small: Small) -> None:
    """Law: when an execution is given up, the answer that says so is kept."""
    small.line["recovered"] = None
    small.add("1")
    small.answers["1"] = [said(404, detail="not synced")]

    small.run()
    before = small.entry.is_final
    collected = small.again(after_s=48 * 3600.0)

    assert (before, small.entry.is_final) == (False, True)
    assert small.entry.result_state == "missing"
    assert collected.counts == {"polls": 1, "lost": 1}
    assert len(small.kept) == 2


def test_given_up_means_a_day_after_the_expiry(small: Small) -> None:
    """Law: until then such an answer ends nothing, from then on nothing is asked."""
    small.line["recovered"] = None
    small.answers["1"] = [broken()]
    small.add("1", ttl=HOUR)
    day_s = (HOUR + GIVE_UP).total_seconds()

    small.again(after_s=day_s - 1)
    before = small.entry.is_final
    small.again(after_s=3600)
    small.again()

    assert (before, small.entry.is_final) == (False, True)
    assert len(small.asked) == 2


# --- reads that break ---------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "size"),
    [
        (broken(), 0),
        (broken("truncated", http_status=200, body=b'{"st', size_bytes=4), 4),
        (said(502), 2),
        (said(500, detail="x"), 15),
    ],
    ids=["reset", "cut", "502", "500"],
)
def test_a_read_that_may_have_consumed_the_result_is_recorded(
    small: Small, reply: Reply, size: int
) -> None:
    """Law: of what is read once, a read that broke is never repeated in silence."""
    small.answers["1"] = [reply, said(406)]
    small.add("1")

    small.run()
    reason = reply.error or f"the server answered {reply.http_status}"
    assert small.reads() == [(NOON, reason, size)]
    small.again()

    assert [len(watched(one).broken_reads) for one in small.kept] == [0, 1]
    assert small.entry.is_final


@pytest.mark.parametrize(
    "reply",
    [
        broken(was_sent=False, error="ConnectError: refused"),
        said(429),
        said(404),
        RUNNING,
    ],
    ids=["never connected", "429", "404", "running"],
)
def test_a_read_that_consumed_nothing_is_not_recorded(
    small: Small, reply: Reply
) -> None:
    """Law: no result is called lost in transit for a request that did not take it."""
    small.answers["1"] = [reply]
    small.add("1")

    small.run()

    assert small.reads() == []
    assert not small.entry.is_final


def test_a_read_that_may_be_repeated_is_no_broken_one(small: Small) -> None:
    """Law: where reading consumes nothing, a reset is a reset."""
    small.line["recovered"] = None
    small.answers["1"] = [broken()]
    small.add("1")

    small.run()

    assert small.reads() == []


def test_each_broken_read_is_recorded_though_the_answer_is_the_same(
    small: Small,
) -> None:
    """Law: equal answers are merged only where they consumed nothing."""
    small.answers["1"] = [said(502)]
    small.add("1")

    small.run()
    small.again()

    assert [at for at, *_ in small.reads()] == [NOON, NOON + HOUR]
    assert len(small.kept) == 2


def test_a_time_out_is_still_pending(small: Small) -> None:
    """Law: no failed poll makes an execution failed; it is asked for again."""
    small.add("1")
    small.answers["1"] = [RUNNING, broken(error="ReadTimeout"), DONE]

    small.run()
    collected = small.again()
    entry = small.entry
    small.again()

    assert (entry.status, entry.result_state) == ("running", "pending")
    assert [type(error) for error in collected.errors] == [TransportFault]
    assert "ReadTimeout" in (entry.last_error or "")
    assert small.entry.result_state == "captured"
    assert small.entry.last_error is None


# --- after a kill -------------------------------------------------------------


def die_asking(small: Small, name: str, arrived: bytes | None = None) -> Path:
    """Leave behind what a process does that dies while it asks for one."""
    with owned(small.journal) as owner:
        now = small.time.now()
        (entry,) = small.listed.take(owner, now, now, 1)
        assert entry.watched.execution_id == name
        file = owner.arriving(entry.watched.scope, entry.watched.execution_id)
        if arrived is not None:
            file.write_bytes(arrived)
    return file


def test_a_body_that_was_cut_by_a_kill_is_kept_as_cut(small: Small) -> None:
    """Law: what had arrived is kept with its size, as a broken read of that time."""
    small.add("1")
    die_asking(small, "1", b"half")
    small.found = broken(
        "truncated", http_status=200, body=b"half", size_bytes=4, error="it ended"
    )

    small.again()

    first, second = small.kept
    assert (first.outcome, first.body, first.size_bytes) == ("truncated", b"half", 4)
    assert small.reads() == [(NOON, "it ended", 4)]
    assert [len(watched(one).broken_reads) for one in (first, second)] == [0, 1]


def test_a_body_that_had_arrived_whole_is_captured(small: Small) -> None:
    """Law: a result that was handed out whole before a kill is in the journal."""
    small.add("1")
    file = die_asking(small, "1", b"whole")
    small.found = DONE

    collected = small.again()

    assert small.recovered[0].name == file.name
    assert [response.body for response in small.kept] == [DONE.body]
    assert collected.counts == {"captured": 1}
    assert small.entry.is_final
    assert small.asked == []
    assert small.reads() == []


def test_no_answer_before_a_kill_is_a_broken_read(small: Small) -> None:
    """Law: a request without a trace may have consumed the result: it is said."""
    small.add("1")
    die_asking(small, "1")

    small.again()

    assert [one.outcome for one in small.kept] == ["transport_error", "ok"]
    assert small.reads() == [(NOON, "the process ended before an answer came", 0)]


def test_what_was_taken_over_is_asked_for_again_at_once(small: Small) -> None:
    """Law: after a broken read nobody has looked since: the next round does, once."""
    small.add("1")
    file = die_asking(small, "1", b"half")

    small.again()

    assert small.asked == ["1"]
    assert not file.exists()


def test_an_answer_that_was_kept_but_not_looked_at_is_judged(small: Small) -> None:
    """Law: a kill between the journal and the watch-list asks nothing twice."""
    small.add("1")
    with owned(small.journal) as owner:
        (entry,) = small.listed.take(owner, NOON, NOON, 1)
        small.journal.append(
            provider=OF[0],
            connection=OF[1],
            endpoint=ENDPOINT,
            params=entry.watched.as_params(),
            reply=DONE,
            also=small.listed.answered(owner, entry.watched),
        )

    collected = small.again()

    assert (small.asked, small.recovered) == ([], [])
    assert collected.counts == {"captured": 1}
    assert small.entry.is_final
    assert small.entry.last_response_id == small.kept[0].response_id


def test_a_broken_read_that_was_kept_but_not_settled_is_known(small: Small) -> None:
    """Law: a kill right behind the journal's commit forgets no broken read."""
    small.add("1")
    small.answers["1"] = [said(502)]

    def killed(response: Response) -> Sight:
        del response
        raise ZeroDivisionError

    small.line["observe"] = killed
    with pytest.raises(ZeroDivisionError):
        small.run()
    small.line["observe"] = small.observe
    small.again()

    assert small.asked == ["1"]
    assert small.reads() == [(NOON, "the server answered 502", 2)]


def test_an_answer_that_came_again_but_was_not_settled_is_no_broken_read(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a kill right behind the journal's commit asks nothing twice."""
    small.add("1")
    small.run()

    def killed(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(WatchList, "settle", killed)
        with pytest.raises(ZeroDivisionError):
            small.again()
    owner = small.entry.owner
    small.again(after_s=0)

    assert owner is not None
    assert small.asked == ["1", "1"]
    assert small.recovered == []
    assert [one.attempts for one in small.kept] == [2]
    assert small.reads() == []


def test_an_answer_that_was_loaded_before_it_was_judged_is_asked_anew(
    small: Small,
) -> None:
    """Law: an entry whose answer has left the journal goes on as it was."""
    small.add("1")
    with owned(small.journal) as owner:
        (entry,) = small.listed.take(owner, NOON, NOON, 1)
        response = small.journal.append(
            provider=OF[0],
            connection=OF[1],
            endpoint=ENDPOINT,
            params={},
            reply=RUNNING,
            also=small.listed.answered(owner, entry.watched),
        )
    small.journal.clear([response.response_id])

    small.again()

    assert small.asked == ["1"]
    assert small.entry.status == "running"


def test_a_full_disk_leaves_what_has_arrived_to_the_next(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: an answer that cannot be journaled stays in its file, and is not lost."""
    small.add("1")
    small.answers["1"] = [DONE]

    def full(**_: object) -> Response:
        raise StoreError("The journal: the disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(small.journal, "append", full)
        with pytest.raises(StoreError, match="full"):
            small.run()
    small.found = DONE
    small.again()

    assert small.asked == ["1"]
    assert len(small.recovered) == 1
    assert small.entry.result_state == "captured"


def test_answers_that_cannot_be_kept_together_all_stay_in_their_files(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a commit of several answers that fails loses none of them."""
    small.add("1", "2", "3")
    small.answers |= {name: [DONE] for name in "123"}
    append, calls = small.journal.append, iter(range(9))

    def full_soon(**given: Any) -> Response:
        if next(calls) == 1:
            raise StoreError("The journal: the disk is full.")
        return append(**given)

    with monkeypatch.context() as patched:
        patched.setattr(small.journal, "append", full_soon)
        with pytest.raises(StoreError, match="full"):
            small.run()
    kept = small.kept
    small.found = DONE
    small.again()

    assert kept == []
    assert sorted(small.asked) == ["1", "2", "3"]
    assert small.left == [b"arriving"] * 3
    assert len(small.kept) == 3
    assert all(one.is_final for one in small.listed.entries())


def test_a_read_that_may_be_repeated_leaves_no_file_and_is_asked_for_again(
    small: Small,
) -> None:
    """Law: where reading consumes nothing, a kill leaves nothing to tell."""
    small.line["recovered"] = None
    small.add("1")
    die_asking(small, "1")
    files: list[Path | None] = []

    async def ask(known: Watched, arriving: Path | None) -> Reply:
        files.append(arriving)
        return await small.ask(known, arriving)

    small.line["ask"] = ask
    collected = small.again()

    assert files == [None]
    assert collected.counts == {"polls": 1}
    assert collected.errors == []
    assert [one.outcome for one in small.kept] == ["ok"]
    assert small.entry.polls == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from sources.journal import Journal
from tests.sources.test_polled import DONE, Small
from tests.sources.virtual_time import VirtualTime

with Journal(Path(sys.argv[1])) as journal:
    append, kept = journal.append, []

    def dying(**given):
        kept.append(append(**given))
        if len(kept) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return kept[-1]

    journal.append = dying
    small = Small(journal, VirtualTime())
    small.answers |= {name: [DONE] for name in "123"}
    small.run()
"""


def test_a_kill_in_the_middle_of_a_commit_loses_none_of_its_answers(
    small: Small,
) -> None:
    """Law: until a commit of several answers is done, each is in its own file."""
    small.add("1", "2", "3")
    command = [sys.executable, "-c", KILLED, str(small.journal.file.path)]

    killed = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - ours
    before = small.kept
    small.found = DONE
    collected = small.again()

    assert (killed.returncode, before) == (-signal.SIGKILL, [])
    assert small.asked == []
    assert small.left == [b"arriving"] * 3
    assert len(small.kept) == 3
    assert collected.counts == {"captured": 3}


DYING = """
import asyncio, sys
from pathlib import Path
from sources.http import Http
from sources.journal import Journal
from tests.sources.test_polled import asking

with Journal(Path(sys.argv[1])) as journal:
    asyncio.run(asking(journal, sys.argv[2]))
"""


async def asking(journal: Journal, url: str) -> Collected:
    """Ask a real server for what is due, as a provider's collecting does."""
    small = Small(journal, VirtualTime())
    async with Http(url, "key") as http:

        async def ask(known: Watched, arriving: Path | None) -> Reply:
            path = f"/{known.execution_id}"
            return await http.request("GET", path, retry="none", arriving=arriving)

        def recovered(known: Watched, arriving: Path) -> Reply:
            return http.recovered("GET", f"/{known.execution_id}", arriving=arriving)

        small.line |= {"ask": ask, "recovered": recovered}
        with small.poller() as poller:
            return await poller.run()


def handing_out(whole: bytes, held_back: int) -> Any:
    """Return an app that hands a body out once, and holds its last bytes back."""
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        is_first = len(asked) == 1
        headers = [(b"content-length", str(len(whole)).encode())] if is_first else []
        status = 200 if is_first else 406
        start = {"type": "http.response.start", "status": status, "headers": headers}
        await send(start)
        body = whole[: len(whole) - held_back] if is_first else b"{}"
        more = {"type": "http.response.body", "body": body, "more_body": is_first}
        await send(more)
        while is_first and (await receive())["type"] != "http.disconnect":
            pass

    return app


def test_a_process_killed_while_a_body_arrives_leaves_what_had_come(
    small: Small, tmp_path: Path
) -> None:
    """Law: after a ``kill -9`` in the middle of a body its size and time are said."""
    whole = DONE.body or b""
    arrived = whole[:-7]
    small.add("1")
    with serve(handing_out(whole, held_back=7)) as url:
        command = [sys.executable, "-c", DYING, str(small.journal.file.path), url]
        with subprocess.Popen(command, cwd=ROOT) as process:  # noqa: S603 - ours
            files = tmp_path.glob("*-polls/*/*")
            while not any(file.read_bytes().endswith(arrived) for file in files):
                assert process.poll() is None
                files = tmp_path.glob("*-polls/*/*")
            process.kill()
        asyncio.run(asking(small.journal, url))

    first, second = small.kept
    assert process.returncode == -signal.SIGKILL
    assert (first.outcome, first.body) == ("truncated", arrived)
    assert [size for _, _, size in small.reads()] == [len(arrived)]
    assert (second.http_status, len(watched(second).broken_reads)) == (406, 1)


# --- who is asked at all ------------------------------------------------------


def test_what_the_store_has_already_is_taken_off_without_asking(small: Small) -> None:
    """Law: an id that is tracked again after its result was loaded consumes nothing."""
    small.add("have", "lost", "new")
    small.stored = {
        execution_key(*OF, "", "have"): "captured",
        execution_key(*OF, "", "lost"): "missing",
    }

    small.run()

    assert sorted(small.asked) == ["lost", "new"]
    left = [one.watched.execution_id for one in small.listed.entries()]
    assert sorted(left) == ["lost", "new"]


def test_a_store_that_cannot_be_read_leaves_the_entries_free(small: Small) -> None:
    """Law: what was never asked for is no broken read of the next collecting."""
    small.add("1")

    def unreadable(*_: object) -> Sequence[Sequence[Any]]:
        raise StoreError("the store cannot be read")

    small.select = unreadable  # type: ignore[assignment, method-assign]
    with pytest.raises(StoreError):
        small.run()

    assert (small.entry.owner, small.entry.asked_at) == (None, None)
    assert small.asked == []


def test_a_refused_key_stops_the_asking(small: Small) -> None:
    """Law: what answers 401 to one answers it to all: nobody is asked in vain."""
    small.line["in_flight"] = 2
    names = [f"{n:02}" for n in range(20)]
    for name in names:
        small.answers[name] = [said(401, detail="no")]
    small.add(*names)

    collected = small.run()

    assert len(small.asked) <= 4
    (error,) = collected.errors
    assert isinstance(error, KeyRefused)
    assert {e.owner for e in small.listed.entries()} == {None}


def test_errors_of_a_kind_are_summed(small: Small) -> None:
    """Law: twenty times the same fault is one error with their number."""
    names = [f"{n:02}" for n in range(20)]
    for name in names:
        small.answers[name] = [said(500, detail=name)]
    small.add(*names)

    (error,) = small.run().errors

    assert isinstance(error, ServerFault)
    assert "19 more" in str(error)


def test_an_answer_of_another_kind_is_told_and_asked_for_again(small: Small) -> None:
    """Law: what nobody can make anything of is kept, said, and ends nothing."""
    small.add("1")
    small.answers["1"] = [said(something="else")]

    (error,) = small.run().errors

    assert "something unknown" in str(error)
    assert len(small.kept) == 1
    assert not small.entry.is_final


# --- when it is due again -----------------------------------------------------


def wait_after(small: Small, *answers: Reply) -> float:
    """Return the seconds to the next poll after these answers, one each round."""
    small.answers["1"] = [*answers]
    small.add("1")
    small.run()
    for _ in answers[1:]:
        small.again()
    entry = small.entry
    assert entry.last_poll_at
    return (entry.due_at - entry.last_poll_at).total_seconds()


@pytest.mark.parametrize(
    ("told", "wait_s"), [("30", 30), ("1", 5), ("99999999", 900), ("soon", 5)]
)
def test_retry_after_is_honoured(small: Small, told: str, wait_s: float) -> None:
    """Law: as long as told, a quarter of an hour at most, never sooner than usual."""
    reply = said(429)
    answer = type(reply)(
        method="GET",
        url=URL,
        http_status=429,
        headers={"retry-after": told},
        elapsed_ms=1,
        outcome="http_error",
    )

    assert wait_after(small, answer) == wait_s


def test_what_shows_nothing_is_asked_for_ever_more_rarely(small: Small) -> None:
    """Law: pending is asked for each minute at least, an error each quarter hour."""
    pending = [said(status="running", n=n) for n in range(16)]
    assert wait_after(small, *pending) == 60


def test_errors_are_asked_for_each_quarter_hour_at_last(small: Small) -> None:
    """Law: a server that fails for hours is not asked each minute."""
    assert wait_after(small, *[said(503)] * 20) == 900


@pytest.mark.parametrize(("errors", "wait_s"), [(1, 60), (2, 900)])
def test_one_error_on_the_way_puts_nothing_off(
    small: Small, errors: int, wait_s: float
) -> None:
    """Law: after many polls, a first error is followed by one as soon as usual."""
    pending = [said(status="running", n=n) for n in range(16)]

    assert wait_after(small, *pending, *[said(503)] * errors) == wait_s


def test_expiry_moves_on_while_an_execution_runs(small: Small) -> None:
    """Law: where results are kept from the end on, a running one has all its time."""
    small.line |= {"keeps_from_end": True, "ttl": 3 * HOUR}
    small.add("1", ttl=3 * HOUR)
    small.answers["1"] = [RUNNING, said(503)]

    small.again(after_s=2 * 3600)
    running = small.entry.watched.expires_at
    small.again()

    assert running == NOON + 5 * HOUR
    assert small.entry.watched.expires_at == running


def test_expiry_stands_where_results_are_kept_from_the_start(small: Small) -> None:
    """Law: there, a running execution loses time like any other."""
    small.add("1", ttl=3 * HOUR)

    small.again(after_s=2 * 3600)

    assert small.entry.watched.expires_at == NOON + 3 * HOUR


def test_a_clock_that_steps_back_asks_nothing_twice_in_a_round(small: Small) -> None:
    """Law: what was asked for is due after the round, whatever the clock says."""
    small.line["in_flight"] = 1
    small.add("1", "2", "3")
    passed = iter(range(1000))
    small.time.now = lambda: NOON - timedelta(minutes=next(passed))  # type: ignore[method-assign]
    small.listed.add(
        [(Watched(execution_id=n, tracked_at=NOON), NOON - 2 * HOUR) for n in "123"]
    )

    small.run()

    assert sorted(small.asked) == ["1", "2", "3"]


# --- adding and planning ------------------------------------------------------


def test_an_execution_is_due_and_expires_by_its_start() -> None:
    """Law: both count from the start where it is known, else from the tracking."""
    known = Watched(execution_id="1", tracked_at=NOON, started_at=NOON - HOUR)
    bare = Watched(execution_id="1", tracked_at=NOON)
    said_so = Watched(execution_id="1", tracked_at=NOON, expires_at=NOON)

    begun, due_at = added(known, 3 * HOUR, timedelta(seconds=10))

    assert begun.expires_at == NOON + 2 * HOUR
    assert due_at == NOON - HOUR + timedelta(seconds=10)
    assert added(bare, HOUR) == (
        Watched(execution_id="1", tracked_at=NOON, expires_at=NOON + HOUR),
        NOON,
    )
    assert added(said_so, HOUR)[0].expires_at == NOON


def test_what_would_be_asked_for_is_told_in_words(small: Small) -> None:
    """Law: a plan counts what is due, of what is still to come."""
    small.add("1", "2", "3")
    small.answers["2"] = [DONE]
    small.run()
    far = Watched(execution_id="far", tracked_at=NOON)
    small.listed.add([(far, datetime.max.replace(tzinfo=NOON.tzinfo))])

    told = planned_polls("Small", *OF, small.journal)
    none = planned_polls("Small", *OF, None)

    assert told == ["Small: 2 of 3 watched executions are due (default)"]
    assert none == ["Small: 0 of 0 watched executions are due (default)"]
