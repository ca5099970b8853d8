"""What an answer about an execution of Unstract means: status, result, losses."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from sources.json_text import Decoded
from sources.observations import Observation, Winner, decoded_body
from sources.records import Record, Response
from sources.unstract.normalize import observe, records
from tests.responses import BEGIN, recorded, response

Rows = Mapping[str, Sequence[Record]]

EID = "b455b128-90e3-4fba-bdf0-84930a2c136c"
SCOPE = "org_HJqNgodUQsA99S3A/invoices"
TRACKED = BEGIN - timedelta(minutes=10)


def rows_of(one: Response) -> Rows:
    """Return the rows of a response in which everything wins, by table."""
    found: dict[str, list[Record]] = defaultdict(list)
    winners = [
        Winner(observation=seen, first_seen_at=BEGIN, list_sha256=seen.list_sha256)
        for seen in observe(one).observations
    ]
    for record in records(one, winners, decoded_body(one) or Decoded(None)):
        found[record.TABLE].append(record)
    return found


def read(name: str) -> Rows:
    """Return the rows of a recording."""
    return rows_of(recorded("unstract", name))


def known(**changes: Any) -> dict[str, Any]:
    """Return the ``params`` of an answer about the execution ``EID``."""
    about = {
        "execution_id": EID,
        "scope": SCOPE,
        "tracked_at": TRACKED.isoformat(),
        "expires_at": (BEGIN + timedelta(hours=3)).isoformat(),
        "context": {},
    }
    return about | changes


def answer(
    body: object,
    status: int = 200,
    endpoint: str = "execution",
    second: int = 0,
    **params: Any,
) -> Response:
    """Return an answer about the execution ``EID``."""
    return response(
        "unstract",
        body,
        endpoint=endpoint,
        params=known(**params),
        status=status,
        second=second,
    )


def got(*files: object, word: str = "COMPLETED") -> dict[str, object]:
    """Return the body of the answer to a GET."""
    return {"status": word, "message": list(files)}


def posted(word: str, result: object = None, **more: object) -> dict[str, object]:
    """Return the body of the answer to a POST."""
    said = {"execution_status": word, "status_api": None, "error": None}
    return {"message": said | {"result": result} | more}


def file(name: str, status: str = "Success", **more: object) -> dict[str, object]:
    """Return a file of an answer."""
    return {"file": name, "status": status, "result": "text", "error": None} | more


def cut(rows: Rows, table: str, *names: str) -> list[Any]:
    """Return these columns of a table's rows: values of one, tuples of several."""
    found = [tuple(getattr(row, name) for name in names) for row in rows[table]]
    return [row[0] for row in found] if len(names) == 1 else found


def metadata(rows: Rows) -> dict[str, Any]:
    """Return what no other table models, by path."""
    pairs = cut(rows, "execution_metadata", "path", "value")
    return {path: json.loads(value) for path, value in pairs}


def state(one: Response) -> tuple[str | None, str | None, str | None, bool]:
    """Return status, word, result_state and finality, alike in both passes."""
    (seen,) = [o for o in observe(one).observations if o.kind == "detail"]
    names = ("status", "provider_status", "result_state", "is_terminal")
    assert cut(rows_of(one), "executions", *names) == [
        tuple(getattr(seen, name) for name in names)
    ]
    return seen.status, seen.provider_status, seen.result_state, seen.is_terminal


def the_detail(one: Response) -> Observation:
    """Return the one observation of an execution in an answer."""
    (seen,) = [o for o in observe(one).observations if o.kind == "detail"]
    return seen


# Not final


@pytest.mark.parametrize("status", [200, 202, 422, 500])
@pytest.mark.parametrize(
    ("word", "neutral"),
    [
        ("PENDING", "queued"),
        ("QUEUED", "queued"),
        ("READY", "queued"),
        ("INITIATED", "queued"),
        ("EXECUTING", "running"),
    ],
)
def test_what_runs_is_pending_whatever_the_http_code(
    word: str, neutral: str, status: int
) -> None:
    """The body's status decides; both envelopes say it."""
    for body in ({"status": word, "message": None}, posted(word)):
        one = answer(body, status)

        assert state(one) == (neutral, word, "pending", False)
        assert observe(one).outcome == "pending"


@pytest.mark.parametrize("word", ["PAUSED", "completed", None, 5, {"a": 1}])
def test_an_unknown_word_stays_open(word: object) -> None:
    """Law 6: kept verbatim, never a success, polled on."""
    neutral, _, result_state, is_terminal = state(
        answer({"status": word, "message": None})
    )

    assert (neutral, result_state, is_terminal) == ("unknown", "pending", False)


def test_files_that_come_with_an_unknown_word_are_kept() -> None:
    """This read may have consumed them: a 406 after it takes nothing away."""
    one = recorded("unstract", "state_unknown_word_with_files")

    assert state(one) == ("unknown", "ARCHIVED", "captured", False)
    assert cut(rows_of(one), "execution_files", "file_name") == ["invoice.pdf"]


def test_an_unknown_word_with_an_error_code_is_a_failed_request() -> None:
    """``{"status": "error"}`` of a gateway is no state of an execution."""
    one = answer({"status": "error", "message": "upstream"}, 502)

    assert [o.kind for o in observe(one).observations] == ["request"]


def test_equal_pending_answers_hash_alike() -> None:
    """Whenever they came, and whenever the result expires."""
    body = {"status": "EXECUTING", "message": None}
    later = (BEGIN + timedelta(hours=9)).isoformat()

    one, two = answer(body, 422), answer(body, 422, second=60, expires_at=later)

    assert the_detail(one).sha256 == the_detail(two).sha256


@pytest.mark.parametrize(
    "changed",
    [
        {"tags": [["q4", None]]},
        {"context": {"sent": [{"name": "a", "sha256": "b"}]}},
        {"context": {"usage": [{"total_tokens": 1}]}},
        {"context": {"listed": {"id": EID}}},
    ],
)
def test_whatever_changes_rows_changes_the_hash(changed: dict[str, Any]) -> None:
    """What was known of the execution makes rows as well as the body does."""
    body = {"status": "EXECUTING", "message": None}

    assert the_detail(answer(body)).sha256 != the_detail(answer(body, **changed)).sha256


# Final


@pytest.mark.parametrize(
    ("files", "status"),
    [
        (["Success"], "succeeded"),
        (["Success", "Success"], "succeeded"),
        (["Success", "Failed"], "partially_succeeded"),
        (["Failed", "Failed"], "failed"),
        (["Success", "SKIPPED"], "unknown"),
        (["Failed", "SKIPPED"], "unknown"),
        (["Success", "Failed", "SKIPPED"], "partially_succeeded"),
        ([], "unknown"),
    ],
)
def test_a_completed_run_is_what_its_files_are(files: list[str], status: str) -> None:
    """COMPLETED says nothing of success; no file to see is unknown, and captured."""
    one = answer(got(*(file(f"{i}.pdf", word) for i, word in enumerate(files))))

    assert state(one) == (status, "COMPLETED", "captured", True)
    assert observe(one).outcome == "ok"


@pytest.mark.parametrize(
    ("word", "status"), [("ERROR", "failed"), ("STOPPED", "cancelled")]
)
@pytest.mark.parametrize("code", [200, 422, 500])
def test_a_failed_and_a_stopped_run_are_final_with_their_report(
    word: str, status: str, code: int
) -> None:
    """A list, a text and an object are reports; the HTTP code does not matter."""
    for report in ([file("a", "Failed")], [], "it broke", {"reason": "it broke"}):
        one = answer({"status": word, "message": report}, code)

        assert state(one) == (status, word, "captured", True)


def test_the_published_and_the_live_envelope_give_the_same_rows() -> None:
    """Only the pointers differ."""
    live, published = (
        rows_of(answer(body))
        for body in (got(file("a.pdf")), posted("COMPLETED", [file("a.pdf")]))
    )

    for table, names in {
        "executions": ("status", "provider_status", "result_state", "is_terminal"),
        "execution_files": ("file_name", "status", "position"),
        "outputs": ("name", "value_text"),
    }.items():
        assert cut(live, table, *names) == cut(published, table, *names)


def test_the_words_of_a_failed_run_are_its_error() -> None:
    """``error`` of the envelope, or a text in place of the files."""
    said = rows_of(answer(posted("ERROR", None, error="no such adapter"), 422))
    told = read("state_error_text")

    assert cut(said, "executions", "error_message", "result_state") == [
        ("no such adapter", "captured")
    ]
    assert cut(said, "errors", "level", "http_status", "message") == [
        ("execution", 422, "no such adapter")
    ]
    assert cut(told, "executions", "error_message") == [
        "Workflow execution failed: no such adapter"
    ]
    assert cut(told, "errors", "level", "message") == [
        ("execution", "Workflow execution failed: no such adapter")
    ]


def test_an_object_in_place_of_the_files_is_kept_whole() -> None:
    """Of a failed run it is the error, of a completed one an output."""
    failed = read("state_error_object")
    completed = rows_of(answer({"status": "COMPLETED", "message": {"a": 1}}))

    assert [json.loads(v) for v in cut(failed, "errors", "provider_message")] == [
        {"reason": "worker lost", "code": 137}
    ]
    assert cut(completed, "outputs", "name", "value", "file_key") == [
        ("output", '{"a":1}', None)
    ]
    assert cut(completed, "executions", "status") == ["unknown"]


def test_a_500_that_names_the_tool_image_is_the_end_of_the_run() -> None:
    """The result is consumed, and this body is all there is, in both dialects."""
    live = recorded("unstract", "state_500_tool_image_not_found")
    published = recorded("unstract", "state_500_tool_image_not_found_documented")

    assert state(live) == state(published) == ("failed", "ERROR", "captured", True)
    (message,) = cut(rows_of(live), "execution_files", "error_message")
    assert message.startswith("Error: TOOL_IMAGE_NOT_FOUND")


# Results that are gone


@pytest.mark.parametrize(
    ("word", "status"),
    [("COMPLETED", "unknown"), ("ERROR", "failed"), ("STOPPED", "cancelled")],
)
@pytest.mark.parametrize("code", [200, 422])
def test_a_final_word_without_a_message_has_lost_its_result(
    word: str, status: str, code: int
) -> None:
    """An expired cache: the result is gone, and an error says so."""
    for body in ({"status": word, "message": None}, {"status": word}, posted(word)):
        one = answer(body, code)

        assert state(one) == (status, word, "expired", True)
        assert cut(rows_of(one), "errors", "level", "error_type", "message") == [
            (
                "execution",
                "expired",
                "Unstract has deleted the result before it was read",
            )
        ]


def test_a_final_word_without_a_message_by_500_says_nothing() -> None:
    """The answer was not built: what became of the result is not known yet."""
    sight = observe(recorded("unstract", "state_completed_null_by_500"))

    assert [o.kind for o in sight.observations] == ["request"]


@pytest.mark.parametrize(
    ("word", "status"),
    [("COMPLETED", "unknown"), ("ERROR", "failed"), ("STOPPED", "cancelled")],
)
def test_a_406_means_that_another_reader_took_the_result(
    word: str, status: str
) -> None:
    """Terminal, and said in ``errors``."""
    one = answer({"status": word, "message": "Result already acknowledged"}, 406)

    assert state(one) == (status, word, "acknowledged_elsewhere", True)
    assert cut(rows_of(one), "errors", "level", "http_status", "error_type") == [
        ("execution", 406, "acknowledged_elsewhere")
    ]


def test_a_406_after_a_broken_read_of_ours_is_lost_in_transit() -> None:
    """The error names time and size of each read that may have taken it."""
    one = recorded("unstract", "state_406_after_broken_read")

    assert state(one) == ("unknown", "COMPLETED", "lost_in_transit", True)
    assert cut(rows_of(one), "errors", "error_type", "message") == [
        (
            "lost_in_transit",
            (
                "the result was handed out and did not arrive whole: "
                "2026-02-28T23:58:10Z: the connection was cut, 12,345 bytes arrived; "
                "2026-02-28T23:59:00Z: HTTP 502, 0 bytes arrived"
            ),
        )
    ]


def test_broken_reads_are_in_the_hash_where_they_decide() -> None:
    """Of a pending answer they are not: it says the same as before."""
    reads = [{"at": BEGIN.isoformat(), "reason": "cut", "size_bytes": 1}]
    taken = {"status": "COMPLETED", "message": "Result already acknowledged"}
    more = [*reads, *reads]

    one, two = (answer(taken, 406, broken_reads=some) for some in (reads, more))
    assert the_detail(one).sha256 != the_detail(two).sha256
    open_ = {"status": "PENDING", "message": None}
    assert (
        the_detail(answer(open_, 422)).sha256
        == the_detail(answer(open_, 422, broken_reads=reads)).sha256
    )


def test_a_406_about_the_accept_header_is_a_failed_request() -> None:
    """It has no status: no result was handed out."""
    sight = observe(recorded("unstract", "state_406_no_status"))

    assert [o.kind for o in sight.observations] == ["request"]


def test_a_404_that_names_the_execution_leaves_it_open() -> None:
    """It may be unknown yet; only a 404 about another thing is a failed request."""
    one = recorded("unstract", "observed_get_404_unknown_execution")
    other = recorded("unstract", "documented_404_api_not_found_by_get")

    assert state(one) == ("unknown", None, "missing", False)
    assert cut(rows_of(one), "errors", "level", "error_type", "error_code") == [
        ("request", "client_error", "error"),
        ("execution", "missing", None),
    ]
    assert [o.kind for o in observe(other).observations] == ["request"]


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("given_up_not_found", None),
        ("given_up_executing", "EXECUTING"),
        ("given_up_html", None),
        ("given_up_html_200", None),
    ],
)
def test_what_is_not_final_a_day_after_the_expiry_is_given_up(
    name: str, word: str | None
) -> None:
    """Missing and terminal, with the provider's last word, and an error."""
    one = recorded("unstract", name)

    assert state(one) == ("unknown", word, "missing", True)
    messages = cut(rows_of(one), "errors", "error_type", "message")
    assert messages[-1] == (
        "missing",
        "given up: no result came until 24 h after its expiry at 2026-02-27T23:00:00Z",
    )


def test_giving_up_is_news_after_the_same_answer() -> None:
    """The same 404 says another thing then, so it hashes apart."""
    body = json.loads(
        recorded("unstract", "observed_get_404_unknown_execution").body or b""
    )
    body["errors"][0]["detail"] = f"Execution with ID '{EID}' does not exist."
    long_ago = (BEGIN - timedelta(hours=24)).isoformat()

    one, last = answer(body, 404), answer(body, 404, expires_at=long_ago)

    assert the_detail(one).sha256 != the_detail(last).sha256
    assert the_detail(last).is_terminal


def test_a_transport_error_is_a_failed_request_until_it_is_the_last() -> None:
    """Without a body too: the execution ends when it is given up."""
    cut_off = {
        "outcome": "transport_error",
        "body": None,
        "body_sha256": None,
        "http_status": None,
        "error": "connection refused",
    }
    long_ago = (BEGIN - timedelta(hours=24)).isoformat()
    early = msgspec.structs.replace(answer({}), **cut_off)
    last = msgspec.structs.replace(answer({}, expires_at=long_ago), **cut_off)

    assert [o.kind for o in observe(early).observations] == ["request"]
    assert state(last) == ("unknown", None, "missing", True)
    assert cut(rows_of(last), "errors", "message")[0] == "connection refused"


def test_a_cut_body_is_never_taken_for_the_result() -> None:
    """Even if what arrived is JSON."""
    whole = answer(got(file("a.pdf")))

    one = msgspec.structs.replace(whole, outcome="truncated")

    assert [o.kind for o in observe(one).observations] == ["request"]


def test_a_result_that_comes_after_all_is_captured() -> None:
    """Late is not lost."""
    assert state(recorded("unstract", "given_up_result_came")) == (
        "succeeded",
        "COMPLETED",
        "captured",
        True,
    )


# The row of the execution, and what stands around it


def test_the_row_of_an_execution_by_hand() -> None:
    """Times from the files and from the platform's list; nothing is made up."""
    (row,) = read("usage_mixture_with_platform")["executions"]

    names = (
        "execution_id",
        "scope",
        "workflow_key",
        "created_at",
        "started_at",
        "ended_at",
        "duration_ms",
        "expires_at",
        "day",
        "error_message",
    )
    assert [getattr(row, name) for name in names] == [
        EID,
        SCOPE,
        f"unstract:default:{SCOPE}",
        datetime(2026, 11, 21, 18, 40, 32, 481399, tzinfo=UTC),
        datetime(2026, 11, 21, 18, 38, 0, 500000, tzinfo=UTC),
        None,
        0,
        None,
        date(2026, 11, 21),
        None,
    ]


def test_what_is_not_captured_expires() -> None:
    """``expires_at`` is of the watched execution, and so is its start."""
    rows = rows_of(
        answer(
            {"status": "PENDING", "message": None}, started_at="2026-02-28T23:49:30Z"
        )
    )

    assert cut(rows, "executions", "expires_at", "started_at", "day") == [
        (
            BEGIN + timedelta(hours=3),
            datetime(2026, 2, 28, 23, 49, 30, tzinfo=UTC),
            date(2026, 2, 28),
        )
    ]


def test_the_tags_of_the_start_and_of_the_files_are_tags() -> None:
    """Each with the key of where it stood."""
    rows = read("usage_mixture_with_platform")

    found = cut(rows, "execution_tags", "tag", "tag_value", "tag_key")
    assert [(tag, value, key.partition("//")[2]) for tag, value, key in found] == [
        ("q4", None, "message/0/metadata/tags/0"),
        ("q4", None, "message/1/metadata/tags/0"),
        ("q4", None, "message/2/metadata/tags/0"),
        ("q4", None, "params/tags/0"),
        ("owner", "ann", "params/tags/1"),
        (
            "2eaa19a0-b3a3-43e9-9fe5-904fcb3c4754",
            None,
            "params/context/listed/tags/0",
        ),
    ]


def test_a_deployment_is_a_workflow_until_the_platform_lists_it() -> None:
    """Known by its name only; the listed definition is never overwritten."""
    unlisted = read("observed_get_422_pending")
    listed = read("usage_platform_only")

    assert cut(unlisted, "workflows", "workflow_id", "kind", "name", "definition") == [
        (
            SCOPE,
            "api_deployment",
            "invoices",
            '{"organization_id":"org_HJqNgodUQsA99S3A","api_name":"invoices"}',
        )
    ]
    assert listed["workflows"] == []


# The answer to a POST


@pytest.mark.parametrize("name", ["observed_post_200_pending", "submit_without_id"])
def test_the_id_of_a_started_run_is_in_the_answer_or_in_its_address(name: str) -> None:
    """Older servers omit ``execution_id``."""
    rows = read(name)

    (found,) = cut(rows, "executions", "execution_id")
    assert found in {EID, "0d7dc579-926e-47ee-8d60-6af6d0921fd7"}
    assert cut(rows, "executions", "status", "result_state") == [("queued", "pending")]
    (address,) = [v for p, v in metadata(rows).items() if p == "/message/status_api"]
    assert address.endswith(f"execution_id={found}")


@pytest.mark.parametrize("name", ["submit_without_any_id", "submit_bad_status_api"])
def test_a_started_run_without_any_id_is_rejected_and_kept(name: str) -> None:
    """Nobody can ask for it; the whole answer stands in ``errors``."""
    rows = read(name)

    assert rows["executions"] == []
    assert cut(rows, "load_rejects", "reason") == ["missing_id"]
    (kept,) = cut(rows, "errors", "provider_message")
    assert json.loads(kept)["message"]["execution_status"] == "PENDING"


def test_the_synchronous_form_answers_with_the_whole_result() -> None:
    """Captured from the answer to the POST, the names reconciled."""
    rows = read("submit_synchronous")

    assert cut(rows, "executions", "execution_id", "status", "result_state") == [
        (EID, "succeeded", "captured")
    ]
    assert cut(rows, "execution_files", "file_name") == ["invoice.pdf"]
    assert rows["errors"] == []


def test_a_final_answer_to_a_post_without_a_result_is_asked_for() -> None:
    """The GET has not been asked yet: the result is available there."""
    assert state(recorded("unstract", "submit_synchronous_without_result")) == (
        "unknown",
        "COMPLETED",
        "available",
        False,
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "documented_422_inactive_pipeline",
            (
                422,
                "client_error",
                "error",
                None,
                "Pipeline 'testetl' is inactive, please activate the pipeline",
            ),
        ),
        (
            "documented_400_validation_error",
            (
                400,
                "validation_error",
                "invalid",
                "timeout",
                "A valid integer is required.",
            ),
        ),
        (
            "submit_sdk_error",
            (500, "sdk_error", None, None, "Adapter not found: llm"),
        ),
        (
            "submit_500_html",
            (
                500,
                None,
                None,
                None,
                "<!doctype html><html><title>Server Error (500)</title></html>",
            ),
        ),
    ],
)
def test_a_refused_request_is_an_error_of_no_execution(
    name: str, expected: tuple[object, ...]
) -> None:
    """Type, code, parameter and words, as far as the answer has them."""
    rows = read(name)

    columns = ("http_status", "error_type", "error_code", "error_param", "message")
    assert cut(rows, "errors", "level", *columns) == [("request", *expected)]
    assert cut(rows, "errors", "execution_key") == [
        f"request:unstract:default:submit:{SCOPE}"
    ]


def test_each_error_of_a_refused_request_is_a_row() -> None:
    """What fits no column stands whole beside it."""
    rows = read("submit_two_errors")

    assert cut(rows, "errors", "error_code", "message") == [
        ("invalid", "A valid integer is required."),
        ("max_value", None),
        (None, "text"),
    ]
    assert json.loads(cut(rows, "errors", "provider_message")[1]) == {
        "code": "max_value",
        "detail": ["Ensure this"],
        "attr": {"a": 1},
    }
    assert metadata(rows) == {"/trace": "t1"}
