"""Tests of the Discuro twin: it behaves as documented, and as observed."""

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from sources.discuro.twin import DiscuroTwin, HandedOut, demo
from sources.discuro.twin_world import Execution, Step, Workflow, stamp
from sources.loopback import Obtained, Twin, serve

NOW = datetime(2023, 1, 14, 2, 27, 54, 444364, tzinfo=UTC)
SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
KEY = "dk_canary"
RETRIEVE = "/v1/executions/retrieve"
ORCHESTRATORS = "/v1/orchestrators/execute"
TEMPLATES = "/v1/prompt-templates/execute"
NOT_FOUND = {"error": "Operation failed - execution_log not found", "meta_data": None}
FILMS = ({"film": "Avatar", "year": 2009}, {"film": "Amélie", "year": 2001})
OUTLINE = Workflow(workflow_id="u-1", inputs=("title", "tone"), data=FILMS, runs_s=9)
OPENAI = '{\n  "error": {\n    "message": "length 0",\n    "code": null\n  }\n}\n'
PAGE_FAILURE = """{
    "id": 144,
    "status": "ended",
    "passed": false,
    "transformation": {
        "results": {
            "71": {
                "end": "2023-01-14T02:27:55.144364Z",
                "start": "2023-01-14T02:27:54.444364Z",
                "passed": false,
                "error": "{\\n  \\"error\\": {\\n    \\"message\\": \\"length 0\\",\
\\n    \\"code\\": null\\n  }\\n}\\n",
                "property": {
                    "name": "blogs"
                },
                "layer_results": null
            }
        },
        "usage": {
            "completion_tokens": 135,
            "prompt_tokens": 81,
            "total_tokens": 216
        }
        "data": {}
    }
}"""


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        """Return the time."""
        return self.time


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands at the start of the executions."""
    return Clock()


@pytest.fixture
def twin(clock: Clock) -> DiscuroTwin:
    """Return a twin with an execution that runs for 100 s and passes."""
    twin = DiscuroTwin(key=KEY, clock=clock)
    add(twin, 98, runs_s=100, data=FILMS, tags=({"key": "team", "value": "a"},))
    return twin


@pytest.fixture
def client(twin: DiscuroTwin) -> Iterator[httpx.Client]:
    """Yield a client of the twin, over real sockets."""
    with client_of(twin) as client:
        yield client


@contextmanager
def client_of(
    twin: DiscuroTwin, headers: dict[str, str] | None = None
) -> Iterator[httpx.Client]:
    """Yield a client of the twin with the good key, or with other headers."""
    if headers is None:
        headers = {"Authorization": f"Bearer {KEY}"}
    with (
        serve(twin.app) as base_url,
        httpx.Client(base_url=base_url, headers=headers, timeout=5) as client,
    ):
        yield client


def add(twin: DiscuroTwin, execution_id: int, **given: Any) -> int:
    """Add an execution that starts when the clock does."""
    return twin.world.add_execution(
        Execution(execution_id=execution_id, **{"started_at": NOW, **given})
    )


def poll(client: httpx.Client, execution_id: object = 98) -> httpx.Response:
    """Ask for an execution."""
    return client.post(RETRIEVE, params={"id": str(execution_id)})


def answered(answer: httpx.Response) -> tuple[int, Any]:
    """Return status and JSON of an answer."""
    return answer.status_code, answer.json()


# The life of an execution


def test_an_execution_is_not_found_then_started_then_ended_then_deleted(
    clock: Clock, client: httpx.Client
) -> None:
    """Each answer holds from its second on: sync at 60, end at 100, a day for all."""
    seen = []
    for second in (0, 59, 60, 99, 100, 86_399, 86_400):
        clock.time = NOW + second * SECOND
        body = poll(client).json()
        seen.append(body.get("status", body.get("error", "")[-9:]))

    assert seen == [
        "not found",
        "not found",
        "started",
        "started",
        "ended",
        "ended",
        "not found",
    ]


def test_a_running_execution_says_no_more_than_started(
    clock: Clock, client: httpx.Client
) -> None:
    """It has an id and a status, as on the page."""
    clock.time = NOW + 60 * SECOND

    assert answered(poll(client)) == (200, {"id": 98, "status": "started"})


def test_a_passed_execution_has_the_documented_shape_and_order(
    clock: Clock, client: httpx.Client
) -> None:
    """Records, both times and the usage stand where the page has them."""
    clock.time = NOW + 100 * SECOND
    answer = poll(client)
    body = answer.json()

    assert answer.headers["content-type"] == "application/json"
    assert list(body) == ["id", "passed", "status", "transformation"]
    assert list(body["transformation"]) == ["data", "end", "start", "usage"]
    assert body == {
        "id": 98,
        "passed": True,
        "status": "ended",
        "transformation": {
            "data": list(FILMS),
            "end": "2023-01-14T02:29:34.444364Z",
            "start": "2023-01-14T02:27:54.444364Z",
            "usage": {
                "completion_tokens": 135,
                "prompt_tokens": 81,
                "total_tokens": 216,
            },
        },
    }


@pytest.mark.parametrize("asked", ["0", "7", "-1", "98x", "٩٨", "9" * 5000, ""])
def test_an_unknown_id_is_not_found(
    asked: str, clock: Clock, client: httpx.Client
) -> None:
    """Whatever the id, the answer is the documented one."""
    clock.time = NOW + HOUR

    assert answered(poll(client, asked)) == (400, NOT_FOUND)
    assert answered(client.post(RETRIEVE)) == (400, NOT_FOUND)


def test_time_that_is_let_pass_ends_what_runs_and_syncs_it(
    twin: DiscuroTwin, client: httpx.Client
) -> None:
    """``pass_time`` goes to the last of both, and not beyond it a second time."""
    add(twin, 99, started_at=NOW + 50 * SECOND, runs_s=1)

    twin.pass_time()
    twin.pass_time()

    assert twin.world.now() == NOW + 110 * SECOND
    assert [poll(client, one).json()["status"] for one in (98, 99)] == ["ended"] * 2


def test_sync_and_deletion_are_as_told() -> None:
    """A twin may sync at once and forget soon."""
    clock = Clock()
    twin = DiscuroTwin(key=KEY, clock=clock, sync_s=0, result_ttl_s=10)
    add(twin, 1, runs_s=5)
    with client_of(twin) as client:
        at_once = poll(client, 1)
        clock.time = NOW + 10 * SECOND
        late = poll(client, 1)

    assert [at_once.status_code, late.status_code] == [200, 400]


@pytest.mark.parametrize(
    ("microsecond", "fraction"),
    [(0, ""), (50, ".00005"), (52220, ".05222"), (249105, ".249105")],
)
def test_times_have_as_many_digits_of_a_second_as_they_need(
    microsecond: int, fraction: str
) -> None:
    """Times are written as on the page, which has 5 and 6 digits."""
    moment = datetime(2023, 1, 14, 15, 7, 40, microsecond, tzinfo=UTC)

    assert stamp(moment) == f"2023-01-14T15:07:40{fraction}Z"


# Failures


def test_a_failure_at_a_property_has_the_documented_shape_and_order(
    clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """The page's example comes back, with its comma, in the page's order."""
    add(twin, 144, runs_s=1, steps=(Step(step_id="71", name="blogs", error=OPENAI),))
    clock.time = NOW + 60 * SECOND
    mended = PAGE_FAILURE.replace('}\n        "data"', '},\n        "data"')

    text = poll(client, 144).text

    assert text == json.dumps(json.loads(mended), separators=(",", ":"))


def test_the_documented_dialect_prints_failures_without_a_comma(clock: Clock) -> None:
    """A failure is printed as on the page and is no JSON; all else is JSON."""
    twin = DiscuroTwin(key=KEY, clock=clock, dialect="documented")
    add(twin, 98, runs_s=100, data=FILMS)
    add(twin, 144, runs_s=1, steps=(Step(step_id="71", name="blogs", error=OPENAI),))
    clock.time = NOW + 60 * SECOND
    with client_of(twin) as client:
        running, failed = poll(client), poll(client, 144)
        clock.time = NOW + 100 * SECOND
        passed = poll(client)

    assert (failed.status_code, failed.text) == (200, PAGE_FAILURE)
    with pytest.raises(json.JSONDecodeError, match="Expecting ',' delimiter"):
        failed.json()
    assert running.json()["status"] == "started"
    assert passed.json()["transformation"]["data"] == list(FILMS)


def test_a_failure_two_layers_deep_fails_all_above_it_and_nothing_beside_it(
    clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """Layers are the same map at any depth; a part of an execution may have passed."""
    deep = Step(step_id="3", layers=(Step(step_id="4"), Step(step_id="5", error="no")))
    steps = (
        Step(step_id="1", name="outline"),
        Step(step_id="2", name="chapters", layers=(deep,)),
    )
    add(twin, 144, runs_s=1, steps=steps)
    clock.time = NOW + 60 * SECOND

    body = poll(client, 144).json()

    results = body["transformation"]["results"]
    layer = results["2"]["layer_results"]["3"]
    assert (body["passed"], body["transformation"]["data"]) == (False, {})
    assert (results["1"]["passed"], results["1"]["layer_results"]) == (True, None)
    assert (results["2"]["passed"], results["2"]["error"]) == (False, None)
    assert (layer["passed"], "property" in layer) == (False, False)
    assert {
        key: (one["passed"], one["error"])
        for key, one in layer["layer_results"].items()
    } == {"4": (True, None), "5": (False, "no")}


# Requests


def test_the_page_s_own_path_with_two_slashes_is_the_same(
    clock: Clock, twin: DiscuroTwin
) -> None:
    """All endpoints answer to both spellings."""
    clock.time = NOW + 60 * SECOND
    bearer = {"Authorization": f"Bearer {KEY}"}
    with serve(twin.app) as base_url:
        answers = [
            httpx.post(f"{base_url}/{path}", headers=bearer)
            for path in (f"{RETRIEVE}?id=98", ORCHESTRATORS, TEMPLATES)
        ]

    assert answered(answers[0]) == (200, {"id": 98, "status": "started"})
    assert [one.path for one in twin.requests] == [
        f"/{path}" for path in (RETRIEVE, ORCHESTRATORS, TEMPLATES)
    ]
    assert [answer.status_code for answer in answers[1:]] == [400, 400]


@pytest.mark.parametrize("path", [RETRIEVE, ORCHESTRATORS, TEMPLATES])
def test_only_post_is_allowed(path: str, client: httpx.Client) -> None:
    """GET is 405, and no read by mistake."""
    assert client.get(path, params={"id": "98"}).status_code == 405


@pytest.mark.parametrize("path", [RETRIEVE, ORCHESTRATORS, TEMPLATES])
@pytest.mark.parametrize("headers", [{}, {"Authorization": KEY}, {"X-Api-Key": KEY}])
def test_a_bad_key_is_refused_in_json(
    path: str, headers: dict[str, str], twin: DiscuroTwin
) -> None:
    """Without the key in its header and behind its scheme there is no answer."""
    with client_of(twin, headers) as client:
        answer = client.post(path, params={"id": "98"})

    assert answered(answer) == (401, {"error": "Unauthorized", "meta_data": None})
    assert [one.is_authorised for one in twin.requests] == [False]


@pytest.mark.parametrize(
    ("scheme", "value"), [("", KEY), ("Token", f"Token {KEY}"), ("Bearer", KEY)]
)
def test_header_and_scheme_of_the_key_are_as_told(scheme: str, value: str) -> None:
    """The key comes in the header told, behind the scheme, if there is one."""
    twin = DiscuroTwin(
        key=KEY, auth_header="X-Api-Key", auth_scheme=scheme, clock=Clock(), sync_s=0
    )
    add(twin, 98)
    with client_of(twin, {"X-Api-Key": value}) as client:
        status = poll(client).status_code

    assert status == (401 if scheme == "Bearer" else 200)
    assert twin.settings("http://x").items() >= {
        ("auth_header", "X-Api-Key"),
        ("auth_scheme", scheme),
    }


@pytest.mark.parametrize("status", [429, 503])
def test_a_planned_fault_comes_once(
    status: int, clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """The next answer about that execution is the error, the one after it is true."""
    clock.time = NOW + HOUR
    twin.fail_next("id=98", status)

    statuses = [poll(client, one).status_code for one in (7, 98, 98)]

    assert statuses == [400, status, 200]


# Starting executions


def test_an_execution_that_is_started_runs_for_seconds_and_passes(
    twin: DiscuroTwin, client: httpx.Client
) -> None:
    """Its id is the next number; what it was started with is kept."""
    twin.world.add_workflow(OUTLINE)
    inputs = [{"name": "title", "value": "Tea"}, {"name": "tone", "value": "dry"}]
    tags = [{"key": "team", "value": "b"}, {"key": "team", "value": "c"}]

    first, second = (
        client.post(
            ORCHESTRATORS,
            json={"orchestrator_uuid": "u-1", "inputs": inputs, "tags": tags},
        )
        for _ in range(2)
    )
    too_early = poll(client, 99)
    twin.pass_time()

    assert [answered(first), answered(second)] == [
        (200, {"id": 99}),
        (200, {"id": 100}),
    ]
    assert answered(too_early) == (400, NOT_FOUND)
    assert poll(client, 99).json()["transformation"]["data"] == list(FILMS)
    known = twin.world.executions[99]
    assert (known.workflow_id, known.inputs) == ("u-1", inputs)
    assert twin.started()[1:] == [
        {"id": name, "started_at": stamp(NOW), "tags": tags} for name in ("99", "100")
    ]


def test_prompt_templates_have_an_endpoint_and_a_uuid_of_their_own(
    twin: DiscuroTwin, client: httpx.Client
) -> None:
    """A uuid of the one kind is unknown to the other."""
    twin.world.add_workflow(Workflow(workflow_id="t-1", kind="prompt_template"))

    started = client.post(TEMPLATES, json={"prompt_template_uuid": "t-1"})
    mistaken = client.post(ORCHESTRATORS, json={"orchestrator_uuid": "t-1"})

    assert answered(started) == (200, {"id": 99})
    assert answered(mistaken) == (
        400,
        {"error": "Operation failed - orchestrator not found", "meta_data": None},
    )


def test_missing_inputs_are_named_and_nothing_is_started(
    twin: DiscuroTwin, client: httpx.Client
) -> None:
    """The error is the documented one; ids are not used up."""
    twin.world.add_workflow(OUTLINE)
    given = {"orchestrator_uuid": "u-1", "inputs": [{"name": "size", "value": 1}]}

    answer = client.post(ORCHESTRATORS, json=given)

    error = "Error: missing input values (title, tone)"
    assert answered(answer) == (400, {"error": error, "meta_data": None})
    assert list(twin.world.executions) == [98]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"orchestrator_uuid": 1}', b"\xff"]
)
def test_a_body_that_names_no_workflow_is_refused(
    body: bytes, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """Whatever the body is, the answer is an error in JSON."""
    answer = client.post(ORCHESTRATORS, content=body)

    assert answer.status_code == 400
    assert set(answer.json()) == {"error", "meta_data"}
    assert list(twin.world.executions) == [98]


# What was handed out


def test_the_ledger_has_the_last_answer_when_it_came_and_how_often(
    clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """Answers without an execution enter nothing; another answer counts anew."""
    poll(client)
    nothing = twin.ledger()
    clock.time = NOW + 60 * SECOND
    poll(client)
    running = twin.ledger()
    clock.time = NOW + 100 * SECOND
    poll(client)
    clock.time = NOW + 101 * SECOND
    body = poll(client).json()

    started = {"id": 98, "status": "started"}
    assert nothing == {}
    assert running == {("", "98"): HandedOut(started, NOW + 60 * SECOND, 1)}
    assert twin.ledger() == {("", "98"): HandedOut(body, NOW + 101 * SECOND, 2)}


@pytest.mark.parametrize("fault", [500, "html", "reset", "cut"])
def test_what_was_not_handed_out_whole_is_not_in_the_ledger(
    fault: Any, clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """A failed, cut or broken answer leaves the ledger as it was."""
    clock.time = NOW + HOUR
    twin.fail_next(RETRIEVE, fault)

    try:
        answer: object = poll(client)
    except httpx.TransportError as error:
        answer = error

    assert answer is not None
    assert twin.ledger() == {}
    assert twin.obtained()["", "98"] == Obtained(None, "pending")


def test_a_store_that_lost_nothing_holds_the_last_answer_of_each_execution(
    clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """Pending while not found or started, captured when it was read, else expired."""
    add(twin, 99, runs_s=1, steps=(Step(step_id="1", error="no"),))
    add(twin, 100, runs_s=1, data=FILMS)
    seen = []
    for second in (0, 60, 100, 86_400):
        clock.time = NOW + second * SECOND
        for one in (98, 99):
            poll(client, one)
        seen.append([twin.obtained()["", one] for one in ("98", "99", "100")])

    unread, started = Obtained(None, "pending"), Obtained("started", "pending")
    passed = Obtained("ended", "captured", list(FILMS), total_tokens=216)
    failed = Obtained("ended", "captured", [], total_tokens=216)
    assert seen == [
        [unread, unread, unread],
        [started, failed, unread],
        [passed, failed, unread],
        [passed, failed, Obtained(None, "expired")],
    ]


# A body that stops half way


def test_a_held_body_promises_the_whole_and_sends_half(
    clock: Clock, twin: DiscuroTwin
) -> None:
    """A client that goes away before the release was handed out nothing."""
    clock.time = NOW + HOUR
    held = twin.hold_next_body("id=98")
    with serve(twin.app) as base_url:
        url = urlsplit(base_url)
        address = (url.hostname or "", url.port or 0)
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(
                f"POST {RETRIEVE}?id=98 HTTP/1.1\r\nHost: twin\r\n"
                f"Content-Length: 0\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
            )
            assert held.half_sent.wait(5)
            half = connection.recv(65_536)
        until = time.monotonic() + 5
        while twin._in_flight and time.monotonic() < until:
            time.sleep(0.001)
        held.release()
        left = twin._in_flight
    head, _, body = half.partition(b"\r\n\r\n")

    promised = re.search(rb"content-length: (\d+)", head)
    assert promised is not None
    assert len(body) == int(promised[1]) // 2 > 100
    assert (left, twin.ledger()) == (0, {})


def test_a_held_body_that_is_released_arrives_whole(
    clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """It is in the ledger from its release on; the next body is held no more."""
    clock.time = NOW + HOUR
    held = twin.hold_next_body()
    with ThreadPoolExecutor() as pool:
        reading = pool.submit(poll, client)
        assert held.half_sent.wait(5)
        before = twin.ledger(), reading.done()
        held.release()
        first = reading.result(5)

    assert before == ({}, False)
    assert first.json() == poll(client).json()
    assert twin.ledger()["", "98"].times == 2


def test_a_body_is_held_only_where_it_was_asked_for(
    clock: Clock, twin: DiscuroTwin, client: httpx.Client
) -> None:
    """Other executions are answered meanwhile."""
    clock.time = NOW + HOUR
    held = twin.hold_next_body("id=98")

    answer = poll(client, 99)

    assert answered(answer) == (400, NOT_FOUND)
    assert not held.half_sent.is_set()


# The demo


def test_the_demo_is_the_same_for_the_same_moment() -> None:
    """Two worlds made for one moment are equal."""
    worlds = [demo(NOW).world.executions for _ in range(2)]

    assert worlds[0] == worlds[1] != demo(NOW + SECOND).world.executions


def test_the_demo_is_a_twin_with_settings_that_poll_at_once() -> None:
    """What the demo and the contract tests need of a twin is there."""
    twin: Twin = demo(NOW)

    assert twin.settings("http://x") == {
        "base_url": "http://x",
        "api_key": "dk_demo",
        "assumed_model": "openai/gpt-4o",
        "poll_interval_s": "0.05",
        "first_poll_s": "0",
    }


def poll_all(twin: DiscuroTwin) -> list[list[int]]:
    """Ask for all executions until no answer is an error to repeat; return statuses."""
    seen = []
    with client_of(twin, {"Authorization": "Bearer dk_demo"}) as client:
        for one in twin.started():
            statuses = [poll(client, one["id"]).status_code]
            while statuses[-1] in (429, 503):
                statuses.append(poll(client, one["id"]).status_code)
            seen.append(statuses)
    return seen


def test_the_demo_has_every_case_of_a_poll() -> None:
    """Expired, failed at each level, running, not synced, limited and unavailable."""
    twin = demo(NOW)
    first = poll_all(twin)
    before = list(twin.obtained().values())
    twin.pass_time()
    second = poll_all(twin)
    after = list(twin.obtained().values())

    ends, rest = [first[0], first[-1]], first[1:-1]
    assert ends == [[400]] * 2
    assert sorted(rest) == [[200]] * 8 + [[429, 200], [503, 200]]
    assert second == [[400]] + [[200]] * 11
    assert [one.result_state for one in before] == (
        ["expired"] + ["captured"] * 9 + ["pending"] * 2
    )
    assert [one.provider_status for one in before[-2:]] == ["started", None]
    assert [one.result_state for one in after] == ["expired"] + ["captured"] * 11
    assert [len(one.outputs) for one in after] == [0, 3, 1, 0, 5, 0, 2, 0, 4, 1, 3, 2]


def test_the_demo_fails_at_a_property_in_a_layer_and_in_plain_text() -> None:
    """The errors are documents in strings, at either level, and a plain text."""
    twin = demo(NOW)
    poll_all(twin)
    failed = [
        one.body["transformation"]["results"]  # type: ignore[index] # JSON
        for one in twin.ledger().values()
        if one.body.get("passed") is False
    ]

    at_property, at_layer, plain = failed
    deepest = at_layer["81"]["layer_results"]["212"]["layer_results"]["3002"]
    assert json.loads(at_property["71"]["error"])["error"]["code"] is None
    assert json.loads(deepest["error"])["error"]["code"] == "context_length_exceeded"
    assert at_layer["80"]["passed"]
    assert not plain["71"]["error"].startswith("{")


def test_nothing_in_the_demo_lies_in_the_future() -> None:
    """Time has not come to the present when all has ended, and goes up by the id."""
    twin = demo(NOW)
    twin.pass_time()
    executions = list(twin.world.executions.values())
    begun = [one.started_at for one in executions]

    assert twin.world.now() < NOW
    assert max(one.ended_at for one in executions) < NOW
    assert begun == sorted(begun)
    assert begun[0] == NOW - timedelta(minutes=1) - 30 * HOUR


def test_the_demo_starts_executions_of_both_kinds() -> None:
    """Its workflows can be tried with ``submit``."""
    twin = demo(NOW)
    paths = {"orchestrator": ORCHESTRATORS, "prompt_template": TEMPLATES}
    with client_of(twin, {"Authorization": "Bearer dk_demo"}) as client:
        answers = [
            client.post(
                paths[one.kind],
                json={
                    f"{one.kind}_uuid": one.workflow_id,
                    "inputs": [{"name": name, "value": "x"} for name in one.inputs],
                },
            )
            for one in twin.world.workflows.values()
        ]

    assert [answered(one) for one in answers] == [
        (200, {"id": 143}),
        (200, {"id": 144}),
    ]
