"""Columns give the rows that ``normalize`` gives, or nothing at all."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sources.discuro import normalize
from sources.discuro.columns import read
from tests.plain_store import PlainStore
from tests.responses import recorded, recordings, response

TEXT = st.sampled_from(["", "yes", "Preis: 5 \u20ac", '":', "\u0000", "{}", "a/b~c"])
TIME = st.none() | st.sampled_from(
    ["2026-02-01T00:00:00Z", "2026-02-01T10:00:00.25+00:00", "1999-12-31T23:59:59.9Z"]
)
COUNT = st.none() | st.integers(-(2**63), 2**63 - 1)
NUMBER = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | NUMBER | TEXT
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2)
    ),
    max_leaves=4,
)
STEP_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "start": TIME,
    "end": TIME,
    "passed": st.none() | st.booleans(),
    "error": st.none(),
    "property": st.none() | st.fixed_dictionaries({}, optional={"name": TEXT}),
}
STEP = st.recursive(
    st.fixed_dictionaries({}, optional={**STEP_FIELDS, "layer_results": st.none()}),
    lambda inner: st.fixed_dictionaries(
        {"layer_results": st.dictionaries(TEXT, inner, max_size=2)},
        optional=STEP_FIELDS,
    ),
    max_leaves=4,
)
START = TIME.filter(bool)
TRANSFORMATION = {
    "end": TIME,
    "data": st.none() | st.lists(VALUE, max_size=3),
    "usage": st.none()
    | st.fixed_dictionaries(
        {"total_tokens": COUNT},
        optional={"prompt_tokens": COUNT, "completion_tokens": COUNT},
    ),
    "results": st.none() | st.dictionaries(TEXT, STEP, max_size=3),
}
BODY = {"error": st.none(), "meta_data": st.none()}
ODD: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from([99, "98 ", True, 98.0, []]),
    "status": st.sampled_from(["started", "later", 7, None]),
    "passed": st.sampled_from([False, None, "true", 1]),
    "error": TEXT | st.just({"message": "no"}),
    "meta_data": TEXT,
    "priority": LEAF,
    "transformation": LEAF,
    "transformation/start": st.sampled_from(["", "yesterday", "2026-02-30", 7, None]),
    "transformation/end": st.sampled_from(["", "soon", "2026-02-01T00:00:00+02:00"]),
    "transformation/data": st.sampled_from([{}, {"a": 1}, "text", 7, []]),
    "transformation/usage": st.sampled_from(
        [{}, [], {"prompt_tokens": "12"}, {"total_tokens": 2**63}, {"model": "x"}]
    ),
    "transformation/results": st.sampled_from(
        [[], {}, {"7": None}, {"7": {"error": "no"}}, {"7": {"passed": "yes"}}]
    ),
    "transformation/cost": LEAF,
}
TAGS = st.lists(st.tuples(TEXT, st.none() | TEXT), max_size=2)
CONTEXT = st.fixed_dictionaries(
    {},
    optional={
        "assumed_model": st.sampled_from(["openai/gpt-4o", "gpt-4o", "/", "", 7]),
        "workflow": st.sampled_from(
            [{"id": "w", "kind": "orchestrator"}, {"id": "v", "kind": "x"}, {"id": 7}]
        ),
    },
)


KNOWN: dict[str, Any] = {"execution_id": "97", "tags": [], "context": {}}
BODY_WITHOUT_FIGURES = (
    b'{"id":97,"status":"ended","passed":true,'
    b'"transformation":{"start":"2026-02-01T00:00:00Z","usage":{}}}'
)


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Return what is known of an execution, and a body that is regular or nearly."""
    number = draw(st.integers(97, 98))
    body: dict[str, Any] = {
        "id": draw(st.sampled_from([number, str(number), None])),
        "status": "ended",
        "passed": True,
        "transformation": draw(
            st.fixed_dictionaries({"start": START}, optional=TRANSFORMATION)
        ),
        **draw(st.fixed_dictionaries({}, optional=BODY)),
    }
    if draw(st.integers(0, 2)) == 2:
        name = draw(st.sampled_from(sorted(ODD)))
        above, _, name_there = name.rpartition("/")
        (body["transformation"] if above else body)[name_there] = draw(ODD[name])
    known = {
        "execution_id": str(number),
        "tracked_at": "2026-02-28T23:00:00Z",
        "tags": draw(TAGS),
        "context": draw(CONTEXT),
        **draw(st.fixed_dictionaries({}, optional={"expires_at": START})),
    }
    spaced = draw(st.booleans())
    separators = (" , ", " : ") if spaced else (",", ":")
    return known, json.dumps(body, separators=separators).encode()


@pytest.fixture(scope="module")
def store() -> Iterator[PlainStore]:
    """Yield a store; ``after`` empties it before it takes loads."""
    with closing(PlainStore(normalize, "discuro")) as opened:
        yield opened


@settings(max_examples=400, deadline=None)
@given(given=st.lists(answers(), min_size=1, max_size=3))
@example(given=[(KNOWN, BODY_WITHOUT_FIGURES)])
def test_columns_give_the_rows_that_normalize_gives(
    store: PlainStore, given: list[tuple[dict[str, Any], bytes]]
) -> None:
    """Law: a quick way that gives other rows would be a fault."""
    said = [
        response("discuro", body, endpoint="execution", params=params, second=place)
        for place, (params, body) in enumerate(given)
    ]

    folded, appended = store.both_ways(*said)

    # Of what one load sees twice, the fold keeps the last alone, as a ledger would not.
    rejects, more = folded.pop("load_rejects"), appended.pop("load_rejects")
    assert {row[3] for row in rejects} <= {row[3] for row in more}
    assert appended == folded


@pytest.mark.parametrize("name", recordings("discuro"))
def test_columns_agree_on_every_recording(store: PlainStore, name: str) -> None:
    """Law: whatever was documented or observed, by both ways it is the same."""
    folded, appended = store.both_ways(recorded("discuro", name))

    assert appended == folded


@pytest.mark.parametrize("name", ["documented_success", "oddity_usage_missing"])
def test_what_providers_usually_say_is_regular(store: PlainStore, name: str) -> None:
    """What passed goes the quick way, its workflow told before."""
    first, then = (recorded("discuro", name, second=place) for place in range(2))

    store.after([first], appends=True)

    assert read(then) is not None
    assert store.rest == set()


def test_a_workflow_is_told_once(store: PlainStore) -> None:
    """Law: the first answer that names a workflow gives its row, and no other."""
    params = {
        "tracked_at": "2026-02-28T23:00:00Z",
        "context": {"workflow": {"id": "w", "kind": "orchestrator"}},
    }
    said = [
        response(
            "discuro",
            {
                "status": "ended",
                "passed": True,
                "transformation": {"start": "2026-02-28T23:30:00Z"},
            },
            endpoint="execution",
            params={**params, "execution_id": str(number)},
            second=number,
        )
        for number in range(3)
    ]

    tables = store.after(said, appends=True).tables()

    assert len(tables["workflows"]) == 1
    assert len(tables["executions"]) == len(said)
