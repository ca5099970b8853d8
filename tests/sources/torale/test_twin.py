"""Tests of the Torale twin: it behaves as documented, and as observed."""

import itertools
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest

import sources.torale.twin as torale
from sources.loopback import serve
from sources.torale.twin import ToraleTwin
from sources.torale.twin_dialects import LIVE_KEYS
from sources.torale.twin_world import Task, stamp

RECORDINGS = Path(torale.__file__).with_name("recordings")
NOW = datetime(2026, 4, 27, 15, 18, tzinfo=UTC)
TASK = "34406fcd-8cbe-5cbf-bd84-a4a87e0994e6"
LIST = f"/api/v1/tasks/{TASK}/executions"
SECOND = timedelta(seconds=1)
KEY = "sk_canary"

Dialect = Literal["paged", "window"]
Json = Any


def recording(name: str) -> Json:
    """Return a recorded response."""
    return json.loads((RECORDINGS / f"{name}.json").read_text())


def twin_of(dialect: Dialect, count: int = 0, **settings: Any) -> ToraleTwin:
    """Return a twin with one task and so many executions, a minute apart."""
    twin = ToraleTwin(key=KEY, dialect=dialect, clock=lambda: NOW, **settings)
    twin.world.add_task(Task(task_id=TASK))
    for number in range(count):
        at = NOW - number * timedelta(minutes=1)
        twin.world.add_execution(TASK, {"id": f"e{number}", "started_at": at})
    return twin


@contextmanager
def client_of(twin: ToraleTwin, key: str = KEY) -> Iterator[httpx.Client]:
    """Yield a client of the twin, over real sockets."""
    bearer = {"Authorization": f"Bearer {key}"}
    with (
        serve(twin.app) as base_url,
        httpx.Client(base_url=base_url, headers=bearer, timeout=5) as client,
    ):
        yield client


def ids(answer: httpx.Response) -> list[str]:
    """Return the ids of the executions in a list of either dialect."""
    body = answer.json()
    return [
        item["id"] for item in (body if isinstance(body, list) else body["executions"])
    ]


def as_recorded(answer: httpx.Response, name: str) -> bool:
    """Return whether an answer is the recorded one, status and headers included."""
    known = recording(name)
    body = answer.text if "body_text" in known else answer.json()
    headers = {header: answer.headers[header] for header in known["headers"]}
    return (answer.status_code, headers, body) == (
        known["status"],
        known["headers"],
        known.get("body_text", known.get("body")),
    )


# The paged dialect, as documented


def test_paged_lists_come_in_the_documented_envelope() -> None:
    """The envelope and its items have the documented keys, in that order."""
    known = recording("documented_list")["body"]
    with client_of(twin_of("paged", 21)) as client:
        body = client.get(LIST).json()

    assert list(body) == list(known)
    assert list(body["executions"][0]) == list(known["executions"][0])
    assert (len(body["executions"]), body["total"], body["page"], body["limit"]) == (
        20,
        21,
        1,
        20,
    )


def test_pages_hold_every_execution_once_newest_first() -> None:
    """Pages are windows of the same order; a page past the end is empty."""
    with client_of(twin_of("paged", 5)) as client:
        pages = [
            ids(client.get(LIST, params={"page": p, "limit": 2})) for p in range(1, 5)
        ]

    assert pages == [["e0", "e1"], ["e2", "e3"], ["e4"], []]


def test_a_limit_beyond_the_maximum_is_clamped_and_says_so() -> None:
    """The body's ``limit`` is the page size, not what was asked for."""
    with client_of(twin_of("paged", 5, max_limit=3)) as client:
        body = client.get(LIST, params={"limit": 100}).json()

    assert (body["limit"], len(body["executions"]), body["total"]) == (3, 3, 5)


def test_paged_lists_can_be_filtered_by_status() -> None:
    """``status`` filters, and ``total`` counts what fits."""
    twin = twin_of("paged", 3)
    twin.world.add_execution(TASK, {"id": "open", "status": "running"})
    with client_of(twin) as client:
        body = client.get(LIST, params={"status": "running"}).json()

    assert [item["id"] for item in body["executions"]] == ["open"]
    assert body["total"] == 1


def test_a_list_leaves_out_what_only_single_executions_have() -> None:
    """``snippet`` and ``sources_count`` are in the single execution alone."""
    known = recording("documented_detail")["body"]
    twin = twin_of("paged")
    twin.world.add_execution(TASK, known | {"task_id": TASK})
    with client_of(twin) as client:
        item = client.get(LIST).json()["executions"][0]
        detail = client.get(f"{LIST}/{known['id']}").json()

    assert detail == known | {"task_id": TASK}
    assert list(detail) == list(known)
    assert detail["result"] == item["result"] | {"sources_count": 3}
    assert [set(source) for source in item["grounding_sources"]] == [
        {"uri", "title"}
    ] * 2


# The window dialect, as observed


def test_window_lists_are_bare_and_have_exactly_the_live_keys() -> None:
    """The items have the keys of the observed answer, in its order, and no others."""
    known = recording("observed_window_page_and_offset_ignored")["body"]
    with client_of(twin_of("window", 101)) as client:
        body = client.get(LIST).json()

    assert len(body) == 100
    assert {tuple(item) for item in body} == {tuple(known[0])}


def test_the_window_dialect_ignores_all_but_limit() -> None:
    """``page``, ``offset`` and ``status`` change nothing; no limit is too large."""
    with client_of(twin_of("window", 130)) as client:
        ignored = client.get(
            LIST, params={"page": "x", "offset": 3, "status": "failed", "limit": 2}
        )
        everything = client.get(LIST, params={"limit": 2**63 - 1})

    assert ids(ignored) == ["e0", "e1"]
    assert len(ids(everything)) == 130


def test_the_window_dialect_has_no_single_executions_unless_told_to() -> None:
    """There is no such route, or there is."""
    with client_of(twin_of("window", 1)) as client:
        absent = client.get(f"{LIST}/e0")
    with client_of(twin_of("window", 1, has_details=True)) as client:
        present = client.get(f"{LIST}/e0")

    assert as_recorded(absent, "oddity_404_no_such_route")
    assert tuple(present.json()) == LIVE_KEYS


# Order and ties


@pytest.mark.parametrize("dialect", ["paged", "window"])
def test_ties_fall_differently_for_each_limit_but_always_the_same(
    dialect: Dialect,
) -> None:
    """Which rows a window holds depends on its limit, and on nothing else."""
    twin = twin_of(dialect)
    for number in range(12):
        twin.world.add_execution(TASK, {"id": f"t{number}", "started_at": NOW})
    limits = range(1, 12)
    with client_of(twin) as client:
        windows = [ids(client.get(LIST, params={"limit": limit})) for limit in limits]
        again = [ids(client.get(LIST, params={"limit": limit})) for limit in limits]

    assert windows == again
    assert len({window[0] for window in windows}) > 1
    assert any(not set(one) <= set(two) for one, two in itertools.pairwise(windows))


# Errors, as documented and as observed

ASKED: dict[str, tuple[Dialect, str, str]] = {
    "documented_401_bad_key": ("paged", "wrong", LIST),
    "documented_403_not_authorized": (
        "paged",
        KEY,
        "/api/v1/tasks/theirs/executions/e0",
    ),
    "documented_404_execution": ("paged", KEY, f"{LIST}/unknown"),
    "observed_401_bad_key": ("window", "wrong", "/api/v1/tasks/"),
    "observed_404_unknown_task": ("window", KEY, "/api/v1/tasks/none/executions"),
    "observed_422_bad_limit": ("window", KEY, f"{LIST}?limit=abc"),
    "observed_500_plain_text": ("window", KEY, f"{LIST}?limit=-1"),
}


@pytest.mark.parametrize("name", ASKED)
def test_an_error_has_the_recorded_status_headers_and_body(name: str) -> None:
    """What was documented or observed comes back, to the byte of its length."""
    dialect, key, url = ASKED[name]
    twin = twin_of(dialect, 1)
    twin.world.add_task(Task(task_id="theirs", is_forbidden=True))
    twin.world.add_execution("theirs", {"id": "e0"})
    with client_of(twin, key) as client:
        answer = client.get(url)

    assert as_recorded(answer, name)


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (401, "documented_401_bad_key"),
        (403, "documented_403_not_authorized"),
        (404, "documented_404_execution"),
        (422, "observed_422_bad_limit"),
        (429, "observed_429_rate_limit"),
        (500, "observed_500_plain_text"),
    ],
)
def test_a_planned_fault_has_the_recorded_body(status: int, name: str) -> None:
    """Faults to order look as the provider's own; a rate limit names no wait."""
    twin = twin_of("window", 1)
    twin.fail_next("/executions", status)
    with client_of(twin) as client:
        answer, after = client.get(LIST), client.get(LIST)

    assert as_recorded(answer, name)
    assert "retry-after" not in answer.headers
    assert ids(after) == ["e0"]


def test_a_wrong_slash_is_redirected_to_plain_http() -> None:
    """The redirect is absolute, http, and to the host that was asked."""
    with client_of(twin_of("window", 1)) as client:
        tasks = client.get("/api/v1/tasks", headers={"Host": "HOST"})
        executions = client.get(f"{LIST}/", headers={"Host": "HOST"})

    assert as_recorded(tasks, "observed_307_missing_slash")
    assert executions.headers["location"] == f"http://HOST{LIST}"


def test_the_window_dialect_takes_a_bad_key_for_an_anonymous_reader() -> None:
    """A private task is unknown to it; a public one, also somebody else's, is read."""
    twin = twin_of("window", 1)
    twin.world.add_task(Task(task_id="public", is_public=True, is_forbidden=True))
    twin.world.add_execution("public", {"id": "p0"})
    with client_of(twin, "wrong") as client:
        private = client.get(LIST)
        public = client.get("/api/v1/tasks/public/executions")

    assert as_recorded(private, "observed_404_unknown_task")
    assert ids(public) == ["p0"]
    assert [seen.is_authorised for seen in twin.requests] == [False, False]


@pytest.mark.parametrize("dialect", ["paged", "window"])
@pytest.mark.parametrize("limit", [-1, 2**63, -(2**70)])
def test_a_limit_that_the_database_refuses_is_a_500(
    dialect: Dialect, limit: int
) -> None:
    """Limits below 0 and from 2**63 on are not validated before the database."""
    with client_of(twin_of(dialect, 1, max_limit=2**70)) as client:
        answer = client.get(LIST, params={"limit": limit})

    assert as_recorded(answer, "observed_500_plain_text")


def test_a_poisoned_row_spoils_each_window_that_holds_it() -> None:
    """A smaller limit still gets the newer rows, and other pages are served."""
    statuses = []
    for dialect, urls in (
        ("window", ("?limit=4", "?limit=2")),
        ("paged", ("?limit=2&page=1", "?limit=2&page=2", "/bad", "?limit=2&page=3")),
    ):
        twin = twin_of(dialect, 6)  # type: ignore[arg-type] # as listed above
        bad = {"id": "bad", "started_at": NOW - 150 * SECOND}
        twin.world.add_execution(TASK, bad, is_poisoned=True)
        with client_of(twin) as client:
            statuses.append([client.get(LIST + url).status_code for url in urls])
            assert client.get("/api/v1/tasks/").status_code == 200

    assert statuses == [[500, 200], [200, 500, 500, 200]]


# The list of tasks


def test_the_list_of_tasks_is_as_observed() -> None:
    """It is bare, has the observed keys, and holds the newest success of each task."""
    known = recording("observed_list_tasks")["body"][0]
    twin = twin_of("window", 2)
    twin.world.add_execution(TASK, {"id": "open", "status": "running"})
    twin.world.add_task(Task(task_id="theirs", is_public=True, is_forbidden=True))
    with client_of(twin) as client:
        body = client.get("/api/v1/tasks/").json()

    assert [task["id"] for task in body] == [TASK]
    assert list(body[0]) == list(known)
    assert set(body[0]["last_execution"]) == set(known["last_execution"])
    assert (body[0]["last_execution_id"], body[0]["last_execution"]["created_at"]) == (
        "e0",
        None,
    )


def test_a_newest_success_that_cannot_be_read_is_left_out_of_the_list() -> None:
    """Tasks can be listed although their rows cannot."""
    twin = twin_of("window")
    twin.world.add_execution(TASK, is_poisoned=True)
    with client_of(twin) as client:
        [task] = client.get("/api/v1/tasks/").json()

    assert (task["last_execution_id"], task["last_execution"]) == (None, None)


def test_a_documented_server_may_have_no_list_of_tasks() -> None:
    """Without one both spellings are 404, and the settings name the tasks."""
    twin = twin_of("paged", has_task_list=False)
    with client_of(twin) as client:
        answers = [client.get(url) for url in ("/api/v1/tasks/", "/api/v1/tasks")]

    assert all(as_recorded(one, "oddity_404_no_task_list") for one in answers)
    assert twin.settings("http://x") == {
        "base_url": "http://x",
        "api_key": KEY,
        "task_ids": TASK,
    }


# Life over the clock


def test_an_execution_lives_as_it_is_scripted() -> None:
    """The same id goes from pending by way of a retry to success, with the clock."""
    time = [NOW]
    twin = ToraleTwin(key=KEY, dialect="window", clock=lambda: time[0])
    twin.world.add_task(Task(task_id=TASK))
    twin.world.add_execution(
        TASK,
        {"id": "e", "status": "pending", "started_at": NOW},
        life=[
            (NOW + 1 * SECOND, {"status": "running"}),
            (
                NOW + 4 * SECOND,
                {"status": "retrying", "completed_at": NOW + 4 * SECOND},
            ),
            (NOW + 6 * SECOND, {"status": "running", "completed_at": None}),
            (NOW + 9 * SECOND, {"status": "success", "completed_at": NOW + 9 * SECOND}),
        ],
        appears_at=NOW,
    )
    seen = []
    with client_of(twin) as client:
        for second in (-1, 0, 1, 4, 6, 9):
            time[0] = NOW + second * SECOND
            seen.append(
                [
                    (one["status"], one["completed_at"])
                    for one in client.get(LIST).json()
                ]
            )

    assert seen == [
        [],
        [("pending", None)],
        [("running", None)],
        [("retrying", "2026-04-27T15:18:04Z")],
        [("running", None)],
        [("success", "2026-04-27T15:18:09Z")],
    ]


def test_time_that_is_let_pass_brings_all_that_is_scripted() -> None:
    """``pass_time`` goes to the last event, and not beyond it a second time."""
    twin = twin_of("paged")
    done = (NOW + 60 * SECOND, {"status": "success"})
    twin.world.add_execution(TASK, {"id": "e", "status": "running"}, life=[done])
    twin.world.add_execution(TASK, {"id": "new"}, appears_at=NOW + 90 * SECOND)

    twin.pass_time()
    twin.pass_time()

    assert twin.world.now() == NOW + 90 * SECOND
    with client_of(twin) as client:
        body = client.get(LIST).json()
    assert {one["id"]: one["status"] for one in body["executions"]} == {
        "e": "success",
        "new": "success",
    }


def test_an_execution_that_has_not_appeared_cannot_be_asked_for() -> None:
    """It is in no list and by itself not found."""
    twin = twin_of("paged")
    twin.world.add_execution(TASK, {"id": "new"}, appears_at=NOW + SECOND)
    with client_of(twin) as client:
        answers = client.get(LIST), client.get(f"{LIST}/new")

    assert ids(answers[0]) == []
    assert as_recorded(answers[1], "documented_404_execution")


def test_a_change_from_outside_keeps_what_is_scripted_for_later() -> None:
    """A changed row has the new columns now, and its scripted ones in time."""
    twin = twin_of("paged")
    later = (NOW + SECOND, {"status": "success"})
    twin.world.add_execution(TASK, {"id": "e", "status": "pending"}, life=[later])
    shown = []

    twin.world.change_execution(TASK, "e", {"status": "running", "error_message": "x"})

    for _ in range(2):
        columns = twin.world.find(TASK, "e") or {}
        shown.append((columns["status"], columns["error_message"]))
        twin.pass_time()
    assert shown == [("running", "x"), ("success", "x")]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (NOW, "2026-04-27T15:18:00Z"),
        (NOW + timedelta(microseconds=120), "2026-04-27T15:18:00.000120Z"),
    ],
)
def test_times_have_no_or_six_digits_of_a_second(moment: datetime, text: str) -> None:
    """Times are written as observed."""
    assert stamp(moment) == text


# Changes while a client pages


def _on_page(twin: ToraleTwin, page: int, change: Callable[[], object]) -> None:
    twin.on_request(lambda seen: change() if f"page={page}" in seen.query else None)


def test_a_new_execution_shifts_rows_to_later_pages() -> None:
    """The last row of page 1 is seen again on page 2, and ``total`` grows."""
    twin = twin_of("paged", 4)
    _on_page(twin, 2, lambda: twin.world.add_execution(TASK, {"id": "new"}))
    with client_of(twin) as client:
        first, second = (client.get(f"{LIST}?limit=2&page={n}") for n in (1, 2))

    assert (ids(first), ids(second)) == (["e0", "e1"], ["e1", "e2"])
    assert (first.json()["total"], second.json()["total"]) == (4, 5)


def test_a_deletion_shifts_rows_to_earlier_pages() -> None:
    """A row is on no page that was read, and ``total`` shrinks."""
    twin = twin_of("paged", 4)
    _on_page(twin, 2, lambda: twin.world.delete_execution(TASK, "e0"))
    with client_of(twin) as client:
        first, second = (client.get(f"{LIST}?limit=2&page={n}") for n in (1, 2))

    assert (ids(first), ids(second)) == (["e0", "e1"], ["e3"])
    assert (first.json()["total"], second.json()["total"]) == (4, 3)


def test_a_task_that_is_deleted_is_not_found_any_more() -> None:
    """It is neither listed nor read."""
    twin = twin_of("window", 1)
    twin.world.delete_task(TASK)
    with client_of(twin) as client:
        executions, tasks = client.get(LIST), client.get("/api/v1/tasks/")

    assert as_recorded(executions, "observed_404_unknown_task")
    assert tasks.json() == []


# The ledger


def test_the_ledger_has_each_execution_as_it_was_last_handed_out() -> None:
    """Lists, single executions, and whichever was the last, under (task, id)."""
    twin = twin_of("paged", 2)
    with client_of(twin) as client:
        before = client.get(LIST).json()["executions"]
        twin.world.change_execution(TASK, "e0", {"status": "failed"})
        detail = client.get(f"{LIST}/e0").json()

    assert twin.ledger() == {(TASK, "e0"): detail, (TASK, "e1"): before[1]}
    assert twin.ledger_lists() == {(TASK, one["id"]): one for one in before}
    assert twin.ledger_details() == {(TASK, "e0"): detail}


def test_a_list_takes_nothing_back_from_a_single_execution_that_still_holds() -> None:
    """What only the single execution has stays in the ledger, until rows change."""
    twin = twin_of("paged", 2)
    with client_of(twin) as client:
        detail = client.get(f"{LIST}/e0").json()
        client.get(LIST)
        unchanged = twin.ledger()[TASK, "e0"]
        twin.world.change_execution(TASK, "e0", {"status": "failed"})
        item = client.get(LIST).json()["executions"][0]
        changed = twin.ledger()[TASK, "e0"]

    assert "sources_count" in detail["result"]
    assert (unchanged, changed) == (detail, item)


@pytest.mark.parametrize("fault", [500, "html", "reset", "cut"])
def test_what_was_not_handed_out_whole_is_not_in_the_ledger(fault: Any) -> None:
    """A failed, cut or broken answer leaves the ledger as it was."""
    twin = twin_of("paged", 2)
    twin.fail_next("/executions", fault, times=2)
    answers: list[object] = []
    with client_of(twin) as client:
        for url in (LIST, f"{LIST}/e0"):
            try:
                answers.append(client.get(url).status_code)
            except httpx.TransportError as error:
                answers.append(error)

    assert len(answers) == 2
    assert twin.ledger() == twin.ledger_lists() == twin.ledger_details() == {}


# The recordings


def test_recordings_name_their_origin_a_known_endpoint_and_one_body() -> None:
    """Each file has the shape that the tests of the normalizer rely on."""
    endpoints = {
        "tasks": {"limit"},
        "executions": {"task_id", "page", "limit"},
        "execution": {"task_id", "execution_id"},
    }
    origins = {"documented", "observed", "constructed from OBSERVED.md"}
    for path in RECORDINGS.iterdir():
        known = recording(path.stem)
        parts = {"origin", "endpoint", "params", "status", "headers"}
        assert set(known) - parts in ({"body"}, {"body_text"}), path.name
        assert known["origin"] in origins, path.name
        assert set(known["params"]) <= endpoints[known["endpoint"]], path.name
        assert isinstance(known["status"], int), path.name


def recorded_executions() -> list[dict[str, Json]]:
    """Return the executions of all recordings but the adversarial ones."""
    rows: list[dict[str, Json]] = []
    for path in sorted(RECORDINGS.glob("[!a]*.json")):
        known = recording(path.stem)
        if known["status"] != 200 or known["endpoint"] == "tasks":
            continue
        body = known.get("body", [])
        rows += body if isinstance(body, list) else body.get("executions", [body])
    return rows


def test_every_recorded_execution_passes_through_the_twin_as_it_is() -> None:
    """All eras of results, odd sources, times and numbers are served unchanged."""
    rows = {row["id"]: row | {"task_id": TASK} for row in recorded_executions()}
    twin = twin_of("window", has_details=True)
    for row in rows.values():
        twin.world.add_execution(TASK, row)
    with client_of(twin) as client:
        items = client.get(LIST, params={"limit": 1000}).json()

    assert len(rows) > 50
    for item in items:
        expected = rows[item["id"]]
        shared = {name for name in item if name in expected}
        assert {name: item[name] for name in shared} == {
            name: expected[name] for name in shared
        }
    assert len(items) == len(rows)
