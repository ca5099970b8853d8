"""Single executions: asked for where they are due, and only then."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from sources.errors import KeyRefused, ProviderError, ServerFault, Throttled
from sources.json_text import canonical_sha256
from sources.torale.twin import ToraleTwin
from tests.sources.torale.account import HOUR, NOW, Open, add, params_of, twin_of

FOR_EVER = 10_000
WHOLE: Mapping[str, Any] = {
    "result": {"answer": "yes", "condition_met": True, "sources_count": 2},
    "grounding_sources": [{"uri": "https://a.example/", "title": "A", "snippet": "S"}],
}


def twin_with(count: int, **kind: Any) -> ToraleTwin:
    """Return a twin with so many executions, each with what only details have."""
    twin = twin_of({"t1": 0}, **kind)
    for number in range(count):
        add(twin, f"e{number}", NOW - number * HOUR, **WHOLE)
    return twin


# What details bring, and when they are asked for


def test_details_fill_what_the_list_leaves_out(account: Open) -> None:
    """``snippet`` and ``sources_count`` are in the single execution alone."""
    a = account(twin_with(3))

    collected = a.load()

    assert a.details() == ["t1/e0", "t1/e1", "t1/e2"]
    assert collected.counts["details"] == 3
    assert a.query("select snippet from execledger.grounding_sources") == [("S",)] * 3
    assert (
        a.query(
            "select value::json ->> '$.sources_count' from execledger.outputs "
            "where name = 'result'"
        )
        == [("2",)] * 3
    )


def test_a_detail_is_kept_with_the_hash_of_the_list_item_it_completes(
    account: Open,
) -> None:
    """By that a replay knows which list item the detail belongs to."""
    a = account(twin_with(1))

    a.collect()

    (kept,) = (one for one in a.waiting() if one.endpoint == "execution")
    item = a.twin.ledger_lists()["t1", "e0"]
    assert params_of(kept) == {
        "task_id": "t1",
        "execution_id": "e0",
        "list_sha256": canonical_sha256(item),
    }


def test_an_open_execution_is_asked_for_once_it_is_final(account: Open) -> None:
    """What still runs has nothing to complete."""
    twin = twin_with(1)
    done = {"status": "success", "completed_at": NOW, **WHOLE}
    open_ones = {"a": "pending", "b": "running", "c": "retrying", "d": "of tomorrow"}
    for name, status in open_ones.items():
        life = [(NOW + HOUR, done)]
        columns = {"id": name, "status": status, "started_at": NOW}
        twin.world.add_execution("t1", columns, life=life)
    a = account(twin)

    a.load()
    before = a.details()
    twin.pass_time()
    a.load()

    assert before == ["t1/e0"]
    assert a.details() == ["t1/a", "t1/b", "t1/c", "t1/d"]


def test_only_a_changed_execution_is_asked_for_again(account: Open) -> None:
    """Unchanged ones cost no request; of a changed one the newer detail is stored."""
    a = account(twin_with(5))
    a.load()

    a.load()
    unchanged = a.details()
    flagged = {"answer": "no", "sources_count": 7}
    a.twin.world.change_execution("t1", "e3", {"result": flagged})
    a.load()

    assert unchanged == []
    assert a.details() == ["t1/e3"]
    assert a.query(
        "select value_text from execledger.outputs o "
        "join execledger.executions using (execution_key) "
        "where execution_id = 'e3' and o.name = 'answer'"
    ) == [("no",)]


# Servers without them, and executions without one


def test_a_server_without_details_is_asked_once_and_not_when_nothing_changed(
    account: Open,
) -> None:
    """404 "Not Found" is no error: it is the answer of a route that is not there."""
    a = account(twin_of({"t1": 20, "t2": 20}, "window"))

    first = a.load()
    asked = a.details()
    second = a.load()
    unchanged = a.details()
    add(a.twin, "new", NOW)
    a.load()

    assert len(asked) == 1
    assert unchanged == []
    assert a.details() == ["t1/new"]
    assert first.errors == second.errors == []
    assert first.unfinished == {}


def test_a_listed_execution_that_is_not_found_is_no_error(account: Open) -> None:
    """It was deleted meanwhile; the others are asked for, and it again next time."""
    twin = twin_with(4)
    twin.fail_next("executions/e1", 404)
    a = account(twin, concurrency=1)

    collected = a.load()
    asked = a.details()
    a.load()

    assert len(asked) == 4
    assert (collected.errors, collected.counts["details"]) == ([], 3)
    assert a.details() == ["t1/e1"]


def test_a_page_of_html_as_404_means_no_details(account: Open) -> None:
    """A proxy knows no such route either."""
    twin = twin_with(20)
    twin.fail_next("executions/", 404, body=b"<html>404</html>", times=FOR_EVER)
    a = account(twin)

    collected = a.load()

    assert len(a.details()) == 1
    assert collected.errors == []


# Failures


def test_a_detail_that_fails_keeps_no_other_back(account: Open) -> None:
    """The others are read; the failed one is said, and asked for by the next load."""
    twin = twin_with(12)
    twin.fail_next("executions/e7", 500, times=5)
    a = account(twin)

    first = a.load()
    second = a.load(unfinished=first.unfinished)

    (error,) = first.errors
    assert isinstance(error, ServerFault)
    assert str(error).startswith("Details of execution e7: Torale: the server failed")
    assert str(error).endswith(" Details not read: 1; the next load asks again.")
    assert first.counts["details"] == 11
    assert a.details() == ["t1/e7"]
    assert (second.errors, second.unfinished) == ([], {})


def test_five_failures_in_a_row_stop_the_asking(account: Open) -> None:
    """One error names the first and counts them all; lists are loaded meanwhile."""
    twin = twin_with(40)
    twin.fail_next("executions/", "cut", times=FOR_EVER)
    a = account(twin, concurrency=1)

    collected = a.load()

    assert sorted(set(a.details())) == [f"t1/e{number}" for number in range(5)]
    (error,) = collected.errors
    assert "Details of execution e0: Torale: no whole answer" in str(error)
    assert "Details not read: 40; the next load asks again." in str(error)
    assert len(a.held()["t1"]) == 40


def test_failures_here_and_there_stop_nothing(account: Open) -> None:
    """Five in a row mean that the server is down, five in all do not."""
    twin = twin_with(20)
    for number in range(0, 20, 2):
        twin.fail_next(f"executions/e{number}", 418 if number else 400)
    a = account(twin, concurrency=1)

    collected = a.load()

    assert len(a.details()) == 20
    (error,) = map(str, collected.errors)
    assert "Details of execution e0: " in error
    assert " was refused (400: Bad Request)" in error
    assert "Details not read: 10;" in error


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [(401, KeyRefused, 1), (403, KeyRefused, 1), (429, Throttled, 5)],
)
def test_a_refused_key_and_a_limit_on_requests_stop_the_asking_at_once(
    account: Open, fault: int, kind: type[ProviderError], tries: int
) -> None:
    """Every further request would end so too."""
    twin = twin_with(20)
    twin.fail_next("executions/", fault, times=FOR_EVER)
    a = account(twin)

    collected = a.load()

    assert a.details() == ["t1/e0"] * tries
    assert [type(error) for error in collected.errors] == [kind]


@pytest.mark.parametrize(("fault", "times"), [(429, 5), (500, 25)])
def test_details_that_could_not_be_read_are_read_by_the_next_load(
    account: Open, fault: int, times: int
) -> None:
    """However old the executions are: the next collecting reads down to them."""
    twin = twin_with(0)
    for number in range(30):
        add(twin, f"e{number}", NOW - timedelta(days=number), **WHOLE)
    twin.fail_next("executions/", fault, times=times)
    a = account(twin, page_size=10, concurrency=1)

    first = a.load()
    second = a.load(unfinished=first.unfinished)

    assert len(first.errors) == 1
    assert first.unfinished == {"t1": (NOW - timedelta(days=29)).isoformat()}
    assert second.counts["details"] == 30 - first.counts["details"]
    assert (second.errors, second.unfinished) == ([], {})
    assert a.query("select count(*) from execledger.grounding_sources") == [(30,)]
    assert a.query(
        "select count(*) from execledger.executions where content_sha256 = list_sha256"
    ) == [(0,)]


def test_a_missed_detail_makes_no_unfinished_list_due_less_deep(account: Open) -> None:
    """What is due down to a time, or whole, stays so."""
    twin = twin_with(0)
    for number in range(30):
        add(twin, f"e{number}", NOW - timedelta(days=number), **WHOLE)
    twin.fail_next("page=2", 418)
    twin.fail_next("executions/e5", 418)
    a = account(twin, page_size=10, settle_hours=480)

    whole = a.load()
    a.load(unfinished=whole.unfinished)
    add(twin, "new", NOW, **WHOLE)
    twin.fail_next("page=2", 418)
    twin.fail_next("executions/new", 418)
    update = a.load()

    assert whole.unfinished == {"t1": ""}
    assert update.unfinished == {"t1": (NOW - timedelta(days=20)).isoformat()}


def test_a_missed_detail_of_an_execution_without_a_start_is_read_by_the_next_load(
    account: Open,
) -> None:
    """Nobody knows how deep it stands; it is listed first."""
    twin = twin_with(0)
    twin.world.add_execution("t1", {"id": "x", "started_at": None, **WHOLE})
    twin.fail_next("executions/x", 418)
    a = account(twin)

    first = a.load()
    second = a.load(unfinished=first.unfinished)

    assert len(first.errors) == 1
    assert (second.counts["details"], second.unfinished) == (1, {})


def test_a_server_found_to_have_no_details_forgives_earlier_failures(
    account: Open,
) -> None:
    """What cannot be had is not missing."""
    twin = twin_of({"t1": 20}, "window")
    twin.fail_next("executions/", 500, times=5)
    a = account(twin, concurrency=1)

    collected = a.load()

    assert sorted(set(a.details())) == ["t1/e0", "t1/e1"]
    assert (collected.errors, collected.unfinished) == ([], {})
