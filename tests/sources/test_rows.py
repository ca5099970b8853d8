"""Building the rows of one response: keys, misfits and faults, nothing dropped."""

import pytest
from msgspec.structs import replace

from sources.json_text import Fault, canonical_sha256, decode, sha256
from sources.observations import decoded_body
from sources.records import ErrorRecord, ExecutionMetadata, LoadReject, Record
from sources.rows import (
    Rows,
    failed_request,
    first_words,
    is_within,
    loose_reject,
    reject_key,
    rejected_body,
    request_key_of,
)
from sources.values import integer
from tests.responses import response

KEY = "torale:default:t1:e1"
ANSWER = response("torale", [{"id": "e1"}])


def metadata(rows: list[Record]) -> dict[str, str]:
    """Return what is kept in ``execution_metadata``, by path."""
    return {row.path: row.value for row in rows if isinstance(row, ExecutionMetadata)}


def rejects(rows: list[Record]) -> list[LoadReject]:
    """Return the rejects among the rows."""
    return [row for row in rows if isinstance(row, LoadReject)]


def test_a_row_has_its_execution_and_its_response_filled_in() -> None:
    """Each row says where it comes from; its key leads to its place."""
    rows = Rows(ANSWER, KEY, "/0")

    rows.add(ErrorRecord, error_key=rows.key_of("/0/error"), level="execution")

    (row,) = rows.finish()
    assert isinstance(row, ErrorRecord)
    assert (row.provider, row.connection) == ("torale", "default")
    assert (row.execution_key, row.response_id) == (KEY, ANSWER.response_id)
    assert row.error_key == f"{KEY}//0/error"


def test_a_value_that_does_not_fit_is_a_reject_and_stands_in_metadata() -> None:
    """The column is NULL, and nothing is dropped."""
    rows = Rows(ANSWER, KEY, "/0")
    fields = rows.fields({"tokens": "many", "rest": 1}, "/0")

    taken = fields.take("tokens", integer)

    found = rows.finish()
    (reject,) = rejects(found)
    assert taken is None
    assert metadata(found) == {"/0/tokens": '"many"'}
    assert (reject.path, reject.reason) == ("/0/tokens", "not_an_integer")
    assert reject.value_sha256 == canonical_sha256("many")
    assert reject.execution_key == KEY
    assert reject.first_seen_at == ANSWER.received_at


def test_faults_of_the_body_are_rejects_of_the_execution_they_lie_in() -> None:
    """A fault beside it, or in one whose place begins alike, is not its own."""
    inside, itself = Fault("/1/result/x", "not_finite", "a"), Fault("/1", "b", "c")
    beside = [
        Fault("/10/result", "d", "e"),
        Fault("", "f", "g"),
        Fault("/0/1", "h", "i"),
    ]

    rows = Rows(ANSWER, KEY, "/1", [inside, itself, *beside])

    found = rejects(rows.finish())
    assert [(r.path, r.reason) for r in found] == [
        ("/1/result/x", "not_finite"),
        ("/1", "b"),
    ]


def test_the_same_reject_keeps_its_key_where_the_execution_moves() -> None:
    """Rows move with each new execution; a reject is one however often it is seen."""
    keys = []
    for at in ("/0", "/7"):
        rows = Rows(ANSWER, KEY, at)
        rows.misfit(f"{at}/day", "not_a_timestamp", "yesterday")
        keys += [reject.reject_key for reject in rejects(rows.finish())]

    assert keys[0] == keys[1]
    assert keys[0].startswith(f"{KEY}//day#not_a_timestamp:")


def test_another_value_reason_or_place_is_another_reject() -> None:
    """What differs is seen apart."""
    fault = Fault("/0/a", "reason", "1" * 64)
    alike = [
        reject_key(KEY, fault, "/a"),
        reject_key(KEY, fault, "/b"),
        reject_key(KEY, replace(fault, reason="other"), "/a"),
        reject_key(KEY, replace(fault, value_sha256="2" * 64), "/a"),
        reject_key("another", fault, "/a"),
    ]

    assert len(set(alike)) == 5


@pytest.mark.parametrize(
    ("path", "at", "is_inside"),
    [
        ("/1", "/1", True),
        ("/1/a", "/1", True),
        ("/10", "/1", False),
        ("", "/1", False),
        ("/1", "", True),
        ("", "", True),
    ],
)
def test_a_pointer_is_within_another_by_whole_parts(
    path: str, at: str, *, is_inside: bool
) -> None:
    """``/10`` is not within ``/1``; everything is within the whole document."""
    assert is_within(path, at) is is_inside


def test_metadata_keeps_a_whole_subtree() -> None:
    """One row a field, its value as JSON."""
    rows = Rows(ANSWER, KEY)

    rows.metadata("/owner", {"id": 2**70, "names": [None, "é"]})

    assert metadata(rows.finish()) == {
        "/owner": '{"id":1180591620717411303424,"names":[null,"é"]}'
    }


# What is no execution


def test_what_belongs_to_no_execution_belongs_to_its_request() -> None:
    """By provider, connection, endpoint and scope; parts are told apart."""
    assert request_key_of(ANSWER) == "request:torale:default:executions:"
    assert request_key_of(ANSWER, "a:b") == "request:torale:default:executions:a%3Ab"


def test_a_failed_request_is_seen_by_its_body_or_by_what_went_wrong() -> None:
    """The same failure again is no news; another one is."""
    bodies = [response("torale", {"detail": d}, status=404) for d in ("a", "b")]
    silent = replace(bodies[0], body=None, body_sha256=None, http_status=None)
    faults = [replace(silent, error=words) for words in ("reset", "cut")]

    hashes = {failed_request(r, "t1").observations[0].sha256 for r in bodies + faults}

    (seen,) = failed_request(bodies[0], "t1").observations
    assert len(hashes) == 4
    assert seen.sha256 == bodies[0].body_sha256
    assert (seen.kind, seen.key) == ("request", "request:torale:default:executions:t1")
    assert failed_request(bodies[0]).outcome == "http_error"


def test_a_body_that_is_not_what_was_asked_for_is_an_error_and_a_reject() -> None:
    """It stands in ``errors``, the latest only, and in ``load_rejects``, each."""
    one = response("torale", b"not json")

    sight = rejected_body(one, "not_json", "t1")

    error, reject = sight.observations
    assert sight.outcome == "rejected"
    assert (error.kind, error.name) == ("request", "not_json")
    assert (reject.kind, reject.name) == ("reject", "not_json")
    assert error.key == "request:torale:default:executions:t1"
    assert reject.key.startswith(f"{error.key}/#not_json:")
    assert error.sha256 == reject.sha256 == sha256(b"not json")


def test_a_loose_reject_is_known_by_its_value_not_by_its_place() -> None:
    """A list moves; the same bad row on another page is the same reject."""
    one, two = (
        loose_reject("request:x", Fault(path, "missing_id", "f" * 64))
        for path in ("/0", "/5")
    )

    assert one.key == two.key
    assert (one.pointer, two.pointer) == ("/0", "/5")


def test_a_body_is_decoded_or_is_none() -> None:
    """No body at all is no JSON."""
    without = replace(ANSWER, body=None)

    decoded = decoded_body(ANSWER)

    assert decoded == decode(b'[{"id": "e1"}]')
    assert decoded_body(response("torale", b"<html>")) is None
    assert decoded_body(without) is None


def test_first_words_are_the_begin_of_a_body_or_what_went_wrong() -> None:
    """Enough to recognise it by; a long page is cut, odd bytes are replaced."""
    page = response("torale", b"  <html>\xff" + b"x" * 5000)
    silent = replace(ANSWER, body=None, error="ConnectError: refused")

    words = first_words(page)

    assert words is not None
    assert words.startswith("<html>\ufffdxx")
    assert len(words) == 1000
    assert first_words(silent) == "ConnectError: refused"
    assert first_words(replace(ANSWER, body=b" ")) is None
