"""What the platform's lists show: executions, usage, deployments; nothing consumed."""

import json
from datetime import UTC, datetime

import pytest

from sources.unstract.normalize import observe
from tests.responses import recorded, response
from tests.sources.unstract.test_normalize import (
    SCOPE,
    answer,
    cut,
    metadata,
    read,
    rows_of,
)

PIPELINE = "1357e345-a73b-492f-844c-d144fe4d6a1f"
REQUEST = f"request:unstract:default:executions:{SCOPE}"


def test_listed_executions_by_hand() -> None:
    """Finished and unread is available and open; read by another is terminal."""
    rows = read("observed_platform_execution_list")

    columns = ("status", "provider_status", "result_state", "is_terminal")
    assert cut(rows, "executions", *columns, "created_at", "started_at") == [
        (
            "partially_succeeded",
            "COMPLETED",
            "available",
            False,
            datetime(2026, 11, 21, 18, 40, 32, 481399, tzinfo=UTC),
            None,
        ),
        (
            "succeeded",
            "COMPLETED",
            "acknowledged_elsewhere",
            True,
            datetime(2026, 11, 21, 18, 39, 33, 435305, tzinfo=UTC),
            None,
        ),
    ]
    assert cut(rows, "errors", "level", "error_type") == [
        ("execution", "acknowledged_elsewhere")
    ]
    assert cut(rows, "execution_tags", "tag") == [
        "2eaa19a0-b3a3-43e9-9fe5-904fcb3c4754"
    ]
    kept = metadata(rows)
    assert kept["/results/0/pipeline_id"] == PIPELINE
    assert kept["/results/0/execution_time"] == "0:00:00"
    assert kept["/results/0/error_message"] == ""
    assert "/results/0/created_at" not in kept


def test_an_item_is_what_its_counts_of_files_say() -> None:
    """In order of the recording: each state that a listed execution can have."""
    seen = observe(recorded("unstract", "platform_list_of_every_state")).observations

    assert [
        (o.status, o.result_state, o.is_terminal) for o in seen if o.kind == "item"
    ] == [
        ("queued", "pending", False),
        ("running", "pending", False),
        ("succeeded", "acknowledged_elsewhere", True),
        ("failed", "available", False),
        ("unknown", "available", False),
        ("failed", "acknowledged_elsewhere", True),
        ("cancelled", "available", False),
        ("unknown", "pending", False),
        ("unknown", "pending", False),
        ("unknown", "available", False),
    ]
    assert {o.at for o in seen if o.kind == "item"} == {
        datetime(2026, 11, 21, 18, 40, 32, 481399, tzinfo=UTC)
    }


def test_executions_of_other_deployments_are_kept_and_not_counted() -> None:
    """They stand whole with the request of the page."""
    rows = read("platform_list_of_every_state")

    others = [
        (path, json.loads(value))
        for key, path, value in cut(
            rows, "execution_metadata", "execution_key", "path", "value"
        )
        if key == REQUEST
    ]
    assert [path for path, _ in others] == ["/results/10", "/results/11", "/results/12"]
    assert others[0][1]["id"] == "00000000-0000-4000-8000-000000000011"
    assert len(rows["executions"]) == 10


@pytest.mark.parametrize("given", [{}, {"pipeline_ids": None}, {"pipeline_ids": []}])
def test_without_our_pipelines_nothing_is_ours(given: dict[str, object]) -> None:
    """Nor is what names no pipeline."""
    body = {"results": [{"id": "1", "pipeline_id": PIPELINE}, {"id": "2"}]}

    seen = observe(response("unstract", body, params=given)).observations

    assert [o.kind for o in seen] == ["request"]


def test_an_id_that_stands_twice_in_a_page_is_one_execution() -> None:
    """Another content under the same id is a reject."""
    seen = observe(recorded("unstract", "platform_list_id_twice")).observations

    assert [o.kind for o in seen] == ["item", "item", "reject"]
    assert len({o.key for o in seen if o.kind == "item"}) == 1
    assert seen[2].name == "duplicate_id"


def test_the_envelope_of_a_list_is_what_was_answered() -> None:
    """Count and neighbours of the page stand in the raw response's ``params``."""
    sight = observe(recorded("unstract", "platform_list_of_every_state"))

    assert sight.answered == {"count": 14, "next": None, "previous": None}
    assert (sight.outcome, sight.listing) == ("ok", "paged")


@pytest.mark.parametrize(
    ("said", "milliseconds"),
    [
        ("0:00:00", 0),
        ("1:02:03", 3_723_000),
        ("0:00:01.5", 1_500),
        ("0:00:01.123456", 1_123),
        ("2 days, 0:00:01", 172_801_000),
        ("1 day, 1:00:00.25", 90_000_250),
        ("3 00:00:01", 259_201_000),
        (1.5, 1_500),
        ("12", 12_000),
        ("soon", None),
        ({"a": 1}, None),
        (1e300, None),
        (None, None),
    ],
)
def test_a_duration_is_read_from_any_of_its_spellings(
    said: object, milliseconds: int | None
) -> None:
    """What is none is NULL; its words are kept either way."""
    item = {"id": "1", "pipeline_id": PIPELINE, "execution_time": said}
    ours = {"pipeline_ids": [PIPELINE]}

    rows = rows_of(response("unstract", {"results": [item]}, params=ours))

    assert cut(rows, "executions", "duration_ms") == [milliseconds]
    assert metadata(rows).get("/results/0/execution_time") == said


def test_the_last_page_of_usage_shows_the_execution_whole() -> None:
    """Rows of all its pages; a call that moved between pages counts once."""
    rows = read("platform_usage_last_page")

    columns = ("status", "result_state", "is_terminal", "duration_ms")
    assert cut(rows, "executions", *columns) == [
        ("partially_succeeded", "acknowledged_elsewhere", True, 0)
    ]
    figures = ("operation", "purpose", "input_tokens", "output_tokens", "total_tokens")
    assert cut(rows, "token_usage", *figures, "is_counted") == [
        ("chat", "extraction", 1834, 211, 2045, True),
        ("chat", "extraction", 900, 10, 910, True),
        ("embeddings", "embedding", 500, 0, 500, True),
        ("chat", "unknown", 900, 10, 910, True),
        ("chat", "extraction", 900, 10, 910, False),
        ("chat", "extraction", 900, 10, 910, False),
    ]
    assert cut(rows, "token_usage", "spent_by_execution_id")[5] == (
        "5d1f8a8e-0d35-4f5b-9c6a-7a0d3a6b1c11"
    )
    assert set(cut(rows, "token_usage", "source")) == {"platform"}
    assert cut(rows, "load_rejects", "reason") == ["not_a_usage"]


def test_an_earlier_page_of_usage_is_kept_beside_all_executions() -> None:
    """The last page has its rows once more, as context."""
    one = recorded("unstract", "observed_platform_usage_list")

    assert [o.kind for o in observe(one).observations] == ["request"]
    rows = rows_of(one)
    assert cut(rows, "execution_metadata", "path") == ["/results/0", "/results/1"]
    assert rows["executions"] == []


def test_the_detail_of_a_listed_execution_carries_the_hash_of_its_item() -> None:
    """So that the next listing finds it unchanged."""
    (item, _) = observe(
        recorded("unstract", "observed_platform_execution_list")
    ).observations
    listed = json.loads(
        recorded("unstract", "observed_platform_execution_list").body or b""
    )["results"][0]

    one = answer({"status": "EXECUTING", "message": None}, context={"listed": listed})

    assert observe(one).observations[0].list_sha256 == item.sha256


def test_what_the_list_says_stands_beside_the_result() -> None:
    """Its error, its times; where it says another status, that is kept."""
    listed = {
        "id": "b455b128-90e3-4fba-bdf0-84930a2c136c",
        "status": "EXECUTING",
        "error_message": "slow",
        "execution_time": "0:01:00",
        "created_at": "2026-02-28T23:00:00Z",
        "total_files": 1,
    }
    rows = rows_of(
        answer({"status": "COMPLETED", "message": []}, context={"listed": listed})
    )

    columns = ("created_at", "duration_ms", "error_message", "provider_status")
    assert cut(rows, "executions", *columns) == [
        (datetime(2026, 2, 28, 23, tzinfo=UTC), 60_000, "slow", "COMPLETED")
    ]
    assert metadata(rows) == {
        "/params/context/listed/status": "EXECUTING",
        "/params/context/listed/execution_time": "0:01:00",
        "/params/context/listed/total_files": 1,
    }


@pytest.mark.parametrize("name", ["platform_deployments", "platform_deployments_paged"])
def test_deployments_are_workflows(name: str) -> None:
    """A bare list or a page; known by organization and name, as executions are."""
    rows = read(name)

    first = cut(rows, "workflows", "workflow_id", "kind", "name", "state")[0]
    assert first == (SCOPE, "api_deployment", "Invoices", "active")
    assert json.loads(cut(rows, "workflows", "definition")[0])["id"] == PIPELINE


def test_a_deployment_without_a_display_name_has_its_api_name() -> None:
    """Active only where it says so."""
    rows = read("platform_deployments")

    assert cut(rows, "workflows", "name", "state")[1:] == [
        ("contracts", "inactive"),
        ("Invoices", None),
    ]


def test_what_can_be_no_deployment_is_a_reject() -> None:
    """The same name twice, no name, no object."""
    rows = read("platform_deployments_paged")

    assert cut(rows, "load_rejects", "path", "reason") == [
        ("/results/1", "duplicate_id"),
        ("/results/2", "missing_id"),
        ("/results/3", "not_an_object"),
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("platform_list_past_the_end", "Invalid page."),
        ("platform_401_deployment_key", "Unauthorized"),
        ("platform_usage_window_too_long", "Date range cannot exceed 60 days"),
    ],
)
def test_a_refusal_of_the_platform_is_an_error_of_the_request(
    name: str, words: str
) -> None:
    """Of no execution."""
    rows = read(name)

    assert cut(rows, "errors", "level", "message") == [("request", words)]
    assert rows["executions"] == []
