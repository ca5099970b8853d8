"""Discuro's results by columns, where their fields have the usual types.

The same rows as those of ``normalize``. An answer about an execution that has not
passed, or with anything odd in it, goes that way.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw, UnsetType

from sources.columnar import (
    IrregularError,
    Owners,
    elements,
    joined,
    milliseconds,
    seconds,
    spread,
    text_or_json,
    times,
)
from sources.discuro.mapping import assumed_model
from sources.discuro.normalize import by_word, detail, workflows_in
from sources.discuro.steps import STATUS_OF_STEP
from sources.json_text import pointer
from sources.observations import Page
from sources.records import (
    Execution,
    ExecutionStep,
    ExecutionTag,
    Output,
    Record,
    Response,
    StatusChange,
    TokenUsage,
)
from sources.typed import UNSET, Count, Flag, Text, Typed, canonical, each
from sources.watched import Watched, watched

__all__ = ["read", "tables"]

_ENDED = "ended"
_PASSED = by_word({"status": _ENDED, "passed": True})
_DEEP = 100
"""Layers below each other that are read here; deeper ones may be cut."""


class _Named(Typed):
    name: Text = UNSET


class _Step(Typed):
    start: Text = UNSET
    end: Text = UNSET
    passed: Flag = UNSET
    error: UnsetType | None = UNSET
    property: UnsetType | _Named | None = UNSET
    layer_results: UnsetType | dict[str, "_Step"] | None = UNSET


_UNNAMED = _Named()


class _Usage(Typed):
    prompt_tokens: Count = UNSET
    completion_tokens: Count = UNSET
    total_tokens: Count = UNSET


_SAYS_NOTHING = _Usage()


class _Transformation(Typed):
    start: str
    end: Text = UNSET
    data: UnsetType | list[Any] | None = UNSET
    usage: UnsetType | _Usage | None = UNSET
    results: UnsetType | dict[str, _Step] | None = UNSET


class _Body(Typed):
    transformation: _Transformation
    status: str
    passed: bool
    id: UnsetType | int | str | None = UNSET
    error: UnsetType | None = UNSET
    meta_data: UnsetType | None = UNSET


class Result(Page, kw_only=True):
    """The answer about one execution that has passed."""

    known: Watched
    sha256: str
    said: _Transformation


class _Place(msgspec.Struct, frozen=True, gc=False):
    """A step, and where it stands: below which answer, and below which step."""

    of: int
    path: str
    parent: str | None
    position: int
    step_id: str
    step: _Step


_BODY = msgspec.json.Decoder(_Body)


def read(response: Response) -> Result | None:
    """Return the answer about one execution, if it is regular, or ``None``."""
    if response.endpoint != "execution" or response.outcome != "ok":
        return None
    try:
        return _result(response, response.body or b"", watched(response))
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        return None  # TypeError: orjson refuses depth and big integers


def _result(response: Response, content: bytes, known: Watched) -> Result | None:
    body = _BODY.decode(content)
    said, name = body.transformation, known.execution_id
    is_passed = body.status == _ENDED and body.passed
    if not name or not is_passed or body.id not in {UNSET, None, name, _number(name)}:
        return None
    encoded = canonical(body, content)
    orjson.dumps([[said.data or ()]])  # as deep as it stands in the body
    seen = detail(response, known, name, _PASSED, Raw(encoded))
    return Result(
        response=response,
        keys=[seen.key],
        workflows=workflows_in(response, known),
        known=known,
        sha256=seen.sha256,
        said=said,
    )


def _number(name: str) -> int | None:
    """Return the number that an id is, if it is written as JSON writes one."""
    number = int(name) if name.isdecimal() and name.isascii() else None
    return number if str(number) == name else None


def tables(pages: Sequence[Result]) -> list[tuple[type[Record], pa.Table]]:
    """Return all rows of executions that nobody has seen before.

    Raises ``IrregularError`` where one of the answers is not regular after all.
    """
    batch = _Batch(pages)
    return [
        (Execution, batch.executions()),
        (StatusChange, batch.changes()),
        (Output, batch.outputs()),
        (TokenUsage, batch.usage()),
        (ExecutionStep, batch.steps()),
        (ExecutionTag, batch.tags()),
    ]


class _Batch:
    """The results of several executions, as columns."""

    def __init__(self, pages: Sequence[Result]) -> None:
        self.pages = pages
        self.said = [page.said for page in pages]
        self.owners = Owners.of(pages, [""] * len(pages))

    def executions(self) -> pa.Table:
        started, ended = times(each(self.said, "start")), times(each(self.said, "end"))
        return self.owners.whole(
            Execution,
            execution_id=[page.known.execution_id for page in self.pages],
            scope="",
            workflow_key=[_workflow_key(page) for page in self.pages],
            status=_PASSED.status,
            provider_status=_PASSED.word,
            is_terminal=_PASSED.is_terminal,
            result_state=_PASSED.result_state,
            day=pc.cast(started, pa.date32()),
            started_at=started,
            ended_at=ended,
            duration_ms=milliseconds(started, ended),
            is_passed=True,
            first_seen_at=self.owners.received,
            content_sha256=[page.sha256 for page in self.pages],
        )

    def changes(self) -> pa.Table:
        return self.owners.changes(_PASSED.status, _PASSED.word)

    def outputs(self) -> pa.Table:
        lists = [said.data or [] for said in self.said]
        of, positions = spread([len(data) for data in lists])
        values = list(chain.from_iterable(lists))
        return self.owners.rows(
            Output,
            of,
            elements("/transformation/data", positions),
            position=positions,
            name="data",
            **text_or_json(values, "value_text"),
        )

    def usage(self) -> pa.Table:
        found = [
            (place, said.usage)
            for place, said in enumerate(self.said)
            if isinstance(said.usage, _Usage) and said.usage != _SAYS_NOTHING
        ]
        figures = [usage for _, usage in found]
        models = [assumed_model(self.pages[place].known) for place, _ in found]
        return self.owners.rows(
            TokenUsage,
            [place for place, _ in found],
            "/transformation/usage",
            operation="invoke_workflow",
            purpose="unknown",
            source="result",
            model_provider=[vendor for vendor, _ in models],
            model=[model for _, model in models],
            model_basis=["assumed" if model else "missing" for _, model in models],
            input_tokens=each(figures, "prompt_tokens"),
            output_tokens=each(figures, "completion_tokens"),
            total_tokens=each(figures, "total_tokens"),
            is_counted=True,
        )

    def steps(self) -> pa.Table:
        places = [
            place
            for of, said in enumerate(self.said)
            for place in _below(of, said.results, "/transformation/results", None)
        ]
        of = pa.array([place.of for place in places], pa.int64())
        parents = pa.array([place.parent for place in places], pa.string())
        steps = [place.step for place in places]
        started, ended = times(each(steps, "start")), times(each(steps, "end"))
        passed = each(steps, "passed")
        named = [step.property or _UNNAMED for step in steps]
        return self.owners.rows(
            ExecutionStep,
            of,
            [place.path for place in places],
            parent_step_key=joined(self.owners.keys.take(of), "/", parents),
            kind=["layer" if place.parent else "property" for place in places],
            position=[place.position for place in places],
            step_id=[place.step_id for place in places],
            name=each(named, "name"),
            status=[STATUS_OF_STEP.get(is_passed) for is_passed in passed],
            is_passed=passed,
            started_at=started,
            ended_at=ended,
            elapsed_s=seconds(started, ended),
        )

    def tags(self) -> pa.Table:
        return self.owners.tags([page.known.tags for page in self.pages])


def _workflow_key(page: Result) -> str | None:
    return page.workflows[0].key if page.workflows else None


def _below(
    of: int,
    steps: UnsetType | dict[str, _Step] | None,
    path: str,
    parent: str | None,
    depth: int = 0,
) -> Iterator[_Place]:
    """Yield steps and the layers below them; ``path`` leads to the steps."""
    if not steps:
        return
    if depth > _DEEP:
        raise IrregularError("too many layers")
    for position, (step_id, step) in enumerate(steps.items()):
        at = path + pointer(step_id)
        yield _Place(of, at, parent, position, step_id, step)
        if step.layer_results:
            yield from _below(
                of, step.layer_results, at + "/layer_results", at, depth + 1
            )
