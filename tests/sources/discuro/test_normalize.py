"""Where each field of a Discuro answer goes: recordings, and rows by hand."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec import structs

from sources.discuro import normalize
from sources.discuro.normalize import observe, records
from sources.json_text import Decoded, canonical_sha256
from sources.observations import Observation, Winner, decoded_body
from sources.records import Outcome, Record, Response
from sources.watched import Watched
from tests.plain_store import PlainStore
from tests.responses import BEGIN, recorded, response

Rows = Mapping[str, Sequence[Record]]

NOT_FOUND = {"error": "Operation failed - execution_log not found", "meta_data": None}
UUID = "0e7a0000-0000-4000-8000-0000000000aa"
ORCHESTRATOR = {"id": UUID, "kind": "orchestrator"}
ERROR = ("level", "error_type", "error_code", "error_param", "message")
STANDING = ("status", "provider_status", "result_state", "is_terminal")


def rows_of(one: Response) -> Rows:
    """Return the rows of a response in which everything wins, by table."""
    found: dict[str, list[Record]] = defaultdict(list)
    winners = [
        Winner(observation=seen, first_seen_at=BEGIN)
        for seen in observe(one).observations
    ]
    for record in records(one, winners, decoded_body(one) or Decoded(None)):
        found[record.TABLE].append(record)
    return found


def read(name: str) -> Rows:
    """Return the rows of a recording."""
    return rows_of(recorded("discuro", name))


def answer(
    body: object,
    *,
    age: timedelta = timedelta(seconds=30),
    status: int = 200,
    **known: Any,
) -> Response:
    """Return the answer about execution 98, that old when it came."""
    begun = BEGIN - age
    of = Watched(
        execution_id="98",
        tracked_at=begun,
        expires_at=begun + timedelta(hours=24),
        **known,
    )
    return response(
        "discuro", body, endpoint="execution", params=of.as_params(), status=status
    )


def ended(*, passed: object = True, **transformation: object) -> dict[str, object]:
    """Return the body of an execution that has ended."""
    body = {"id": 98, "status": "ended", "passed": passed}
    return {**body, "transformation": transformation}


def cut(rows: Rows, table: str, *names: str) -> list[Any]:
    """Return these columns of a table's rows: values of one, tuples of several."""
    found = [tuple(getattr(row, name) for name in names) for row in rows[table]]
    return [row[0] for row in found] if len(names) == 1 else found


def metadata(rows: Rows) -> dict[str, Any]:
    """Return what no other table models, by path."""
    pairs = cut(rows, "execution_metadata", "path", "value")
    return {path: json.loads(value) for path, value in pairs}


def the_detail(one: Response) -> Observation:
    """Return what an answer shows of its execution."""
    (seen,) = [o for o in observe(one).observations if o.kind == "detail"]
    return seen


def standing(one: Response) -> tuple[Any, ...]:
    """Return how the execution stands by one answer, and the answer's outcome."""
    seen = the_detail(one)
    return (*(getattr(seen, name) for name in STANDING), observe(one).outcome)


# How an execution stands


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("documented_started", ("running", "started", "pending", False, "pending")),
        ("documented_success", ("succeeded", "ended", "captured", True, "ok")),
        (
            "documented_failure_with_its_comma",
            ("failed", "ended", "captured", True, "ok"),
        ),
        ("documented_not_found", ("expired", None, "expired", True, "http_error")),
        ("oddity_submit_accepted", ("queued", None, "pending", False, "pending")),
        (
            "oddity_not_found_after_1_minute",
            ("queued", None, "pending", False, "http_error"),
        ),
        (
            "oddity_not_found_after_2_hours",
            ("unknown", None, "missing", False, "http_error"),
        ),
        (
            "oddity_not_found_after_25_hours",
            ("expired", None, "expired", True, "http_error"),
        ),
        (
            "oddity_not_found_after_3_days",
            ("expired", None, "expired", True, "http_error"),
        ),
        (
            "oddity_not_found_404",
            ("unknown", None, "missing", False, "http_error"),
        ),
        (
            "oddity_not_found_start_unknown",
            ("queued", None, "pending", False, "http_error"),
        ),
        (
            "oddity_given_up_still_started",
            ("unknown", "started", "missing", True, "ok"),
        ),
        (
            "oddity_given_up_server_error",
            ("unknown", None, "missing", True, "http_error"),
        ),
        ("oddity_given_up_not_json", ("unknown", None, "missing", True, "rejected")),
        ("oddity_ended_late", ("succeeded", "ended", "captured", True, "ok")),
        ("oddity_passed_missing", ("unknown", "ended", "captured", True, "ok")),
        ("oddity_passed_text", ("unknown", "ended", "captured", True, "ok")),
        ("oddity_unknown_status", ("unknown", "paused", "pending", False, "pending")),
        ("oddity_status_of_no_text", ("unknown", None, "pending", False, "pending")),
        ("oddity_status_missing", ("unknown", None, "pending", False, "pending")),
    ],
)
def test_an_answer_says_how_its_execution_stands(
    name: str, expected: tuple[object, ...]
) -> None:
    """Law 6: what is not known is unknown and polled on, and never a success."""
    one = recorded("discuro", name)

    assert standing(one) == expected
    assert cut(rows_of(one), "executions", *STANDING) == [expected[:4]]


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(minutes=5) - timedelta(seconds=1), "queued"),
        (timedelta(minutes=5), "unknown"),
        (timedelta(hours=24) - timedelta(seconds=1), "unknown"),
        (timedelta(hours=24), "expired"),
    ],
)
def test_not_found_is_not_synced_yet_then_odd_then_deleted(
    age: timedelta, status: str
) -> None:
    """Discuro needs a minute to know an execution, and forgets it after a day."""
    assert the_detail(answer(NOT_FOUND, age=age, status=400)).status == status


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_not_found_counts_only_where_it_is_the_answer(status: int) -> None:
    """A refused key, a throttled or failed request say nothing of the execution."""
    one = answer(NOT_FOUND, age=timedelta(hours=30), status=status)

    assert [o.kind for o in observe(one).observations] == ["request"]


def test_a_failure_that_quotes_not_found_is_the_result_all_the_same() -> None:
    """What has a status is the execution; its error may say anything."""
    one = answer({**ended(passed=False), **NOT_FOUND}, age=timedelta(hours=30))

    rows = rows_of(one)

    assert cut(rows, "executions", "status", "result_state", "error_message") == [
        ("failed", "captured", NOT_FOUND["error"])
    ]


@pytest.mark.parametrize(("hours", "kind"), [(47.9, "request"), (48, "detail")])
def test_a_day_after_its_expiry_an_execution_is_given_up(
    hours: float, kind: str
) -> None:
    """Whatever comes then, if not the result, ends the waiting."""
    one = answer("busy", age=timedelta(hours=hours), status=503)

    assert [o.kind for o in observe(one).observations] == [kind]


@pytest.mark.parametrize(
    ("name", "outcome", "reason"),
    [
        ("error_401", "http_error", ""),
        ("error_429", "http_error", ""),
        ("error_500_html", "http_error", ""),
        ("error_404_no_route", "http_error", ""),
        ("error_400_bad_id", "http_error", ""),
        ("oddity_submit_missing_inputs", "http_error", ""),
        ("oddity_submit_without_id", "rejected", "missing_id"),
        ("documented_failure_as_printed", "rejected", "not_json"),
        ("adversarial_body_empty", "rejected", "not_json"),
        ("adversarial_body_cut", "rejected", "not_json"),
        ("adversarial_body_null", "rejected", "unexpected_shape"),
        ("adversarial_body_list", "rejected", "unexpected_shape"),
        ("adversarial_body_of_another_api", "rejected", "unexpected_shape"),
    ],
)
def test_an_answer_that_says_nothing_of_an_execution_is_an_error_of_the_request(
    name: str, outcome: Outcome, reason: str
) -> None:
    """It changes no execution; what is no answer at all is a reject as well."""
    one = recorded("discuro", name)

    rows = rows_of(one)

    assert observe(one).outcome == outcome
    assert rows["executions"] == []
    key = f"request:discuro:default:{one.endpoint}:"
    expected = [(key, "request", one.http_status)]
    assert cut(rows, "errors", "execution_key", "level", "http_status") == expected
    assert cut(rows, "load_rejects", "reason") == ([reason] if reason else [])


# Whole answers


def test_the_documented_success_has_three_outputs_and_its_tokens() -> None:
    """One output per element of ``data``; the model is the one that is assumed."""
    rows = read("documented_success")

    (execution,) = rows["executions"]
    assert structs.asdict(execution) == {
        "provider": "discuro",
        "connection": "default",
        "execution_key": "discuro:default::98",
        "response_id": cut(rows, "executions", "response_id")[0],
        "is_gone": None,
        "execution_id": "98",
        "scope": "",
        "workflow_key": f"discuro:default:{UUID}",
        "status": "succeeded",
        "provider_status": "ended",
        "is_terminal": True,
        "result_state": "captured",
        "day": date(2023, 1, 14),
        "created_at": None,
        "started_at": datetime(2023, 1, 14, 2, 27, 54, 444364, tzinfo=UTC),
        "ended_at": datetime(2023, 1, 14, 2, 27, 59, 249105, tzinfo=UTC),
        "duration_ms": 4804,
        "is_passed": True,
        "condition_met": None,
        "change_summary": None,
        "notification": None,
        "error_message": None,
        "first_seen_at": BEGIN,
        "observed_at": BEGIN,
        "expires_at": None,
        "content_sha256": the_detail(recorded("discuro", "documented_success")).sha256,
        "list_sha256": None,
    }
    outputs = cut(rows, "outputs", "position", "name", "value_text")
    assert outputs == [(0, "data", None), (1, "data", None), (2, "data", None)]
    authors = [json.loads(v)["author_name"] for v in cut(rows, "outputs", "value")]
    assert authors == ["Roger Ebert", "A.O. Scott", "Peter Bradshaw"]
    assert cut(rows, "outputs", "output_key")[2] == (
        "discuro:default::98//transformation/data/2"
    )
    assert cut(
        rows, "token_usage", "input_tokens", "output_tokens", "total_tokens"
    ) == [(81, 135, 216)]
    assert cut(rows, "token_usage", "operation", "purpose", "source", "is_counted") == [
        ("invoke_workflow", "unknown", "result", True)
    ]
    assert cut(
        rows, "token_usage", "model_provider", "model", "model_basis", "usage_key"
    ) == [("openai", "gpt-4o", "assumed", "discuro:default::98//transformation/usage")]
    assert cut(rows, "execution_tags", "tag_key", "tag", "tag_value") == [
        ("discuro:default::98//params/tags/0", "team", "growth"),
        ("discuro:default::98//params/tags/1", "nightly", None),
    ]
    assert cut(rows, "workflows", "workflow_key", "workflow_id", "kind") == [
        (f"discuro:default:{UUID}", UUID, "orchestrator")
    ]
    assert sorted(name for name in rows if rows[name]) == [
        "execution_tags",
        "executions",
        "outputs",
        "token_usage",
        "workflows",
    ]


def test_the_documented_failure_failed_at_a_property() -> None:
    """OpenAI's document is read out of the text, and the text is kept."""
    rows = read("documented_failure_with_its_comma")

    at = "/transformation/results/71"
    key = f"discuro:default::144/{at}"
    message = cut(rows, "errors", "message")[0]
    assert message.startswith("You requested a length 0 completion, but did not")
    assert cut(rows, "errors", *ERROR[:-1], "step_key", "error_key") == [
        ("step", "invalid_request_error", None, None, key, f"{key}/error")
    ]
    document = {
        "message": message,
        "type": "invalid_request_error",
        "param": None,
        "code": None,
    }
    assert json.loads(cut(rows, "errors", "provider_message")[0]) == {"error": document}
    assert json.loads(metadata(rows)[f"{at}/error"]) == {"error": document}
    assert cut(rows, "executions", "error_message", "is_passed") == [(message, False)]
    assert cut(
        rows, "execution_steps", "step_key", "parent_step_key", "kind", "step_id"
    ) == [(key, None, "property", "71")]
    assert cut(rows, "execution_steps", "name", "status", "is_passed", "elapsed_s") == [
        ("blogs", "failed", False, 0.710634)
    ]
    assert cut(rows, "executions", "started_at", "ended_at", "duration_ms") == [
        (BEGIN - timedelta(seconds=30), None, None)
    ]
    assert cut(rows, "token_usage", "total_tokens") == [216]
    assert rows["outputs"] == []


def test_the_failure_as_it_is_printed_is_a_reject_and_its_words_are_kept() -> None:
    """A comma is missing there: no JSON, so it says nothing of the execution."""
    rows = read("documented_failure_as_printed")

    (message,) = cut(rows, "errors", "message")
    assert message.startswith('{\n    "id": 144,')
    assert cut(rows, "errors", "error_type", "provider_message") == [("not_json", None)]
    assert rows["executions"] == []


def test_layers_below_layers_are_a_tree_of_steps() -> None:
    """Parents come first, each step knows its own, and the failed leaf its error."""
    rows = read("oddity_layers_three_deep")

    steps = cut(rows, "execution_steps", "step_id", "kind", "position", "status")
    assert steps == [
        ("71", "property", 0, "succeeded"),
        ("72", "property", 1, "failed"),
        ("9", "layer", 0, "succeeded"),
        ("10", "layer", 1, "failed"),
        ("4", "layer", 0, "failed"),
    ]
    keys = dict(cut(rows, "execution_steps", "step_id", "step_key"))
    names = {key: step_id for step_id, key in keys.items()} | {None: None}
    parents = cut(rows, "execution_steps", "step_id", "parent_step_key")
    assert {step_id: names[parent] for step_id, parent in parents} == {
        "71": None,
        "72": None,
        "9": "72",
        "10": "72",
        "4": "10",
    }
    assert cut(rows, "errors", *ERROR, "step_key") == [
        (
            "step",
            "server_error",
            "overloaded",
            "prompt",
            "The server is overloaded.",
            keys["4"],
        )
    ]
    assert cut(rows, "execution_steps", "elapsed_s") == [1.5, 3.5, 0.5, 3.0, 2.25]
    assert cut(rows, "executions", "error_message", "duration_ms") == [
        ("The server is overloaded.", 5123)
    ]


def test_a_success_keeps_the_error_of_a_layer_but_has_no_message() -> None:
    """A layer may fail and be tried again: the execution passed all the same."""
    rows = read("oddity_layer_failed_under_a_passed_property")

    assert cut(rows, "executions", "status", "error_message") == [("succeeded", None)]
    assert cut(rows, "errors", "level", "message") == [
        ("step", "timed out, tried again")
    ]


def test_each_failed_execution_has_an_error_also_where_none_is_named() -> None:
    """Nothing is made up: the row has no message."""
    rows = read("oddity_failure_without_any_error")

    assert cut(rows, "errors", *ERROR) == [("execution", None, None, None, None)]
    assert cut(rows, "executions", "error_message") == [None]


def test_an_error_of_the_whole_execution_comes_with_its_meta_data() -> None:
    """Top-level ``error`` and ``meta_data`` are one error at the execution."""
    rows = read("oddity_failure_with_error_above")

    assert cut(rows, "errors", *ERROR) == [
        ("execution", "server_error", "overloaded", "prompt", "Bad key.")
    ]
    (whole,) = cut(rows, "errors", "provider_message")
    assert json.loads(whole)["meta_data"] == {"step": 3}
    assert cut(rows, "executions", "error_message") == ["Bad key."]


NONE = (None, None, None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("no credits left", (*NONE, "no credits left")),
        ('{"error": {"message": "cut he', (*NONE, '{"error": {"message": "cut he')),
        ("[not JSON]", (*NONE, "[not JSON]")),
        (
            {"error": {"message": "Long.", "type": "t", "param": "p", "code": 400}},
            ("t", "400", "p", "Long."),
        ),
        ({"message": "flat", "code": "c"}, (None, "c", None, "flat")),
        ('{"error": "text below"}', (*NONE, "text below")),
        (json.dumps({"error": '{"error": {"message": "twice"}}'}), (*NONE, "twice")),
        ({"reason": "none"}, (*NONE, '{"reason":"none"}')),
        (["a", 1], (*NONE, '["a",1]')),
        (42, (*NONE, "42")),
        (True, (*NONE, "true")),
    ],
)
def test_an_error_is_read_whatever_it_is(
    error: object, expected: tuple[object, ...]
) -> None:
    """Text, JSON inside a text, an object, at a step as at the execution."""
    below = rows_of(answer(ended(passed=False, results={"1": {"error": error}})))
    above = rows_of(answer({**ended(passed=False), "error": error}))

    assert cut(below, "errors", *ERROR) == [("step", *expected)]
    assert cut(above, "errors", *ERROR) == [("execution", *expected)]


@pytest.mark.parametrize("error", ["", {}, [], False])
def test_an_empty_error_is_none(error: object) -> None:
    """It is kept as it came, and no error is counted."""
    body = {**ended(results={"1": {"error": error}}), "error": error}

    rows = rows_of(answer(body))

    assert rows["errors"] == []
    assert metadata(rows) == {
        "/transformation/results/1/error": error,
        "/error": error,
    }


# Values


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([{"a": 1}, "b"], [(0, '{"a":1}', None), (1, None, "b")]),
        ({"a": 1}, [(0, '{"a":1}', None)]),
        ("words", [(0, None, "words")]),
        ("", [(0, None, "")]),
        (0, [(0, "0", None)]),
        (False, [(0, "false", None)]),
        ({}, []),
        ([], []),
        (None, []),
    ],
)
def test_data_of_any_shape_becomes_outputs(
    data: object, expected: list[tuple[object, ...]]
) -> None:
    """An array is one output an element, ``{}`` is none, anything else is one."""
    rows = rows_of(answer(ended(data=data)))

    assert cut(rows, "outputs", "position", "value", "value_text") == expected


@pytest.mark.parametrize(
    ("assumed", "expected"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o", "assumed")),
        ("gpt-4o", (None, "gpt-4o", "assumed")),
        ("azure/eu/gpt-4o", ("azure", "eu/gpt-4o", "assumed")),
        ("", (None, None, "missing")),
        (7, (None, None, "missing")),
        (None, (None, None, "missing")),
    ],
)
def test_the_model_is_assumed_or_missing(
    assumed: object, expected: tuple[object, ...]
) -> None:
    """Discuro names no model; unknown is NULL."""
    one = answer(ended(usage={"total_tokens": 1}), context={"assumed_model": assumed})

    rows = rows_of(one)

    assert cut(rows, "token_usage", "model_provider", "model", "model_basis") == [
        expected
    ]


def test_a_number_of_tokens_may_come_as_text() -> None:
    """Law 5: a text is a number, or NULL and a reject; and stays as it came."""
    rows = read("oddity_usage_numbers_as_text")

    assert cut(
        rows, "token_usage", "input_tokens", "output_tokens", "total_tokens"
    ) == [(5, 7, None)]
    assert cut(rows, "load_rejects", "path", "reason") == [
        ("/transformation/usage/total_tokens", "not_an_integer")
    ]
    assert metadata(rows) == {
        "/transformation/usage/prompt_tokens": 5.0,
        "/transformation/usage/completion_tokens": "7",
        "/transformation/usage/total_tokens": "twelve",
        "/transformation/usage/cached": 3,
    }


@pytest.mark.parametrize("name", ["oddity_usage_missing", "oddity_usage_empty"])
def test_no_usage_is_no_row(name: str) -> None:
    """Unknown is not zero."""
    assert read(name)["token_usage"] == []


@pytest.mark.parametrize("name", ["oddity_passed_missing", "oddity_passed_text"])
def test_an_end_without_a_boolean_is_a_reject(name: str) -> None:
    """The text "true" is not taken for true."""
    rows = read(name)

    assert cut(rows, "load_rejects", "path", "reason") == [("/passed", "not_a_boolean")]
    assert cut(rows, "executions", "is_passed", "expires_at") == [(None, None)]


def test_an_answer_about_another_id_stays_with_the_one_that_was_asked_for() -> None:
    """The strange id is a reject: nobody asked for it."""
    rows = read("oddity_id_of_another")

    assert cut(rows, "executions", "execution_key") == ["discuro:default::176"]
    assert cut(rows, "load_rejects", "path", "reason") == [("/id", "another_id")]
    assert metadata(rows) == {"/id": 999}


@pytest.mark.parametrize("name", ["oddity_id_text", "oddity_id_missing"])
def test_an_id_may_be_a_text_or_absent(name: str) -> None:
    """Then it is the one that was asked for."""
    assert read(name)["load_rejects"] == []


def test_what_is_not_modelled_is_kept_whole() -> None:
    """Law 1: fields of tomorrow, at every level."""
    assert metadata(read("oddity_fields_of_tomorrow")) == {
        "/cost": {"usd": "0.01"},
        "/transformation/model": "gpt-4o",
        "/transformation/results/71/retries": 2,
        "/transformation/results/71/property/type": "text",
    }


@pytest.mark.parametrize(
    ("body", "execution_id"), [({"id": 142}, "142"), ({"id": "a1"}, "a1")]
)
def test_a_start_is_an_execution_that_waits(
    body: dict[str, object], execution_id: str
) -> None:
    """Its id stands in the answer; workflow, tags and expiry come from the call."""
    expires = BEGIN + timedelta(hours=24)
    params = Watched(
        execution_id="",
        tracked_at=BEGIN,
        started_at=BEGIN,
        expires_at=expires,
        tags=(("team", "growth"),),
        context={"workflow": ORCHESTRATOR},
    ).as_params()
    one = response("discuro", body, endpoint="submit", params=params)

    rows = rows_of(one)

    assert cut(
        rows, "executions", "execution_id", "status", "started_at", "expires_at"
    ) == [(execution_id, "queued", BEGIN, expires)]
    assert cut(rows, "execution_tags", "tag", "tag_value") == [("team", "growth")]
    assert cut(rows, "workflows", "workflow_id") == [UUID]


def test_a_refused_start_says_which_inputs_are_missing() -> None:
    """``{"error": …}`` of a 400 is the message of the request's error."""
    rows = read("oddity_submit_missing_inputs")

    assert cut(rows, "errors", "level", "message") == [
        ("request", "Error: missing input values (topic, tone)")
    ]


# Lost results

DELETED = (
    "Discuro has deleted the result: it was kept until 2026-02-28 23:00:00 UTC, "
    "asked at 2026-03-01 00:00:00 UTC."
)
UNKNOWN = (
    "Discuro does not know the execution: started by 2026-02-28 22:00:00 UTC, "
    "asked at 2026-03-01 00:00:00 UTC."
)
GIVEN_UP = (
    "Given up, no result came: it was kept until 2026-02-27 23:00:00 UTC, "
    "last asked at 2026-03-01 00:00:00 UTC."
)


@pytest.mark.parametrize(
    ("name", "error_type", "message", "said"),
    [
        (
            "oddity_not_found_after_25_hours",
            "expired",
            DELETED,
            NOT_FOUND,
        ),
        (
            "oddity_not_found_after_2_hours",
            "missing",
            UNKNOWN,
            NOT_FOUND,
        ),
        (
            "oddity_given_up_still_started",
            "missing",
            GIVEN_UP,
            {"id": 10, "status": "started"},
        ),
        (
            "oddity_given_up_server_error",
            "missing",
            GIVEN_UP,
            "<html><body>502 Bad Gateway</body></html>",
        ),
    ],
)
def test_a_lost_result_is_said_with_its_reason_and_times(
    name: str, error_type: str, message: str, said: object
) -> None:
    """One error at the execution; the answer stands in it, whole."""
    one = recorded("discuro", name)

    rows = rows_of(one)

    assert cut(rows, "errors", "level", "error_type", "message", "http_status") == [
        ("execution", error_type, message, one.http_status)
    ]
    assert json.loads(cut(rows, "errors", "provider_message")[0]) == said
    assert rows["execution_metadata"] == []


def test_the_last_answer_before_giving_up_may_be_a_reject_as_well() -> None:
    """It is no JSON, which stays said although the execution has its own row."""
    rows = read("oddity_given_up_not_json")

    assert cut(rows, "executions", "result_state") == ["missing"]
    assert cut(rows, "load_rejects", "reason") == ["not_json"]


def test_not_synced_yet_is_no_error() -> None:
    """The words of the answer are kept all the same."""
    rows = read("oddity_not_found_after_1_minute")

    assert rows["errors"] == []
    assert metadata(rows) == {"/error": NOT_FOUND["error"]}
    expiry = BEGIN + timedelta(hours=24) - timedelta(minutes=1)
    assert cut(rows, "executions", "expires_at") == [expiry]


def test_a_captured_result_outlives_its_deletion_at_discuro() -> None:
    """A later "not found" takes nothing from the store."""
    first = recorded("discuro", "documented_success")
    later = structs.replace(
        response("discuro", NOT_FOUND, endpoint="execution", status=400, second=86_400),
        params=first.params,
    )

    with closing(PlainStore(normalize, "discuro")) as store:
        before = store.after([first]).tables()
        after = store.after([first], [later]).tables()

    assert after == before


def test_every_partition_into_loads_gives_the_same_store() -> None:
    """Law 3, over the life of one execution: not synced, running, and its end."""
    bodies = [({"id": 98}, 200), (NOT_FOUND, 400), ({"status": "started"}, 200)]
    bodies += [({"status": "started"}, 200), (NOT_FOUND, 400), (ended(data=[1]), 200)]
    of = {"execution_id": "98", "tracked_at": "2026-02-28T23:59:00Z"}
    life = [
        response(
            "discuro", b, endpoint="execution", params=of, status=status, second=n * 90
        )
        for n, (b, status) in enumerate(bodies)
    ]

    with closing(PlainStore(normalize, "discuro")) as store:
        at_once = store.after(life).tables()
        by_cut = [
            store.after(life[:at], life[at:]).tables() for at in range(1, len(life))
        ]

    assert by_cut == [at_once] * (len(life) - 1)


# Hashes


def test_equal_pending_answers_hash_alike() -> None:
    """A poll that brings nothing new is unchanged, whenever it came."""
    body = {"id": 98, "status": "started"}

    hashes = {the_detail(answer(body, age=timedelta(hours=h))).sha256 for h in (1, 2)}

    assert len(hashes) == 1


@pytest.mark.parametrize(
    "known",
    [
        {"tags": (("team", None),)},
        {"context": {"assumed_model": "openai/gpt-4o"}},
        {"context": {"workflow": ORCHESTRATOR}},
        {"started_at": BEGIN},
    ],
)
def test_whatever_changes_rows_changes_the_hash(known: dict[str, Any]) -> None:
    """What was known of the execution is part of what its rows are made of."""
    assert (
        the_detail(answer(ended(), **known)).sha256
        != the_detail(answer(ended())).sha256
    )


def test_a_workflow_hashes_as_its_definition() -> None:
    """The store hashes what it holds, so that the same one is not news."""
    one = answer(ended(), context={"workflow": ORCHESTRATOR})

    (seen,) = [o for o in observe(one).observations if o.kind == "workflow"]

    assert seen.sha256 == canonical_sha256(
        json.loads(cut(rows_of(one), "workflows", "definition")[0])
    )


# Hostile input


def test_layers_of_any_depth_are_read_without_recursion() -> None:
    """What is nested beyond reading is kept as text, with a reject."""
    inner = '{"passed":false,"error":"the bottom"}'
    for _ in range(20_000):
        inner = '{"layer_results":{"1":' + inner + "}}"
    body = b'{"status":"ended","passed":false,"transformation":{"results":{"1":%s}}}'

    rows = rows_of(answer(body % inner.encode()))

    depth = len(rows["execution_steps"])
    assert depth > 100
    assert {"too_deep", "not_an_object"} >= set(cut(rows, "load_rejects", "reason"))
    assert any("the bottom" in str(value) for value in metadata(rows).values())


def test_many_steps_beside_one_another_are_read_in_order() -> None:
    """A wide answer takes no longer than its length."""
    results = {str(n): {"passed": True} for n in range(20_000)}

    rows = rows_of(answer(ended(results=results)))

    assert cut(rows, "execution_steps", "position") == list(range(20_000))


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"status":"\xff","id":98}', b"\x00"])
def test_bytes_that_are_no_utf8_end_as_a_reject(body: bytes) -> None:
    """Law 5: nothing makes normalize raise."""
    assert rows_of(answer(body))["load_rejects"]
