"""Tests of the part of the Unstract twin that is its platform API."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from sources.loopback import Obtained
from sources.unstract.twin import UnstractTwin
from sources.unstract.twin_demo import failed, recorded
from sources.unstract.twin_world import FileRun
from tests.sources.unstract.test_twin import (
    INVOICE,
    INVOICE_TOKENS,
    KEY,
    MINUTE,
    NOW,
    client_of,
    fault_of,
    finished,
    obtained,
    read,
    twin_of,
)

PLATFORM_KEY = "platform_canary"
BASE = "/api/v1/unstract/org_demo"
EXECUTIONS, USAGE = f"{BASE}/execution/", f"{BASE}/usage/"
DEPLOYMENTS = f"{BASE}/api/deployment/"

# Key sets of the observed answers
PAGE = ["count", "next", "previous", "results"]
LISTED = [
    "id",
    "workflow_name",
    "pipeline_name",
    "successful_files",
    "failed_files",
    "aggregated_total_pages_processed",
    "execution_time",
    "created_at",
    "modified_at",
    "pipeline_id",
    "queue_message_id",
    "execution_mode",
    "execution_method",
    "status",
    "result_acknowledged",
    "total_files",
    "error_message",
    "attempts",
    "workflow",
    "tags",
]
USED = [
    "id",
    "created_at",
    "modified_at",
    "workflow_id",
    "execution_id",
    "adapter_instance_id",
    "run_id",
    "usage_type",
    "llm_usage_reason",
    "model_name",
    "embedding_tokens",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost_in_dollars",
    "project_id",
    "prompt_id",
    "execution_time_ms",
    "status",
    "error_message",
    "organization",
]

Json = Any


def platform_twin() -> UnstractTwin:
    """Return a twin that has a platform key."""
    return twin_of(platform_key=PLATFORM_KEY)


def fetched(client: httpx.Client, path: str, **asked: object) -> Json:
    """Return the body of a GET that is answered well."""
    query = {name: str(value) for name, value in asked.items()}
    return client.get(path, params=query).raise_for_status().json()


@pytest.mark.parametrize("path", [EXECUTIONS, USAGE, DEPLOYMENTS])
def test_only_a_platform_key_opens_the_platform(path: str) -> None:
    """A deployment's key there is a 401, as is any key where there is none."""
    with client_of(platform_twin()) as client, client_of(twin_of(), "None") as other:
        statuses = [one.get(path).status_code for one in (client, other)]

    assert statuses == [401, 401]


def test_a_platform_key_opens_no_deployment_and_no_other_organization() -> None:
    """Each key is for its own side."""
    twin = platform_twin()
    one = finished(twin)
    with client_of(twin, PLATFORM_KEY) as client:
        status, _ = read(client, one)
        other = client.get("/api/v1/unstract/org_other/execution/")

    assert (status, other.status_code) == (401, 404)


def test_the_list_of_executions_has_the_observed_shape_and_consumes_nothing() -> None:
    """A finished one is counted file by file; whether it was read is said."""
    twin = platform_twin()
    one = finished(twin, INVOICE, failed("b.pdf"), tags=["q4"])
    with client_of(twin, PLATFORM_KEY) as platform, client_of(twin) as client:
        body = fetched(platform, EXECUTIONS, execution_entity="API")
        status, _ = read(client, one)
        (after,) = fetched(platform, EXECUTIONS)["results"]

    (item,) = body["results"]
    assert (list(body), body["count"], list(item)) == (PAGE, 1, LISTED)
    assert {name: item[name] for name in LISTED[3:9]} == {
        "successful_files": 1,
        "failed_files": 1,
        "aggregated_total_pages_processed": 6,
        "execution_time": "0:00:03",
        "created_at": "2026-11-21T18:35:00.000000Z",
        "modified_at": "2026-11-21T18:35:03.000000Z",
    }
    assert (item["id"], item["status"], item["total_files"], len(item["tags"])) == (
        one.execution_id,
        "COMPLETED",
        2,
        1,
    )
    assert (item["result_acknowledged"], status) == (False, 200)
    assert after == item | {"result_acknowledged": True}


def test_a_running_execution_is_listed_with_what_is_known_by_now() -> None:
    """No file is counted before the end."""
    twin = platform_twin()
    twin.world.start(INVOICE)
    with client_of(twin, PLATFORM_KEY) as platform:
        (item,) = fetched(platform, EXECUTIONS)["results"]

    assert (item["status"], item["successful_files"], item["total_files"]) == (
        "PENDING",
        0,
        1,
    )
    assert item["aggregated_total_pages_processed"] is None


def test_executions_come_in_pages_newest_first() -> None:
    """``next`` is absolute, from the Host header; a page past the end is a 404."""
    twin = platform_twin()
    runs = [
        twin.world.start(INVOICE, started_at=NOW - number * MINUTE)
        for number in range(5)
    ]
    headers = {"host": "elsewhere.example"}
    with client_of(twin, PLATFORM_KEY) as platform:
        pages = [
            fetched(platform, EXECUTIONS, page=n, page_size=2, ordering="-created_at")
            for n in (1, 2, 3)
        ]
        oldest = fetched(platform, EXECUTIONS, ordering="created_at", page_size=1)
        linked = platform.get(EXECUTIONS, params={"page_size": 2}, headers=headers)
        past = [platform.get(EXECUTIONS, params={"page": n}) for n in ("4", "0", "x")]

    link = urlsplit(linked.json()["next"])
    assert [item["id"] for page in pages for item in page["results"]] == [
        one.execution_id for one in runs
    ]
    assert [page["count"] for page in pages] == [5] * 3
    assert [bool(page["next"]) for page in pages] == [True, True, False]
    assert [bool(page["previous"]) for page in pages] == [False, True, True]
    assert oldest["results"][0]["id"] == runs[-1].execution_id
    assert (link.netloc, link.path) == ("elsewhere.example", EXECUTIONS)
    assert parse_qs(link.query) == {"page": ["2"], "page_size": ["2"]}
    invalid = (404, "client_error", "not_found", "Invalid page.", None)
    assert [fault_of(answer) for answer in past] == [invalid] * 3


@pytest.mark.parametrize(("asked", "size"), [({}, 50), ({"page_size": 5000}, 1000)])
def test_a_page_has_fifty_rows_unless_asked_and_never_more_than_a_thousand(
    asked: dict[str, int], size: int
) -> None:
    """The size that is asked for is clamped."""
    twin = platform_twin()
    for _ in range(size + 1):
        finished(twin, FileRun(name="a.txt", result="a"))
    with client_of(twin, PLATFORM_KEY) as platform:
        body = fetched(platform, EXECUTIONS, **asked)

    assert (len(body["results"]), body["count"]) == (size, size + 1)


def test_only_executions_of_apis_are_there() -> None:
    """The list of another entity is empty."""
    twin = platform_twin()
    finished(twin)
    with client_of(twin, PLATFORM_KEY) as platform:
        assert fetched(platform, EXECUTIONS, execution_entity="ETL")["count"] == 0


def test_a_deployment_says_which_api_an_execution_is_of() -> None:
    """``pipeline_id`` of an execution is the id of a deployment."""
    twin = platform_twin()
    finished(twin)
    finished(twin, api_name="contracts")
    with client_of(twin, PLATFORM_KEY) as platform:
        listed = fetched(platform, EXECUTIONS)["results"]
        deployments = fetched(platform, DEPLOYMENTS)["results"]

    names = {one["id"]: one["api_name"] for one in deployments}
    assert [names[item["pipeline_id"]] for item in listed] == ["invoices", "contracts"]
    assert [(one["display_name"], one["is_active"]) for one in deployments] == [
        ("Contracts", True),
        ("Invoices", True),
    ]


def test_usage_has_a_row_for_each_model_of_a_file() -> None:
    """Its tokens are those of the parts; a file with a roll-up alone has one row."""
    twin = platform_twin()
    one = finished(twin, INVOICE, failed("b.pdf"))
    finished(twin)
    with client_of(twin, PLATFORM_KEY) as platform:
        body = fetched(platform, USAGE, workflow_execution_id=one.execution_id)
        everything = fetched(platform, USAGE)

    rows = body["results"]
    assert (list(body), body["count"]) == (PAGE, 4)
    assert [list(row) for row in rows] == [USED] * 4
    assert [(row["usage_type"], row["llm_usage_reason"]) for row in rows] == [
        ("llm", "extraction"),
        ("llm", "challenge"),
        ("embedding", None),
        ("llm", "extraction"),
    ]
    assert sum(row["total_tokens"] for row in rows) == INVOICE_TOKENS + 2338
    assert [row["run_id"] for row in rows] == [
        item["file_execution_id"]
        for item, count in zip(one.items, (3, 1), strict=True)
        for _ in range(count)
    ]
    assert isinstance(rows[0]["cost_in_dollars"], float)
    assert everything["count"] == 7


def test_the_platform_says_no_tokens_of_a_file_from_the_history() -> None:
    """Another execution spent them."""
    twin = platform_twin()
    known = finished(twin)
    one = finished(twin, FileRun(name="again.pdf", earlier=known.items[0]))
    with client_of(twin, PLATFORM_KEY) as platform:
        body = fetched(platform, USAGE, workflow_execution_id=one.execution_id)

    assert (body["count"], body["results"]) == (0, [])


def test_the_platforms_rows_count_where_the_result_says_nothing() -> None:
    """A result read elsewhere, or without metadata, has tokens from the platform."""
    twin = platform_twin()
    lost, bare, whole = (finished(twin) for _ in range(3))
    twin.read_elsewhere(lost.execution_id)
    with client_of(twin, PLATFORM_KEY) as platform, client_of(twin) as client:
        read(client, bare)
        read(client, whole, include_metadata="true")
        before = [obtained(twin, one).total_tokens for one in (lost, bare, whole)]
        fetched(platform, USAGE, workflow_execution_id=lost.execution_id)
        fetched(platform, USAGE, workflow_execution_id=bare.execution_id)

    assert before == [None, None, INVOICE_TOKENS]
    assert obtained(twin, lost) == Obtained(
        "COMPLETED", "acknowledged_elsewhere", total_tokens=INVOICE_TOKENS
    )
    assert obtained(twin, bare).total_tokens == INVOICE_TOKENS


def test_either_good_key_is_noted_as_such() -> None:
    """The notes on requests know both keys."""
    twin = platform_twin()
    for key in (KEY, PLATFORM_KEY, "other"):
        with client_of(twin, key) as client:
            client.get(EXECUTIONS)

    assert [noted.is_authorised for noted in twin.requests] == [True, True, False]


def test_tokens_in_usage_are_those_of_the_file() -> None:
    """What the extraction read and wrote is in its row."""
    twin = platform_twin()
    finished(twin, recorded("a.pdf", {"a": 1}, tokens=(10, 5)))
    with client_of(twin, PLATFORM_KEY) as platform:
        row = fetched(platform, USAGE)["results"][0]

    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (
        10,
        5,
        15,
    )
