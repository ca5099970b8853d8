"""Where the fields of a file go: outputs, steps, citations, errors, by hand."""

import json
from datetime import UTC, datetime

import pytest

from tests.sources.unstract.test_normalize import (
    EID,
    answer,
    cut,
    file,
    got,
    metadata,
    read,
    rows_of,
)

FULL = "observed_get_200_completed_full_metadata_metrics_text"
RUN = "acbe1fcd-da4f-40bf-ae27-b9e091885bac"
META = "/message/0/metadata"
RESULT = "/message/0/result/metadata"


def test_a_file_by_hand() -> None:
    """Every column of ``execution_files``, from the live dialect."""
    (row,) = read(FULL)["execution_files"]

    names = (
        "position",
        "file_name",
        "file_execution_id",
        "status",
        "provider_status",
        "source_hash",
        "workflow_id",
        "original_execution_id",
        "elapsed_s",
        "pages_processed",
        "error_message",
    )
    assert [getattr(row, name) for name in names] == [
        0,
        "invoice.pdf",
        RUN,
        "succeeded",
        "Success",
        "2ea0a8997859451c880f85b76baab41b2ea0a8997859451c880f85b76baab41b",
        "1abb4cac-34a5-4567-b05b-d3f02dc5bbf5",
        EID,
        12.91,
        3,
        None,
    ]


def test_what_no_table_models_is_metadata_of_its_file() -> None:
    """Each field with its path, and nothing that a column says exactly."""
    rows = read(FULL)

    assert metadata(rows) == {
        f"{META}/organization_id": "org_HJqNgodUQsA99S3A",
        f"{META}/workflow_start_time": 1795286281.021524,
        f"{META}/usage/embedding_tokens": 3121,
        f"{META}/usage/prompt_tokens": 3434,
        f"{META}/usage/cost_in_dollars": 0.0125524200001,
        f"{RESULT}/run_id": RUN,
        f"{RESULT}/file_name": "invoice.pdf",
        f"{RESULT}/whisper_hash": "xxxx|yyyy",
    }
    (key,) = cut(rows, "execution_files", "file_key")
    assert set(cut(rows, "execution_metadata", "file_key")) == {key}


@pytest.mark.parametrize(
    ("result", "value", "text"),
    [
        ({"output": {"a": [1, None]}}, '{"a":[1,null]}', None),
        ({"output": "text"}, None, "text"),
        ({"output": False}, "false", None),
        ({"input_file": "a.pdf", "result": "unknown"}, None, "unknown"),
        ("plain text", None, "plain text"),
        ("", None, ""),
        ([1, "two"], '[1,"two"]', None),
        (5, "5", None),
        ({"total": 7}, '{"total":7}', None),
    ],
)
def test_a_result_of_any_shape_is_an_output(
    result: object, value: str | None, text: str | None
) -> None:
    """Live, documented, of another tool: one output, text as text."""
    rows = rows_of(answer(got(file("a.pdf", result=result))))

    assert cut(rows, "outputs", "name", "position", "value", "value_text") == [
        ("output", 0, value, text)
    ]
    assert metadata(rows) == {}


@pytest.mark.parametrize("result", [None, {"output": None}, {"metadata": {}}])
def test_no_result_is_no_output(result: object) -> None:
    """Such as that of a file that was sent to human review."""
    assert rows_of(answer(got(file("a.pdf", result=result))))["outputs"] == []


def test_a_file_sent_to_review_keeps_what_is_said_of_it() -> None:
    """Success without a result, and ``metadata.hitl``."""
    rows = read("files_hitl")

    assert cut(rows, "execution_files", "status") == ["succeeded"]
    assert rows["outputs"] == []
    assert metadata(rows) == {
        f"{META}/hitl": {"queue": "q1", "message": "sent to review"}
    }


def test_the_text_of_a_file_is_an_output_once() -> None:
    """It stands in two places; where they differ there are two."""
    same, differing = read(FULL), read("evidence_of_every_shape")

    texts = [
        [text for name, text in cut(rows, "outputs", "name", "value_text")]
        for rows in (same, differing)
    ]
    assert texts == [
        [None, "<<<\nInvoice INV-42\n<<<"],
        [None, "<<<\nInvoice INV-42\n<<<", "another text"],
    ]
    assert cut(same, "outputs", "name") == ["output", "extracted_text"]


def test_metrics_tools_and_required_fields_are_steps() -> None:
    """A metric has the name of what took the time, and its prompt's as id."""
    rows = read(FULL)

    columns = ("kind", "position", "step_id", "name", "is_passed", "elapsed_s")
    assert cut(rows, "execution_steps", *columns, "output_type") == [
        ("tool", 0, None, "structure_tool", None, 11.2, "JSON"),
        ("metric", 0, "invoice_number", "context_retrieval", None, 0.11, None),
        ("metric", 1, "invoice_number", "extraction_llm", None, 1.5, None),
        ("metric", 2, "invoice_number", "indexing", None, 0.4, None),
        ("metric", 3, "total", "context_retrieval", None, 0.1, None),
        ("metric", 4, "total", "extraction_llm", None, 1.1, None),
        ("required_field", 0, None, "invoice_number", True, None, None),
        ("required_field", 1, None, "total", None, None, None),
    ]


def test_metrics_at_any_depth_are_found_and_the_rest_is_kept() -> None:
    """Text numbers are numbers; what takes no time is metadata."""
    rows = read("evidence_of_every_shape")

    metrics = [
        row[1:]
        for row in cut(rows, "execution_steps", "kind", "step_id", "name", "elapsed_s")
        if row[0] == "metric"
    ]
    assert metrics == [("p", "s", 1.0), ("p", "deep", 0.25), ("q", "q", 2.5)]
    kept = metadata(rows)
    assert kept["/message/0/result/metrics/p/s/note"] == "n"
    assert kept["/message/0/result/metrics/r"] == 7
    assert kept["/message/0/result/tomorrow"] == {"x": 1}


def test_a_required_field_is_passed_only_where_it_says_true() -> None:
    """Null is unknown; anything else is a reject, and kept."""
    rows = read("evidence_of_every_shape")

    assert [
        row[1:]
        for row in cut(rows, "execution_steps", "kind", "name", "is_passed")
        if row[0] == "required_field"
    ] == [("a", True), ("b", False), ("c", None), ("d", None), ("e", None)]
    assert cut(rows, "load_rejects", "path", "reason") == [
        (f"{RESULT}/required_fields/d", "not_a_boolean"),
        (f"{RESULT}/required_fields/e", "not_a_boolean"),
    ]


def test_evidence_is_citations_by_kind_and_prompt() -> None:
    """Lists give one each; a page where the provider names one."""
    rows = read("evidence_of_every_shape")

    columns = ("kind", "prompt_key", "position", "page", "text", "value")
    assert cut(rows, "citations", *columns) == [
        ("context", "total", 0, None, "one text", None),
        ("context", "many", 0, None, "a", None),
        ("context", "many", 2, 2, None, '{"page":"2","text":"b"}'),
        ("highlight", "total", 0, None, None, "[0,12,40,1200]"),
        ("highlight", "total", 1, 3, None, '{"page":3,"box":[1,2]}'),
        ("highlight", "vendor", 0, 2, None, '{"page_number":2}'),
        ("line_number", "total", 0, None, None, "12"),
        ("line_number", "total", 1, None, None, "13"),
        ("line_number", "vendor", 0, None, None, "7"),
        (
            "confidence",
            "total",
            0,
            None,
            None,
            '{"a":[{"confidence":"0.9","text":"x"}]}',
        ),
        ("word_confidence", "invoice_number", 0, None, None, '{"INV-42":0.97}'),
    ]


def test_evidence_without_prompts_is_cited_all_the_same() -> None:
    """A list, or one value, in place of the object."""
    rows = read("evidence_lists_without_prompts")

    assert cut(rows, "citations", "kind", "prompt_key", "position", "text") == [
        ("context", None, 0, "x"),
        ("context", None, 1, None),
        ("highlight", None, 0, None),
    ]


def test_a_failed_file_is_an_error_of_its_level() -> None:
    """With its words in both tables, and of the file."""
    rows = read("observed_get_422_error_all_files_failed")

    words = "Error processing file 'broken.pdf': Rate limit error. 429"
    (key,) = cut(rows, "execution_files", "file_key")
    assert cut(rows, "execution_files", "status", "error_message") == [
        ("failed", words)
    ]
    assert cut(rows, "errors", "level", "file_key", "http_status", "message") == [
        ("file", key, 422, words)
    ]
    assert cut(rows, "executions", "error_message") == [None]


def test_a_file_that_was_sent_and_did_not_come_back_is_an_error() -> None:
    """Partially succeeded at best; equal content is answered once, under one name."""
    lacking, whole = read("files_one_not_returned"), read("files_all_returned_by_hash")

    assert cut(lacking, "executions", "status") == ["partially_succeeded"]
    assert cut(lacking, "errors", "level", "error_type", "message") == [
        ("file", "not_returned", "b.txt was sent, and is not in the answer")
    ]
    assert cut(whole, "executions", "status") == ["succeeded"]
    assert whole["errors"] == []


def test_of_an_empty_answer_all_files_are_missing() -> None:
    """None failed and none succeeded: unknown."""
    rows = read("files_none_returned")

    assert cut(rows, "executions", "status", "result_state") == [
        ("unknown", "captured")
    ]
    assert cut(rows, "errors", "error_type") == ["not_returned"] * 3


def test_a_file_of_the_history_does_not_say_when_this_run_began() -> None:
    """Its times are those of the run that processed it."""
    rows = read("files_from_history")

    assert cut(rows, "executions", "started_at") == [
        datetime(2026, 2, 28, 23, 49, 30, tzinfo=UTC)
    ]
    assert cut(rows, "execution_files", "original_execution_id") == [
        "5d1f8a8e-0d35-4f5b-9c6a-7a0d3a6b1c11"
    ]


def test_the_published_placeholders_are_rejects_where_they_are_no_numbers() -> None:
    """``<total_time>`` is no number: NULL, a reject, and kept."""
    rows = read("documented_status_completed")

    assert cut(rows, "execution_files", "file_name", "elapsed_s") == [("abc.pdf", None)]
    assert cut(rows, "outputs", "name", "value_text") == [("output", "unknown")]
    assert cut(rows, "execution_steps", "kind", "name", "elapsed_s") == [
        ("tool", "classify", None)
    ]
    assert metadata(rows)[f"{META}/total_elapsed_time"] == "<total time of execution>"
    assert sorted(cut(rows, "load_rejects", "reason")) == ["not_a_number"] * 2


def test_a_key_that_stands_twice_is_a_reject_of_its_execution() -> None:
    """The last value holds, as everywhere."""
    rows = read("adversarial_duplicate_keys")

    assert cut(rows, "execution_files", "file_name", "status") == [("b", "succeeded")]
    assert sorted(cut(rows, "load_rejects", "path")) == [
        "/message/0/file",
        "/message/0/result",
        "/message/0/status",
        "/status",
    ]
    assert set(cut(rows, "load_rejects", "reason")) == {"duplicate_key"}


def test_names_that_are_no_texts_keep_nothing_back() -> None:
    """Files of any type: those that are none are rejects, all others rows."""
    rows = read("adversarial_files_of_wrong_types")

    assert cut(rows, "execution_files", "position", "file_name", "status") == [
        (4, None, "unknown"),
        (5, "b", "failed"),
        (6, "c", "succeeded"),
    ]
    assert cut(rows, "executions", "status") == ["partially_succeeded"]
    assert json.loads(json.dumps(metadata(rows)))["/message/0"] == 1
