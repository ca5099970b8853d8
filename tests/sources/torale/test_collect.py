"""Which tasks are read, how deep, and what is said where one cannot be read."""

import asyncio
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sources.errors import (
    ConfigurationError,
    KeyRefused,
    NotFound,
    ProviderError,
    ServerFault,
    StoreError,
    TransportFault,
    UnexpectedAnswer,
)
from sources.provider import Collected, Window, settings_from
from sources.torale.collect import check, planned
from sources.torale.settings import Settings
from sources.torale.twin import ToraleTwin
from sources.torale.twin_world import Task
from tests.sources.torale.account import HOUR, KEY, NOW, Account, Open, add, twin_of

DAY = timedelta(days=1)
FOR_EVER = 10_000
NEXT_STEP = re.compile(
    r"(Set SOURCES__TORALE__\w+ or run \"execledger doctor\"\."
    r"|Set SOURCES__TORALE__TASK_IDS to the ids of the tasks to read\."
    r"|or run \"execledger doctor\"\."
    r"|Check base_url\.|is base_url right\?"
    r"|Check base_url: https, and the final host\."
    r"|Check base_url and the network, then run it again\."
    r"|Run it again( later.*)?\."
    r"|the next load asks (again|for the others again)\.)$"
)
"""How a message may end: what to do, or what will be done."""


# A second and a third load


@pytest.mark.parametrize("dialect", ["paged", "window"])
def test_an_unchanged_second_load_asks_for_one_page_of_each_task(
    account: Open, dialect: Any
) -> None:
    """Nothing is asked twice, no detail at all, and nothing is stored again."""
    a = account(twin_of({"t1": 150, "t2": 3}, dialect))
    a.load()
    before = a.store.tables()

    collected = a.load()

    assert sorted(a.asked()) == [
        "t1?page=1&limit=100",
        "t2?page=1&limit=100",
        "tasks",
    ]
    assert collected.counts == {"tasks": 2, "executions": 103, "details": 0}
    assert a.store.tables() == before
    assert a.query(
        "select outcome, count(*) from execledger.raw_responses "
        "where body is null group by outcome"
    ) == [("unchanged", 3)]


def test_one_changed_row_costs_one_detail(account: Open) -> None:
    """The list decides what changed; only that is asked for."""
    a = account(twin_of({"t1": 50, "t2": 3}))
    a.load()
    flagged = {"answer": "yes", "notification_failed": True}
    a.twin.world.change_execution("t1", "e5", {"result": flagged})

    a.load()

    assert sorted(a.asked()) == [
        "t1/e5",
        "t1?page=1&limit=100",
        "t2?page=1&limit=100",
        "tasks",
    ]


# How deep


def old_history(**kind: Any) -> ToraleTwin:
    """Return a twin with 40 days of executions, two a day."""
    return twin_of({"t1": 80}, every=12 * HOUR, has_details=False, **kind)


def test_a_settled_history_is_not_read_again(account: Open) -> None:
    """A load reads down to the newest start in the store less the settle time."""
    a = account(old_history(), page_size=10, concurrency=1)
    a.load()
    for number in (3, 11):  # 1.5 and 5.5 days old
        changed = {"result": {"answer": f"changed {number}"}}
        a.twin.world.change_execution("t1", f"e{number}", changed)

    a.load()

    assert a.lists("t1") == ["page=1&limit=10"]
    assert a.query(
        "select value_text from execledger.outputs where value_text like 'changed%'"
    ) == [("changed 3",)]


def test_settle_hours_say_how_long_a_finished_execution_is_read_again(
    account: Open,
) -> None:
    """The settle time is the reader's to set."""
    a = account(old_history(), page_size=10, concurrency=1, settle_hours=240)
    a.load()

    a.load()

    assert a.lists("t1") == [f"page={n}&limit=10" for n in (1, 2, 3)]


def test_an_open_execution_is_read_again_however_old(account: Open) -> None:
    """The list is read down to it until it is final, and no further."""
    twin = old_history()
    started = NOW - 20 * DAY - HOUR
    columns = {"id": "open", "started_at": started, "status": "running"}
    ended = (NOW + HOUR, {"status": "failed", "error_message": "stuck"})
    twin.world.add_execution("t1", columns, life=[ended])
    a = account(twin, page_size=10, concurrency=1)
    status = "select status from execledger.executions where execution_id = 'open'"
    a.load()
    before = a.query(status)

    twin.pass_time()
    a.load()
    down_to_it = a.lists("t1")
    a.load()

    assert before == [("running",)]
    assert a.query(status) == [("failed",)]
    assert down_to_it == [f"page={n}&limit=10" for n in range(1, 6)]
    assert a.lists("t1") == ["page=1&limit=10"]


def test_an_execution_open_for_more_than_a_month_is_waited_for_no_longer(
    account: Open,
) -> None:
    """The server ends a stuck one within hours: this one was lost there."""
    twin = old_history()
    add(twin, "open", NOW - 31 * DAY, status="running")
    a = account(twin, page_size=10)
    a.load()

    a.load()

    assert a.lists("t1") == ["page=1&limit=10"]


def test_a_start_in_the_future_hides_nothing(account: Open) -> None:
    """The newest start that counts is not after it was seen."""
    twin = old_history()
    add(twin, "of tomorrow", NOW + 400 * DAY)
    a = account(twin, page_size=10, concurrency=1)
    a.load()
    add(twin, "new", NOW)

    a.load()

    assert a.held() == a.expected()


def test_a_new_task_is_read_whole(account: Open) -> None:
    """What the store holds of one task says nothing of another."""
    a = account(old_history())
    a.load()
    a.twin.world.add_task(Task(task_id="t2"))
    for number in range(5):
        add(a.twin, f"old{number}", NOW - (100 + number) * DAY, "t2")

    a.load()

    assert a.held() == a.expected()


def test_a_range_is_read_again_on_purpose_details_included(account: Open) -> None:
    """``since`` and ``until``: what started between them is asked for once more."""
    a = account(twin_of({"t1": 80}, every=12 * HOUR), page_size=10, concurrency=1)
    a.load()
    window = Window(NOW - 21 * DAY, NOW - 20 * DAY)
    changed = {"result": {"answer": "changed"}}
    a.twin.world.change_execution("t1", "e41", changed)

    collected = a.load(window=window)

    assert a.lists("t1") == [f"page={n}&limit=10" for n in range(1, 6)]
    assert a.details() == ["t1/e40", "t1/e41", "t1/e42"]
    assert collected.counts["details"] == 3
    assert a.query(
        "select count(*) from execledger.outputs where value_text = 'changed'"
    ) == [(1,)]


def test_a_range_without_an_end_reaches_to_now(account: Open) -> None:
    """``since`` alone reads everything from then on again."""
    a = account(twin_of({"t1": 10}))
    a.load()

    a.load(window=Window(since=NOW - 4 * HOUR))

    assert a.details() == [f"t1/e{number}" for number in range(5)]


# What could not be finished


def test_an_unfinished_list_is_read_to_its_end_by_the_next_load(account: Open) -> None:
    """Its newest rows are in the store already, and do not hide the missing ones."""
    a = account(old_history(), page_size=10)
    a.twin.fail_next("page=3", 418)

    first = a.load()
    after_first = a.held()["t1"]
    shallow = a.collect().unfinished
    second = a.load(unfinished=first.unfinished)

    assert len(after_first) == 70
    assert first.unfinished == {"t1": ""}
    assert shallow == {}
    assert a.held() == a.expected()
    assert (second.errors, second.unfinished) == ([], {})


def test_an_unfinished_update_says_how_deep_the_next_one_must_read(
    account: Open,
) -> None:
    """A list that was read before is due down to the same time, not whole."""
    a = account(old_history(), page_size=10, settle_hours=240, concurrency=1)
    a.load()
    a.twin.fail_next("page=2", 418)

    first = a.load()
    for number in range(40):
        add(a.twin, f"new{number}", NOW + number * timedelta(seconds=1))
    a.load(unfinished=first.unfinished)

    assert first.unfinished == {"t1": (NOW - 10 * DAY).isoformat()}
    assert a.lists("t1") == [f"page={n}&limit=10" for n in range(1, 8)]


def test_what_is_due_of_a_task_that_is_not_read_stays_due(account: Open) -> None:
    """It may come back, and its list is not whole yet."""
    a = account(twin_of({"t1": 1}))

    collected = a.load(unfinished={"away": "", "t1": ""})

    assert collected.unfinished == {"away": ""}


def test_what_was_due_stays_due_where_nothing_could_be_read(account: Open) -> None:
    """Without the list of tasks nobody is read, and nobody is finished."""
    a = account(twin_of({"t1": 1}), api_key="sk_another")

    collected = a.load(unfinished={"t1": ""})

    assert collected.unfinished == {"t1": ""}


def test_what_a_killed_load_left_in_the_journal_is_not_taken_for_loaded(
    account: Open,
) -> None:
    """The store alone says what is known: all is asked for again."""
    a = account(twin_of({"t1": 30}), page_size=10)
    a.collect()

    collected = a.load()

    assert collected.counts == {"tasks": 1, "executions": 30, "details": 30}
    assert a.held() == a.expected()


# Which tasks


def test_every_listed_task_is_read_and_described_where_none_is_configured(
    account: Open,
) -> None:
    """The list of tasks fills ``workflows``."""
    twin = twin_of({"t1": 1, "t2": 2})
    twin.world.add_task(Task(task_id="t3", name="Phone", state="paused"))
    a = account(twin)

    a.load()

    assert a.held() == a.expected()
    assert sorted(
        a.query("select workflow_id, name, state from execledger.workflows")
    ) == [
        ("t1", "A task", "active"),
        ("t2", "A task", "active"),
        ("t3", "Phone", "paused"),
    ]


def test_configured_tasks_alone_are_read_each_once(account: Open) -> None:
    """Also one that the key cannot list; the list still fills ``workflows``."""
    a = account(twin_of({"t1": 1, "t2": 2, "t3": 3}), task_ids=("t3", "t1", "t3"))

    collected = a.load()

    assert a.held() == {"t1": ["e0"], "t3": ["e0", "e1", "e2"]}
    assert collected.counts["tasks"] == 2
    assert a.query("select count(*) from execledger.workflows") == [(3,)]


def test_a_server_without_a_list_of_tasks_needs_configured_ones(account: Open) -> None:
    """The documented API has none: the error says which setting is missing."""
    a = account(twin_of({"t1": 1}, has_task_list=False))

    collected = a.load()

    (error,) = collected.errors
    assert isinstance(error, NotFound)
    assert str(error) == (
        "Torale: this server does not list tasks (404). Set SOURCES__TORALE__TASK_IDS "
        "to the ids of the tasks to read."
    )
    assert a.asked() == ["tasks"]


def test_configured_tasks_are_read_from_a_server_without_a_list(account: Open) -> None:
    """A 404 there is then no error."""
    a = account(twin_of({"t1": 2, "t2": 1}, has_task_list=False), task_ids=("t1",))

    collected = a.load()

    assert a.held() == {"t1": ["e0", "e1"]}
    assert collected.errors == []


@pytest.mark.parametrize("task_ids", [(), ("t1",)])
def test_a_refused_key_is_said_once_and_nothing_else_is_asked(
    account: Open, task_ids: tuple[str, ...]
) -> None:
    """A key that may not list tasks may read none of them."""
    a = account(twin_of({"t1": 1}), api_key="sk_another", task_ids=task_ids)

    collected = a.load()

    (error,) = collected.errors
    assert isinstance(error, KeyRefused)
    assert str(error) == (
        "Torale: the key was refused (401: Invalid API key). "
        'Set SOURCES__TORALE__API_KEY or run "execledger doctor".'
    )
    assert a.asked() == ["tasks"]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(500, ServerFault), ("cut", TransportFault), ("reset", TransportFault)],
)
def test_a_broken_list_of_tasks_stops_only_who_needs_it(
    account: Open, fault: Any, kind: type[ProviderError]
) -> None:
    """With configured tasks it is one error, and they are read."""
    twin = twin_of({"t1": 1})
    twin.fail_next("/api/v1/tasks/?", fault, times=FOR_EVER)

    without = account(twin).load()
    a = account(twin, task_ids=("t1",))
    configured = a.load()

    assert [type(error) for error in without.errors] == [kind]
    assert without.counts["tasks"] == 0
    assert [type(error) for error in configured.errors] == [kind]
    assert a.held() == {"t1": ["e0"]}


@pytest.mark.parametrize("body", ["{}", "7", "not json", "<html>"])
def test_a_list_of_tasks_that_is_none_is_said_where_it_is_needed(
    account: Open, body: str
) -> None:
    """With configured tasks it is no error: the documented API has no list."""
    twin = twin_of({"t1": 1})
    twin.fail_next("/api/v1/tasks/?", 200, body=body, times=2)

    (error,) = account(twin).load().errors
    configured = account(twin, task_ids=("t1",)).load()

    assert isinstance(error, UnexpectedAnswer)
    assert "base_url" in str(error)
    assert configured.errors == []


def test_odd_tasks_in_the_list_cost_no_other(account: Open) -> None:
    """What has no id is no task; one that stands there twice is read once."""
    twin = twin_of({"t1": 1, "a:b/c%d": 1})
    tasks = [{"id": "t1"}, {"name": "no id"}, None, {"id": "t1"}, {"id": "a:b/c%d"}]
    twin.fail_next("/api/v1/tasks/?", 200, body=json.dumps(tasks))
    a = account(twin)

    collected = a.load()

    assert a.held()["t1"] == ["e0"]
    assert a.lists("t1") == ["page=1&limit=100"]
    assert collected.counts["tasks"] == 2
    (error,) = collected.errors  # the twin takes no slash within an id
    assert str(error).startswith("Task a:b/c%d (deleted, ")
    assert "/tasks/a%3Ab%2Fc%25d/executions?" in str(error)


# Tasks that cannot be read


@pytest.mark.parametrize("dialect", ["paged", "window"])
def test_a_task_that_is_gone_or_forbidden_is_named_and_the_others_are_read(
    account: Open, dialect: Any
) -> None:
    """Each has its own error; what the store holds of it stays."""
    twin = twin_of({"t1": 2, "t2": 2, "t3": 2}, dialect)
    a = account(twin, task_ids=("t1", "t2", "t3"))
    a.load()
    twin.world.delete_task("t1")
    twin.world.add_task(Task(task_id="t2", is_forbidden=True))
    add(twin, "new", NOW, "t3")

    collected = a.load()

    gone, forbidden = sorted(map(str, collected.errors))
    assert gone.startswith(
        "Task t1 (deleted, made private, or not to be read with this key): Torale: GET "
    )
    assert "was not found (404: Task not found)" in gone
    if dialect == "paged":
        assert forbidden == (
            "Task t2: Torale: the key was refused (403: Not authorized to access this "
            'execution). Set SOURCES__TORALE__API_KEY or run "execledger doctor".'
        )
    else:
        assert forbidden.startswith("Task t2 (deleted, made private")
    assert a.held() == {
        "t1": ["e0", "e1"],
        "t2": ["e0", "e1"],
        "t3": ["e0", "e1", "new"],
    }


def test_a_task_that_became_private_is_read_on_where_it_comes_back(
    account: Open,
) -> None:
    """What changed meanwhile is not lost."""
    twin = old_history()
    a = account(twin, page_size=10, task_ids=("t1",))
    a.load()
    whole = twin.world.tasks["t1"]
    twin.world.add_task(Task(task_id="t1", is_forbidden=True))
    away = a.load()
    twin.world.add_task(whole)
    add(twin, "new", NOW)

    a.load(unfinished=away.unfinished)

    assert a.held() == a.expected()


# Messages, and the key


ECHO = json.dumps({"detail": f"{KEY} is bad: Bearer {KEY}", "error": f"?api_key={KEY}"})
FAULTS: list[Any] = [
    200,
    307,
    400,
    401,
    403,
    404,
    422,
    429,
    500,
    "html",
    "cut",
    "reset",
]


def spoil(twin: ToraleTwin, fragment: str, fault: Any) -> None:
    """Let such requests fail for ever; where there are words, they repeat the key."""
    headers = {"location": f"https://elsewhere.example/?token={KEY}"}
    body = ECHO if isinstance(fault, int) else None
    twin.fail_next(fragment, fault, body=body, headers=headers, times=FOR_EVER)


def check_messages(collected: Collected, folder: Path) -> None:
    """Check that each message says what to do, and that nothing holds the key."""
    for message in map(str, collected.errors):
        assert NEXT_STEP.search(message), message
        assert KEY not in message
    kept = b"".join(path.read_bytes() for path in folder.iterdir())
    assert KEY.encode() not in kept


@pytest.mark.parametrize("place", ["/api/v1/tasks/?", "executions/e1"])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_message_ends_with_a_next_step_and_none_holds_the_key(
    account: Open, tmp_path: Path, place: str, fault: Any
) -> None:
    """A server that echoes the key gives nothing away, nor does the journal."""
    a = account(twin_of({"t1": 3}))
    spoil(a.twin, place, fault)

    collected = a.collect()

    is_error = (place, fault) not in NO_ERRORS
    assert len(collected.errors) == is_error
    check_messages(collected, tmp_path)


NO_ERRORS = [("executions/e1", 200), ("executions/e1", 404)]
"""What is no error: an execution that is gone, an answer that becomes a reject."""


def test_tasks_that_fail_each_in_its_own_way_are_each_said(
    account: Open, tmp_path: Path
) -> None:
    """On the first page or on a later one: one message a task, naming it."""
    at_once = {f"{fault}-1": fault for fault in FAULTS}
    later = {f"{fault}-2": fault for fault in FAULTS}
    twin = twin_of(dict.fromkeys([*at_once, *later, "good"], 3), has_details=False)
    for task_id, fault in at_once.items():
        spoil(twin, f"{task_id}/executions?", fault)
    for task_id, fault in later.items():
        spoil(twin, f"{task_id}/executions?page=2", fault)
    a = account(twin, page_size=2)

    collected = a.collect()

    named = sorted(str(error).split()[1].rstrip(":") for error in collected.errors)
    assert named == sorted([*at_once, *later])
    assert set(collected.unfinished) == {*at_once, *later}
    check_messages(collected, tmp_path)


def test_what_is_no_fault_of_the_provider_leaves_by_its_own_name(
    account: Open,
) -> None:
    """A full disk ends the reading; the caller says so, and keeps what was there."""
    a = account(twin_of({"t1": 30, "t2": 30}), page_size=10)
    a.journal.file._con.execute("pragma max_page_count = 20").fetchall()

    with pytest.raises(StoreError, match="Free disk space"):
        a.collect()

    assert a.waiting()


def test_a_key_that_was_set_as_a_task_is_sent_nowhere(account: Open) -> None:
    """It would stand in an address, and in every log on the way."""
    a = account(twin_of({"t1": 1}), task_ids=(KEY,))

    with pytest.raises(ConfigurationError) as raised:
        a.collect()

    assert KEY not in str(raised.value)
    assert a.asked() == ["tasks"]


def test_progress_is_told_as_it_is_made(account: Open) -> None:
    """Requests, executions and details, each as it comes."""
    told: dict[str, int] = {}

    def watch(what: str, more: int) -> None:
        told[what] = told.get(what, 0) + more

    a = account(twin_of({"t1": 12, "t2": 1}), page_size=10)

    a.collect(progress=watch)

    assert told == {"requests": 17, "executions": 13, "details": 13}


# What a load would read, and whether it could


def test_a_plan_says_how_deep_each_task_would_be_read(account: Open) -> None:
    """From the store alone: nothing is asked."""
    a = account(old_history())
    plan_before = planned(
        a.settings,
        a.store.seen,
        journal=None,
        connection="default",
        window=Window(),
        unfinished={},
    )
    a.load()
    since = NOW - 20 * DAY

    def depth(**how: Any) -> str:
        of: dict[str, Any] = {"journal": None, "connection": "default"}
        given = {**of, "window": Window(), "unfinished": {}, **how}
        return planned(a.settings, a.store.seen, **given)[1]

    every = "Torale: every task that the key can list"
    assert plan_before == [
        f"{every}; a task that is not in the store yet is read whole"
    ]
    assert depth() == f"Torale: task t1, back to {NOW - 2 * DAY:%Y-%m-%d %H:%M} UTC"
    assert depth(window=Window(since)) == (
        f"Torale: task t1, back to {since:%Y-%m-%d %H:%M} UTC"
    )
    assert depth(unfinished={"t1": ""}) == "Torale: task t1, whole"


def test_a_plan_names_the_configured_tasks(account: Open) -> None:
    """Those are read, whatever else the store holds."""
    a = account(twin_of({"t1": 1}), task_ids=("t9",))
    a.load()

    plan = planned(
        a.settings,
        a.store.seen,
        journal=None,
        connection="default",
        window=Window(),
        unfinished={},
    )

    assert plan[0].startswith("Torale: the tasks of task_ids; ")
    assert plan[1:] == ["Torale: task t9, whole"]


def checked(a: Account) -> str:
    """Return what a check of the account says."""
    a.twin.requests.clear()
    return asyncio.run(check(a.settings))


def test_a_check_asks_once_and_keeps_nothing(account: Open) -> None:
    """The list of tasks tells whether the key is good."""
    a = account(twin_of({"t1": 1, "t2": 0}))

    assert checked(a) == "2 tasks"
    assert a.asked() == ["tasks"]
    assert a.waiting() == []


def test_a_check_without_a_list_of_tasks_asks_for_a_configured_one(
    account: Open,
) -> None:
    """Else a bad key would pass for a good one."""
    twin = twin_of({"t1": 1}, has_task_list=False)

    said = checked(good := account(twin, task_ids=("t1",)))
    asked = good.asked()
    with pytest.raises(KeyRefused):
        checked(account(twin, task_ids=("t1",), api_key="sk_another"))

    assert said == "it lists no tasks, and the first of task_ids can be read"
    assert asked == ["tasks", "t1?limit=1"]


@pytest.mark.parametrize(
    ("fault", "body", "kind", "said"),
    [
        (401, None, KeyRefused, "the key was refused"),
        (404, None, NotFound, "Set SOURCES__TORALE__TASK_IDS"),
        (500, None, ServerFault, "the server failed"),
        ("html", None, UnexpectedAnswer, "answered HTML"),
        (200, "{}", UnexpectedAnswer, "the list of tasks is no list"),
        (200, "plain", UnexpectedAnswer, "the list of tasks is no list"),
    ],
)
def test_a_check_that_fails_says_how_to_mend_it(
    account: Open, fault: Any, body: str | None, kind: type[ProviderError], said: str
) -> None:
    """One try is enough: the person waits."""
    twin = twin_of({"t1": 1})
    twin.fail_next("/api/v1/tasks/?", fault, body=body)
    a = account(twin)

    with pytest.raises(kind, match=said) as raised:
        checked(a)

    assert NEXT_STEP.search(str(raised.value))
    assert a.asked() == ["tasks"]


# Settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page_size", 0),
        ("concurrency", 0),
        ("settle_hours", -1),
        ("settle_hours", 1e9),
        ("settle_hours", float("nan")),
        ("requests_per_second", 0),
        ("max_body_mb", 0),
        ("task_ids", ["t1", ""]),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(
    name: str, value: object
) -> None:
    """Before anything is asked."""
    with pytest.raises(ConfigurationError, match=name):
        settings_from(Settings, {"api_key": KEY, name: value}, "sources.torale")


def test_plain_http_beyond_loopback_needs_to_be_allowed(account: Open) -> None:
    """The key would be sent in clear text."""
    a = account(twin_of({"t1": 1}))
    a.settings = msgspec.structs.replace(a.settings, base_url="http://torale.example")

    with pytest.raises(ConfigurationError, match="allow_http"):
        a.collect()
