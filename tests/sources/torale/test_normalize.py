"""Where each field of a Torale answer goes, by example: recordings and rows by hand."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest

from sources.json_text import Decoded
from sources.observations import Winner, decoded_body
from sources.records import Record, Response
from sources.torale.normalize import observe, records, status_of
from tests.responses import BEGIN, recorded, response

Rows = Mapping[str, Sequence[Record]]

TASK = "34406fcd-8cbe-5cbf-bd84-a4a87e0994e6"
PRICES = ("https://www.example.org/prices", "Prices", None, "example.org", True)
NEWS = ("https://news.example.co.uk/a?b=1#c", "News", None, "example.co.uk", True)
PLAIN = ("https://plain.example.net/", None, None, "example.net", True)
SOURCE = ("uri", "title", "snippet", "domain", "is_valid_uri")


def rows_of(one: Response) -> Rows:
    """Return the rows of a response in which everything wins, by table."""
    found: dict[str, list[Record]] = defaultdict(list)
    winners = [
        Winner(observation=seen, first_seen_at=BEGIN, list_sha256=seen.sha256)
        for seen in observe(one).observations
    ]
    for record in records(one, winners, decoded_body(one) or Decoded(None)):
        found[record.TABLE].append(record)
    return found


def read(name: str) -> Rows:
    """Return the rows of a recording."""
    return rows_of(recorded("torale", name))


def listed(**changes: object) -> Rows:
    """Return the rows of a list of one execution that has these fields."""
    return rows_of(response("torale", [{"id": "e1", **changes}]))


def cut(rows: Rows, table: str, *names: str) -> list[Any]:
    """Return these columns of a table's rows: values of one, tuples of several."""
    found = [tuple(getattr(row, name) for name in names) for row in rows[table]]
    return [row[0] for row in found] if len(names) == 1 else found


def metadata(rows: Rows) -> dict[str, Any]:
    """Return what no other table models, by path."""
    pairs = cut(rows, "execution_metadata", "path", "value")
    return {path: json.loads(value) for path, value in pairs}


def answer(rows: Rows) -> list[str]:
    """Return the texts of the outputs named ``answer``."""
    outputs = cut(rows, "outputs", "name", "value_text")
    return [text for name, text in outputs if name == "answer"]


# Era by era


def test_the_first_era_kept_its_answer_in_content() -> None:
    """``{success, content, model, prompt}``: the answer, and the whole of it."""
    rows = read("era_1_content")

    (execution,) = rows["executions"]
    assert {
        name: getattr(execution, name)
        for name in ("status", "provider_status", "is_terminal", "result_state", "day")
    } == {
        "status": "succeeded",
        "provider_status": "success",
        "is_terminal": True,
        "result_state": "captured",
        "day": date(2025, 11, 20),
    }
    assert cut(rows, "executions", "duration_ms", "condition_met") == [(5250, False)]
    assert answer(rows) == ["The phone is announced for September."]
    assert json.loads(cut(rows, "outputs", "value")[0]) == {
        "success": True,
        "content": "The phone is announced for September.",
        "model": "gemini-2.0-flash-exp",
        "prompt": "When is the phone released?",
    }
    assert sorted(rows) == ["executions", "outputs"]


def test_the_second_era_said_its_condition_inside_the_result() -> None:
    """``{success, answer, condition_met, change_summary, …}``: they are columns."""
    rows = read("era_2_answer_state_object")

    assert cut(rows, "executions", "condition_met", "change_summary") == [
        (True, "Price dropped from $499 to $449 (10% decrease)")
    ]
    assert answer(rows) == ["The price is $449."]
    assert cut(rows, "grounding_sources", *SOURCE) == [PRICES]
    assert metadata(rows) == {}


def test_the_same_source_twice_in_one_list_stays_twice() -> None:
    """In two places it is one: the row's list and the result's are the same."""
    rows = read("era_2_answer_state_list")

    assert cut(rows, "grounding_sources", *SOURCE) == [NEWS, NEWS]
    assert cut(rows, "grounding_sources", "position") == [0, 1]
    assert cut(rows, "executions", "condition_met", "change_summary") == [(False, None)]


def test_a_success_whose_result_says_it_failed_has_failed() -> None:
    """Errors were stored that way for a time; the message stands in the result."""
    rows = read("era_2_success_false")

    assert cut(rows, "executions", "status", "provider_status", "error_message") == [
        ("failed", "success", None)
    ]
    assert cut(rows, "errors", "level", "message") == [
        ("execution", "Search API error: 503 Service Unavailable")
    ]
    assert answer(rows) == [""]


def test_the_third_era_kept_its_sources_in_the_result_alone() -> None:
    """``{summary, sources, actions, metadata}``: a source may be a plain text."""
    rows = read("era_3_summary_state_list")

    assert answer(rows) == ["Three shops have it."]
    assert cut(rows, "grounding_sources", *SOURCE) == [NEWS, PLAIN]
    assert rows["execution_steps"] == []
    assert metadata(rows) == {
        "/0/result/metadata": {
            "changed": True,
            "current_state": ["shop a", "shop b", "shop c"],
        }
    }


def test_actions_are_steps_objects_and_texts_alike() -> None:
    """Named by their tool, or by what they say."""
    rows = read("era_3_summary_state_object")

    assert cut(rows, "execution_steps", "kind", "position", "name") == [
        ("activity", 0, "search"),
        ("activity", 1, "read the page"),
    ]
    assert cut(rows, "grounding_sources", *SOURCE) == [PRICES, NEWS]


def test_the_fourth_era_notifies_where_its_condition_was_met() -> None:
    """``{evidence, notification, confidence, next_run, …}``: activity is steps."""
    rows = read("era_4_evidence")

    assert cut(rows, "executions", "condition_met", "notification") == [
        (True, "**In stock** at [the shop](https://shop.example/)")
    ]
    assert answer(rows) == ["The page of the shop says “in stock”."]
    assert cut(rows, "execution_steps", "name") == ["perplexity_search", "fetch_page"]
    assert cut(rows, "grounding_sources", *SOURCE) == [PRICES, NEWS]
    (result, _) = cut(rows, "outputs", "value")
    assert json.loads(result)["confidence"] == 92
    assert metadata(rows) == {
        "/0/result/metadata": {"changed": True, "current_state": None}
    }


def test_documented_fields_in_a_live_list_are_read() -> None:
    """The dialects mix: decide from what a response is."""
    rows = read("era_5_documented_in_window")

    ((is_met, change),) = cut(rows, "executions", "condition_met", "change_summary")
    assert is_met is True
    assert change.startswith("New information: Release date announced as September")
    assert cut(rows, "grounding_sources", "domain", "snippet") == [
        ("apple.com", "Apple today announced iPhone 16..."),
        ("theverge.com", "Following today's announcement..."),
    ]


def test_the_documented_detail_has_its_snippets() -> None:
    """A single execution is read as one of a list; its rows stand at the root."""
    rows = read("documented_detail")

    (key,) = cut(rows, "executions", "execution_key")
    assert cut(rows, "outputs", "name", "output_key") == [
        ("result", f"{key}//result"),
        ("answer", f"{key}//result/answer"),
    ]
    assert [words[:21] for words in cut(rows, "grounding_sources", "snippet")] == [
        "Apple today announced",
        "Following today's ann",
    ]


# Status, and whether the condition was met


@pytest.mark.parametrize(
    ("word", "status", "is_terminal"),
    [
        ("pending", "queued", False),
        ("running", "running", False),
        ("retrying", "running", False),
        ("success", "succeeded", True),
        ("failed", "failed", True),
        ("cancelled", "cancelled", True),
        ("archived", "unknown", False),
        ("SUCCESS", "unknown", False),
    ],
)
def test_each_status_has_a_neutral_one_and_an_unknown_one_stays_open(
    word: str, status: str, *, is_terminal: bool
) -> None:
    """An unknown status is kept verbatim and never counts as success."""
    rows = listed(status=word)

    assert cut(
        rows, "executions", "status", "provider_status", "is_terminal", "result_state"
    ) == [(status, word, is_terminal, "captured" if is_terminal else "pending")]


@pytest.mark.parametrize("word", [None, {"a": 1}, [], True])
def test_a_status_that_is_no_word_is_unknown(word: object) -> None:
    """Nothing is guessed."""
    assert status_of({"status": word}) == ("unknown", None, False)


@pytest.mark.parametrize(
    ("fields", "is_met"),
    [
        ({"condition_met": True, "notification": None}, True),
        ({"condition_met": False, "notification": "n"}, False),
        ({"result": {"condition_met": True}}, True),
        ({"condition_met": False, "result": {"condition_met": True}}, False),
        ({"notification": "n"}, True),
        ({"notification": None}, False),
        ({}, None),
        ({"result": {"notification": "n"}}, True),
        ({"result": {"notification": None}}, False),
        ({"notification": None, "status": "failed"}, None),
        ({"notification": None, "status": "running"}, None),
        ({"notification": None, "status": "cancelled"}, None),
        ({"notification": None, "result": {"success": False}}, None),
        ({"notification": ["n"]}, None),
        ({"notification": None, "condition_met": "yes"}, None),
    ],
)
def test_a_condition_is_met_as_the_provider_says_else_as_it_notified(
    fields: dict[str, Any], *, is_met: bool | None
) -> None:
    """A success that could have notified and did not: not met. Else: unknown."""
    rows = listed(**{"status": "success", **fields})

    assert cut(rows, "executions", "condition_met") == [is_met]


def test_a_notification_of_the_row_goes_before_that_of_the_result() -> None:
    """Markdown is kept verbatim, to the last blank."""
    rows = read("oddity_notification_markdown")

    first, empty, none = cut(rows, "executions", "notification")
    assert first.startswith("# Ready\n\n- *one*\n- [two](https://example.org/?a=1&b=2)")
    assert first.endswith(" \u2028")
    assert (empty, none) == ("", None)


def test_a_cancelled_execution_that_succeeded_keeps_its_old_message() -> None:
    """The message is no error of a success."""
    rows = read("oddity_cancelled_became_success")

    assert cut(rows, "executions", "status", "error_message", "condition_met") == [
        ("succeeded", "Execution cancelled by manual force run", False)
    ]
    assert rows["errors"] == []
    assert answer(rows) == ["It finished after all."]


def test_a_failure_keeps_its_message_and_what_it_had_so_far() -> None:
    """A failed row can carry half a result."""
    rows = read("oddity_failed_with_result")

    assert cut(rows, "errors", "level", "message", "http_status") == [
        ("execution", "Search timed out after 30 seconds", None)
    ]
    assert answer(rows) == ["Half of the answer"]
    assert cut(rows, "executions", "condition_met") == [None]


def test_a_reaped_execution_took_as_long_as_its_times_say() -> None:
    """Milliseconds, cut: 31 minutes, 24 seconds and a microsecond."""
    rows = read("oddity_failed_by_reaper")

    assert cut(rows, "executions", "duration_ms") == [1_884_000]
    assert cut(rows, "errors", "message") == [
        "Execution was stuck in running and was failed after 30 minutes"
    ]


@pytest.mark.parametrize(
    ("result", "message", "place"),
    [
        ({"success": False, "answer": "No luck"}, "No luck", "/0/result/answer"),
        ({"success": False, "error": "a", "answer": "b"}, "a", "/0/result/error"),
        ({"success": False}, None, "/0/error_message"),
    ],
)
def test_the_error_of_a_failed_success_is_where_its_era_put_it(
    result: object, message: str | None, place: str
) -> None:
    """Errors once stood where the answer does."""
    rows = listed(status="success", result=result)

    (key,) = cut(rows, "executions", "execution_key")
    assert cut(rows, "errors", "message", "error_key") == [(message, f"{key}/{place}")]


# Sources


def test_sources_in_several_places_are_one_each() -> None:
    """The row's come first, then what only the result has, in order."""
    rows = read("oddity_sources_in_two_places")

    assert cut(rows, "grounding_sources", *SOURCE) == [
        PRICES,
        NEWS,
        (
            "https://only.in.result.example/",
            "Only in the result",
            None,
            "result.example",
            True,
        ),
    ]
    assert cut(rows, "grounding_sources", "position") == [0, 1, 2]


def test_sources_of_every_kind_are_kept_as_they_are() -> None:
    """Not every address is one; what is no source at all is a reject."""
    rows = read("oddity_sources_of_every_kind")

    assert cut(rows, "grounding_sources", "uri", "domain", "is_valid_uri") == [
        ("https://plain.example/string", "plain.example", True),
        ("not a url", None, False),
        ("", None, False),
        (None, None, None),
        (None, None, None),
        ("https://both.example/uri", "both.example", True),
        ("https://例え.テスト/パス", "例え.テスト", True),
        ("https://user:secret@private.example/", "private.example", True),
        ("ftp://files.example/a", None, False),
        ("https:///no-host", None, False),
        ("//host.example/relative", None, False),
        ("HTTPS://UPPER.EXAMPLE:443/A", "upper.example", True),
        ("https://127.0.0.1:8080/", None, True),
        (" https://spaces.example/ ", "spaces.example", True),
        ("5", None, False),
    ]
    assert cut(rows, "load_rejects", "path", "reason") == [
        (f"/0/result/sources/{place}", "not_a_source") for place in (3, 4, 5, 6)
    ]


def test_a_list_of_sources_that_is_none_is_a_reject_and_kept() -> None:
    """The other rows of the execution are not affected."""
    rows = listed(status="success", grounding_sources={"url": "https://a.example/"})

    assert rows["grounding_sources"] == []
    assert cut(rows, "load_rejects", "path", "reason") == [
        ("/0/grounding_sources", "not_a_list")
    ]
    assert metadata(rows) == {"/0/grounding_sources": {"url": "https://a.example/"}}


# Outputs, steps and the rest


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("just text", [("result", None, "just text")]),
        ([1, "two"], [("result", '[1,"two"]', None)]),
        (0, [("result", "0", None)]),
        (False, [("result", "false", None)]),
        ({}, [("result", "{}", None)]),
        (None, []),
        (
            {"answer": {"a": 1}},
            [("result", '{"answer":{"a":1}}', None), ("answer", '{"a":1}', None)],
        ),
        (
            {"answer": None, "summary": "s"},
            [("result", '{"answer":null,"summary":"s"}', None), ("answer", None, "s")],
        ),
    ],
)
def test_a_result_is_one_output_and_its_answer_another(
    result: object, expected: object
) -> None:
    """Text is a text, anything else JSON, never both; no result, no output."""
    rows = listed(status="success", result=result)

    assert cut(rows, "outputs", "name", "value", "value_text") == expected


def test_integers_beyond_64_bits_keep_every_digit() -> None:
    """The whole result stands there as it came."""
    rows = read("oddity_big_integers")

    (result, _) = cut(rows, "outputs", "value")
    whole = json.loads(result)
    assert whole["confidence"] == 2**64
    assert whole["metadata"]["current_state"]["over_128_bits"] == 2**120 * 2**10
    assert rows["load_rejects"] == []


def test_steps_know_their_times_where_they_have_any() -> None:
    """Activity and actions are one sequence; an odd one has no name."""
    at = "2025-11-20T09:00:00Z"
    rows = listed(
        status="success",
        result={
            "activity": [{"name": "a", "started_at": at, "completed_at": at}, 7],
            "actions": [{"type": "b", "tool": ""}],
        },
    )

    moment = datetime(2025, 11, 20, 9, tzinfo=UTC)
    assert cut(
        rows, "execution_steps", "position", "name", "started_at", "ended_at"
    ) == [
        (0, "a", moment, moment),
        (1, None, None, None),
        (2, "", None, None),
    ]


def test_fields_of_tomorrow_are_kept_each_in_a_row_of_its_own() -> None:
    """What no table models is in ``execution_metadata``, below a source as well."""
    rows = read("oddity_fields_of_tomorrow")

    assert metadata(rows) == {
        "/0/cost_usd": "0.0021",
        "/0/retry_count": 2,
        "/0/tags": ["a", "b"],
        "/0/owner": {"id": 1, "name": None},
        "/0/empty_object": {},
        "/0/empty_list": [],
        "/0/grounding_sources/0/published_at": "2025-11-19",
        "/0/grounding_sources/0/score": 0.7,
    }


def test_flags_that_came_after_a_success_stand_in_its_result() -> None:
    """And nowhere twice."""
    rows = read("oddity_flags_after_success")

    (result, _) = cut(rows, "outputs", "value")
    assert json.loads(result)["notification_error"] == {
        "code": 550,
        "text": "mailbox unavailable",
    }
    assert cut(rows, "executions", "notification", "condition_met") == [("n", True)]
    assert metadata(rows) == {}


def test_times_are_read_in_every_form_or_rejected() -> None:
    """Digits beyond the microsecond are cut; the day falls back on what is known."""
    rows = read("oddity_times")

    def utc(*parts: int) -> datetime:
        return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]

    assert cut(rows, "executions", "started_at", "ended_at", "duration_ms")[:2] == [
        (utc(2025, 11, 20, 9, 0, 0, 123456), utc(2025, 11, 20, 9, 0, 1), 876),
        (utc(2025, 11, 20, 9), utc(2025, 11, 20, 9, 0, 4, 500000), 4500),
    ]
    assert cut(rows, "executions", "day")[3:] == [
        date(2025, 11, 20),
        BEGIN.date(),
        BEGIN.date(),
    ]
    assert cut(rows, "load_rejects", "path", "reason") == [
        (path, "not_a_timestamp")
        for path in (
            "/3/started_at",
            "/4/created_at",
            "/4/started_at",
            "/4/completed_at",
        )
    ]


# Identity


def test_an_execution_belongs_to_the_task_it_names() -> None:
    """The task that was asked for counts only where the row names none."""
    rows = read("adversarial_task_id_of_another")

    assert cut(rows, "executions", "scope")[0] == TASK
    assert cut(rows, "executions", "scope", "workflow_key")[1] == (
        "ffffffff-ffff-4fff-8fff-ffffffffffff",
        "torale:default:ffffffff-ffff-4fff-8fff-ffffffffffff",
    )


def test_an_empty_task_id_is_kept_and_the_task_that_was_asked_for_counts() -> None:
    """What a row says is dropped nowhere, also where it says next to nothing."""
    rows = read("adversarial_task_id_empty")

    assert set(cut(rows, "executions", "scope")) == {TASK}
    assert "" in metadata(rows).values()


def test_an_id_that_holds_a_colon_makes_no_other_key() -> None:
    """Parts of a key are percent-encoded; the id itself is kept verbatim."""
    rows = read("adversarial_id_with_colon_and_slash")

    assert cut(rows, "executions", "execution_id", "execution_key")[1] == (
        "a:b/c%3Ad~e",
        f"torale:default:{TASK}:a%3Ab/c%253Ad~e",
    )


def test_an_id_that_stands_twice_in_a_page_is_read_once() -> None:
    """The first one counts; another row under its id is a reject."""
    rows = read("adversarial_id_twice_in_a_page")

    assert len(rows["executions"]) == 1
    assert cut(rows, "load_rejects", "path", "reason") == [("/1", "duplicate_id")]


def test_a_row_that_stands_twice_in_a_window_counts_twice() -> None:
    """A window with a double is as long as it came, or its end would show too soon."""
    row = {"id": "e1", "task_id": "t1", "status": "success"}
    one = response("torale", [row, row])

    assert [o.key for o in observe(one).observations] == ["torale:default:t1:e1"] * 2


def test_a_detail_names_the_list_item_it_completes() -> None:
    """An equal answer still counts as a detail: it is hashed apart."""
    item = {"id": "e1", "status": "success"}
    params = {"task_id": "t1", "execution_id": "e1", "list_sha256": "f" * 64}

    (listed_one,) = observe(response("torale", [item])).observations
    (single,) = observe(
        response("torale", item, endpoint="execution", params=params)
    ).observations

    assert (listed_one.kind, single.kind) == ("item", "detail")
    assert listed_one.key == single.key
    assert listed_one.sha256 != single.sha256
    assert single.list_sha256 == "f" * 64


# Requests that failed


@pytest.mark.parametrize(
    ("name", "endpoint", "status", "message"),
    [
        ("observed_401_bad_key", "tasks", 401, "Invalid API key"),
        (
            "documented_403_not_authorized",
            "execution",
            403,
            "Not authorized to access this execution",
        ),
        ("documented_404_execution", "execution", 404, "Execution not found"),
        ("observed_404_unknown_task", "executions", 404, "Task not found"),
        ("oddity_404_no_task_list", "tasks", 404, "Not Found"),
        (
            "observed_429_rate_limit",
            "tasks",
            429,
            "Rate limit exceeded: 10 per 1 minute",
        ),
        ("observed_500_plain_text", "executions", 500, "Internal Server Error"),
    ],
)
def test_a_refused_request_is_an_error_in_the_providers_words(
    name: str, endpoint: str, status: int, message: str
) -> None:
    """``detail``, ``error`` or plain text; it belongs to the request."""
    rows = read(name)

    assert sorted(rows) == ["errors"]
    assert cut(rows, "errors", "level", "http_status", "message") == [
        ("request", status, message)
    ]
    (key,) = cut(rows, "errors", "execution_key")
    assert key.startswith(f"request:torale:default:{endpoint}:")


def test_a_server_without_details_is_no_error() -> None:
    """Asking whether it has any is how one learns it; what it said is kept."""
    params = {"task_id": TASK, "execution_id": "e1"}
    bodies = [{"detail": "Not Found"}, {"detail": "Execution not found"}]
    absent, missing = (
        response("torale", body, endpoint="execution", params=params, status=404)
        for body in bodies
    )

    assert observe(absent).observations == ()
    assert observe(absent).answered == {"detail": "Not Found"}
    assert cut(rows_of(missing), "errors", "message") == ["Execution not found"]


def test_a_validation_error_names_what_it_blames() -> None:
    """A list of details is one error each, whole in ``provider_message``."""
    rows = read("observed_422_bad_limit")

    ((kind, param, message, whole),) = cut(
        rows, "errors", "error_type", "error_param", "message", "provider_message"
    )
    assert (kind, param) == ("int_parsing", "query.limit")
    assert message.startswith("Input should be a valid integer")
    assert json.loads(whole)["input"] == "abc"


def test_a_page_of_html_is_an_error_and_a_reject() -> None:
    """With good status, but nothing to read."""
    rows = read("oddity_html_page")

    assert cut(rows, "errors", "error_type", "http_status") == [("not_json", 200)]
    assert cut(rows, "load_rejects", "reason", "path") == [("not_json", "")]


# Tasks


def test_the_list_of_tasks_fills_workflows() -> None:
    """Name and state as columns, the whole definition beside them."""
    rows = read("observed_list_tasks")

    first = rows["workflows"][0]
    assert cut(rows, "workflows", "workflow_id", "kind", "name", "state")[:2] == [
        (TASK, "task", "iPhone 18 — sortie 発売日 🍏", "active"),
        ("b2d1990d-5061-56fa-9069-aa0975c12737", "task", "Task public", "completed"),
    ]
    assert cut(rows, "workflows", "workflow_key")[0] == f"torale:default:{TASK}"
    definition = json.loads(getattr(first, "definition"))  # noqa: B009 - of any record
    assert definition["search_query"] == "query of main"
    assert definition["last_execution"]["result"]["confidence"] == 92


def test_odd_tasks_are_read_as_far_as_they_go() -> None:
    """A name that is no text is none; what has no id is a reject."""
    rows = read("oddity_tasks_odd")

    assert cut(rows, "workflows", "workflow_id", "name", "state") == [
        ("a:b/c%d", None, "archived"),
        ("42", None, "completed"),
        (TASK, None, None),
    ]
    assert cut(rows, "load_rejects", "path", "reason") == [
        ("/3", "missing_id"),
        ("/4", "not_an_object"),
        ("/5", "not_an_object"),
    ]


def test_another_task_under_the_same_id_is_a_reject() -> None:
    """The first one counts, as of executions: nothing is dropped in silence."""
    rows = read("adversarial_task_twice_in_the_list")

    assert cut(rows, "workflows", "workflow_id", "name") == [(TASK, None)]
    assert cut(rows, "load_rejects", "path", "reason") == [("/1", "duplicate_id")]
