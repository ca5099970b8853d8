"""What the fold makes of Unstract's answers: a result that came is never lost."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources import part
from sources.records import Response
from tests.plain_store import PlainStore
from tests.responses import BEGIN, recorded, response
from tests.sources.unstract.test_normalize import EID, SCOPE, answer

FULL = "observed_get_200_completed_full_metadata_metrics_text"
TAKEN = {"status": "COMPLETED", "message": "Result already acknowledged"}
BROKEN = [{"at": BEGIN.isoformat(), "reason": "cut", "size_bytes": 1}]


def body(name: str, *path: str | int) -> Any:
    """Return a part of a recording's body."""
    found = json.loads(recorded("unstract", name).body or b"")
    for step in path:
        found = found[step]
    return found


LISTED = dict(body("observed_platform_execution_list", "results", 0), id=EID)


def page(second: int, **changes: object) -> Response:
    """Return a page of the platform's list with our execution, and another's."""
    params = {"scope": SCOPE, "pipeline_ids": [LISTED["pipeline_id"]]}
    results = [LISTED | changes, {"id": "another", "pipeline_id": "other"}]
    return response("unstract", {"results": results}, params=params, second=second)


SAID: list[Callable[[int], Response]] = [
    lambda at: answer(body(FULL), second=at, context={"listed": LISTED}),
    lambda at: answer({"status": "EXECUTING", "message": None}, 422, second=at),
    lambda at: answer(TAKEN, 406, second=at),
    lambda at: answer(TAKEN, 406, second=at, broken_reads=BROKEN),
    lambda at: answer({"status": "COMPLETED", "message": None}, second=at),
    lambda at: answer(b"<html>", 500, second=at),
    lambda at: answer({}, 404, second=at, expires_at="2026-02-27T00:00:00Z"),
    page,
    lambda at: page(at, result_acknowledged=True),
    lambda at: answer(
        {"results": [{"id": "1", "total_tokens": 4}]},
        endpoint="usage",
        second=at,
        context={"listed": LISTED, "complete": True},
    ),
]
"""What may be answered about one execution; the first is its whole result."""


@pytest.fixture(scope="module")
def stores() -> Iterator[tuple[PlainStore, PlainStore]]:
    """Yield two empty stores."""
    normalizer = part("unstract", "normalize")
    with (
        closing(PlainStore(normalizer, "unstract")) as one,
        closing(PlainStore(normalizer, "unstract")) as two,
    ):
        yield one, two


@settings(max_examples=40, deadline=None)
@given(
    picks=st.lists(
        st.tuples(st.integers(0, len(SAID) - 1), st.booleans()),
        min_size=1,
        max_size=7,
    )
)
def test_any_partition_into_loads_gives_the_same_and_keeps_the_result(
    stores: tuple[PlainStore, PlainStore], picks: list[tuple[int, bool]]
) -> None:
    """Law 3; and once the result came, nothing that was answered later hides it."""
    answers = [SAID[what](60 * place) for place, (what, _) in enumerate(picks)]
    loads: list[list[Response]] = [[]]
    for one, (_, is_last) in zip(answers, picks, strict=True):
        loads[-1].append(one)
        if is_last:
            loads.append([])

    at_once = stores[0].after(answers).tables()
    in_parts = stores[1].after(*loads).tables()

    assert at_once == in_parts
    came = any(what == 0 for what, _ in picks)
    assert len(at_once["outputs"]) == (2 if came else 0)
    states = [row for row in at_once["executions"] if "captured" in row]
    assert len(states) == came
