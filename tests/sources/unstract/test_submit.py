"""Starting runs of Unstract: not too many at once, and each file in one run only."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.loopback import serve
from sources.polling import SYSTEM_CLOCK, Clock
from sources.provider import settings_from
from sources.seen import Seen
from sources.submits import Submit, open_submits, submits
from sources.twin_server import Noted, Trouble
from sources.unstract.batches import File, batches, files_in, once, read
from sources.unstract.settings import Settings
from sources.unstract.submit import Form, Runs
from sources.unstract.twin import UnstractTwin
from sources.watched import Watched
from sources.watchlist import Entry, WatchList

KEY = "uk_canary"
OF = ("unstract", "default")
SCOPE = "org_demo/invoices"
POST = "/deployment/api/"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Return an empty journal."""
    with Journal(tmp_path / "home" / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def twin() -> UnstractTwin:
    """Return a twin whose runs take no time worth mentioning."""
    made = UnstractTwin(key=KEY)
    made.world.pace = (0.01, 0.02)
    return made


@pytest.fixture
def url(twin: UnstractTwin) -> Iterator[str]:
    """Serve the twin."""
    with serve(twin.app) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return an empty folder."""
    made = tmp_path / "files"
    made.mkdir()
    return made


def written(folder: Path, *names: str) -> list[File]:
    """Return files of different contents."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"This is {name}.")
    return [read(folder / name) for name in names]


class Came:
    """What a submitting came to, and what was told meanwhile."""

    def __init__(
        self,
        twin: UnstractTwin,
        url: str,
        journal: Journal,
        runs: Sequence[Sequence[File]],
        form: Form | None = None,
        **options: Any,
    ) -> None:
        self.told: list[str] = []
        self.done: list[Submit] = []
        raw: dict[str, object] = {**twin.settings(url), "requests_per_second": 1000}
        settings = settings_from(Settings, raw, "sources.unstract")
        seen = Seen(lambda _sql, _values: [], *OF)
        sending = Runs(
            settings,
            journal,
            seen,
            form or Form(),
            told=self.told.append,
            done=self.done.append,
            **options,
        )
        self.unsent = asyncio.run(self._submitted(sending, runs))

    async def _submitted(
        self, sending: Runs, runs: Sequence[Sequence[File]]
    ) -> list[Sequence[File]]:
        async with sending:
            return await sending.submit(runs)

    @property
    def states(self) -> list[str]:
        """The states of the submits."""
        return [one.state for one in self.done]


def listed(journal: Journal) -> list[Entry]:
    """Return the watch-list."""
    return WatchList(journal, *OF).entries()


# --- which files ---------------------------------------------------------------


def test_of_a_folder_hidden_files_and_subfolders_are_left_out(folder: Path) -> None:
    """Law: a folder is its visible files; subfolders come with recursive only."""
    written(folder, "b.pdf", "a.pdf", ".DS_Store", "deep/c.pdf", ".git/config")

    flat = files_in([folder])
    deep = files_in([folder, folder / "a.pdf", folder / ".DS_Store"], recursive=True)

    assert [path.name for path in flat] == ["a.pdf", "b.pdf"]
    assert [path.name for path in deep] == ["a.pdf", "b.pdf", "c.pdf", ".DS_Store"]


def test_a_path_that_is_not_there_is_refused(folder: Path) -> None:
    """Law: a misspelled path stops everything before anything is sent."""
    with pytest.raises(ConfigurationError, match=r"none.pdf is neither a file nor"):
        files_in([folder / "none.pdf"])


def test_a_content_is_sent_once(folder: Path) -> None:
    """Law: the same content under another name, and an empty file, are left out."""
    files = written(folder, "a.pdf", "b.pdf")
    (folder / "copy.pdf").write_text("This is a.pdf.")
    (folder / "empty.pdf").touch()
    files += [read(folder / "copy.pdf"), read(folder / "empty.pdf")]

    kept, skipped = once(files)

    assert [file.name for file in kept] == ["a.pdf", "b.pdf"]
    assert [skip.reason for skip in skipped] == [
        f"its content is that of {folder / 'a.pdf'}",
        "it is empty",
    ]


def test_files_of_one_name_go_into_different_runs(folder: Path) -> None:
    """Law: a run has at most so many files, and never two of a name."""
    files = written(folder, "1/a.pdf", "2/A.pdf", "1/b.pdf", "3/a.pdf", "c.pdf")

    runs = batches(files, 2)

    names = [[file.path.relative_to(folder).as_posix() for file in run] for run in runs]
    assert names == [["1/a.pdf", "1/b.pdf"], ["2/A.pdf", "c.pdf"], ["3/a.pdf"]]


def test_a_file_name_of_any_bytes_can_be_sent(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: a name that is no text does not stop the others."""
    path = folder / 'r\udce9sum"é\n.pdf'
    path.write_bytes(b"A letter.")

    came = Came(twin, url, journal, [[read(path)]])

    assert came.states == ["accepted"]
    assert [file.sha256 for file in twin.submissions[0].files] == [read(path).sha256]


# --- what is sent, and what is kept -------------------------------------------


@pytest.mark.parametrize("tag", ["", "1a", "a b", "é", "a,b"])
def test_a_tag_that_the_server_would_refuse_is_refused_here(tag: str) -> None:
    """Law: a tag is a letter, then letters, digits, hyphens and underscores."""
    with pytest.raises(ConfigurationError, match="is none"):
        Form(tag=tag)


@pytest.mark.parametrize("timeout_s", [0, -1, 301])
def test_a_time_out_beyond_the_limits_is_refused_here(timeout_s: int) -> None:
    """Law: the synchronous form takes 1 to 300 seconds."""
    with pytest.raises(ConfigurationError, match="1 to 300"):
        Form(timeout_s=timeout_s)


def test_the_form_has_the_documented_fields(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: the asynchronous form, what to include, tag, history and profile."""
    form = Form(tag="Q3_2026", use_file_history=True, llm_profile_id="profile-1")

    Came(twin, url, journal, [written(folder, "a.pdf", "b.pdf")], form)

    [submission] = twin.submissions
    assert [file.name for file in submission.files] == ["a.pdf", "b.pdf"]
    assert dict(submission.form.values) == {
        "timeout": "-1",
        "include_metadata": "true",
        "include_metrics": "true",
        "include_extracted_text": "true",
        "tags": "Q3_2026",
        "use_file_history": "true",
        "llm_profile_id": "profile-1",
    }


@pytest.mark.parametrize("omits_id", [False, True])
def test_an_accepted_run_is_watched_with_the_files_that_were_sent(
    journal: Journal, folder: Path, *, omits_id: bool
) -> None:
    """Law: the id, also of older servers, is durable with names and hashes."""
    twin = UnstractTwin(key=KEY, omits_execution_id=omits_id)
    files = written(folder, "a.pdf", "b.pdf")

    with serve(twin.app) as url:
        came = Came(twin, url, journal, [files], Form(tag="Q3"))

    [started] = twin.world.executions
    [entry] = listed(journal)
    [response] = journal.waiting(*OF)
    sent = [{"name": file.name, "sha256": file.sha256} for file in files]
    assert came.done[0].execution_id == entry.watched.execution_id == started
    assert (entry.watched.scope, entry.watched.tags) == (SCOPE, (("Q3", None),))
    assert entry.due_at == entry.watched.started_at == came.done[0].submitted_at
    assert entry.watched.context == {
        "organization_id": "org_demo",
        "api_name": "invoices",
        "sent": sent,
    }
    params = json.loads(response.params)
    assert (response.endpoint, params["scope"]) == ("submit", SCOPE)
    assert params["context"] == entry.watched.context
    assert "execution_id" not in params


def test_a_synchronous_answer_with_the_result_is_captured(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: a result that came with the answer is in the journal, and not asked for."""
    came = Came(twin, url, journal, [written(folder, "a.pdf")], Form(timeout_s=60))

    [response] = journal.waiting(*OF)
    assert came.states == ["accepted"]
    assert came.done[0].execution_id in twin.world.executions
    assert (
        json.loads(response.body or b"")["message"]["execution_status"] == "COMPLETED"
    )
    assert twin.submissions[0].form.timeout_s == 60
    assert (listed(journal), twin.count("execution_id=")) == ([], 0)
    assert [handed.is_whole for handed in twin.ledger().values()] == [True]


def test_a_synchronous_run_whose_files_all_failed_is_captured(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: the 422 of a failed run is no refusal: it has begun, and it has ended."""
    files = written(folder, "broken.pdf")

    came = Came(twin, url, journal, [files], Form(timeout_s=60))

    [response] = journal.waiting(*OF)
    assert (came.states, response.http_status) == (["accepted"], 422)
    assert listed(journal) == []


def test_a_synchronous_run_that_takes_longer_is_watched(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: a synchronous answer without the result is as an asynchronous one."""
    twin.world.pace = (1, 100)

    came = Came(twin, url, journal, [written(folder, "a.pdf")], Form(timeout_s=10))

    assert came.states == ["accepted"]
    assert [entry.watched.execution_id for entry in listed(journal)] == list(
        twin.world.executions
    )


# --- how many at once ----------------------------------------------------------


@pytest.mark.parametrize("form", [Form(), Form(timeout_s=1)], ids=["async", "sync"])
def test_never_more_runs_are_open_than_allowed(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path, form: Form
) -> None:
    """Law: there is room for a run before it is started; results are kept meanwhile."""
    open_at_posts: list[int] = []

    def note(noted: Noted) -> None:
        if noted.method == "POST":
            open_at_posts.append(twin.world.under_way())

    twin.on_request(note)
    files = written(folder, *(f"{number}.pdf" for number in range(9)))

    came = Came(twin, url, journal, batches(files, 1), form, concurrency=3)

    assert came.states == ["accepted"] * 9
    assert len(open_at_posts) == 9
    assert max(open_at_posts) < 3
    handed = twin.ledger().values()
    in_journal = {
        json.loads(response.body or b"").get("status")
        for response in journal.waiting(*OF)
    }
    assert all(one.is_whole for one in handed)
    assert "COMPLETED" in in_journal or form.timeout_s


def test_what_others_started_counts_and_is_asked_for(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: an open run on the watch-list takes a place until its result is here."""
    other = twin.world.start(life=((0, "EXECUTING"), (60, "COMPLETED")))
    twin.on_request(lambda _: twin.world.let_pass(35))
    known = Watched(
        execution_id=other.execution_id, scope=SCOPE, tracked_at=other.started_at
    )
    now = datetime.now(UTC)
    WatchList(journal, *OF).add([(known, now)])

    came = Came(twin, url, journal, [written(folder, "a.pdf")], concurrency=1)

    entries = {one.watched.execution_id: one for one in listed(journal)}
    assert came.states == ["accepted"]
    assert entries[other.execution_id].is_final
    assert "waiting for one of 1 open runs to end" in came.told


def test_without_room_in_time_what_is_left_is_not_sent(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: the wait for room has an end where one is said."""
    twin.world.pace = (1, 1000)
    files = written(folder, "a.pdf", "b.pdf", "c.pdf")
    slept: list[float] = []

    async def nap(seconds: float) -> None:
        slept.append(seconds)

    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=sum(slept))

    came = Came(
        twin,
        url,
        journal,
        batches(files, 1),
        concurrency=2,
        max_wait_s=30,
        clock=Clock(now, nap),
    )

    assert came.states == ["accepted", "accepted"]
    assert [[file.name for file in run] for run in came.unsent] == [["c.pdf"]]
    assert came.told[-1] == "there was no room in time"


# --- what goes wrong -----------------------------------------------------------


def test_too_many_requests_of_the_organization_are_waited_out(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: 429 starts nothing, so the run is sent again, with its files whole.

    A process killed at the next try must not leave this answer as that one's.
    """
    twin.fail_next(POST, 429, times=2)
    arrived: list[Path] = []

    async def nap(_: float) -> None:
        arrived.extend(journal.file.path.parent.glob("journal.sqlite-polls/*/*"))

    clock = Clock(SYSTEM_CLOCK.now, nap)
    files = written(folder, "a.pdf", "b.pdf")

    came = Came(twin, url, journal, [files], clock=clock)

    assert (came.states, len(twin.requests), arrived) == (["accepted"], 3, [])
    [submission] = twin.submissions
    assert [one.sha256 for one in submission.files] == [one.sha256 for one in files]
    assert "a.pdf, b.pdf: too many requests (429)" in came.told[0]


@pytest.mark.parametrize("trouble", [500, 502, "cut", "reset"])
def test_a_run_that_may_have_begun_is_unknown_and_sent_once(
    twin: UnstractTwin,
    url: str,
    journal: Journal,
    folder: Path,
    trouble: int | Trouble,
) -> None:
    """Law: the others go on; what may have begun is never sent again."""
    twin.fail_next(POST, trouble)
    files = written(folder, "a.pdf", "b.pdf")

    came = Came(twin, url, journal, batches(files, 1), concurrency=1)

    assert came.states == ["unknown", "accepted"]
    assert [one.said for one in open_submits(journal)] == ["a.pdf"]
    assert [
        [file.name for file in submission.files] for submission in twin.submissions
    ] == [["a.pdf"], ["b.pdf"]]


def test_a_refused_key_stops_what_is_left(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: with a bad key one run is refused, in words, and no other is tried."""
    twin.fail_next(POST, 401, times=9)
    files = written(folder, "a.pdf", "b.pdf", "c.pdf")

    came = Came(twin, url, journal, batches(files, 1), concurrency=1)

    assert came.states == ["refused"]
    assert "Set SOURCES__UNSTRACT__API_KEY" in (came.done[0].error or "")
    assert len(came.unsent) == 2
    assert len(twin.requests) == 1


def test_a_file_that_changed_since_it_was_read_is_not_sent(
    twin: UnstractTwin, url: str, journal: Journal, folder: Path
) -> None:
    """Law: what is sent is what was hashed, or nothing."""
    changed, gone = written(folder, "a.pdf", "b.pdf")
    changed.path.write_text("This is something else.")
    gone.path.unlink()

    came = Came(twin, url, journal, [[changed], [gone]])

    assert came.states == ["refused", "refused"]
    assert "a.pdf changed since it was read" in (came.done[0].error or "")
    assert twin.requests == []
    assert [one.state for one in submits(journal, *OF)] == ["refused", "refused"]
