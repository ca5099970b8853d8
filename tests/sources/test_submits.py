"""The ledger of submits: durable, settled once, and never sent twice in silence."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sources.discuro.settings import Settings
from sources.discuro.twin import DiscuroTwin
from sources.discuro.twin_world import Workflow
from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.leases import owned
from sources.loopback import serve
from sources.provider import settings_from
from sources.submits import (
    Draft,
    Submit,
    begin,
    begin_if_room,
    dismiss,
    open_submits,
    settle,
    submits,
)
from sources.submitting import attach, recover
from sources.unstract.settings import Settings as Unstract
from sources.unstract.twin import UnstractTwin
from sources.watched import Watched
from sources.watchlist import WatchList

OF = ("discuro", "default")
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
KEY = "dk_canary"
DRAFT = Draft(
    provider="discuro",
    connection="default",
    scope="",
    what={"said": "orchestrator flow"},
    tags=(("team", "content"),),
    context={"workflow": {"id": "flow", "kind": "orchestrator"}},
)
SETTINGS = Settings(api_key=KEY)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Return an empty journal."""
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


@pytest.fixture
def twin() -> DiscuroTwin:
    """Return a twin with an orchestrator that needs a product."""
    made = DiscuroTwin(key=KEY, sync_s=0)
    made.world.add_workflow(Workflow(workflow_id="flow", inputs=("product",)))
    return made


def died(journal: Journal) -> Submit:
    """Return a submit whose process is gone."""
    with owned(journal) as owner:
        return begin(journal, owner, DRAFT, AT)


def killed(
    journal: Journal, url: str, point: str, provider: str = "discuro"
) -> subprocess.Popen[bytes]:
    """Start a process that submits, and dies at a point."""
    arguments = (provider, str(journal.file.path), url, point)
    command = (sys.executable, "-m", "tests.sources.killed_submit", *arguments)
    return subprocess.Popen(command)  # noqa: S603 (ours)


def test_a_submit_whose_process_ended_is_unknown_with_all_that_was_noted(
    journal: Journal,
) -> None:
    """Law: what may have been sent is kept, and shown until somebody settles it."""
    begun = died(journal)

    [recovered] = recover(journal)

    [shown] = open_submits(journal)
    assert recovered == shown
    assert (shown.state, shown.error) == (
        "unknown",
        "the process ended before an answer came",
    )
    assert (shown.submit_id, shown.submitted_at, shown.said, shown.account) == (
        begun.submit_id,
        AT,
        "orchestrator flow",
        "discuro:default",
    )
    assert (shown.tags, shown.context) == (DRAFT.tags, DRAFT.context)


def test_a_submit_of_a_living_process_is_left_alone(journal: Journal) -> None:
    """Law: only what a dead process left is settled by others."""
    with owned(journal) as owner:
        begun = begin(journal, owner, DRAFT, AT)

        assert recover(journal, {OF: SETTINGS}) == []
        assert open_submits(journal) == [begun]
        with pytest.raises(ConfigurationError, match="just now"):
            dismiss(journal, begun.submit_id)


def test_of_two_that_settle_a_submit_the_first_has_settled_it(
    journal: Journal,
) -> None:
    """Law: an accepted submit never becomes unknown again."""
    begun = died(journal)
    attach(journal, SETTINGS, begun.submit_id, "142")

    is_settled = settle(journal, begun, was="sending")

    assert not is_settled
    assert [one.state for one in submits(journal, *OF)] == ["accepted"]


def test_a_process_killed_while_it_waits_for_the_answer_leaves_an_unknown_submit(
    journal: Journal, twin: DiscuroTwin
) -> None:
    """Law: what was sent and never answered is not sent again, and not forgotten."""
    arrived = threading.Event()
    twin.on_request(lambda _: arrived.set())
    twin.fail_next("execute", "hang")
    with serve(twin.app) as url:
        process = killed(journal, url, "never")
        assert arrived.wait(30)
        process.kill()
        process.wait()

        [submit] = recover(journal, {OF: SETTINGS})

    assert (submit.state, len(twin.requests)) == ("unknown", 1)
    assert submit.what["inputs"] == ["product"]
    files = journal.file.path.parent.glob("journal.sqlite*")
    kept = b"".join(file.read_bytes() for file in files if file.is_file())
    assert b"product" in kept
    assert b"kettle" not in kept


def test_a_process_killed_when_the_answer_is_kept_has_its_execution_watched(
    journal: Journal, twin: DiscuroTwin
) -> None:
    """Law: a kept answer is parsed by whoever comes next."""
    with serve(twin.app) as url:
        killed(journal, url, "answered").wait()
    [left] = open_submits(journal)

    unparsed = recover(journal)
    [submit] = recover(journal, {OF: SETTINGS})

    assert (left.state, unparsed) == ("answered", [])
    assert (submit.state, submit.execution_id) == ("accepted", "1")
    [entry] = WatchList(journal, *OF).entries()
    assert entry.watched.execution_id == "1"
    assert entry.watched.started_at == left.submitted_at
    assert entry.watched.tags == (("team", "content"),)
    assert entry.watched.context["workflow"] == {"id": "flow", "kind": "orchestrator"}
    assert open_submits(journal) == []


@pytest.mark.parametrize("is_whole", [True, False])
def test_an_answer_that_had_arrived_when_its_process_was_killed_is_kept(
    journal: Journal, *, is_whole: bool
) -> None:
    """Law: a synchronous result is handed out once: what came of it is not lost."""
    twin = UnstractTwin(key="uk_canary")
    journal.file.path.with_name("flow").write_text("A letter.")
    unstract = ("unstract", "default")
    with serve(twin.app) as url:
        if not is_whole:
            twin.fail_next("/deployment/api/", "cut")
        killed(journal, url, "arrived", "unstract").wait()
        settings = settings_from(Unstract, twin.settings(url), "sources.unstract")
    assert list(journal.waiting(*unstract)) == []

    unparsed = recover(journal)
    [submit] = recover(journal, {unstract: settings})

    [response] = journal.waiting(*unstract)
    [started] = twin.world.executions
    assert unparsed == []
    assert (response.endpoint, response.method) == ("submit", "POST")
    if is_whole:
        assert (submit.state, submit.execution_id) == ("accepted", started)
        assert b"COMPLETED" in (response.body or b"")
    else:
        assert (submit.state, response.outcome) == ("unknown", "truncated")
        assert "the process ended while the body arrived" in (submit.error or "")
    assert WatchList(journal, *unstract).entries() == []
    assert recover(journal, {unstract: settings}) == []


def test_an_answer_that_a_load_has_taken_already_is_named(
    journal: Journal, twin: DiscuroTwin
) -> None:
    """Law: a kept answer that left the journal unparsed is said to be in the store."""
    with serve(twin.app) as url:
        killed(journal, url, "answered").wait()
    [left] = open_submits(journal)
    journal.clear(journal.ids(*OF))

    [submit] = recover(journal, {OF: SETTINGS})

    assert submit.state == "unknown"
    assert f"in raw_responses, as {left.response_id}" in (submit.error or "")


def test_an_execution_attached_later_is_watched_as_if_it_had_been_accepted(
    journal: Journal,
) -> None:
    """Law: attaching brings the start, the tags and the context of the submit."""
    submit_id = died(journal).submit_id
    recover(journal)

    attached = attach(journal, SETTINGS, submit_id, "142")

    [entry] = WatchList(journal, *OF).entries()
    watched = entry.watched
    assert (watched.execution_id, watched.started_at) == ("142", AT)
    assert (watched.tags, watched.context) == (DRAFT.tags, DRAFT.context)
    assert (attached.state, open_submits(journal)) == ("accepted", [])
    with pytest.raises(ConfigurationError, match="started 142: it is not unknown"):
        attach(journal, SETTINGS, submit_id, "143")


def test_a_dismissed_submit_is_gone(journal: Journal) -> None:
    """Law: a submit that started nothing can be taken out of the ledger, once."""
    submit_id = died(journal).submit_id
    recover(journal)

    dismissed = dismiss(journal, submit_id)

    assert (dismissed.submit_id, open_submits(journal)) == (submit_id, [])
    with pytest.raises(ConfigurationError, match="no submit"):
        dismiss(journal, submit_id)


def test_there_is_room_for_as_many_runs_as_the_limit(journal: Journal) -> None:
    """Law: what is being sent and what is going on count; what is missing does not."""
    on_list = WatchList(journal, *OF)
    on_list.add([(Watched(execution_id="1", tracked_at=AT, expires_at=AT), AT)])
    with owned(journal) as owner:
        first = begin_if_room(journal, owner, DRAFT, AT, 2)
        second = begin_if_room(journal, owner, DRAFT, AT, 2)
        journal.file.rows("update watched set result_state = 'missing'")
        third = begin_if_room(journal, owner, DRAFT, AT, 2)

    assert first is not None
    assert second is None
    assert third is not None
