"""Lists of executions, in both dialects, from a server that moves, odd and broken."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from sources.errors import (
    IncompleteListing,
    ProviderError,
    RequestRefused,
    ServerFault,
    Throttled,
    TransportFault,
    UnexpectedAnswer,
)
from sources.torale.twin import ToraleTwin
from sources.twin_server import Noted
from tests.sources.torale.account import HOUR, NOW, Open, add, twin_of

DIALECTS = ["paged", "window"]
FOR_EVER = 10_000


def listing(
    counts: Mapping[str, int], dialect: Any = "paged", **kind: Any
) -> ToraleTwin:
    """Return a twin that has lists only: details have tests of their own."""
    return twin_of(counts, dialect, has_details=False, **kind)


def once(fragment: str, act: Callable[[], object]) -> Callable[[Noted], None]:
    """Return a hook that acts before the first answer to such a request."""
    done: list[object] = []

    def hook(noted: Noted) -> None:
        if fragment in noted.query and not done:
            done.append(act())

    return hook


def poison(twin: ToraleTwin, number: int, *, is_poisoned: bool = True) -> None:
    """Make a row of ``t1`` one that the server cannot read, or mend it."""
    add(twin, f"e{number}", NOW - number * HOUR, is_poisoned=is_poisoned)


# Both dialects, whole


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_first_reading_brings_every_execution_of_every_task(
    account: Open, dialect: Any
) -> None:
    """Hundreds of executions, several tasks, all pages or windows: each one once."""
    counts = {"t1": 260, "t2": 130, "t3": 1, "t4": 0}
    a = account(listing(counts, dialect))

    collected = a.load()

    assert a.held() == a.expected()
    assert collected.errors == []
    assert collected.unfinished == {}
    assert collected.counts == {"tasks": 4, "executions": 391, "details": 0}


def test_pages_are_counted_by_the_total_and_read_once_each(account: Open) -> None:
    """The envelope tells the paged dialect, and how many pages there are."""
    a = account(listing({"t1": 25}), page_size=10)

    a.load()

    assert a.lists("t1") == [f"page={n}&limit=10" for n in (1, 2, 3)]


def test_windows_grow_until_one_is_not_full(account: Open) -> None:
    """A bare array tells the window dialect; no page beyond the first is asked for."""
    a = account(listing({"t1": 45}, "window"), page_size=10)

    a.load()

    assert a.lists("t1") == ["page=1&limit=10", "limit=40", "limit=160"]
    assert a.held() == a.expected()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_task_of_just_one_full_page_is_whole(account: Open, dialect: Any) -> None:
    """As many rows as were asked for may be all; it is no fault."""
    a = account(listing({"t1": 10}, dialect), page_size=10)

    collected = a.load()

    assert a.held() == a.expected()
    assert (collected.errors, collected.unfinished) == ([], {})


def test_a_clamped_page_size_is_read_off_the_answer(account: Open) -> None:
    """Pages are as long as the server makes them, not as was asked for."""
    a = account(listing({"t1": 25}, max_limit=10), page_size=100)

    a.load()

    assert a.lists("t1") == ["page=1&limit=100", "page=2&limit=10", "page=3&limit=10"]
    assert a.held() == a.expected()


# Rows that move while they are read


def test_a_row_that_enters_while_paging_is_neither_lost_nor_doubled(
    account: Open,
) -> None:
    """It pushes the others to later pages, where they are seen twice."""
    twin = listing({"t1": 30})
    twin.on_request(once("page=2", lambda: add(twin, "new", NOW)))
    a = account(twin, page_size=10, concurrency=1)

    collected = a.load()

    assert a.held() == a.expected()
    assert collected.errors == []


def test_a_row_that_goes_while_paging_costs_no_other(account: Open) -> None:
    """It pulls the others to earlier pages, where one slips by: all are read again."""
    twin = listing({"t1": 30})
    twin.on_request(once("page=2", lambda: twin.world.delete_execution("t1", "e0")))
    a = account(twin, page_size=10, concurrency=1)

    collected = a.load()

    assert set(a.held()["t1"]) >= set(a.expected()["t1"])
    assert collected.errors == []
    assert a.lists("t1").count("page=1&limit=10") == 2


def test_a_list_that_never_rests_is_said_and_read_again(account: Open) -> None:
    """Rounds end; what was seen is kept, and the next collecting reads as deep."""
    twin = listing({"t1": 60})

    def shrink(noted: Noted) -> None:
        if "page=2" in noted.query:
            twin.world.delete_execution("t1", min(twin.world.tasks["t1"].executions))

    twin.on_request(shrink)
    a = account(twin, page_size=10, concurrency=1)

    collected = a.load()

    (error,) = collected.errors
    assert isinstance(error, IncompleteListing)
    assert "Task t1: Torale: the list changed faster than it could be read" in str(
        error
    )
    assert collected.unfinished == {"t1": ""}


def test_ties_in_started_at_lose_no_row_of_the_window_dialect(account: Open) -> None:
    """Which of them a window holds depends on its limit: the last one holds all."""
    twin = listing({"t1": 0}, "window")
    for number in range(30):
        add(twin, f"tied{number}", NOW - HOUR)
    a = account(twin, page_size=10)

    a.load()
    first = a.held()
    add(twin, "one more", NOW - HOUR)
    collected = a.load()

    assert len(first["t1"]) == 30
    assert a.held() == a.expected()
    assert collected.errors == []


def test_a_row_without_an_id_counts_towards_the_total(account: Open) -> None:
    """Else the total could never be reached, and the list would never be complete."""
    twin = listing({"t1": 1})
    page = {"executions": [{"no": "id"}, {"id": "x"}], "total": 2, "page": 1}
    twin.fail_next("t1/executions?", 200, body=json.dumps(page))
    a = account(twin)

    collected = a.load()

    assert collected.errors == []
    assert a.held() == {"t1": ["x"]}


# One bad row among good ones


@pytest.mark.parametrize("bad", [0, 1, 9, 10, 17, 24])
def test_a_bad_row_costs_only_itself_in_the_paged_dialect(
    account: Open, bad: int
) -> None:
    """Its page is read in parts, also where it is the first page."""
    twin = listing({"t1": 25, "t2": 2})
    poison(twin, bad)
    a = account(twin, page_size=10)

    collected = a.load()

    missing = {(t, e) for t, ids in a.expected().items() for e in ids} - {
        (t, e) for t, ids in a.held().items() for e in ids
    }
    assert missing == {("t1", f"e{bad}")}
    (error,) = collected.errors
    assert isinstance(error, ServerFault)
    assert f"page={bad // 10 + 1}&limit=10 (500)" in str(error)
    assert "Executions read: 24, back to " in str(error)
    assert collected.counts["executions"] == 26


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_bad_row_that_was_mended_is_read_by_the_next_load(
    account: Open, dialect: Any
) -> None:
    """The list stays unfinished, so the next collecting reads as deep again."""
    twin = listing({"t1": 100}, dialect)
    poison(twin, 75)
    a = account(twin, page_size=20)

    first = a.load()
    poison(twin, 75, is_poisoned=False)
    second = a.load(unfinished=first.unfinished)

    assert first.unfinished == {"t1": ""}
    assert a.held() == a.expected()
    assert (second.errors, second.unfinished) == ([], {})


@pytest.mark.parametrize("bad", [1, 5, 25, 59])
def test_a_bad_row_keeps_only_the_older_ones_back_in_the_window_dialect(
    account: Open, bad: int
) -> None:
    """The windows are bisected; the error says how far back they reach."""
    twin = listing({"t1": 60, "t2": 2}, "window")
    poison(twin, bad)
    a = account(twin, page_size=10)

    collected = a.load()

    assert a.held() == {
        "t1": sorted(f"e{number}" for number in range(bad)),
        "t2": ["e0", "e1"],
    }
    (error,) = collected.errors
    assert isinstance(error, ServerFault)
    oldest = NOW - (bad - 1) * HOUR
    assert str(error).startswith("Task t1: Torale: the server failed at GET http")
    assert str(error).endswith(
        f" Executions read: {bad}, back to {oldest:%Y-%m-%d %H:%M:%S} UTC; "
        "the next load asks for the others again."
    )


def test_a_bad_newest_row_hides_a_whole_task_of_the_window_dialect(
    account: Open,
) -> None:
    """No window is without it; nothing is read, and nothing looks as if it were."""
    twin = listing({"t1": 5, "t2": 2}, "window")
    poison(twin, 0)
    a = account(twin)

    collected = a.load()

    assert a.held() == {"t2": ["e0", "e1"]}
    assert [type(error) for error in collected.errors] == [ServerFault]
    assert collected.unfinished == {"t1": ""}


@pytest.mark.parametrize("fragment", ["page=1&", "page=2&"])
def test_a_server_that_went_down_is_not_asked_row_by_row(
    account: Open, fragment: str
) -> None:
    """More bad rows than a few mean that it is not the rows."""
    twin = listing({"t1": 300, "t2": 1})

    def go_down() -> str:
        twin.fail_next("t1/executions?", 500, times=FOR_EVER)
        return "down"

    twin.on_request(once(fragment, go_down))
    a = account(twin, task_ids=("t1",))

    collected = a.load()

    assert {type(error) for error in collected.errors} == {ServerFault}
    assert len(a.lists("t1")) <= 50
    assert collected.unfinished == {"t1": ""}


def test_one_good_row_of_a_broken_list_does_not_pass_for_all_of_it(
    account: Open,
) -> None:
    """It is in the store, and all before it is not: the list stays unfinished."""
    twin = listing({"t1": 30})
    twin.fail_next("page=1&limit=100", 500, times=5)
    twin.fail_next("page=1&limit=20", 429, times=5)
    a = account(twin)

    first = a.load()
    after_first = a.held()
    a.load(unfinished=first.unfinished)

    assert after_first == {"t1": ["e0"]}
    assert [type(error) for error in first.errors] == [Throttled]
    assert a.held() == a.expected()


# What a server may answer instead


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refused_limit_falls_back_to_the_documented_default(
    account: Open, dialect: Any
) -> None:
    """Who refuses 100 rows gives 20, and all are read."""
    twin = listing({"t1": 45}, dialect)
    twin.fail_next("limit=100", 422, times=FOR_EVER)
    a = account(twin)

    collected = a.load()

    assert a.lists("t1")[:2] == ["page=1&limit=100", "page=1&limit=20"]
    assert a.held() == a.expected()
    assert collected.errors == []


def test_a_first_page_that_is_too_large_is_asked_for_in_less(account: Open) -> None:
    """A limit on size costs requests, not rows."""
    a = account(listing({"t1": 90}), max_body_mb=0.02)

    collected = a.load()

    assert a.lists("t1")[:2] == ["page=1&limit=100", "page=1&limit=20"]
    assert a.held() == a.expected()
    assert collected.errors == []


def test_a_limit_of_which_every_size_is_refused_is_said(account: Open) -> None:
    """Where no limit is taken the task fails, and the others are read."""
    twin = listing({"t1": 45, "t2": 1})
    twin.fail_next("t1/executions?", 422, times=FOR_EVER)
    a = account(twin)

    collected = a.load()

    (error,) = collected.errors
    assert isinstance(error, RequestRefused)
    assert "Task t1: " in str(error)
    assert "unable to parse string as an integer" in str(error)
    assert a.held() == {"t2": ["e0"]}


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        ("cut", TransportFault, "no whole answer to GET"),
        ("reset", TransportFault, "no whole answer to GET"),
        ("html", UnexpectedAnswer, "answered HTML, not JSON: is base_url right?"),
        (429, Throttled, "Rate limit exceeded: 10 per 1 minute"),
        (418, RequestRefused, "418"),
        (500, ServerFault, "the server failed at GET"),
    ],
)
def test_a_page_that_fails_keeps_no_other_back(
    account: Open, fault: Any, kind: type[ProviderError], said: str
) -> None:
    """What there is is read, the failure is said, and the list is unfinished."""
    twin = listing({"t1": 30, "t2": 1})
    twin.fail_next("t1/executions?page=3&limit=10", fault, times=FOR_EVER)
    a = account(twin, page_size=10)

    collected = a.load()

    (error,) = collected.errors
    assert isinstance(error, kind)
    assert str(error).startswith("Task t1: Torale: ")
    assert said in str(error)
    assert collected.unfinished == {"t1": ""}
    assert set(a.held()["t1"]) >= {f"e{number}" for number in range(20)}
    assert a.held()["t2"] == ["e0"]


@pytest.mark.parametrize("fault", ["cut", "reset", 429, 503])
def test_a_fault_that_passes_costs_a_try_and_nothing_else(
    account: Open, naps: list[float], fault: Any
) -> None:
    """What may pass is tried again after a while."""
    twin = listing({"t1": 30})
    twin.fail_next("page=2", fault)
    a = account(twin, page_size=10)

    collected = a.load()

    assert a.held() == a.expected()
    assert collected.errors == []
    assert len(naps) == 1


@pytest.mark.parametrize(
    "body", [b'{"items": []}', b"7", b'"text"', b"not json", b"", b'{"executions":0}']
)
def test_an_answer_that_is_no_list_is_said(account: Open, body: bytes) -> None:
    """Good status, another shape: the answer is kept, the task fails by name."""
    twin = listing({"t1": 3, "t2": 1})
    twin.fail_next("t1/executions?", 200, body=body)
    a = account(twin)

    collected = a.load()

    (error,) = collected.errors
    assert isinstance(error, UnexpectedAnswer)
    assert str(error) == (
        "Task t1: Torale: the list of executions is neither a page nor an array. "
        "Check base_url."
    )
    assert a.held() == {"t2": ["e0"]}


@pytest.mark.parametrize(
    ("dialect", "fragment", "body"),
    [("paged", "page=2", b"[]"), ("window", "limit=40", b'{"executions":[]}')],
)
def test_a_dialect_that_changes_under_way_is_said(
    account: Open, dialect: Any, fragment: str, body: bytes
) -> None:
    """Half of a list in each dialect is no whole."""
    twin = listing({"t1": 30}, dialect)
    twin.fail_next(fragment, 200, body=body)
    a = account(twin, page_size=10)

    collected = a.load()

    (error,) = collected.errors
    assert "changed its dialect while it was read" in str(error)
    assert collected.unfinished == {"t1": ""}


def test_pages_without_a_total_are_read_until_one_is_not_full(account: Open) -> None:
    """A total that is no number is none; nobody knows the end before it comes."""
    twin = listing({"t1": 3})
    for page, ids in enumerate(["ab", "cd", "e"], start=1):
        rows = [{"id": one, "started_at": str(NOW)} for one in ids]
        body = {"executions": rows, "total": "many", "limit": True}
        twin.fail_next(f"page={page}&", 200, body=json.dumps(body))
    a = account(twin, page_size=2)

    a.load()

    assert a.held() == {"t1": list("abcde")}


def test_requests_in_flight_stay_within_the_setting(account: Open) -> None:
    """Pages are read side by side, but no more of them than allowed."""
    twin = listing({"t1": 40, "t2": 40}, latency_s=0.05)
    a = account(twin, page_size=10, concurrency=3)

    a.load()

    assert twin.max_in_flight == 3


@pytest.mark.parametrize("bad", [0, 3])
def test_a_page_size_of_one_reads_everything(account: Open, bad: int) -> None:
    """The smallest page is a page; a bad row on it is in no parts."""
    twin = listing({"t1": 5})
    poison(twin, bad)
    a = account(twin, page_size=1)

    collected = a.load()

    good = [number for number in range(5) if number != bad]
    assert a.held() == {"t1": [f"e{number}" for number in good]}
    assert [type(error) for error in collected.errors] == [ServerFault]
