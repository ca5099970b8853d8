"""The views of the newest observations: what a lake shows is what a store holds."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import date
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.lake_rows import LAST, in_two_steps, without_gone
from pipelines.newest import newest_views
from pipelines.sql_files import SqlFile
from sources import part, providers
from sources.fold import Batch, fold
from sources.records import TABLES, ModelPrice, Response
from sources.seen import Seen
from sources.tables import columns, tables_of
from tests.plain_lake import PlainLake, Rowset
from tests.plain_store import PlainStore, Rows, shown
from tests.responses import BEGIN, recorded, recordings, response

TIME = "2026-02-01T00:00:00Z"


class Pair(NamedTuple):
    """A lake and a store of one provider."""

    lake: PlainLake
    store: PlainStore


@pytest.fixture(scope="module")
def pairs() -> Iterator[dict[str, Pair]]:
    """Yield a lake and a store for each provider; each test empties them."""
    with ExitStack() as stack:
        yield {
            name: Pair(
                stack.enter_context(closing(PlainLake(normalizer, name))),
                stack.enter_context(closing(PlainStore(normalizer, name))),
            )
            for name in providers()
            for normalizer in [part(name, "normalize")]
        }


@st.composite
def histories(draw: st.DrawFn, provider: str) -> list[list[Response]]:
    """Return recordings of a provider as they may have come, in loads."""
    names = st.sampled_from(sorted(recordings(provider)))
    said = [
        recorded(provider, name, second=second)
        for second, name in enumerate(draw(st.lists(names, min_size=1, max_size=8)))
    ]
    cuts = draw(st.lists(st.integers(0, len(said)), max_size=3).map(sorted))
    return [said[a:b] for a, b in pairwise([0, *cuts, len(said)])]


def expected(store: PlainStore, loads: Sequence[Sequence[Response]]) -> Rows:
    """Return what a store holds after these loads."""
    return store.after(*loads).tables(only=TABLES)


@pytest.mark.parametrize("view", newest_views(), ids=lambda view: view.name)
def test_a_view_has_the_columns_of_its_table(
    pairs: dict[str, Pair], view: SqlFile
) -> None:
    """Law: whoever reads a lake finds the store's columns, in their order."""
    name = view.name
    lake, store = pairs["torale"]

    described = [
        con.execute(f"select * from (describe execledger.{name})").fetchall()
        for con in (lake.con, store.con)
    ]

    kinds = [[row[:2] for row in rows] for rows in described]
    assert kinds[0] == kinds[1]
    assert [row[0] for row in kinds[0]] == [one.name for one in columns(TABLES[name])]


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_lake_shows_what_a_store_holds(
    pairs: dict[str, Pair], provider: str, data: st.DataObject
) -> None:
    """Law: however responses are parted into loads, and whichever comes twice."""
    lake, store = pairs[provider]
    loads = data.draw(histories(provider))
    again = data.draw(st.integers(0, len(loads)))
    lake.clear()

    for load in [*loads, *loads[again:]]:
        lake.load(load)

    assert lake.tables() == expected(store, [*loads, *loads[again:]])


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_load_that_is_cut_off_anywhere_and_repeated_leaves_no_trace(
    pairs: dict[str, Pair], provider: str, data: st.DataObject
) -> None:
    """Law: what a killed load left is as if it were not there, or as if all of it were.

    The next load has what the killed one had, from the journal, and what came since. Of
    rejects there may be more: those of an answer that a later one replaced.
    """
    lake, store = pairs[provider]
    loads = data.draw(histories(provider))
    lake.clear()
    done: list[list[Response]] = []
    left: list[Response] = []

    for load in loads:
        left += load
        if data.draw(st.booleans()):
            lake.load(left, lambda rows: data.draw(_cut_off(rows)))
        else:
            lake.load(left)
            done, left = [*done, left], []
    lake.load(left)

    _same_but_rejects(lake.tables(), expected(store, [*done, left]))


def _cut_off(rows: list[Rowset]) -> st.SearchStrategy[list[Rowset]]:
    """Return what reaches a lake of a load: some of the first, or all and some more."""
    first = [one for one in rows if one[0] not in LAST]
    last = [one for one in rows if one[0] in LAST]
    return _some(first) | _some(last).map(lambda more: [*first, *more])


def _some(rows: list[Rowset]) -> st.SearchStrategy[list[Rowset]]:
    chosen = [st.sampled_from([[], [one]]) for one in rows]
    return st.tuples(*chosen).map(lambda each: [one for some in each for one in some])


def _same_but_rejects(found: Rows, wanted: Rows) -> None:
    rejects = found.pop("load_rejects"), wanted.pop("load_rejects")
    assert found == wanted
    assert {row[3] for row in rejects[0]} >= {row[3] for row in rejects[1]}


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_before_a_load_is_whole_readers_see_what_was_there_before(
    pairs: dict[str, Pair], provider: str, data: st.DataObject
) -> None:
    """Law: nobody ever sees half of an execution; the ledgers may be ahead."""
    lake, _ = pairs[provider]
    loads = data.draw(histories(provider))
    lake.clear()
    for load in loads[:-1]:
        lake.load(load)
    before = _of_executions(lake)

    rows = lake.folded(loads[-1])
    lake.take([one for one in rows if one[0] not in LAST])

    assert _of_executions(lake) == before


def _of_executions(lake: PlainLake) -> Rows:
    return {
        name: [row for row in rows if not row[2].startswith("request:")]
        for name, rows in lake.tables().items()
        if "is_gone" in TABLES[name].__struct_fields__
    }


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_two_writers_who_know_nothing_of_each_other_lose_and_mix_nothing(
    pairs: dict[str, Pair], provider: str, data: st.DataObject
) -> None:
    """Law: of each execution all is shown that its newest response says, and no more.

    Whichever load ends first, and though neither saw what the other one had.
    """
    lake, store = pairs[provider]
    said = [one for load in data.draw(histories(provider)) for one in load]
    mine = [one for one in said if data.draw(st.booleans())]
    others = [one for one in said if one not in mine]
    lake.clear()

    both = [lake.folded(mine), lake.folded(others)]
    for rows in data.draw(st.permutations(both)):
        lake.take(rows)

    found = lake.tables()
    by_id = {one.response_id: one for one in said}
    assert {row[2] for row in found["executions"]} == {
        row[2] for row in expected(store, [said])["executions"]
    }
    for key, response_id in {row[2:4] for row in found["executions"]}:
        alone = expected(store, [[by_id[response_id]]])
        for name in TABLES.keys() - {"executions", "status_history", "load_rejects"}:
            if "is_gone" in TABLES[name].__struct_fields__:
                assert _of(found, name, key) == _of(alone, name, key)


def _of(rows: Rows, name: str, key: str) -> list[tuple[object, ...]]:
    return [row for row in rows[name] if row[2] == key]


def item(**changes: object) -> dict[str, object]:
    """Return an execution as Torale lists it, with these changes."""
    return {
        "id": "e1",
        "task_id": "t1",
        "status": "success",
        "started_at": TIME,
        "result": {"answer": "yes"},
        "grounding_sources": ["https://a.example/", "https://b.example/"],
        **changes,
    }


def counts(lake: PlainLake) -> dict[str, int]:
    """Return how many rows each table of an execution shows, if any."""
    found = {name: len(rows) for name, rows in _of_executions(lake).items()}
    return {name: count for name, count in found.items() if count}


def test_a_shrunken_and_emptied_execution_loses_what_is_gone(
    pairs: dict[str, Pair],
) -> None:
    """Law 2: fewer sources, and no outputs any more, without a mark for either."""
    lake, _ = pairs["torale"]
    lake.clear()
    small = item(result=None, grounding_sources=["https://b.example/"])

    lake.load([response("torale", [item()])])
    full = counts(lake)
    lake.load([response("torale", [small], second=1)])

    assert full["outputs"] == 2
    assert counts(lake) == {"executions": 1, "grounding_sources": 1}


def test_an_older_answer_that_is_loaded_late_changes_nothing(
    pairs: dict[str, Pair],
) -> None:
    """Law: the order in which two writers end decides nothing; what came last does."""
    lake, _ = pairs["torale"]
    lake.clear()
    newer = lake.folded([response("torale", [item(result=None)], second=9)])
    older = lake.folded([response("torale", [item(status="running")])])

    lake.take(newer)
    lake.take(older)

    ((*_, first_seen, observed),) = lake.con.execute(
        "select status, first_seen_at, observed_at from execledger.executions"
    ).fetchall()
    assert (observed - first_seen).total_seconds() == 9
    assert "outputs" not in counts(lake)


def test_what_a_load_knows_things_by_is_appended_last() -> None:
    """Law: all other rows of a load are on their way before the first of these."""
    normalizer = part("torale", "normalize")
    seen = Seen(lambda *_: [], "torale", "default")
    load = [response("torale", [item()])]
    batches = [*fold(lambda: iter(load), normalizer, seen)] * 2

    names = [name for name, _ in in_two_steps(tables_of(without_gone(batches)), BEGIN)]

    assert names.count("outputs") == 2
    assert names[-2:] == ["executions", "executions"]


def test_a_reject_does_not_cost_its_response_the_body(pairs: dict[str, Pair]) -> None:
    """Law: cut off after the reject, before the response, a load is repeated whole."""
    lake, _ = pairs["torale"]
    lake.clear()
    odd = [response("torale", [{"no": "id"}])]

    lake.load(odd, lambda rows: [one for one in rows if one[0] == "load_rejects"])
    lake.load(odd)

    assert lake.con.execute(
        "select outcome, body is null from execledger.raw_responses"
    ).fetchall() == [("ok", False)]
    assert len(shown(lake.con, "load_rejects")) == 1


def test_a_change_of_status_that_two_saw_stands_once(pairs: dict[str, Pair]) -> None:
    """Law: a row of the history is a change, not another look."""
    lake, _ = pairs["torale"]
    lake.clear()

    both = [
        lake.folded([response("torale", [item()], second=second)]) for second in (1, 2)
    ]
    for rows in both:
        lake.take(rows)

    assert [row[5] for row in shown(lake.con, "status_history")] == ["succeeded"]


def test_prices_that_are_made_anew_replace_those_of_their_model(
    pairs: dict[str, Pair],
) -> None:
    """Law: of a model, the rows of one making count, the newest; others keep theirs."""
    lake, _ = pairs["torale"]
    lake.clear()

    def price(model: str, year: int) -> ModelPrice:
        day = date(year, 1, 1)
        return ModelPrice(model_provider="", model=model, valid_from=day)

    for prices in (
        [price("a", 2020), price("a", 2021), price("b", 2020)],
        [price("a", 2022), price("a", 2023)],
    ):
        lake.folded([])
        lake.take(lake.appended([Batch(rows={"model_prices": [*prices]}, gone={})]))

    assert [row[1:3] for row in shown(lake.con, "model_prices")] == [
        ("a", "2022-01-01"),
        ("a", "2023-01-01"),
        ("b", "2020-01-01"),
    ]
