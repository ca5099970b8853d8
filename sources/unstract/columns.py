"""Unstract's finished results by columns, where their fields have the usual types.

The same rows as those of ``normalize``. An answer with anything odd in it goes that
way.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from sources.columnar import (
    MOMENT,
    IrregularError,
    elements,
    spread,
    text_or_json,
    unzipped,
)
from sources.records import (
    ErrorRecord,
    Execution,
    ExecutionFile,
    ExecutionTag,
    Output,
    Record,
    StatusChange,
    workflow_key,
)
from sources.typed import UNSET, each
from sources.unstract.file_columns import Files, Tables, doubles
from sources.unstract.regular import Result, read
from sources.unstract.step_columns import citations, steps
from sources.unstract.usage_columns import usage

__all__ = ["read", "tables"]

_START = "workflow_start_time"
_KEPT_OF_FILE = ("organization_id", _START)
_KEPT_OF_RESULT = ("run_id", "file_name", "whisper_hash")


def tables(pages: Sequence[Result]) -> list[tuple[type[Record], pa.Table]]:
    """Return all rows of executions that nobody has seen before.

    Raises ``IrregularError`` where one of the answers is not regular after all.
    """
    files = Files(pages)
    return [
        *_executions(files),
        *_files(files),
        *_outputs(files),
        *usage(files),
        *steps(files),
        *citations(files),
        *_metadata(files),
        *_tags(files),
    ]


def _executions(files: Files) -> Tables:
    scopes = [page.known.scope for page in files.pages]
    of = (files.owners.provider, files.owners.connection)
    flows = {scope: workflow_key(*of, scope) for scope in set(scopes) if scope}
    statuses = [page.verdict.status for page in files.pages]
    words = [page.verdict.word for page in files.pages]
    started = pa.array(_starts(files), MOMENT)
    yield (
        Execution,
        files.owners.whole(
            Execution,
            execution_id=[page.known.execution_id for page in files.pages],
            scope=scopes,
            workflow_key=[flows.get(scope) for scope in scopes],
            status=statuses,
            provider_status=words,
            is_terminal=True,
            result_state="captured",
            day=pc.cast(pc.coalesce(started, files.owners.received), pa.date32()),
            started_at=started,
            first_seen_at=files.owners.received,
            content_sha256=[page.sha256 for page in files.pages],
        ),
    )
    yield (
        StatusChange,
        files.owners.changes(statuses, words),
    )


def _starts(files: Files) -> Iterator[datetime | None]:
    """Yield when each execution started: when the first of its files did."""
    for page in files.pages:
        metas = [file.metadata for file in page.files if file.metadata]
        times = [time for time in each(metas, _START) if time is not None]
        yield min(map(_moment, times), default=page.known.started_at)


def _files(files: Files) -> Tables:
    said, metas = files.said, files.metas
    runs = each(said, "file_execution_id")
    meant = zip(runs, each(metas, "file_execution_id"), strict=True)
    errors = each(said, "error")
    yield (
        ExecutionFile,
        files.of_files.rows(
            ExecutionFile,
            pa.array(range(len(said)), pa.int64()),
            "",
            position=files.positions,
            file_name=each(said, "file"),
            file_execution_id=[noted if run is None else run for run, noted in meant],
            status=[status for page in files.pages for status in page.statuses],
            provider_status=each(said, "status"),
            source_hash=each(metas, "source_hash"),
            workflow_id=each(metas, "workflow_id"),
            original_execution_id=each(metas, "execution_id"),
            elapsed_s=doubles(each(metas, "total_elapsed_time")),
            pages_processed=each(metas, "total_pages_processed"),
            error_message=errors,
        ),
    )
    failed = [file for file, error in enumerate(errors) if error]
    yield (
        ErrorRecord,
        files.rows(
            ErrorRecord,
            failed,
            "/error",
            level="file",
            http_status=files.of_files.codes.take(pa.array(failed, pa.int64())),
            message=[errors[file] for file in failed],
        ),
    )


def _outputs(files: Files) -> Tables:
    found: list[tuple[int, str, str, object]] = []
    texts = each(files.said, "extracted_text")
    for file, said in enumerate(files.said):
        if isinstance(said.result, str):
            found.append((file, "/result", "output", said.result))
        if texts[file] is not None:
            found.append((file, "/extracted_text", "extracted_text", texts[file]))
    for file, result in files.results:
        if result.output is not UNSET and result.output is not None:
            found.append((file, "/result/output", "output", result.output))
    path = "/result/metadata/extracted_text"
    for file, noted in files.noted:
        again = noted.extracted_text
        if isinstance(again, str) and again != texts[file]:
            found.append((file, path, "extracted_text", again))
    files_of, below, names, values = unzipped(found, 4)
    of = pa.array(files_of, pa.int64())
    yield (
        Output,
        files.rows(
            Output,
            of,
            below,
            position=files.positions.take(of),
            name=names,
            **text_or_json(values, "value_text"),
        ),
    )


def _metadata(files: Files) -> Tables:
    """Yield what no other table models."""
    for name in _KEPT_OF_FILE:
        values = [getattr(meta, name) for meta in files.metas]
        # of a start that is not said, the tolerant way keeps nothing, null or not
        unsaid = {UNSET, None} if name == _START else {UNSET}
        kept = [(f, value) for f, value in enumerate(values) if value not in unsaid]
        yield files.kept(kept, f"/metadata/{name}")
    for name in _KEPT_OF_RESULT:
        found = [(file, getattr(noted, name)) for file, noted in files.noted]
        kept = [(file, value) for file, value in found if value is not UNSET]
        yield files.kept(kept, f"/result/metadata/{name}")


def _tags(files: Files) -> Tables:
    yield ExecutionTag, files.owners.tags([page.known.tags for page in files.pages])
    noted = [meta.tags or [] for meta in files.metas]
    of, positions = spread([len(tags) for tags in noted])
    yield (
        ExecutionTag,
        files.rows(
            ExecutionTag,
            of,
            elements("/metadata/tags", positions),
            tag=list(chain.from_iterable(noted)),
        ),
    )


def _moment(since_1970: float) -> datetime:
    try:
        return datetime.fromtimestamp(float(since_1970), UTC)
    except (OverflowError, OSError, ValueError):
        raise IrregularError("no time") from None
