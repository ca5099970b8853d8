"""Starting executions of Discuro: kept before it is parsed, and never started twice."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn

from sources.discuro.settings import Settings
from sources.discuro.submit import submit
from sources.discuro.twin import DiscuroTwin
from sources.discuro.twin_world import Workflow
from sources.journal import Journal
from sources.loopback import serve
from sources.polling import Clock
from sources.records import Response
from sources.submits import Submit, open_submits, submits
from sources.twin_server import Trouble
from sources.watchlist import WatchList

KEY = "dk_canary"
OF = ("discuro", "default")
START = "/v1/orchestrators/execute"


class Naps:
    """A clock whose sleeps take no time and are noted."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self.clock = Clock(self.now, self.sleep)

    def now(self) -> datetime:
        """Return the time, with what was slept."""
        return datetime.now(UTC) + timedelta(seconds=sum(self.slept))

    async def sleep(self, seconds: float) -> None:
        """Note a sleep."""
        self.slept.append(seconds)


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


@pytest.fixture
def url(twin: DiscuroTwin) -> Iterator[str]:
    """Serve the twin."""
    with serve(twin.app) as address:
        yield address


def submitted(
    journal: Journal,
    url: str,
    *,
    naps: Naps | None = None,
    told: list[str] | None = None,
    **options: Any,
) -> Submit:
    """Start the orchestrator."""
    settings = Settings(api_key=KEY, base_url=url, assumed_model="openai/gpt-4o")
    known: dict[str, Any] = {"inputs": {"product": "kettle"}} | options
    return asyncio.run(
        submit(
            settings,
            journal,
            "orchestrator",
            "flow",
            told=([] if told is None else told).append,
            clock=(naps or Naps()).clock,
            **known,
        )
    )


def kept(journal: Journal) -> list[Response]:
    """Return what waits in the journal."""
    return list(journal.waiting(*OF))


def test_an_accepted_submit_is_watched_with_all_that_is_known_of_it(
    journal: Journal, url: str, twin: DiscuroTwin
) -> None:
    """Law: the id, its start, tags and workflow are durable before the first poll."""
    before = datetime.now(UTC)

    done = submitted(journal, url, tags=[("team", "content"), ("urgent", None)])

    [entry] = WatchList(journal, *OF).entries()
    [started] = twin.world.executions.values()
    assert (done.state, done.execution_id, done.error) == ("accepted", "1", None)
    assert entry.watched.execution_id == "1"
    assert before <= done.submitted_at <= started.started_at
    assert entry.watched.started_at == done.submitted_at
    assert entry.due_at == done.submitted_at + timedelta(seconds=10)
    assert entry.watched.tags == (("team", "content"), ("urgent", None))
    assert entry.watched.context == {
        "workflow": {"id": "flow", "kind": "orchestrator"},
        "assumed_model": "openai/gpt-4o",
    }
    assert list(started.inputs) == [{"name": "product", "value": "kettle"}]
    assert next(iter(started.tags)) == {"key": "team", "value": "content"}


def test_the_raw_answer_is_in_the_journal(journal: Journal, url: str) -> None:
    """Law: the answer is kept as endpoint submit, with what was known, no input."""
    done = submitted(journal, url, tags=[("team", "content")])

    [response] = kept(journal)
    params = json.loads(response.params)
    assert (response.endpoint, response.body) == ("submit", b'{"id":1}')
    assert done.response_id == response.response_id
    assert set(params) == {"tracked_at", "started_at", "tags", "context"}
    assert params["context"]["workflow"] == {"id": "flow", "kind": "orchestrator"}
    assert "kettle" not in response.params
    assert KEY.encode() not in msgspec.json.encode(done)


def test_a_refusal_is_told_in_the_words_of_discuro(journal: Journal, url: str) -> None:
    """Law: what Discuro refuses started nothing, and says what is missing."""
    done = submitted(journal, url, inputs={})

    assert done.state == "refused"
    assert "missing input values (product)" in (done.error or "")
    assert (open_submits(journal), WatchList(journal, *OF).entries()) == ([], [])
    assert [response.http_status for response in kept(journal)] == [400]


def test_too_many_requests_are_waited_out_and_told(
    journal: Journal, url: str, twin: DiscuroTwin
) -> None:
    """Law: after 429 it is sent again, later each time; its start is the last one."""
    twin.fail_next(START, 429, times=2, headers={"Retry-After": "7"})
    naps, told = Naps(), list[str]()

    done = submitted(journal, url, naps=naps, told=told)

    assert (done.state, len(twin.requests), len(kept(journal))) == ("accepted", 3, 1)
    assert naps.slept == [7, 7]
    assert (
        told
        == ["orchestrator flow: too many requests (429); the next try is in 7 s"] * 2
    )
    assert [one.submitted_at for one in submits(journal, *OF)] == [done.submitted_at]
    assert [response.attempts for response in kept(journal)] == [3]


def test_too_many_requests_are_not_waited_out_for_ever(
    journal: Journal, url: str, twin: DiscuroTwin
) -> None:
    """Law: within the limit it is tried, then said to be refused."""
    twin.fail_next(START, 429, times=100)
    naps = Naps()

    done = submitted(journal, url, naps=naps, max_wait_s=60)

    assert done.state == "refused"
    assert "still throttled (429" in (done.error or "")
    assert naps.slept == sorted(naps.slept)
    assert 20 < sum(naps.slept) <= 60
    assert not twin.world.executions


def test_a_server_that_is_not_up_yet_is_tried_again(
    journal: Journal, twin: DiscuroTwin
) -> None:
    """Law: where no connection was made nothing can have begun, so it is sent again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with ExitStack() as servers:
        naps = Naps()

        async def started(seconds: float) -> None:
            naps.slept.append(seconds)
            if len(naps.slept) == 2:
                servers.enter_context(served_at(twin, port))

        clock = Clock(naps.now, started)
        naps.clock = clock
        done = submitted(journal, f"http://127.0.0.1:{port}", naps=naps)

    assert (done.state, len(naps.slept), len(twin.requests)) == ("accepted", 2, 1)


class served_at:  # noqa: N801 - a context manager, read as a word
    """The twin on a port of one's choice."""

    def __init__(self, twin: DiscuroTwin, port: int) -> None:
        config = uvicorn.Config(
            twin.app, port=port, interface="asgi3", lifespan="off", log_config=None
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)

    def __enter__(self) -> None:
        self._thread.start()
        while not self._server.started:
            threading.Event().wait(0.005)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()


def test_a_server_that_never_comes_up_has_started_nothing(journal: Journal) -> None:
    """Law: five tries to connect, then it is refused: nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    naps = Naps()

    done = submitted(journal, f"http://127.0.0.1:{port}", naps=naps)

    assert (done.state, len(naps.slept)) == ("refused", 4)
    assert "in 5 tries" in (done.error or "")


@pytest.mark.parametrize("trouble", [500, 503, "cut", "reset", "html"])
def test_what_may_have_begun_is_unknown_and_not_repeated(
    journal: Journal, url: str, twin: DiscuroTwin, trouble: int | Trouble
) -> None:
    """Law: after anything but 429 and no connection, nothing is sent again."""
    twin.fail_next(START, trouble)
    naps = Naps()

    done = submitted(journal, url, naps=naps)

    assert (done.state, done.execution_id) == ("unknown", None)
    assert done.error
    assert (len(twin.requests), naps.slept) == (1, [])
    assert open_submits(journal) == [done]
    assert len(kept(journal)) == 1
    assert WatchList(journal, *OF).entries() == []


def test_an_answer_without_an_id_is_a_refusal(
    journal: Journal, url: str, twin: DiscuroTwin
) -> None:
    """Law: what answers in JSON and names nothing that it started is shown."""
    twin.fail_next(START, 200, body='{"message": "later"}')

    done = submitted(journal, url)

    assert done.state == "refused"
    assert 'no execution id: {"message": "later"}' in (done.error or "")


def test_an_interrupted_wait_has_started_nothing(
    journal: Journal, url: str, twin: DiscuroTwin
) -> None:
    """Law: between two tries a submit can be given up safely."""
    twin.fail_next(START, 429)
    naps = Naps()

    async def interrupted(_: float) -> None:
        raise asyncio.CancelledError

    naps.clock = Clock(naps.now, interrupted)

    with pytest.raises(asyncio.CancelledError):
        submitted(journal, url, naps=naps)

    [left] = submits(journal, *OF)
    assert (left.state, left.error) == ("refused", "interrupted before it was accepted")


def test_an_interruption_waits_for_the_answer_to_what_is_out(
    journal: Journal, url: str, twin: DiscuroTwin
) -> None:
    """Law: the answer names what was started, so it is waited for and kept."""
    loop = asyncio.new_event_loop()
    settings = Settings(api_key=KEY, base_url=url)
    work = submit(
        settings, journal, "orchestrator", "flow", inputs={"product": ""}, told=print
    )
    task = loop.create_task(work)
    twin.latency_s = 0.1
    twin.on_request(lambda _: loop.call_soon_threadsafe(task.cancel))

    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)

    loop.close()
    [left] = submits(journal, *OF)
    assert (left.state, left.execution_id) == ("accepted", "1")
    assert len(WatchList(journal, *OF).entries()) == 1
