"""Tests of the Unstract twin: it behaves as observed, and as documented."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from sources.loopback import Obtained, Twin, serve
from sources.twin_server import PAGE
from sources.unstract.twin import UnstractTwin
from sources.unstract.twin_demo import (
    classified,
    failed,
    plain_text,
    recorded,
    reviewed,
)
from sources.unstract.twin_world import Execution, FileRun

NOW = datetime(2026, 11, 21, 18, 40, tzinfo=UTC)
KEY = "deployment_canary"
PATH = "/deployment/api/org_demo/invoices/"
ALL = {
    "include_metadata": "true",
    "include_metrics": "true",
    "include_extracted_text": "true",
}
MINUTE = timedelta(minutes=1)
OUTPUT = {"invoice_number": "INV-42", "total": 1234.5, "notes": None}
INVOICE = recorded("invoice.pdf", OUTPUT, text="<<<\nInvoice INV-42\n<<<")
INVOICE_TOKENS = 3121 + 790 + 2955

# Key sets of the observed answers
ITEM = ["file", "file_execution_id", "status", "result", "error", "metadata"]
ITEM_METADATA = {
    "source_name",
    "source_hash",
    "organization_id",
    "workflow_id",
    "execution_id",
    "file_execution_id",
    "tags",
    "workflow_start_time",
    "total_elapsed_time",
    "tool_metadata",
    "usage",
    "total_pages_processed",
}
RESULT_METADATA = {
    "run_id",
    "file_name",
    "context",
    "required_fields",
    "line_numbers",
    "whisper_hash",
    "confidence_data",
    "word_confidence_data",
    "extracted_text",
    "embedding",
    "challenge_llm",
    "extraction_llm",
}
USAGE = {
    "embedding_tokens",
    "prompt_tokens",
    "completion_tokens",
    "total_tokens",
    "cost_in_dollars",
    "file_execution_id",
}
LLM = {
    "model_name",
    "cost_in_dollars",
    "input_tokens",
    "output_tokens",
    "total_tokens",
}

Json = Any


def twin_of(**settings: Any) -> UnstractTwin:
    """Return a twin whose time stands still."""
    return UnstractTwin(key=KEY, clock=lambda: NOW, **settings)


def finished(twin: UnstractTwin, *files: FileRun, **how: Any) -> Execution:
    """Add an execution that finished some minutes ago; an invoice, by default."""
    at = NOW - 5 * MINUTE
    return twin.world.start(*(files or (INVOICE,)), started_at=at, **how)


@contextmanager
def client_of(twin: UnstractTwin, key: str | None = KEY) -> Iterator[httpx.Client]:
    """Yield a client of the twin, over real sockets."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with (
        serve(twin.app) as base_url,
        httpx.Client(base_url=base_url, headers=headers, timeout=5) as client,
    ):
        yield client


def read(client: httpx.Client, one: Execution, **asked: str) -> tuple[int, Json]:
    """Return status and body of a GET for an execution."""
    answer = client.get(PATH, params={"execution_id": one.execution_id, **asked})
    return answer.status_code, answer.json()


def send(
    client: httpx.Client, *files: tuple[str, bytes], **values: str
) -> httpx.Response:
    """POST files to the deployment."""
    return client.post(PATH, files=[("files", file) for file in files], data=values)


def fault_of(answer: httpx.Response) -> tuple[int, str, str, str, str | None]:
    """Return status, type, code, detail and attr of an error in Unstract's envelope."""
    body = answer.json()
    assert list(body) == ["type", "errors"]
    (error,) = body["errors"]
    assert list(error) == ["code", "detail", "attr"]
    return (
        answer.status_code,
        body["type"],
        error["code"],
        error["detail"],
        error["attr"],
    )


def obtained(twin: UnstractTwin, one: Execution) -> Obtained:
    """Return what a store that lost nothing has of an execution."""
    return twin.obtained()["org_demo/invoices", one.execution_id]


# Keys


@pytest.mark.parametrize(
    ("key", "path", "fault"),
    [
        (None, PATH, (403, "Missing API key")),
        ("other", PATH, (401, "Unauthorized")),
        (KEY, "/deployment/api/org_demo/other/", (404, "API not found")),
        (KEY, "/deployment/api/org_other/invoices/", (404, "API not found")),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_key_opens_its_own_deployment_only(
    method: str, key: str | None, path: str, fault: tuple[int, str]
) -> None:
    """Each fault has its own status, in the observed envelope."""
    with client_of(twin_of(), key) as client:
        answer = client.request(method, path, params={"execution_id": str(uuid4())})

    status, detail = fault
    assert fault_of(answer) == (status, "client_error", "error", detail, None)


# Reading


@pytest.mark.parametrize(("age_s", "word"), [(0.5, "PENDING"), (2, "EXECUTING")])
def test_what_is_not_finished_is_a_422_of_the_live_server(
    age_s: float, word: str
) -> None:
    """The body says the state; nothing is consumed, also by many reads."""
    twin = twin_of()
    one = twin.world.start(INVOICE, started_at=NOW - timedelta(seconds=age_s))
    with client_of(twin) as client:
        answers = [read(client, one) for _ in range(2)]

    assert answers == [(422, {"status": word, "message": None})] * 2
    assert twin.ledger() == {}
    assert obtained(twin, one) == Obtained(word, "pending")


def test_a_finished_result_has_the_observed_shape_where_all_is_asked_for() -> None:
    """Keys of files, of their metadata, of usage and models are the observed ones."""
    twin = twin_of()
    one = finished(twin, tags=["q4"])
    with client_of(twin) as client:
        status, body = read(client, one, **ALL)

    (item,) = body["message"]
    inner = item["result"]["metadata"]
    assert (status, list(body), body["status"]) == (
        200,
        ["status", "message"],
        "COMPLETED",
    )
    assert list(item) == [*ITEM, "extracted_text"]
    assert set(item["metadata"]) == ITEM_METADATA
    assert set(item["metadata"]["usage"]) == USAGE
    assert list(item["result"]) == ["output", "metadata", "metrics"]
    assert set(inner) == RESULT_METADATA
    assert set(inner["extraction_llm"][0]) == set(inner["challenge_llm"][0]) == LLM
    assert inner["embedding"] == [
        {
            "model_name": "azure/text-embedding-3-small",
            "cost_in_dollars": "0.00006242",
            "embedding_tokens": 3121,
        }
    ]
    assert item["result"]["metrics"]["total"]["extraction_llm"] == {
        "time_taken(s)": 1.5
    }
    assert item["metadata"]["tags"] == ["q4"]
    assert item["metadata"]["execution_id"] == one.execution_id
    assert item["metadata"]["usage"]["total_tokens"] == INVOICE_TOKENS
    assert inner["run_id"] == item["file_execution_id"]


def test_a_read_that_asks_for_nothing_gets_the_output_alone() -> None:
    """Metadata, metrics, usage and text are there only where this read asks."""
    twin = twin_of()
    one = finished(twin)
    with client_of(twin) as client:
        _, body = read(client, one)

    (item,) = body["message"]
    assert item["result"] == {"output": OUTPUT}
    assert set(item["metadata"]) == ITEM_METADATA - {"usage"}
    assert "extracted_text" not in item
    assert obtained(twin, one) == Obtained("COMPLETED", "captured", [OUTPUT])


def test_the_flags_work_one_by_one() -> None:
    """Text comes without metadata, metrics without metadata, metadata without text."""
    twin = twin_of()
    runs = [finished(twin) for _ in range(3)]
    with client_of(twin) as client:
        answers = [
            read(client, one, **{flag: "true"})[1]["message"][0]
            for one, flag in zip(runs, ALL, strict=True)
        ]

    with_metadata, with_metrics, with_text = answers
    assert set(with_metadata["result"]) == {"output", "metadata"}
    assert "extracted_text" not in with_metadata["result"]["metadata"]
    assert set(with_metrics["result"]) == {"output", "metrics"}
    assert set(with_text["result"]) == {"output"}
    assert with_text["extracted_text"] == "<<<\nInvoice INV-42\n<<<"


def test_a_result_is_handed_out_once() -> None:
    """The second read is refused; the ledger says what the first got, and when."""
    twin = twin_of()
    one = finished(twin)
    with client_of(twin) as client:
        first, second = read(client, one, **ALL), read(client, one, **ALL)

    handed = twin.ledger()["org_demo/invoices", one.execution_id]
    assert second == (
        406,
        {"status": "COMPLETED", "message": "Result already acknowledged"},
    )
    assert (handed.body, handed.at, handed.is_whole, handed.reads) == (
        first[1],
        NOW,
        True,
        2,
    )
    assert handed.to == "the reader with the key"
    assert obtained(twin, one) == Obtained(
        "COMPLETED",
        "captured",
        [OUTPUT, "<<<\nInvoice INV-42\n<<<"],
        total_tokens=INVOICE_TOKENS,
    )


def test_files_come_in_every_shape() -> None:
    """Text, the documented pair, a failure, a review: each as it is, in order."""
    twin = twin_of()
    one = finished(
        twin,
        plain_text("a.txt", "plain text"),
        classified("b.pdf", "lease"),
        failed("c.pdf"),
        reviewed("d.pdf"),
    )
    with client_of(twin) as client:
        status, body = read(client, one, include_metadata="true")

    text, pair, failure, review = body["message"]
    assert (status, body["status"]) == (200, "COMPLETED")
    assert [list(item) for item in body["message"]] == [ITEM] * 4
    assert text["result"] == "plain text"
    assert pair["result"] == {"input_file": "b.pdf", "result": "lease"}
    assert (failure["status"], failure["result"]) == ("Failed", None)
    assert failure["error"] == "Error processing file 'c.pdf': Rate limit error. 429"
    assert (review["status"], review["result"], review["error"]) == (
        "Success",
        None,
        None,
    )
    assert review["metadata"]["hitl"] is True
    assert obtained(twin, one) == Obtained(
        "COMPLETED", "captured", ["plain text", "lease"], total_tokens=2 * 2338
    )


def test_an_execution_whose_files_all_failed_is_a_422_and_is_consumed() -> None:
    """ERROR comes with its files, untrimmed, once."""
    twin = twin_of()
    one = finished(twin, failed("broken.pdf"))
    with client_of(twin) as client:
        first, second = read(client, one), read(client, one)

    (item,) = first[1]["message"]
    assert (first[0], first[1]["status"]) == (422, "ERROR")
    assert set(item["metadata"]) == ITEM_METADATA
    assert second[0] == 406
    assert second[1]["status"] == "ERROR"
    assert obtained(twin, one) == Obtained("ERROR", "captured", [], total_tokens=2338)


def test_a_stopped_execution_is_consumed_as_well() -> None:
    """STOPPED is final in the live server."""
    twin = twin_of()
    one = finished(twin, plain_text("a.txt", "one"), ends="STOPPED")
    with client_of(twin) as client:
        first, second = read(client, one), read(client, one)

    assert (first[0], first[1]["status"], second[0]) == (422, "STOPPED", 406)
    assert obtained(twin, one).result_state == "captured"


def test_a_missing_tool_is_a_500_that_consumes() -> None:
    """An error that names TOOL_IMAGE_NOT_FOUND is a 500 in the normal envelope."""
    twin = twin_of()
    one = finished(twin, failed("a.pdf", "TOOL_IMAGE_NOT_FOUND: structure_tool"))
    with client_of(twin) as client:
        first, second = read(client, one), read(client, one)

    assert (first[0], first[1]["status"], second[0]) == (500, "ERROR", 406)


def test_a_state_may_have_any_word_and_change_after_its_end() -> None:
    """A life is scripted word by word; ERROR may become COMPLETED."""
    twin = twin_of()
    life = ((0, "RESUMING"), (60, "ERROR"), (120, "COMPLETED"))
    one = twin.world.start(INVOICE, life=life)
    with client_of(twin) as client:
        first = read(client, one)
        twin.world.let_pass(120)
        second = read(client, one)

    assert first == (422, {"status": "RESUMING", "message": None})
    assert (second[0], second[1]["status"]) == (200, "COMPLETED")


def test_a_result_expires_some_hours_after_its_end() -> None:
    """Where nobody read it in time, it is null; that read acknowledges it, too."""
    twin = twin_of(result_ttl_s=60)
    one = twin.world.start(INVOICE, started_at=NOW - timedelta(seconds=62))
    with client_of(twin) as client:
        before = obtained(twin, one)
        twin.world.let_pass(1)
        unread = obtained(twin, one)
        answers = [read(client, one) for _ in range(2)]

    assert before == Obtained(None, "pending")
    assert answers[0] == (200, {"status": "COMPLETED", "message": None})
    assert answers[1][0] == 406
    assert obtained(twin, one) == unread == Obtained("COMPLETED", "expired")


def test_an_unknown_execution_is_a_404_that_names_it() -> None:
    """The detail repeats the id; what is no UUID, or no id at all, is a 400."""
    unknown = str(uuid4())
    with client_of(twin_of()) as client:
        answers = [
            client.get(PATH, params={"execution_id": said})
            for said in (unknown, "98", "")
        ]

    detail = f"Execution with ID '{unknown}' does not exist."
    assert fault_of(answers[0]) == (404, "client_error", "error", detail, None)
    assert [answer.status_code for answer in answers[1:]] == [400, 400]
    assert fault_of(answers[2])[-1] == "execution_id"


def test_the_executions_of_another_deployment_are_unknown_here() -> None:
    """They are of the organization, not of this API."""
    twin = twin_of()
    one = finished(twin, api_name="contracts")
    with client_of(twin) as client:
        status, _ = read(client, one)

    assert status == 404
    assert (twin.started(), twin.obtained()) == ([], {})


def test_a_head_consumes_a_result_that_nobody_gets() -> None:
    """HEAD acknowledges as GET does, without a body."""
    twin = twin_of()
    one = finished(twin)
    with client_of(twin) as client:
        head = client.head(PATH, params={"execution_id": one.execution_id})
        status, _ = read(client, one)

    assert (head.status_code, head.content, status) == (200, b"", 406)
    assert obtained(twin, one) == Obtained("COMPLETED", "acknowledged_elsewhere")


def test_somebody_else_may_read_a_result_first() -> None:
    """It is gone for us; what is not finished is not consumed by anybody."""
    twin = twin_of()
    done, waits = finished(twin), twin.world.start(INVOICE)
    for one in (done, waits):
        twin.read_elsewhere(one.execution_id)
    with client_of(twin) as client:
        statuses = [read(client, one)[0] for one in (done, waits)]

    assert statuses == [406, 422]
    assert obtained(twin, done) == Obtained("COMPLETED", "acknowledged_elsewhere")
    assert obtained(twin, waits) == Obtained("PENDING", "pending")


# The documented dialect


@pytest.mark.parametrize("word", ["PENDING", "QUEUED", "EXECUTING"])
def test_documented_states_come_in_the_envelope_of_the_post(word: str) -> None:
    """They are a 200, without an ``execution_id``."""
    twin = twin_of(dialect="documented")
    one = twin.world.start(INVOICE, life=((0, word), (5, "COMPLETED")))
    with client_of(twin) as client:
        status, body = read(client, one)

    assert (status, body) == (
        200,
        {
            "message": {
                "execution_status": word,
                "status_api": f"{PATH}?execution_id={one.execution_id}",
                "error": None,
                "result": None,
            }
        },
    )


def test_documented_results_have_the_fields_of_the_pages() -> None:
    """Completed ones come short, failed ones in the envelope; both are consumed."""
    twin = twin_of(dialect="documented")
    mixed = finished(twin, failed("a.pdf"), classified("b.pdf", "lease"))
    bad = finished(twin, failed("a.pdf"))
    with client_of(twin) as client:
        completed, error = read(client, mixed), read(client, bad)
        again = [read(client, one)[0] for one in (mixed, bad)]

    assert (completed[0], list(completed[1])) == (200, ["status", "message"])
    assert [list(item) for item in completed[1]["message"]] == [
        ["file", "status", "error"],
        ["file", "status", "result", "metadata"],
    ]
    assert (error[0], error[1]["message"]["execution_status"]) == (200, "ERROR")
    assert [list(item) for item in error[1]["message"]["result"]] == [
        ["file", "status", "error"]
    ]
    assert again == [406, 406]
    assert obtained(twin, mixed) == Obtained("COMPLETED", "captured", ["lease"])
    assert obtained(twin, bad) == Obtained("ERROR", "captured", [])


# Starting


def test_a_post_starts_an_execution_and_says_how_to_ask_for_it() -> None:
    """The envelope is the observed one; what was sent is on record."""
    twin = twin_of()
    with client_of(twin) as client:
        answer = send(
            client, ("ü.pdf", b"\x00%PDF\r\n\xff\r"), ("b.txt", b"hi\n"), tags="q4"
        )
        asked = client.get(answer.json()["message"]["status_api"])
        twin.pass_time()
        done = client.get(answer.json()["message"]["status_api"])

    message = answer.json()["message"]
    (submission,) = twin.submissions
    assert answer.status_code == 200
    assert message == {
        "execution_id": submission.execution_id,
        "execution_status": "PENDING",
        "status_api": f"{PATH}?execution_id={submission.execution_id}",
        "error": None,
        "result": None,
    }
    assert [file[:2] for file in submission.files] == [("ü.pdf", 9), ("b.txt", 3)]
    assert submission.form.files == (
        ("ü.pdf", b"\x00%PDF\r\n\xff\r"),
        ("b.txt", b"hi\n"),
    )
    assert submission.form.tags == ("q4",)
    assert asked.json() == {"status": "PENDING", "message": None}
    assert [item["file"] for item in done.json()["message"]] == ["ü.pdf", "b.txt"]
    assert twin.started() == [
        {
            "id": submission.execution_id,
            "started_at": NOW.isoformat(),
            "tags": ["q4"],
        }
    ]


@pytest.mark.parametrize("settings", [{"omits_execution_id": True}, {}])
def test_older_servers_say_the_id_only_in_the_address(settings: dict[str, Any]) -> None:
    """So do the pages; ``status_api`` leads to the execution all the same."""
    settings = settings or {"dialect": "documented"}
    with client_of(twin_of(**settings)) as client:
        message = send(client, ("a.pdf", b"a")).json()["message"]
        status = client.get(message["status_api"]).status_code

    assert list(message) == ["execution_status", "status_api", "error", "result"]
    assert status in (200, 422)


@pytest.mark.parametrize(
    ("values", "attr"),
    [
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": "301"}, "timeout"),
        ({"timeout": "-2"}, "timeout"),
        ({"tags": "a,b"}, "tags"),
        ({"tags": "4q"}, "tags"),
        ({"include_metadata": "perhaps"}, "include_metadata"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_and_starts_nothing(
    values: dict[str, str], attr: str
) -> None:
    """The error names the field."""
    twin = twin_of()
    with client_of(twin) as client:
        fault = fault_of(send(client, ("a.pdf", b"a"), **values))

    assert (fault[0], fault[1], fault[-1]) == (400, "validation_error", attr)
    assert twin.submissions == []


def test_a_post_needs_from_one_to_32_files() -> None:
    """None, also without a multipart body, and 33 are refused; 32 are fine."""
    twin = twin_of()
    many = [(f"{number}.pdf", str(number).encode()) for number in range(33)]
    with client_of(twin) as client:
        none, empty = client.post(PATH, data={"timeout": "0"}), client.post(PATH)
        most, more = send(client, *many[:32]), send(client, *many)

    assert (
        fault_of(none)
        == fault_of(empty)
        == (
            400,
            "validation_error",
            "invalid",
            "You must provide at least one file or presigned URL.",
            "non_field_errors",
        )
    )
    assert (most.status_code, more.status_code) == (200, 400)
    assert fault_of(more)[3].startswith("You can upload a maximum of 32 files")


def test_more_runs_than_the_organization_may_have_are_refused() -> None:
    """The 429 counts them, without ``Retry-After``; finished ones free a place."""
    twin = twin_of(max_concurrent=2)
    with client_of(twin) as client:
        first, second, third = [send(client, ("a.pdf", b"a")) for _ in range(3)]
        twin.pass_time()
        fourth = send(client, ("a.pdf", b"a"))

    assert [a.status_code for a in (first, second, fourth)] == [200] * 3
    limit = "(2/2). Please try again later."
    assert fault_of(third) == (
        429,
        "client_error",
        "error",
        f"Organization has reached the maximum concurrent API requests limit {limit}",
        None,
    )
    assert "retry-after" not in third.headers


def test_the_server_answers_fewer_files_than_were_sent() -> None:
    """One name is joined, the same content answered once, an .exe skipped."""
    twin = twin_of()
    files = (
        ("a.pdf", b"one"),
        ("a.pdf", b"two"),
        ("b.pdf", b"onetwo"),
        ("c.pdf", b"three"),
        ("setup.exe", b"MZ"),
    )
    with client_of(twin) as client:
        message = send(client, *files).json()["message"]
        twin.pass_time()
        items = client.get(message["status_api"]).json()["message"]

    assert [item["file"] for item in items] == ["a.pdf", "c.pdf"]
    assert items[0]["result"]["output"]["size_bytes"] == 6
    assert [file.name for file in twin.submissions[0].files] == [f[0] for f in files]


def test_an_execution_without_a_file_to_answer_completes_with_null() -> None:
    """An empty result is null, as the server's is."""
    twin = twin_of()
    with client_of(twin) as client:
        message = send(client, ("setup.exe", b"MZ")).json()["message"]
        twin.pass_time()
        body = client.get(message["status_api"]).json()

    assert body == {"status": "COMPLETED", "message": None}


def test_a_submission_keeps_every_field_and_any_kind_of_file() -> None:
    """Fields that the twin makes nothing of are on record; a mail is a file, too."""
    twin = twin_of()
    mail = b"Subject: Hi\n\nDear all,\n"
    with client_of(twin) as client:
        send(client, ("a.eml", mail), llm_profile_id="p1", timeout="-1").read()

    (submission,) = twin.submissions
    assert submission.form.values == {"llm_profile_id": "p1", "timeout": "-1"}
    assert submission.form.files == (("a.eml", mail),)


def test_files_fail_by_their_name() -> None:
    """So a user can try a run that fails partly, and one that fails."""
    twin = twin_of()
    broken, fine = ("broken.pdf", b"x"), ("fine.pdf", b"y")
    with client_of(twin) as client:
        answers = [send(client, broken, fine), send(client, broken)]
        twin.pass_time()
        bodies = [client.get(a.json()["message"]["status_api"]).json() for a in answers]

    assert [body["status"] for body in bodies] == ["COMPLETED", "ERROR"]
    assert [item["status"] for item in bodies[0]["message"]] == ["Failed", "Success"]


def test_the_file_history_answers_for_an_earlier_execution() -> None:
    """It is used where it is asked for; its tokens were spent by the earlier run."""
    twin = twin_of()
    with client_of(twin) as client:
        first = send(client, ("a.pdf", b"same")).json()["message"]
        twin.pass_time()
        again = send(client, ("b.pdf", b"same"), use_file_history="true")
        anew = send(client, ("c.pdf", b"same")).json()["message"]
        twin.pass_time()
        message = again.json()["message"]
        body = client.get(PATH, params=ALL | _id(message)).json()
        new = client.get(PATH, params=_id(anew)).json()["message"][0]

    (item,) = body["message"]
    assert new["metadata"]["execution_id"] == anew["execution_id"]
    assert item["file"] == "b.pdf"
    assert item["metadata"]["execution_id"] == first["execution_id"]
    one = twin.world.executions[message["execution_id"]]
    assert obtained(twin, one).total_tokens is None


def _id(message: dict[str, str]) -> dict[str, str]:
    return {"execution_id": message["execution_id"]}


def test_a_synchronous_post_brings_the_result_and_consumes_it() -> None:
    """The result of a run that ends in time is in the envelope of the POST."""
    twin = twin_of()
    with client_of(twin) as client:
        answer = send(client, ("a.pdf", b"a"), timeout="300", include_metadata="true")
        message = answer.json()["message"]
        again = client.get(message["status_api"])

    (item,) = message["result"]
    one = twin.world.executions[message["execution_id"]]
    assert (answer.status_code, message["execution_status"]) == (200, "COMPLETED")
    assert set(item["result"]) == {"output", "metadata"}
    assert again.status_code == 406
    assert twin.world.now() == NOW + timedelta(seconds=3)
    assert obtained(twin, one) == Obtained(
        "COMPLETED",
        "captured",
        [item["result"]["output"]],
        total_tokens=INVOICE_TOKENS,
    )


def test_a_synchronous_post_that_is_too_slow_is_answered_as_running() -> None:
    """Time has gone on by the timeout; the run goes on."""
    twin = twin_of()
    with client_of(twin) as client:
        message = send(client, ("a.pdf", b"a"), timeout="2").json()["message"]

    assert (message["execution_status"], message["result"]) == ("EXECUTING", None)
    assert twin.world.now() == NOW + timedelta(seconds=2)
    assert twin.ledger() == {}


def test_a_synchronous_post_whose_files_fail_is_a_422() -> None:
    """The envelope says ERROR and has the files."""
    with client_of(twin_of()) as client:
        answer = send(client, ("broken.pdf", b"a"), timeout="60")

    message = answer.json()["message"]
    assert (answer.status_code, message["execution_status"]) == (422, "ERROR")
    assert message["result"][0]["status"] == "Failed"


# What goes wrong on the way


@pytest.mark.parametrize("fault", ["cut", "reset", "hang", 500, 504])
def test_a_result_whose_answer_is_lost_is_consumed(fault: Any) -> None:
    """The endpoint ran; the ledger knows that nobody got the whole of it."""
    twin = twin_of()
    one = finished(twin)
    twin.fail_next("execution_id", fault)
    with client_of(twin) as client:
        try:
            client.get(
                PATH, params={"execution_id": one.execution_id}, timeout=0.3
            ).raise_for_status()
        except (httpx.TransportError, httpx.HTTPStatusError) as failure:
            seen = type(failure)
        status, _ = read(client, one)

    assert issubclass(seen, httpx.HTTPError)
    assert status == 406
    assert not twin.ledger()["org_demo/invoices", one.execution_id].is_whole
    assert obtained(twin, one) == Obtained("COMPLETED", "lost_in_transit")


@pytest.mark.parametrize("fault", [429, 503, "html"])
def test_an_answer_from_before_the_server_consumes_nothing(fault: Any) -> None:
    """A rate limit and a proxy's page stand in front of it."""
    twin = twin_of()
    one = finished(twin)
    twin.fail_next("execution_id", fault, body=PAGE if fault == 503 else None)
    with client_of(twin) as client:
        spoilt = client.get(PATH, params={"execution_id": one.execution_id})
        status, _ = read(client, one)

    assert spoilt.status_code == (200 if fault == "html" else fault)
    assert status == 200
    assert obtained(twin, one).result_state == "captured"


@pytest.mark.parametrize("fault", ["cut", "hang", 500])
def test_a_lost_answer_about_a_running_execution_loses_nothing(fault: Any) -> None:
    """There was nothing to consume; the word did not arrive."""
    twin = twin_of()
    one = twin.world.start(INVOICE)
    twin.fail_next("execution_id", fault)
    with client_of(twin) as client:
        with suppress(httpx.TransportError):
            client.get(PATH, params={"execution_id": one.execution_id}, timeout=0.3)
        before = obtained(twin, one)
        twin.pass_time()
        status, _ = read(client, one)

    assert before == Obtained(None, "pending")
    assert status == 200


def test_a_post_whose_answer_is_lost_has_started_an_execution() -> None:
    """Who sent it cannot know its id; only a platform key finds it."""
    twins = [twin_of(), twin_of(platform_key="platform_canary")]
    for twin in twins:
        twin.fail_next(PATH, "reset")
        with client_of(twin) as client, pytest.raises(httpx.TransportError):
            send(client, ("a.pdf", b"a"))

    assert [len(twin.world.executions) for twin in twins] == [1, 1]
    assert [twin.started() for twin in twins] == [[], []]
    assert [list(twin.obtained().values()) for twin in twins] == [
        [],
        [Obtained(None, "pending")],
    ]


def test_a_client_that_left_before_the_answer_has_consumed_it() -> None:
    """A reader that times out loses the result as surely as a broken line does."""
    twin = twin_of(latency_s=0.2)
    one = finished(twin)
    with client_of(twin) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.get(PATH, params={"execution_id": one.execution_id}, timeout=0.05)
        status, _ = read(client, one)

    assert status == 406
    assert obtained(twin, one).result_state == "lost_in_transit"


def test_a_held_body_arrives_whole_once_it_is_released() -> None:
    """Half of it is sent; until the rest is, it does not count as handed out."""
    twin = twin_of()
    waits, one = twin.world.start(INVOICE), finished(twin)
    hold = twin.hold_next_body()
    with client_of(twin) as client:
        assert read(client, waits)[0] == 422  # what is no result is not held
        answers: list[tuple[int, Json]] = []
        reader = threading.Thread(
            target=lambda: answers.append(read(client, one, **ALL))
        )
        reader.start()
        assert hold.half_sent.wait(5)
        before = obtained(twin, one).result_state
        hold.release()
        reader.join(5)

    ((status, body),) = answers
    assert (before, status) == ("lost_in_transit", 200)
    assert obtained(twin, one).result_state == "captured"
    assert twin.ledger()["org_demo/invoices", one.execution_id].body == body


def test_a_client_that_dies_while_a_body_is_held_has_lost_it() -> None:
    """The whole length was promised, half of it came, and the result is consumed."""
    twin = twin_of()
    one = finished(twin)
    hold = twin.hold_next_body()
    with client_of(twin) as client:
        asked = client.stream("GET", PATH, params={"execution_id": one.execution_id})
        with asked as answer:
            first = next(answer.iter_raw())
        hold.release()
        status, _ = read(client, one)

    whole = json.dumps(
        twin.ledger()["org_demo/invoices", one.execution_id].body,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
    assert int(answer.headers["content-length"]) == len(whole)
    assert first == whole[: len(whole) // 2]
    assert status == 406
    assert obtained(twin, one) == Obtained("COMPLETED", "lost_in_transit")


def test_the_twin_is_a_twin() -> None:
    """It has what the demo and the contract tests need; its settings read it."""
    twin: Twin = twin_of(platform_key="platform_canary")

    assert twin.settings("http://x") == {
        "base_url": "http://x",
        "api_key": KEY,
        "organization_id": "org_demo",
        "api_name": "invoices",
        "poll_interval_s": "0.05",
        "platform_key": "platform_canary",
    }
