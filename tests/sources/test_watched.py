"""What is known of a watched execution goes through ``params`` and comes back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.json_text import encode
from sources.records import Response
from sources.watched import GIVE_UP, BrokenRead, Watched, watched

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMES = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis takes them without a zone
    datetime(9999, 12, 30),  # noqa: DTZ001 - likewise
    timezones=st.just(UTC),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)
READS = st.builds(
    BrokenRead,
    at=TIMES,
    reason=st.text(),
    size_bytes=st.integers(0, 2**40),
    response_id=st.none() | st.text(),
)
WATCHED = st.builds(
    Watched,
    execution_id=st.text(min_size=1),
    tracked_at=TIMES,
    scope=st.text(),
    started_at=st.none() | TIMES,
    expires_at=st.none() | TIMES,
    tags=st.lists(st.tuples(st.text(), st.none() | st.text())).map(tuple),
    broken_reads=st.lists(READS, max_size=2).map(tuple),
    context=st.dictionaries(st.text(), VALUES, max_size=3),
)


def answer(params: str) -> Response:
    """Return an answer that came at noon, with these parameters."""
    return Response(
        response_id="r1",
        provider="small",
        connection="default",
        received_at=NOON,
        endpoint="execution",
        method="GET",
        url="x",
        params=params,  # type: ignore[arg-type]  # any text
        headers=encode({}),
        elapsed_ms=1,
        attempts=1,
        outcome="ok",
        size_bytes=0,
    )


@given(known=WATCHED)
def test_what_was_known_comes_back_from_the_parameters(known: Watched) -> None:
    """Law: rows can be made of the answer alone, also years later."""
    assert watched(answer(encode(known.as_params()))) == known


@given(params=st.text() | st.binary().map(repr) | VALUES.map(encode))
def test_odd_parameters_cost_no_answer(params: str) -> None:
    """Law: whatever stands there, something of an execution is known."""
    known = watched(answer(params))

    assert isinstance(known.execution_id, str)
    assert known.tracked_at.tzinfo


@given(
    known=WATCHED,
    field=st.sampled_from(Watched.__struct_fields__),
    odd=VALUES,
)
def test_what_does_not_fit_is_left_out_and_the_rest_stays(
    known: Watched, field: str, odd: object
) -> None:
    """Law: one odd value takes no other with it."""
    params = known.as_params() | {field: odd}

    found = watched(answer(encode(params)))

    for name in set(Watched.__struct_fields__) - {field}:
        assert getattr(found, name) == getattr(known, name)


def test_an_answer_of_no_watched_execution_is_tracked_when_it_came() -> None:
    """Law: without a word, the answer's own time is what is known."""
    found = watched(answer("{}"))

    assert found == Watched(execution_id="", tracked_at=NOON)


@pytest.mark.parametrize("depth", [10_000])
def test_parameters_of_any_depth_are_read(depth: int) -> None:
    """Law: no nesting breaks the reading."""
    assert watched(answer("[" * depth)).execution_id == ""


def test_an_execution_began_when_it_is_said_to_have() -> None:
    """Law: the start counts where it is known, else the time of tracking."""
    bare = Watched(execution_id="1", tracked_at=NOON)

    assert bare.begun_at == NOON
    assert Watched(
        execution_id="1", tracked_at=NOON, started_at=NOON - HOUR
    ).begun_at == (NOON - HOUR)


@pytest.mark.parametrize(
    ("expires_at", "at", "is_given_up"),
    [
        (NOON, NOON + GIVE_UP, True),
        (NOON, NOON + GIVE_UP - timedelta(microseconds=1), False),
        (None, NOON + 1000 * GIVE_UP, False),
        (datetime.max.replace(tzinfo=UTC), NOON, False),
    ],
)
def test_an_execution_is_given_up_a_day_after_its_expiry(
    expires_at: datetime | None, at: datetime, *, is_given_up: bool
) -> None:
    """Law: not before, and never where nobody knows when it expires."""
    known = Watched(execution_id="1", tracked_at=NOON, expires_at=expires_at)

    assert known.is_given_up(at) is is_given_up


def test_a_broken_read_is_added_with_its_answer() -> None:
    """Law: earlier ones stay, and no broken read changes nothing."""
    known = Watched(execution_id="1", tracked_at=NOON)
    read: dict[str, Any] = {"at": NOON, "reason": "cut", "size_bytes": 3}

    once = known.broken_by(BrokenRead(**read), answer("{}"))
    twice = once.broken_by(BrokenRead(**read), answer("{}"))

    assert known.broken_by(None, answer("{}")) is known
    assert twice.broken_reads == (BrokenRead(**read, response_id="r1"),) * 2
