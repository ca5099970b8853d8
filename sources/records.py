"""The normalized model: one class is one table, documented field by field.

Text keys; times in UTC; tokens and ``*_ms`` whole numbers; ``*_s`` seconds;
``*_usd`` decimals; ``Json`` is JSON text. Unknown is ``None``, never 0. The
documentation of a class and of its fields becomes the table's and the columns'
comments in the store.
"""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, ClassVar, Literal, NewType
from urllib.parse import unquote

import msgspec

__all__ = [
    "LOST",
    "TABLES",
    "CheckResult",
    "Citation",
    "Entity",
    "ErrorRecord",
    "Execution",
    "ExecutionFile",
    "ExecutionMetadata",
    "ExecutionStep",
    "ExecutionTag",
    "GroundingSource",
    "Json",
    "Ledger",
    "LoadReject",
    "Mode",
    "ModelPrice",
    "Outcome",
    "Output",
    "Record",
    "Response",
    "ResultState",
    "Run",
    "Snapshot",
    "Sourced",
    "Status",
    "StatusChange",
    "TokenUsage",
    "Workflow",
    "child_key",
    "execution_key",
    "request_key",
    "scope_of",
    "workflow_key",
]

Json = NewType("Json", str)
"""JSON text, as ``values.encode`` writes it."""

Status = Literal[
    "queued",
    "running",
    "succeeded",
    "partially_succeeded",
    "failed",
    "cancelled",
    "expired",
    "unknown",
]
"""The neutral status; the provider's own word stands beside it."""

ResultState = Literal[
    "pending",
    "available",
    "captured",
    "acknowledged_elsewhere",
    "lost_in_transit",
    "expired",
    "missing",
]
"""Where the result is; ``LOST`` are those where nobody here can get it."""

LOST: tuple[ResultState, ...] = (
    "acknowledged_elsewhere",
    "lost_in_transit",
    "expired",
    "missing",
)
"""States of results that nobody here can get."""

Outcome = Literal[
    "ok",
    "unchanged",
    "pending",
    "rejected",
    "http_error",
    "transport_error",
    "truncated",
]
"""What became of one HTTP response."""


class Mode(StrEnum):
    """How a table takes new rows."""

    SNAPSHOT = "snapshot"
    """Replaced as a whole for each execution that is read again."""
    ENTITY = "entity"
    """The newest row of a key wins."""
    LEDGER = "ledger"
    """Append only; a key that is there already stays as it is."""


def _part(text: str) -> str:
    """Percent-encode what would make a key ambiguous: colon and percent."""
    return text.replace("%", "%25").replace(":", "%3A")


def execution_key(provider: str, connection: str, scope: str, execution_id: str) -> str:
    """Return the key of an execution, ``provider:connection:scope:execution_id``.

    >>> execution_key("torale", "default", "task-1", "a:b")
    'torale:default:task-1:a%3Ab'
    """
    return ":".join(map(_part, (provider, connection, scope, execution_id)))


def scope_of(key: str) -> str:
    """Return the scope that the key of an execution names.

    >>> scope_of("unstract:default:org%3A1/invoices:7")
    'org:1/invoices'
    """
    return unquote(key.split(":")[2])


def workflow_key(provider: str, connection: str, workflow_id: str) -> str:
    """Return the key of a workflow, ``provider:connection:workflow_id``."""
    return ":".join(map(_part, (provider, connection, workflow_id)))


def request_key(provider: str, connection: str, endpoint: str, scope: str) -> str:
    """Return the key under which errors of no single execution are kept."""
    parts = (provider, connection, endpoint, scope)
    return "request:" + ":".join(map(_part, parts))


def child_key(owner: str, pointer: str) -> str:
    """Return a row's key: its execution's, ``/``, a JSON Pointer into the response."""
    return f"{owner}/{pointer}"


class Record(msgspec.Struct, kw_only=True, gc=False):
    """A row of a table; the subclasses are the tables."""

    TABLE: ClassVar[str]
    MODE: ClassVar[Mode]
    KEY: ClassVar[Sequence[str]]


class Sourced(Record, kw_only=True):
    """A row that comes from one provider and one connection to it."""

    provider: Annotated[str, "discuro, unstract or torale"]
    connection: Annotated[str, "The configured account or API deployment"]


class Snapshot(Sourced, kw_only=True):
    """A row of a table that is replaced as a whole for each re-read execution."""

    MODE: ClassVar[Mode] = Mode.SNAPSHOT

    execution_key: Annotated[str, "provider:connection:scope:execution_id"]
    response_id: Annotated[str, "The response that this row was read from"]
    is_gone: Annotated[
        bool | None, "Only during a load: marks a table emptied for this execution"
    ] = None


class Entity(Sourced, kw_only=True):
    """A row of a table in which the newest row of a key wins."""

    MODE: ClassVar[Mode] = Mode.ENTITY


class Ledger(Sourced, kw_only=True):
    """A row of a table that only grows."""

    MODE: ClassVar[Mode] = Mode.LEDGER


class Execution(Snapshot, kw_only=True):
    """One row per execution, as last observed."""

    TABLE: ClassVar[str] = "executions"
    KEY: ClassVar[Sequence[str]] = ("execution_key",)

    execution_id: Annotated[str, "The provider's id of the execution"]
    scope: Annotated[
        str, "Task id (Torale), organization_id/api_name (Unstract), empty (Discuro)"
    ]
    workflow_key: Annotated[str | None, "The workflow that was executed"] = None
    status: Annotated[
        Status,
        "queued, running, succeeded, partially_succeeded, failed, cancelled, expired "
        "or unknown",
    ]
    provider_status: Annotated[str | None, "The provider's own word, verbatim"] = None
    is_terminal: Annotated[bool, "Whether the status is final"]
    result_state: Annotated[
        ResultState | None,
        "pending, available, captured, acknowledged_elsewhere, lost_in_transit, "
        "expired or missing",
    ] = None
    day: Annotated[
        date | None, "UTC date of started_at, else created_at, else first_seen_at"
    ] = None
    created_at: Annotated[datetime | None, "When the execution was created"] = None
    started_at: Annotated[datetime | None, "When the execution started"] = None
    ended_at: Annotated[datetime | None, "When the execution ended"] = None
    duration_ms: Annotated[int | None, "ended_at less started_at, milliseconds"] = None
    is_passed: Annotated[bool | None, "Whether the provider says it passed"] = None
    condition_met: Annotated[
        bool | None, "Whether the watched condition was met (Torale)"
    ] = None
    change_summary: Annotated[
        str | None, "What changed since the execution before, in the provider's words"
    ] = None
    notification: Annotated[
        str | None, "The text that the provider notified people with, markdown"
    ] = None
    error_message: Annotated[str | None, "The provider's error text, verbatim"] = None
    first_seen_at: Annotated[datetime, "When a response first showed the execution"]
    observed_at: Annotated[datetime, "When the response that last changed it came"]
    expires_at: Annotated[datetime | None, "When the provider deletes the result"] = (
        None
    )
    content_sha256: Annotated[str, "Hash of the observation that this row holds"]
    list_sha256: Annotated[
        str | None, "Hash of the list item last seen; alone decides 'changed'"
    ] = None


class ExecutionFile(Snapshot, kw_only=True):
    """One row per file of an Unstract run."""

    TABLE: ClassVar[str] = "execution_files"
    KEY: ClassVar[Sequence[str]] = ("file_key",)

    file_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    position: Annotated[int, "Place in the answer, from 0"]
    file_name: Annotated[str | None, "The file's name as the provider gives it"] = None
    file_execution_id: Annotated[str | None, "The provider's id of this file's run"] = (
        None
    )
    status: Annotated[Status, "Neutral status of the file"]
    provider_status: Annotated[str | None, "The provider's own word, verbatim"] = None
    source_hash: Annotated[str | None, "The provider's hash of the content"] = None
    workflow_id: Annotated[str | None, "The provider's id of the workflow"] = None
    original_execution_id: Annotated[
        str | None, "The execution in which the file was really processed"
    ] = None
    elapsed_s: Annotated[float | None, "Processing time, seconds"] = None
    pages_processed: Annotated[int | None, "Pages processed"] = None
    error_message: Annotated[str | None, "The file's error text, verbatim"] = None


class ExecutionStep(Snapshot, kw_only=True):
    """One row per step: property, layer, tool, metric, activity; a tree."""

    TABLE: ClassVar[str] = "execution_steps"
    KEY: ClassVar[Sequence[str]] = ("step_key",)

    step_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    parent_step_key: Annotated[str | None, "The step above, if any"] = None
    file_key: Annotated[str | None, "The file that the step belongs to, if any"] = None
    kind: Annotated[str, "property, layer, tool, metric, required_field or activity"]
    position: Annotated[int, "Place among its siblings, from 0"]
    step_id: Annotated[str | None, "The provider's id of the step"] = None
    name: Annotated[str | None, "The step's name"] = None
    status: Annotated[Status | None, "Neutral status of the step"] = None
    is_passed: Annotated[bool | None, "Whether the step passed"] = None
    started_at: Annotated[datetime | None, "When the step started"] = None
    ended_at: Annotated[datetime | None, "When the step ended"] = None
    elapsed_s: Annotated[float | None, "Time that the step took, seconds"] = None
    output_type: Annotated[str | None, "The type of output that a tool gave"] = None


class Output(Snapshot, kw_only=True):
    """One row per result: a record of data, a file's result, a task's answer."""

    TABLE: ClassVar[str] = "outputs"
    KEY: ClassVar[Sequence[str]] = ("output_key",)

    output_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    file_key: Annotated[str | None, "The file that the output belongs to, if any"] = (
        None
    )
    position: Annotated[int, "Place in the answer, from 0"]
    name: Annotated[str | None, "What the output is, such as result or answer"] = None
    value: Annotated[Json | None, "The output where it is not a text"] = None
    value_text: Annotated[str | None, "The output where it is a text"] = None


class TokenUsage(Snapshot, kw_only=True):
    """One row per execution or file, purpose and model: tokens and provided cost."""

    TABLE: ClassVar[str] = "token_usage"
    KEY: ClassVar[Sequence[str]] = ("usage_key",)

    usage_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    file_key: Annotated[str | None, "The file that spent the tokens, if any"] = None
    operation: Annotated[str | None, "chat, embeddings or invoke_workflow"] = None
    purpose: Annotated[
        str, "extraction, challenge, summarize, lookup, embedding or unknown"
    ]
    source: Annotated[str, "result, rollup or platform: where the figure stood"]
    model_provider: Annotated[str | None, "The model's vendor, such as azure"] = None
    model: Annotated[str | None, "The model, without its vendor"] = None
    model_basis: Annotated[str, "reported, assumed or missing"]
    input_tokens: Annotated[int | None, "Tokens read"] = None
    output_tokens: Annotated[int | None, "Tokens written"] = None
    total_tokens: Annotated[int | None, "Tokens in all, as the provider says"] = None
    cached_input_tokens: Annotated[int | None, "Of those read, from a cache"] = None
    cache_write_tokens: Annotated[int | None, "Of those read, into a cache"] = None
    reasoning_tokens: Annotated[int | None, "Of those written, for reasoning"] = None
    provided_cost_usd: Annotated[Decimal | None, "Cost as the provider says"] = None
    spent_by_execution_id: Annotated[
        str | None, "The earlier execution that spent these tokens, if another"
    ] = None
    is_counted: Annotated[bool, "Whether sums count this row: each token counts once"]


class GroundingSource(Snapshot, kw_only=True):
    """One row per web source that an execution rests on."""

    TABLE: ClassVar[str] = "grounding_sources"
    KEY: ClassVar[Sequence[str]] = ("source_key",)

    source_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    position: Annotated[int, "Place among the execution's sources, from 0"]
    uri: Annotated[str | None, "The source's address, verbatim"] = None
    title: Annotated[str | None, "The source's title"] = None
    snippet: Annotated[str | None, "The excerpt that the provider gives"] = None
    domain: Annotated[str | None, "Registrable domain of the address"] = None
    is_valid_uri: Annotated[
        bool | None, "Whether the address is absolute http(s) with a host"
    ] = None


class Citation(Snapshot, kw_only=True):
    """One row per piece of context, highlight, line or confidence behind an answer."""

    TABLE: ClassVar[str] = "citations"
    KEY: ClassVar[Sequence[str]] = ("citation_key",)

    citation_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    file_key: Annotated[str | None, "The file that is cited, if any"] = None
    prompt_key: Annotated[str | None, "The prompt that it stands behind"] = None
    kind: Annotated[
        str, "context, highlight, line_number, confidence or word_confidence"
    ]
    position: Annotated[int, "Place among its siblings, from 0"]
    page: Annotated[int | None, "Page in the file, as the provider counts"] = None
    text: Annotated[str | None, "The cited text"] = None
    value: Annotated[Json | None, "The citation where it is not a text"] = None


class ErrorRecord(Snapshot, kw_only=True):
    """One row per error, at any level."""

    TABLE: ClassVar[str] = "errors"
    KEY: ClassVar[Sequence[str]] = ("error_key",)

    error_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    file_key: Annotated[str | None, "The file that failed, if any"] = None
    step_key: Annotated[str | None, "The step that failed, if any"] = None
    level: Annotated[str, "request, execution, file or step"]
    http_status: Annotated[int | None, "HTTP status of the answer, if one came"] = None
    error_type: Annotated[str | None, "The provider's type of error"] = None
    error_code: Annotated[str | None, "The provider's code"] = None
    error_param: Annotated[str | None, "The parameter that the provider blames"] = None
    message: Annotated[str | None, "What went wrong, as text"] = None
    provider_message: Annotated[Json | None, "The provider's whole error document"] = (
        None
    )


class ExecutionTag(Snapshot, kw_only=True):
    """One row per tag of an execution or file."""

    TABLE: ClassVar[str] = "execution_tags"
    KEY: ClassVar[Sequence[str]] = ("tag_key",)

    tag_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    file_key: Annotated[str | None, "The file that is tagged, if any"] = None
    tag: Annotated[str, "The tag's name"]
    tag_value: Annotated[str | None, "The tag's value, if it has one"] = None


class ExecutionMetadata(Snapshot, kw_only=True):
    """One row per field that no other table models, and per metadata object."""

    TABLE: ClassVar[str] = "execution_metadata"
    KEY: ClassVar[Sequence[str]] = ("metadata_key",)

    metadata_key: Annotated[str, "execution_key, '/', JSON Pointer into the response"]
    file_key: Annotated[str | None, "The file that it belongs to, if any"] = None
    path: Annotated[str, "JSON Pointer into the response"]
    value: Annotated[Json, "The field's value, the whole subtree"]


class Workflow(Entity, kw_only=True):
    """One row per thing that is executed: task, API deployment, orchestrator."""

    TABLE: ClassVar[str] = "workflows"
    KEY: ClassVar[Sequence[str]] = ("workflow_key",)

    response_id: Annotated[str, "The response that this row was read from"]
    workflow_key: Annotated[str, "provider:connection:workflow_id"]
    workflow_id: Annotated[str, "The provider's id of the workflow"]
    kind: Annotated[str, "task, api_deployment, orchestrator or prompt_template"]
    name: Annotated[str | None, "The workflow's name"] = None
    state: Annotated[str | None, "The provider's word for its state"] = None
    definition: Annotated[Json | None, "The whole definition as the provider gives it"]
    first_seen_at: Annotated[datetime, "When a response first showed the workflow"]
    observed_at: Annotated[datetime, "When the response that last changed it came"]


class ModelPrice(Record, kw_only=True):
    """One row per model vendor, model and first day of a price: unit prices."""

    MODE: ClassVar[Mode] = Mode.ENTITY
    TABLE: ClassVar[str] = "model_prices"
    KEY: ClassVar[Sequence[str]] = ("model_provider", "model", "valid_from")

    model_provider: Annotated[
        str, "The model's vendor, as usage names it; empty where it names none"
    ]
    model: Annotated[str, "The model, as usage names it"]
    valid_from: Annotated[
        date, "First UTC day on which the price holds; 1970-01-01 is always"
    ]
    input_usd: Annotated[Decimal | None, "Per token read"] = None
    output_usd: Annotated[Decimal | None, "Per token written"] = None
    cached_input_usd: Annotated[Decimal | None, "Per token read from a cache"] = None
    cache_write_usd: Annotated[Decimal | None, "Per token written to a cache"] = None
    reasoning_usd: Annotated[Decimal | None, "Per token of reasoning"] = None
    embedding_usd: Annotated[Decimal | None, "Per token embedded"] = None
    price_version: Annotated[str | None, "Version of the list of prices"] = None
    origin: Annotated[
        str | None, "genai-prices, own or unknown; with a discount, that too"
    ] = None


class Response(Ledger, kw_only=True):
    """One row per HTTP response, as it came: everything can be rebuilt from these."""

    TABLE: ClassVar[str] = "raw_responses"
    KEY: ClassVar[Sequence[str]] = ("response_id",)

    response_id: Annotated[str, "A UUIDv7: sorts by received_at"]
    endpoint: Annotated[str, "What was asked for, such as executions or tasks"]
    method: Annotated[str, "HTTP method"]
    url: Annotated[str, "The address, secrets masked"]
    params: Annotated[
        Json,
        "What was asked with; below 'answered', what the envelope of the answer says",
    ]
    http_status: Annotated[int | None, "HTTP status; none where no answer came"] = None
    headers: Annotated[Json, "Headers of the answer that are allowed to be kept"]
    received_at: Annotated[datetime, "When it came, by the journal's rising clock"]
    elapsed_ms: Annotated[int, "From the last try's start to its end, milliseconds"]
    attempts: Annotated[int, "Tries of this request, this one included"]
    outcome: Annotated[
        Outcome,
        "ok, unchanged, pending, rejected, http_error, transport_error or truncated",
    ]
    body: Annotated[
        bytes | None, "The body, decoded, signatures masked; none where unchanged"
    ] = None
    body_sha256: Annotated[str | None, "Hash of the body as it came"] = None
    size_bytes: Annotated[int, "Length of the body as it came, decoded"]
    normalizer_version: Annotated[int | None, "Version of the rules that read it"] = (
        None
    )
    error: Annotated[str | None, "What went wrong in transport, if it did"] = None


class StatusChange(Ledger, kw_only=True):
    """One row per change of status that was seen."""

    TABLE: ClassVar[str] = "status_history"
    KEY: ClassVar[Sequence[str]] = ("execution_key", "observed_at")

    execution_key: Annotated[str, "provider:connection:scope:execution_id"]
    response_id: Annotated[str, "The response that showed the change"]
    observed_at: Annotated[datetime, "When that response came"]
    status: Annotated[Status, "Neutral status from then on"]
    provider_status: Annotated[str | None, "The provider's own word, verbatim"] = None
    http_status: Annotated[int | None, "HTTP status of that response"] = None


class LoadReject(Ledger, kw_only=True):
    """One row per value that did not fit; the rest of its row was loaded."""

    TABLE: ClassVar[str] = "load_rejects"
    KEY: ClassVar[Sequence[str]] = ("reject_key",)

    response_id: Annotated[str, "The response that held the value"]
    reject_key: Annotated[str, "Same value at the same place of the same execution"]
    execution_key: Annotated[
        str | None, "The execution, or the request where it concerns no single one"
    ] = None
    path: Annotated[str, "JSON Pointer into the response"]
    reason: Annotated[str, "Why it did not fit"]
    value_sha256: Annotated[str, "Hash of the value as JSON"]
    first_seen_at: Annotated[datetime, "When that response came"]


class Run(Record, kw_only=True):
    """One row per run of a command that wrote the store."""

    MODE: ClassVar[Mode] = Mode.LEDGER
    TABLE: ClassVar[str] = "runs"
    KEY: ClassVar[Sequence[str]] = ("run_id",)

    provider: Annotated[str | None, "The provider, where the run was of one"] = None
    connection: Annotated[str | None, "The connection, where it was of one"] = None
    run_id: Annotated[str, "A UUIDv7: sorts by started_at"]
    command: Annotated[str, "load, replay, reprice, check, prune or copy"]
    started_at: Annotated[datetime, "When the run began"]
    ended_at: Annotated[datetime | None, "When it was about to publish"] = None
    outcome: Annotated[str, "ok or partial"]
    counts: Annotated[Json, "What was read and written, by provider and connection"]
    error: Annotated[str | None, "What failed, in words"] = None


class CheckResult(Record, kw_only=True):
    """One row per outcome of a check."""

    MODE: ClassVar[Mode] = Mode.LEDGER
    TABLE: ClassVar[str] = "check_results"
    KEY: ClassVar[Sequence[str]] = ("run_id", "check_name")

    provider: Annotated[str | None, "The provider, where the check is of one"] = None
    connection: Annotated[str | None, "The connection, where it is of one"] = None
    run_id: Annotated[str, "The run that made the check"]
    check_name: Annotated[str, "Name of the check"]
    started_at: Annotated[datetime, "When the check began"]
    ended_at: Annotated[datetime, "When it ended"]
    outcome: Annotated[str, "passed, failed or error"]
    counts: Annotated[Json, "Rows that failed, and examples"]
    error: Annotated[str | None, "Why the check could not run"] = None


TABLES: dict[str, type[Record]] = {
    record.TABLE: record
    for record in (
        Execution,
        ExecutionFile,
        ExecutionStep,
        Output,
        TokenUsage,
        GroundingSource,
        Citation,
        ErrorRecord,
        ExecutionTag,
        ExecutionMetadata,
        Workflow,
        ModelPrice,
        Response,
        StatusChange,
        LoadReject,
        Run,
        CheckResult,
    )
}
"""Every table of the store by its name, in the order of ``tables``."""
