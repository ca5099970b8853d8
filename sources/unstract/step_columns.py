"""Steps and evidence in finished results of Unstract, as columns."""

from collections.abc import Mapping
from itertools import chain

from sources.columnar import (
    IrregularError,
    elements,
    joined,
    spread,
    text_or_json,
    unzipped,
)
from sources.json_text import pointer
from sources.records import Citation, ExecutionStep
from sources.typed import each
from sources.unstract.citations import KINDS, page_of, pieces
from sources.unstract.file_columns import Files, Tables, doubles
from sources.unstract.files import TIME_TAKEN
from sources.unstract.regular import Took

__all__ = ["citations", "steps"]


def steps(files: Files) -> Tables:
    """Yield tools, times taken, and whether required fields were found."""
    tools = [meta.tool_metadata or [] for meta in files.metas]
    of, positions = spread([len(used) for used in tools])
    used = list(chain.from_iterable(tools))
    yield (
        ExecutionStep,
        files.rows(
            ExecutionStep,
            of,
            elements("/metadata/tool_metadata", positions),
            kind="tool",
            position=positions,
            name=each(used, "tool_name"),
            elapsed_s=doubles(each(used, "elapsed_time")),
            output_type=each(used, "output_type"),
        ),
    )
    timed = [
        timed
        for file, result in files.results
        for timed in _timed(file, result.metrics or {})
    ]
    of, positions, below, prompts, names, seconds = unzipped(timed, 6)
    yield (
        ExecutionStep,
        files.rows(
            ExecutionStep,
            of,
            joined("/result/metrics", below),
            kind="metric",
            position=positions,
            step_id=prompts,
            name=names,
            elapsed_s=doubles(seconds),
        ),
    )
    required = [
        (file, position, pointer(name), name, is_found)
        for file, fields in files.saying("required_fields")
        for position, (name, is_found) in enumerate(fields.items())
    ]
    of, positions, below, names, are_found = unzipped(required, 5)
    yield (
        ExecutionStep,
        files.rows(
            ExecutionStep,
            of,
            joined("/result/metadata/required_fields", below),
            kind="required_field",
            position=positions,
            name=names,
            is_passed=are_found,
        ),
    )


def citations(files: Files) -> Tables:
    """Yield the evidence, kind after kind."""
    for name, kind in KINDS.items():
        found = [
            (file, prompt, *piece)
            for file, prompts in files.saying(name)
            for prompt, given in prompts.items()
            for piece in pieces(given, pointer(prompt))
        ]
        of, prompts, below, positions, values = unzipped(found, 5)
        yield (
            Citation,
            files.rows(
                Citation,
                of,
                joined(f"/result/metadata/{name}", below),
                prompt_key=prompts,
                kind=kind,
                position=positions,
                page=[page_of(value) for value in values],
                **text_or_json(values, "text"),
            ),
        )


def _timed(
    file: int, metrics: Mapping[str, Mapping[str, Took]]
) -> list[tuple[int, int, str, str, str, float | None]]:
    """Return file, place, JSON Pointer, prompt, step and seconds of each time taken."""
    found: list[tuple[int, int, str, str, str, float | None]] = []
    for prompt, steps in metrics.items():
        if prompt == TIME_TAKEN or TIME_TAKEN in steps:
            raise IrregularError("a step with the name of a figure")
        at = pointer(prompt)
        for step, took in steps.items():
            below = at + pointer(step)
            found.append((file, len(found), below, prompt, step, took.time_s))
    return found
