"""The fold: the same responses give the same tables, however they are loaded."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources import part
from sources.json_text import Decoded, canonical_sha256
from sources.observations import Observation, Sight, Winner
from sources.records import TABLES, Execution, Record, Response, execution_key
from sources.torale import normalize
from sources.watched import Watched
from tests.plain_store import PlainStore
from tests.responses import response

TIME = "2026-02-01T00:00:00Z"
LEDGERS = ("status_history",)
ALL_LEDGERS = ("status_history", "load_rejects", "raw_responses")

STATUS = st.sampled_from(["pending", "running", "success", "failed", "odd", None])
SOURCES = st.lists(
    st.sampled_from(
        [{"uri": "https://a.example/1"}, {"url": "x"}, "https://b.example"]
    ),
    max_size=3,
)
ITEM = st.fixed_dictionaries(
    {
        "id": st.sampled_from(["e1", "e2", "e3"]),
        "task_id": st.just("t1"),
        "status": STATUS,
        "started_at": st.sampled_from([TIME, None, "yesterday"]),
        "result": st.none() | st.fixed_dictionaries({"answer": st.sampled_from("ab")}),
        "grounding_sources": SOURCES,
    },
    optional={"extra": st.integers(0, 1), "error_message": st.sampled_from("xy")},
)


@st.composite
def histories(draw: st.DrawFn) -> list[Response]:
    """Return what a provider answered over time: lists, details, errors, tasks."""
    kinds = draw(st.lists(st.sampled_from(sorted(ANSWERS)), min_size=1, max_size=7))
    return [draw(ANSWERS[kind])(second) for second, kind in enumerate(kinds)]


def _list(items: object) -> Any:
    return lambda second: response("torale", items, second=second)


def _detail(item: dict[str, Any], of: dict[str, Any]) -> Any:
    params = {
        "task_id": "t1",
        "execution_id": item["id"],
        "list_sha256": canonical_sha256(of),
    }
    return lambda second: response(
        "torale", item, endpoint="execution", params=params, second=second
    )


def _error(status: int) -> Any:
    return lambda second: response(
        "torale", {"detail": f"no {status}"}, status=status, second=second
    )


def _tasks(names: list[str]) -> Any:
    tasks = [{"id": f"t{place}", "name": name} for place, name in enumerate(names)]
    return lambda second: response(
        "torale", tasks, endpoint="tasks", params={}, second=second
    )


ANSWERS: dict[str, st.SearchStrategy[Any]] = {
    "list": st.lists(ITEM, max_size=4).map(_list),
    "bad": st.sampled_from([[{"no": "id"}], [7], "text"]).map(_list),
    "detail": st.builds(_detail, ITEM, ITEM),
    "error": st.sampled_from([404, 500]).map(_error),
    "tasks": st.lists(st.sampled_from("ab"), max_size=2).map(_tasks),
}


@pytest.fixture(scope="module")
def store() -> Iterator[PlainStore]:
    """Yield a store; ``after`` empties it before it takes loads."""
    with closing(PlainStore(normalize)) as opened:
        yield opened


@settings(max_examples=60, deadline=None)
@given(history=histories(), data=st.data())
def test_any_partition_into_loads_gives_the_same_tables(
    store: PlainStore, history: list[Response], data: st.DataObject
) -> None:
    """Law 3: cut the responses into loads as you like; the tables are the same."""
    cuts = data.draw(st.lists(st.integers(0, len(history)), max_size=3).map(sorted))
    bounds = [0, *cuts, len(history)]
    parts = [history[a:b] for a, b in pairwise(bounds)]

    whole = store.after(history).tables(), store.tables(only=LEDGERS)
    cut = store.after(*parts).tables(), store.tables(only=LEDGERS)

    assert cut == whole


@settings(max_examples=60, deadline=None)
@given(history=histories(), data=st.data())
def test_what_is_new_may_be_appended(
    store: PlainStore, history: list[Response], data: st.DataObject
) -> None:
    """Law: what is appended is what the fold makes of it.

    Of rejects there may be more: those of a row that a later one replaces.
    """
    cut = data.draw(st.integers(0, len(history)))
    parts = (history[:cut], history[cut:])
    tables = TABLES.keys() - {"load_rejects"}

    folded = store.after(*parts).tables(only=tables)
    appended = store.after(*parts, appends=True).tables(only=tables)

    assert appended == folded


def test_what_is_new_is_appended_and_what_was_seen_is_folded(store: PlainStore) -> None:
    """Each response by itself: once anything in it is known, the fold decides."""
    new, odd = {"id": "e1", "task_id": "t1"}, {"no": "id"}
    said = [[new], [{**new, "id": "e2"}], [new], [{**new, "id": "e3"}, odd], []]
    history = [response("torale", one, second=n) for n, one in enumerate(said)]

    store.after(history, appends=True)

    assert store.rest == {one.response_id for one in history[2:4]}
    store.load(history[4:], appends=True)
    assert store.rest == {history[4].response_id}, "it shows nothing, but it is loaded"


def results(*apis: str, begin: int = 0) -> list[Response]:
    """Return a result of Unstract for each, which shows its API deployment, too."""
    said = []
    for number, api in enumerate(apis):
        known = Watched(
            execution_id=f"e{number}",
            tracked_at=datetime(2026, 3, 1, tzinfo=UTC),
            scope="org/api",
            context={"organization_id": "org", "api_name": api},
        )
        body = {"status": "COMPLETED", "message": [{"file": f"{number}.pdf"}]}
        said.append(
            response(
                "unstract",
                body,
                params=known.as_params(),
                endpoint="execution",
                second=begin + number,
            )
        )
    return said


@pytest.mark.parametrize(
    ("apis", "left"),
    [
        (("one", "one", "one"), []),
        (("one", "two", "two"), [1, 2]),
        (("one", "two", "one"), [1, 2]),
    ],
)
def test_a_workflow_that_is_told_again_keeps_nothing_from_being_appended(
    apis: tuple[str, ...], left: list[int]
) -> None:
    """Law: what is known of a workflow is no news; what is not is left to the fold."""
    history = results(*apis)
    with closing(PlainStore(part("unstract", "normalize"), "unstract")) as store:
        folded = store.after(history).tables()

        appended = store.after(history, appends=True).tables()

        assert store.rest == {history[place].response_id for place in left}
        assert appended == folded
        parted = store.after(history[:2], history[2:], appends=True).tables()
        assert parted == folded


def test_an_execution_that_is_known_leaves_none_beside_it_to_the_fold() -> None:
    """Law: what both say of their workflow is told, whichever of them is new."""
    first, *others = results("one", "one", "one")
    again = results("one", begin=5)
    with closing(PlainStore(part("unstract", "normalize"), "unstract")) as store:
        folded = store.after([first], [*again, *others]).tables()

        appended = store.after([first], [*again, *others], appends=True).tables()

        assert store.rest == {again[0].response_id}
        assert appended == folded


@settings(max_examples=40, deadline=None)
@given(history=histories(), data=st.data())
def test_loading_again_after_a_crash_changes_nothing(
    store: PlainStore, history: list[Response], data: st.DataObject
) -> None:
    """Law 3: what was loaded and not cleared from the journal doubles nothing."""
    start = data.draw(st.integers(0, len(history)))

    once = store.after(history).tables(), store.tables(only=ALL_LEDGERS)
    again = store.after(history, history[start:])

    assert (again.tables(), again.tables(only=ALL_LEDGERS)) == once


@settings(max_examples=30, deadline=None)
@given(history=histories())
def test_a_store_that_may_hold_half_a_load_is_made_whole(
    store: PlainStore,
    history: list[Response],
) -> None:
    """Where the store is not trusted, everything that waits is loaded again."""
    whole = store.after(history).tables()
    store.con.execute("delete from execledger.outputs")
    store.con.execute("delete from execledger.grounding_sources")

    store.load(history, trusts_store=False)

    assert store.tables() == whole


@settings(max_examples=30, deadline=None)
@given(history=histories())
def test_replaying_the_stored_responses_gives_the_same_tables(
    store: PlainStore,
    history: list[Response],
) -> None:
    """Law 3: bodies that changed nothing are not kept, and not needed."""
    before = store.after(history).tables()
    names = Response.__struct_fields__
    kept = [
        Response(**dict(zip(names, row, strict=True)))
        for row in store.con.execute(
            f"select {', '.join(names)} from execledger.raw_responses "
            "where outcome <> 'unchanged' order by received_at"
        ).fetchall()
    ]

    assert store.after(kept).tables() == before


def item(**changes: object) -> dict[str, Any]:
    """Return an execution as a list gives it, with these changes."""
    return {
        "id": "e1",
        "task_id": "t1",
        "status": "success",
        "started_at": TIME,
        "result": {"answer": "yes", "activity": ["a", "b"]},
        "grounding_sources": ["https://a.example/", "https://b.example/"],
        "extra": 1,
        **changes,
    }


def test_a_shrunken_execution_loses_the_rows_that_are_gone(store: PlainStore) -> None:
    """Law 2: fewer sources, and none at all of what once was, leave no old rows."""
    small = item(result=None, grounding_sources=["https://b.example/"])
    del small["extra"]

    store.after([response("torale", [item()])], [response("torale", [small], second=1)])

    counts = {name: len(rows) for name, rows in store.tables().items() if rows}
    assert counts == {"executions": 1, "grounding_sources": 1}


def test_a_detail_wins_over_its_list_item_and_stays_while_that_is_unchanged(
    store: PlainStore,
) -> None:
    """The list decides what changed; the detail's fields are what is stored."""
    detail = item(grounding_sources=[{"uri": "https://a.example/", "snippet": "S"}])
    params = {"list_sha256": canonical_sha256(item()), "execution_id": "e1"}
    history = [
        response("torale", [item()]),
        response("torale", detail, endpoint="execution", params=params, second=1),
        response("torale", [item()], second=2),
    ]

    store.after(history)

    assert store.con.execute(
        "select snippet from execledger.grounding_sources"
    ).fetchall() == [("S",)]
    row = store.con.execute(
        "select list_sha256, list_sha256 <> content_sha256 from execledger.executions"
    ).fetchone()
    assert row == (canonical_sha256(item()), True)


def test_only_the_newest_observation_of_an_execution_is_loaded(
    store: PlainStore,
) -> None:
    """A package holds an execution once: two rows of one key would double it."""
    history = [
        response("torale", [item(status=status)], second=second)
        for second, status in enumerate(["pending", "running", "success"])
    ]

    store.after(history)

    assert store.con.execute(
        "select status, epoch(observed_at - first_seen_at) from execledger.executions"
    ).fetchall() == [("succeeded", 2.0)]
    assert store.con.execute(
        "select status from execledger.status_history order by observed_at"
    ).fetchall() == [("queued",), ("running",), ("succeeded",)]


def test_a_body_that_changed_nothing_is_not_stored_again(store: PlainStore) -> None:
    """The hash stays, the body goes; what changed anything keeps its body."""
    history = [response("torale", [item()], second=second) for second in range(3)]

    store.after(history[:1], history[1:])

    rows = store.con.execute(
        "select outcome, body is null, body_sha256 from execledger.raw_responses "
        "order by received_at"
    ).fetchall()
    hashed = history[0].body_sha256
    assert rows == [
        ("ok", False, hashed),
        ("unchanged", True, hashed),
        ("unchanged", True, hashed),
    ]


def test_what_the_envelope_says_stands_with_the_response(store: PlainStore) -> None:
    """Total, page and limit of the answer are kept beside what was asked."""
    page = {"executions": [], "total": 15, "page": 1, "limit": 20, "x": [1]}

    store.after([response("torale", page)])

    row = store.con.execute("select params from execledger.raw_responses").fetchone()
    assert json.loads(row[0]) == {  # type: ignore[index]
        "task_id": "t1",
        "answered": {"total": 15, "page": 1, "limit": 20, "x": [1]},
    }


def test_the_same_bad_row_on_another_page_is_the_same_reject(store: PlainStore) -> None:
    """A row that moves with every new execution is rejected once, not each time."""
    pages = [[{"no": "id"}], [item(), {"no": "id"}]]

    store.after(*([response("torale", p, second=s)] for s, p in enumerate(pages)))

    assert store.con.execute(
        "select reason, path from execledger.load_rejects"
    ).fetchall() == [("missing_id", "/0")]


def test_the_latest_error_of_a_request_stands_under_the_request(
    store: PlainStore,
) -> None:
    """An error that concerns no execution has a key of its own; the latest only."""
    errors = [
        response("torale", {"detail": text}, status=404, second=second)
        for second, text in enumerate(["first", "second"])
    ]

    store.after(errors)

    assert store.con.execute(
        "select execution_key, message, http_status from execledger.errors"
    ).fetchall() == [("request:torale:default:executions:t1", "second", 404)]


def test_a_page_whose_bad_row_is_known_brings_nothing_new(store: PlainStore) -> None:
    """A bad row that was rejected once does not keep a body from being 'unchanged'."""
    history = [response("torale", [{"no": "id"}], second=second) for second in (0, 1)]

    store.after(history[:1], history[1:])

    assert store.con.execute(
        "select outcome from execledger.raw_responses order by received_at"
    ).fetchall() == [("ok",), ("unchanged",)]


def test_a_detail_that_comes_late_does_not_hide_a_newer_list_item(
    store: PlainStore,
) -> None:
    """The hash that decides 'changed' is that of the list item last seen."""
    params = {"list_sha256": canonical_sha256(item()), "execution_id": "e1"}
    newer = item(change_summary="newer")
    store.after(
        [
            response("torale", [item()]),
            response("torale", [newer], second=1),
            response("torale", item(), endpoint="execution", params=params, second=2),
        ]
    )

    assert store.con.execute(
        "select list_sha256 from execledger.executions"
    ).fetchall() == [(canonical_sha256(newer),)]


def test_an_execution_that_stands_twice_in_an_answer_is_loaded_once(
    store: PlainStore,
) -> None:
    """Both rows say the same: one is enough."""
    store.after([response("torale", [item(), item()])])

    assert len(store.tables()["executions"]) == 1
    assert len(store.tables()["grounding_sources"]) == 2


# --- results that are handed out once -----------------------------------------


class ReadOnce:
    """A made-up provider whose answers say what state a result is in, and a number."""

    VERSION = 1

    def observe(self, response: Response) -> Sight:
        """Return the one execution that an answer is about."""
        said = json.loads(response.body or b"")
        seen = Observation(
            kind="detail",
            key=execution_key("small", "default", "", said["id"]),
            pointer="",
            sha256=canonical_sha256(said),
            status="succeeded" if said["state"] == "captured" else "unknown",
            result_state=said["state"],
            name=said["id"],
        )
        return Sight(outcome="ok", observations=[seen])

    def records(
        self, response: Response, winners: Sequence[Winner], decoded: Decoded
    ) -> list[Record]:
        """Return a row for each."""
        del decoded
        return [
            Execution(
                provider="small",
                connection="default",
                execution_key=winner.observation.key,
                response_id=response.response_id,
                execution_id=winner.observation.name,
                scope="",
                status=winner.observation.status or "unknown",
                is_terminal=True,
                result_state=winner.observation.result_state,
                first_seen_at=winner.first_seen_at,
                observed_at=response.received_at,
                content_sha256=winner.observation.sha256,
            )
            for winner in winners
        ]


STATES = ("pending", "acknowledged_elsewhere", "lost_in_transit", "expired", "captured")
LOOKS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from(STATES), st.integers(0, 1)),
    min_size=1,
    max_size=6,
)


def looks(*said: tuple[str, str, int]) -> list[Response]:
    """Return the answers to looks at executions: id, state, and a number."""
    return [
        response("small", {"id": name, "state": state, "n": n}, second=second)
        for second, (name, state, n) in enumerate(said)
    ]


@pytest.fixture(scope="module")
def once() -> Iterator[PlainStore]:
    """Yield a store of a provider that hands results out once."""
    with closing(PlainStore(ReadOnce(), "small")) as opened:
        yield opened


def states(store: PlainStore) -> dict[str, tuple[str, str]]:
    """Return state of the result and response of each execution."""
    rows = store.con.execute(
        "select execution_id, result_state, response_id from execledger.executions"
    ).fetchall()
    return {name: (state, response_id) for name, state, response_id in rows}


@settings(max_examples=60, deadline=None)
@given(said=LOOKS, cut=st.integers(0, 6), trusts_store=st.booleans())
def test_a_captured_result_is_never_replaced_by_less(
    once: PlainStore, *, said: list[Any], cut: int, trusts_store: bool
) -> None:
    """Law: the newest of those that show most stays, however the loads are cut.

    Of the ways in which a result can be gone, the first that was seen.
    """
    history = looks(*said)
    worth = {"captured": 3, "lost_in_transit": 2}
    worth |= {"acknowledged_elsewhere": 1, "expired": 1}

    once.after(history[:cut], history[cut:], trusts_store=trusts_store)

    found = states(once)
    for name in {name for name, *_ in said}:
        shown = [state for one, state, _ in said if one == name]
        most = max(worth.get(state, 0) for state in shown)
        kept = [state for state in shown if worth.get(state, 0) == most]
        assert found[name][0] == kept[0 if most == 1 else -1]


@settings(max_examples=40, deadline=None)
@given(said=LOOKS, cut=st.integers(0, 6))
def test_results_that_are_read_once_do_not_depend_on_the_loads(
    once: PlainStore, said: list[Any], cut: int
) -> None:
    """Law 3 holds for them too: tables and history are the same for every partition."""
    history = looks(*said)

    whole = once.after(history).tables(), once.tables(only=ALL_LEDGERS)
    parted = once.after(history[:cut], history[cut:])

    assert (parted.tables(), parted.tables(only=ALL_LEDGERS)) == whole


@pytest.mark.parametrize(
    ("first", "then", "stays"),
    [
        ("captured", "acknowledged_elsewhere", "captured"),
        ("captured", "lost_in_transit", "captured"),
        ("captured", "expired", "captured"),
        ("captured", "missing", "captured"),
        ("lost_in_transit", "acknowledged_elsewhere", "lost_in_transit"),
        ("lost_in_transit", "missing", "lost_in_transit"),
        ("lost_in_transit", "captured", "captured"),
        ("acknowledged_elsewhere", "lost_in_transit", "lost_in_transit"),
        ("pending", "expired", "expired"),
        ("expired", "acknowledged_elsewhere", "expired"),
        ("acknowledged_elsewhere", "expired", "acknowledged_elsewhere"),
        ("expired", "pending", "expired"),
        ("missing", "captured", "captured"),
    ],
)
def test_what_is_known_of_a_result_only_grows(
    once: PlainStore, first: str, then: str, stays: str
) -> None:
    """Law: captured goes before lost on our way, and that before every other state."""
    history = looks(("a", first, 0), ("a", then, 0))

    together = states(once.after(history))
    apart = states(once.after(history[:1], history[1:]))

    assert together == apart
    assert together["a"][0] == stays


def test_a_captured_result_that_changes_is_loaded_anew(once: PlainStore) -> None:
    """Law: of two that show the result, the newer counts."""
    history = looks(("a", "captured", 0), ("a", "captured", 1), ("a", "pending", 1))

    once.after(*([one] for one in history))

    assert states(once) == {"a": ("captured", history[1].response_id)}


def test_a_result_is_made_whole_where_half_a_load_may_be(once: PlainStore) -> None:
    """Law: an untrusted store is given its captured result again, and no less."""
    history = looks(("a", "captured", 0), ("a", "expired", 0))
    once.after(history[:1])
    once.con.execute("update execledger.executions set status = 'unknown'")

    once.load(history, trusts_store=False)

    row = once.con.execute("select status, result_state from execledger.executions")
    assert row.fetchall() == [("succeeded", "captured")]
