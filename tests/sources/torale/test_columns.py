"""Columns give the rows that ``normalize`` gives, or nothing at all."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from sources.records import Response
from sources.torale import normalize
from sources.torale.regular import read, sight_of
from tests.plain_store import PlainStore
from tests.responses import recorded, recordings, response

RECORDINGS = [
    name for name, one in recordings("torale").items() if one.endpoint == "executions"
]
TASK = "34406fcd-8cbe-5cbf-bd84-a4a87e0994e6"

TEXT = st.none() | st.sampled_from(["", "yes", "Preis: 5 \u20ac", '":', "\u0000", "{}"])
TIME = st.none() | st.sampled_from(
    [
        "2026-02-01T00:00:00Z",
        "2026-02-01T10:00:00.25+00:00",
        "1999-12-31T23:59:59.999999Z",
    ]
)
ODD_TIME = st.sampled_from(
    ["yesterday", "2026-02-30T00:00:00Z", "2026-02-01", "2026-02-01T00:00:00+02:00", 7]
)
ADDRESS = st.sampled_from(
    [
        "https://www.shop.example.co.uk/a?b#c",
        "http://a.example.org",
        "https://A.Example.org/",
        "https://user:pass@a.example.org:8443/",
        "https://b\u00fccher.example/",
        "https://127.0.0.1/",
        "https://[::1",
        "ftp://a.example.org/",
        "https://a.example.org\t.net/",
        "no address",
        "",
    ]
)
SOURCE = st.fixed_dictionaries({}, optional={"title": TEXT, "snippet": TEXT}).flatmap(
    lambda said: st.sampled_from(["uri", "url"]).flatmap(
        lambda name: ADDRESS.map(lambda uri: {name: uri, **said})
    )
)
SOURCES = st.none() | st.lists(SOURCE | ADDRESS, max_size=3)
ODD_SOURCE = st.sampled_from(
    [7, None, {"uri": None, "url": "x"}, {"uri": "x", "url": "y"}, {"uri": 7}, {}]
) | SOURCE.map(lambda said: {**said, "rank": 1})
STEP = st.sampled_from(
    ["searched", {"tool": "search", "started_at": "2026-02-01T00:00:00Z"}, {"x": 1}, 7]
)
RESULT = st.fixed_dictionaries(
    {},
    optional={
        "answer": TEXT,
        "evidence": TEXT | st.just({"a": [1]}),
        "summary": TEXT,
        "success": st.booleans(),
        "error": TEXT,
        "condition_met": st.none() | st.booleans(),
        "notification": TEXT,
        "change_summary": TEXT,
        "sources": SOURCES,
        "grounding_sources": SOURCES,
        "activity": st.none() | st.lists(STEP, max_size=2),
        "actions": st.lists(STEP, max_size=2),
        "metadata": st.none() | st.sampled_from([{}, {"a": {"b": None}}, [1.5, 2**70]]),
        "confidence": st.integers(0, 100),
    },
)
ODD_RESULT = st.sampled_from(
    [
        "text",
        [],
        7,
        {"condition_met": "yes"},
        {"notification": 7},
        {"activity": "none"},
        {"sources": {}},
        {"sources": [{"rank": 1}], "grounding_sources": [{"rank": 1}]},
        {"activity": [{"started_at": "yesterday"}]},
    ]
)
STATUS = st.sampled_from(
    ["pending", "running", "success", "failed", "cancelled", "odd"]
)
FIELDS = {
    "task_id": st.just(TASK) | st.none(),
    "status": STATUS | st.none(),
    "result": RESULT | st.none(),
    "error_message": TEXT,
    "notification": TEXT,
    "grounding_sources": SOURCES,
    "started_at": TIME,
    "completed_at": TIME,
    "created_at": TIME,
    "condition_met": st.none() | st.booleans(),
    "change_summary": TEXT,
}
ODDITIES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(["", 7, None, "a:b", "a%b", "e1"]),
    "task_id": st.sampled_from([7, "a:b", ""]),
    "status": st.sampled_from([7, {}]),
    "result": ODD_RESULT,
    "error_message": st.just({"text": "no"}),
    "notification": st.just(7),
    "grounding_sources": st.lists(ODD_SOURCE, min_size=1, max_size=2) | st.just("x"),
    "started_at": ODD_TIME,
    "condition_met": st.just("true"),
    "priority": st.sampled_from([None, 1]),
}


ENVELOPES: list[dict[str, Any]] = [{}, {"total": 3, "page": 1}, {"limit": None}]


@st.composite
def lists(draw: st.DrawFn) -> bytes:
    """Return the body of a list: mostly regular, sometimes with something odd."""
    count = draw(st.integers(1, 3))
    rows: list[dict[str, Any]] = [
        {"id": f"e{place}", **draw(st.fixed_dictionaries({}, optional=FIELDS))}
        for place in range(count)
    ]
    if draw(st.integers(0, 3)) == 3:
        name = draw(st.sampled_from(sorted(ODDITIES)))
        draw(st.sampled_from(rows))[name] = draw(ODDITIES[name])
    envelope = draw(st.sampled_from(ENVELOPES))
    body = {**envelope, "executions": rows} if draw(st.booleans()) else rows
    ascii_only, spaced = draw(st.booleans()), draw(st.booleans())
    separators = (" , ", " : ") if spaced else (",", ":")
    return json.dumps(body, ensure_ascii=ascii_only, separators=separators).encode()


@pytest.fixture(scope="module")
def store() -> Iterator[PlainStore]:
    """Yield a store; ``after`` empties it before it takes loads."""
    with closing(PlainStore(normalize)) as opened:
        yield opened


def sees_the_same(said: Response) -> bool:
    """Tell whether a look sees what ``observe`` sees, or leaves it to that."""
    plain = replace(normalize.observe(said), decoded=None)
    return sight_of(said) in (None, plain)


@settings(max_examples=400, deadline=None)
@given(bodies=st.lists(lists(), min_size=1, max_size=2))
def test_columns_give_the_rows_that_normalize_gives(
    store: PlainStore, bodies: list[bytes]
) -> None:
    """Law: a quick way that gives other rows would be a fault."""
    params = [{"task_id": TASK}, {"task_id": "another"}]
    said = [
        response("torale", body, params=params[place], second=place)
        for place, body in enumerate(bodies)
    ]

    assert all(sees_the_same(one) for one in said)
    folded, appended = store.both_ways(*said)

    # Of what one load sees twice, the fold keeps the last alone, as a ledger would not.
    rejects, more = folded.pop("load_rejects"), appended.pop("load_rejects")
    assert {row[3] for row in rejects} <= {row[3] for row in more}
    assert appended == folded


@pytest.mark.parametrize("name", RECORDINGS)
def test_columns_agree_on_every_recording(store: PlainStore, name: str) -> None:
    """Law: whatever was documented or observed, by both ways it is the same."""
    said = recorded("torale", name)

    assert sees_the_same(said)
    folded, appended = store.both_ways(said)
    assert appended == folded


REGULAR = [
    "documented_list",
    "era_1_content",
    "era_2_answer_state_object",
    "era_2_success_false",
    "era_3_summary_state_list",
    "era_4_evidence",
    "oddity_page_live_fields",
    "oddity_sources_in_two_places",
]


@pytest.mark.parametrize("name", REGULAR)
def test_what_providers_usually_say_is_regular(store: PlainStore, name: str) -> None:
    """Both dialects and every era of ``result`` go the quick way."""
    said = recorded("torale", name)

    store.after([said], appends=True)

    assert read(said) is not None
    assert store.rest == set()
