"""Unstract's finished results whose fields have the usual types: read at once.

What most results are. Of any other, ``normalize`` says what is in it.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import msgspec
import orjson
from msgspec import Raw, UnsetType

from sources.observations import Page
from sources.records import Response, Status
from sources.typed import UNSAID, UNSET, Count, Name, Text, Typed, canonical, null
from sources.unstract.answers import status_by, unknown
from sources.unstract.normalize import deployments_in
from sources.unstract.verdicts import Verdict, by_files, detail
from sources.watched import Watched, watched

__all__ = [
    "NOTHING",
    "Embedding",
    "Llm",
    "Noted",
    "Outcome",
    "Result",
    "Rollup",
    "Took",
    "read",
]

Number = UnsetType | int | float | None
Cost = UnsetType | str | int | float | None
Evidence = UnsetType | dict[str, Any] | None

_COMPLETED = "COMPLETED"
_OTHER_SOURCES = ("listed", "usage")
"""What of a watched execution's context has rows of its own."""


class Llm(Typed):
    """The tokens of a model that answered prompts."""

    model_name: Name = UNSET
    input_tokens: Count = UNSET
    output_tokens: Count = UNSET
    total_tokens: Count = UNSET
    cost_in_dollars: Cost = UNSET


class Embedding(Typed):
    """The tokens of a model that embedded."""

    model_name: Name = UNSET
    embedding_tokens: Count = UNSET
    total_tokens: Count = UNSET
    cost_in_dollars: Cost = UNSET


class Rollup(Typed):
    """The tokens of a file in one sum."""

    file_execution_id: Text = UNSET
    model_name: Name = UNSET
    embedding_tokens: Count = UNSET
    prompt_tokens: Count = UNSET
    completion_tokens: Count = UNSET
    total_tokens: Count = UNSET
    cost_in_dollars: Cost = UNSET


class Tool(Typed):
    """A tool that a file went through."""

    tool_name: Text = UNSET
    elapsed_time: Number = UNSET
    output_type: Text = UNSET


class Took(Typed):
    """The time that a step of a prompt took, seconds."""

    time_s: int | float | None = msgspec.field(name="time_taken(s)")


class Noted(Typed):
    """What stands below a result: evidence, and the tokens by purpose."""

    run_id: Text = UNSET
    file_name: Text = UNSET
    whisper_hash: Text = UNSET
    context: Evidence = UNSET
    highlight_data: Evidence = UNSET
    line_numbers: Evidence = UNSET
    confidence_data: Evidence = UNSET
    word_confidence_data: Evidence = UNSET
    required_fields: UnsetType | dict[str, bool | None] | None = UNSET
    extracted_text: Text = UNSET
    embedding: UnsetType | list[Embedding] | None = UNSET
    extraction_llm: UnsetType | list[Llm] | None = UNSET
    challenge_llm: UnsetType | list[Llm] | None = UNSET
    summarize_llm: UnsetType | list[Llm] | None = UNSET
    lookup_llm: UnsetType | list[Llm] | None = UNSET


class Outcome(Typed):
    """The result of a file."""

    output: Any = UNSET
    metadata: UnsetType | Noted | None = UNSET
    metrics: UnsetType | dict[str, dict[str, Took]] | None = UNSET


class Meta(Typed):
    """What the server notes of a file."""

    source_name: Text = UNSET
    source_hash: Text = UNSET
    organization_id: Text = UNSET
    workflow_id: Text = UNSET
    execution_id: Text = UNSET
    file_execution_id: Text = UNSET
    tags: UnsetType | list[str] | None = UNSET
    total_elapsed_time: Number = UNSET
    total_pages_processed: Count = UNSET
    workflow_start_time: Number = UNSET
    tool_metadata: UnsetType | list[Tool] | None = UNSET
    usage: UnsetType | Rollup | None = UNSET


class File(Typed):
    """A file of a result."""

    file: str
    status: str
    file_execution_id: Text = UNSET
    error: Text = UNSET
    result: UnsetType | Outcome | str | None = UNSET
    metadata: UnsetType | Meta | None = UNSET
    extracted_text: Text = UNSET


class _Body(Typed):
    status: str
    message: list[File]


class Result(Page, kw_only=True):
    """The answer that hands out the result of one execution."""

    known: Watched
    verdict: Verdict
    sha256: str
    files: list[File]
    statuses: list[Status]


_BODY = msgspec.json.Decoder(_Body)
NOTHING, _NO_ROLLUP = Meta(), Rollup()


def read(response: Response) -> Result | None:
    """Return the answer about one execution, if it is regular, or ``None``."""
    if response.endpoint != "execution" or response.outcome != "ok":
        return None
    known = watched(response)
    is_local = known.started_at and known.started_at.utcoffset() != timedelta()
    is_told_elsewhere = any(name in known.context for name in _OTHER_SOURCES)
    if not known.execution_id or is_local or is_told_elsewhere:
        return None
    try:
        return _result(response, response.body or b"", known)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None  # TypeError: orjson refuses depth and big integers


def _result(response: Response, content: bytes, known: Watched) -> Result | None:
    body = _BODY.decode(content)
    if body.status != _COMPLETED:
        return None
    encoded = canonical(body, content)
    _check_depth(body.message)
    statuses = [status_by(file.status) for file in body.message]
    files = zip(body.message, statuses, strict=True)
    if not all(_is_plain(file, status, known) for file, status in files):
        return None
    sent = known.context.get("sent")
    if sent and unknown(sent, _known_by(body.message)):
        return None
    verdict = Verdict(
        status=by_files(statuses, is_whole=True),
        word=_COMPLETED,
        result_state="captured",
        is_terminal=True,
    )
    seen = detail(response, known, known.execution_id, verdict, Raw(encoded))
    return Result(
        response=response,
        keys=[seen.key],
        workflows=deployments_in(response, known),
        known=known,
        verdict=verdict,
        sha256=seen.sha256,
        files=body.message,
        statuses=statuses,
    )


def _check_depth(files: Sequence[File]) -> None:
    """Raise unless what may hold anything is no deeper than a store can take."""
    results = [file.result for file in files if isinstance(file.result, Outcome)]
    outputs = null(result.output for result in results)
    noted = [one.metadata for one in results if isinstance(one.metadata, Noted)]
    evidence = [
        each
        for one in noted
        for each in (
            one.context,
            one.highlight_data,
            one.line_numbers,
            one.confidence_data,
            one.word_confidence_data,
        )
        if each
    ]
    orjson.dumps([[[outputs, [evidence]]]])  # as deep as they stand in the body


def _is_plain(file: File, status: Status, known: Watched) -> bool:
    """Tell whether all parts of a file say the same, and of this execution."""
    meta = file.metadata or NOTHING
    rollup = meta.usage or _NO_ROLLUP
    is_named_once = {file.file_execution_id, meta.file_execution_id} - UNSAID
    return (
        meta.source_name in {*UNSAID, file.file}
        and len(is_named_once) <= 1
        and rollup.file_execution_id in {*UNSAID, meta.file_execution_id}
        and meta.execution_id in {*UNSAID, known.execution_id}
        and (bool(file.error) if status == "failed" else file.error != "")
        and _is_shaped(file.result)
    )


def _is_shaped(result: UnsetType | Outcome | str | None) -> bool:
    """Tell whether an object is a result with its parts, or the result itself."""
    return not isinstance(result, Outcome) or any(
        part is not UNSET for part in (result.output, result.metadata, result.metrics)
    )


def _known_by(files: Sequence[File]) -> set[tuple[str, str | None]]:
    """Return what the files of an answer are known by, as ``unreturned`` has it."""
    known = {("name", file.file) for file in files if file.file}
    hashes = [(file.metadata or NOTHING).source_hash for file in files]
    return known | {("hash", one) for one in hashes if isinstance(one, str) and one}
