"""Columns give the rows that ``normalize`` gives, or nothing at all."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.unstract import normalize
from sources.unstract.columns import read
from tests.plain_store import PlainStore
from tests.responses import recorded, recordings, response

OWN, OTHER = (
    "b455b128-90e3-4fba-bdf0-84930a2c136c",
    "8a1c0000-0000-4000-8000-000000000001",
)

Some = st.SearchStrategy[Any]


def maybe(fields: dict[str, Some]) -> Some:
    """Return objects that have some of these fields, or all of them."""
    some = st.fixed_dictionaries({}, optional=fields)
    return st.fixed_dictionaries(fields) | some


def often(usual: Some) -> Some:
    """Return what is usual, sometimes null."""
    return st.sampled_from([True] * 5 + [False]).flatmap(
        lambda is_usual: usual if is_usual else st.none()
    )


TEXT = st.sampled_from(["", "yes", "Preis: 5 \u20ac", '":', "\u0000", "{}", "a/b~c"])
WORDS = st.none() | TEXT
COUNT = st.none() | st.integers(-(2**40), 2**40) | st.just(0)
COST = st.none() | st.sampled_from(
    ["0.00904", "1", "0.0000000000001", 0.0125524200001, 5e-324, 3, 0, -0.5, "1e-3"]
)
SECONDS = st.none() | st.integers(0, 2**53) | st.sampled_from([12.91, 0.1, 1e300])
NUMBER = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
LEAF = st.none() | st.booleans() | NUMBER | TEXT
VALUE = st.recursive(
    LEAF,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2)
    ),
    max_leaves=4,
)
PAGED = maybe({"page": st.sampled_from([1, "2", None, 2**70]), "page_number": LEAF})
EVIDENCE = often(
    st.dictionaries(
        TEXT, VALUE | st.lists(VALUE | PAGED, max_size=2) | PAGED, max_size=2
    )
)
MODEL = st.sampled_from([None, "azure/gpt-4o", "gpt-4o", "/", "a/", "", "a/b/c"])
SUM = {"model_name": MODEL, "total_tokens": COUNT, "cost_in_dollars": COST}
LLM = maybe({**SUM, "input_tokens": COUNT, "output_tokens": COUNT})
EMBEDDING = maybe({**SUM, "embedding_tokens": COUNT})
TIMED = st.fixed_dictionaries({"time_taken(s)": SECONDS})
PARTS = often(st.lists(LLM, max_size=2))
RESULT = {
    "output": VALUE,
    "metadata": often(
        maybe(
            {
                "run_id": WORDS,
                "file_name": WORDS,
                "whisper_hash": WORDS,
                "context": EVIDENCE,
                "highlight_data": EVIDENCE,
                "line_numbers": EVIDENCE,
                "confidence_data": EVIDENCE,
                "word_confidence_data": EVIDENCE,
                "required_fields": st.none()
                | st.dictionaries(TEXT, st.none() | st.booleans(), max_size=2),
                "extracted_text": WORDS | st.just("yes"),
                "embedding": often(st.lists(EMBEDDING, max_size=2)),
                "extraction_llm": PARTS,
                "challenge_llm": PARTS,
                "summarize_llm": PARTS,
                "lookup_llm": PARTS,
            }
        )
    ),
    "metrics": often(
        st.dictionaries(TEXT, st.dictionaries(TEXT, TIMED, max_size=2), max_size=2)
    ),
}
ROLLUP = maybe(
    {
        **SUM,
        "file_execution_id": st.none(),
        "embedding_tokens": COUNT,
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
    }
)
META = {
    "source_hash": WORDS,
    "organization_id": WORDS,
    "workflow_id": WORDS,
    "execution_id": st.sampled_from([None, OWN]),
    "file_execution_id": st.sampled_from([None, "f1"]),
    "tags": st.none() | st.lists(TEXT, max_size=2),
    "total_elapsed_time": SECONDS,
    "total_pages_processed": COUNT,
    "workflow_start_time": st.none()
    | st.sampled_from([1795286281.021524, 0, 1795286281, -1.5]),
    "tool_metadata": st.none()
    | st.lists(
        maybe({"tool_name": WORDS, "elapsed_time": SECONDS, "output_type": WORDS}),
        max_size=2,
    ),
    "usage": often(ROLLUP),
}
FILE = {
    "file_execution_id": st.sampled_from([None, "f1"]),
    "status": st.sampled_from(["Success"] * 9 + ["Failed", "Later"]),
    "error": st.sampled_from([None] * 9 + ["no", ""]),
    "result": often(maybe(RESULT)) | TEXT,
    "metadata": often(maybe(META)),
    "extracted_text": WORDS | st.just("yes"),
}
ODD: dict[str, Some] = {
    "file": st.sampled_from([None, 7]),
    "status": st.sampled_from([None, 7, "Failed", "Later"]),
    "error": st.sampled_from(["", "no", {"text": "no"}, False]),
    "file_execution_id": st.sampled_from([7, "f2"]),
    "hitl": LEAF,
    "extracted_text": st.just(7),
    "result": VALUE | st.just({"input_file": "a.pdf", "result": "lease"}),
    "result/metadata": st.sampled_from([7, {"new": 1}, {"context": [1]}]),
    "result/metrics": st.sampled_from(
        [
            7,
            {"total": {"time_taken(s)": 1.5}},
            {"time_taken(s)": {"x": {"time_taken(s)": 1}}},
            {"total": {"time_taken(s)": {"time_taken(s)": 1}}},
            {"total": {"step": {"time_taken(s)": "1.5"}}},
        ]
    ),
    "metadata": LEAF,
    "metadata/source_name": st.sampled_from(["other.pdf", 7]),
    "metadata/execution_id": st.sampled_from([OTHER, 7, OWN.upper()]),
    "metadata/file_execution_id": st.sampled_from(["f3", 7]),
    "metadata/tags": st.sampled_from(["q4", [7], {}]),
    "metadata/total_elapsed_time": st.sampled_from(["12.91", 2**53 + 1, True]),
    "metadata/workflow_start_time": st.sampled_from([1e300, "2026-02-01", 2**70]),
    "metadata/usage": st.sampled_from(
        [
            {"file_execution_id": "f9"},
            {"file_execution_id": "f1"},
            {"cost_in_dollars": "much"},
            {"cost_in_dollars": " 0.1 "},
            {"cost_in_dollars": 1e9},
            {"prompt_tokens": 2**63 - 1, "embedding_tokens": 2**63 - 1},
            {"cached": 1},
        ]
    ),
}
TOLD_ELSEWHERE = {
    "usage": [{"id": "u1", "prompt_tokens": 5}],
    "listed": {"id": OWN, "status": "COMPLETED", "total_files": 1},
}
CONTEXT = maybe(
    {
        "organization_id": st.just("org"),
        "api_name": st.just("invoices"),
        "deployment_is_listed": st.booleans(),
        "sent": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["a.pdf", "c.pdf", ""])},
                optional={"sha256": st.sampled_from(["", "yes", "no"])},
            ),
            max_size=1,
        ),
    }
)
KNOWN = {
    "scope": st.sampled_from(["", "org/invoices"]),
    "started_at": st.sampled_from(
        ["2026-02-28T23:50:00Z", "2026-03-01T01:00:00+02:00"]
    ),
    "tags": st.lists(st.tuples(TEXT, WORDS), max_size=2),
}


STATUS = st.sampled_from(["COMPLETED"] * 8 + ["ERROR", "EXECUTING"])
NAMES: list[list[str]] = [["a.pdf"], ["a.pdf", "b.pdf"], []]


@st.composite
def answers(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Return what is known of an execution, and a body that is regular or nearly."""
    files: list[dict[str, Any]] = [
        {"file": name, "status": "Success", **draw(maybe(FILE))}
        for name in draw(st.sampled_from(NAMES))
    ]
    for file in files:
        if draw(st.integers(0, 4)) == 4:
            file |= {"status": "Failed", "error": "Rate limit", "result": None}
    if files and draw(st.integers(0, 2)) == 2:
        odd = draw(st.sampled_from(sorted(ODD)))
        above, _, name = odd.rpartition("/")
        place = files[0]
        if above:
            there = place.get(above)
            place[above] = dict(there) if isinstance(there, dict) else {}
            place = place[above]
        place[name] = draw(ODD[odd])
    context = draw(often(CONTEXT)) or {}
    if draw(st.integers(0, 9)) == 9:
        context = context | TOLD_ELSEWHERE
    body: dict[str, Any] = {"status": draw(STATUS), "message": files}
    if draw(st.integers(0, 9)) == 9:
        body["error"] = draw(WORDS)
    known = {
        "execution_id": OWN,
        "tracked_at": "2026-02-28T23:50:00Z",
        "context": context,
        **draw(maybe(KNOWN)),
    }
    separators = (" , ", " : ") if draw(st.booleans()) else (",", ":")
    return known, json.dumps(body, separators=separators).encode()


@pytest.fixture(scope="module")
def store() -> Iterator[PlainStore]:
    """Yield a store; ``after`` empties it before it takes loads."""
    with closing(PlainStore(normalize, "unstract")) as opened:
        yield opened


@settings(max_examples=300, deadline=None)
@given(answer=answers())
def test_columns_give_the_rows_that_normalize_gives(
    store: PlainStore, answer: tuple[dict[str, Any], bytes]
) -> None:
    """Law: a quick way that gives other rows would be a fault."""
    known, body = answer
    told = {**known, "execution_id": OTHER}
    said = [
        response(
            "unstract",
            b'{"status":"COMPLETED","message":[]}',
            endpoint="execution",
            params=told,
        ),
        response("unstract", body, endpoint="execution", params=known, second=1),
    ]

    folded, appended = store.both_ways(*said)

    assert appended == folded


@pytest.mark.parametrize("name", recordings("unstract"))
def test_columns_agree_on_every_recording(store: PlainStore, name: str) -> None:
    """Law: whatever was documented or observed, by both ways it is the same."""
    folded, appended = store.both_ways(recorded("unstract", name))

    assert appended == folded


@pytest.mark.parametrize(
    "name",
    [
        "observed_get_200_completed_full_metadata_metrics_text",
        "observed_get_200_completed_text_tool",
    ],
)
def test_what_servers_usually_say_is_regular(store: PlainStore, name: str) -> None:
    """What a live server was seen to answer goes the quick way."""
    said = recorded("unstract", name)

    store.after([said], appends=True)

    assert read(said) is not None
    assert store.rest == set()
