"""The state of the Discuro twin: executions, and their life over the clock."""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sources.twin_server import Refusal

__all__ = [
    "Body",
    "Execution",
    "Kind",
    "Pairs",
    "Step",
    "Workflow",
    "World",
    "failure",
    "printed",
    "stamp",
]

Body = dict[str, object]
Kind = Literal["orchestrator", "prompt_template"]
Pairs = Sequence[Mapping[str, object]]
"""Inputs as ``{"name", "value"}`` or tags as ``{"key", "value"}``."""


def failure(text: str) -> Body:
    """Return the body of an error, as Discuro writes it."""
    return {"error": text, "meta_data": None}


def stamp(moment: datetime) -> str:
    """Return a time as Discuro writes it: UTC, ``Z``, 0 to 6 fraction digits.

    >>> stamp(datetime(2023, 1, 14, 15, 7, 47, 52220, tzinfo=UTC))
    '2023-01-14T15:07:47.05222Z'
    """
    text = moment.astimezone(UTC).isoformat(timespec="microseconds")
    return text.removesuffix("+00:00").rstrip("0").rstrip(".") + "Z"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A property of an execution, or a layer, with the layers below it.

    It failed where it has an error or one of its layers failed.
    """

    step_id: str
    name: str | None = None
    error: str | None = None
    took_s: float = 0.7
    layers: tuple["Step", ...] = ()

    @property
    def is_passed(self) -> bool:
        """Whether neither this step nor any below it failed."""
        return self.error is None and all(layer.is_passed for layer in self.layers)

    def shown(self, started_at: datetime) -> Body:
        """Return what stands under the step's id; a layer without a name has none."""
        return {
            "end": stamp(started_at + timedelta(seconds=self.took_s)),
            "start": stamp(started_at),
            "passed": self.is_passed,
            "error": self.error,
            **({} if self.name is None else {"property": {"name": self.name}}),
            "layer_results": _shown(self.layers, started_at) or None,
        }


def _shown(steps: Sequence[Step], started_at: datetime) -> Body:
    return {step.step_id: step.shown(started_at) for step in steps}


@dataclass(frozen=True, kw_only=True)
class Execution:
    """An execution: how long it runs, and what comes of it.

    It fails where one of its ``steps`` does; ``data`` is what it generates otherwise.
    ``tags`` and ``inputs`` are as a request gives them; those of one that no request
    started may be unknown, as is its workflow.
    """

    execution_id: int
    started_at: datetime
    runs_s: float = 5.0
    data: Sequence[Mapping[str, object]] = ()
    steps: tuple[Step, ...] = ()
    prompt_tokens: int = 81
    completion_tokens: int = 135
    tags: Pairs = ()
    inputs: Pairs = ()
    workflow_id: str | None = None

    @property
    def ended_at(self) -> datetime:
        """When it ends."""
        return self.started_at + timedelta(seconds=self.runs_s)

    def at(self, moment: datetime) -> Body:
        """Return the answer about it at that moment, keys in the documented order."""
        if moment < self.ended_at:
            return {"id": self.execution_id, "status": "started"}
        usage = {
            "completion_tokens": self.completion_tokens,
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }
        if not all(step.is_passed for step in self.steps):
            results = _shown(self.steps, self.started_at)
            return {
                "id": self.execution_id,
                "status": "ended",
                "passed": False,
                "transformation": {"results": results, "usage": usage, "data": {}},
            }
        return {
            "id": self.execution_id,
            "passed": True,
            "status": "ended",
            "transformation": {
                "data": list(self.data),
                "end": stamp(self.ended_at),
                "start": stamp(self.started_at),
                "usage": usage,
            },
        }


def printed(body: Body, *, is_documented: bool) -> str:
    """Return a body as text; a documented failure lacks the comma before ``data``."""
    if not is_documented:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    text = json.dumps(body, ensure_ascii=False, indent=4)
    if body.get("passed") is False:
        data = '\n        "data": {}'
        text = text.replace(f"}},{data}", f"}}{data}")
    return text


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """What can be executed: the inputs that it needs, and the data it generates."""

    workflow_id: str
    kind: Kind = "orchestrator"
    inputs: tuple[str, ...] = ()
    data: Sequence[Mapping[str, object]] = ({"text": "Done."},)
    runs_s: float = 5.0


class World:
    """All executions and workflows of an account, at this moment of the clock.

    May be changed at any time and from any thread, also while a client polls.
    """

    def __init__(
        self, clock: Callable[[], datetime], *, sync_s: float, result_ttl_s: float
    ) -> None:
        self.executions: dict[int, Execution] = {}
        self.workflows: dict[str, Workflow] = {}
        self._clock = clock
        self._sync = timedelta(seconds=sync_s)
        self._ttl = timedelta(seconds=result_ttl_s)
        self._passed = timedelta()
        self._lock = threading.RLock()

    def now(self) -> datetime:
        """Return the time in this world: the clock's, and what was let pass."""
        return self._clock() + self._passed

    def pass_time(self) -> None:
        """Let time go on until every execution has ended and can be asked for."""
        with self._lock:
            events = [
                max(one.ended_at, one.started_at + self._sync)
                for one in self.executions.values()
            ]
            now = self.now()
            self._passed += max([now, *events]) - now

    def add_workflow(self, workflow: Workflow) -> str:
        """Add what can be executed; return its id."""
        self.workflows[workflow.workflow_id] = workflow
        return workflow.workflow_id

    def add_execution(self, execution: Execution) -> int:
        """Add an execution, or put it in the place of the one with its id."""
        with self._lock:
            self.executions[execution.execution_id] = execution
        return execution.execution_id

    def start(self, kind: Kind, given: object) -> int:
        """Start an execution as a request's body says; return its id, the next free.

        How anything but missing inputs is refused is not documented.
        """
        given = given if isinstance(given, dict) else {}
        workflow = self.workflows.get(str(given.get(f"{kind}_uuid")))
        if workflow is None or workflow.kind != kind:
            raise Refusal(400, failure(f"Operation failed - {kind} not found"))
        inputs, tags = _pairs(given.get("inputs")), _pairs(given.get("tags"))
        named = {pair.get("name") for pair in inputs}
        missing = [name for name in workflow.inputs if name not in named]
        if missing:
            text = f"Error: missing input values ({', '.join(missing)})"
            raise Refusal(400, failure(text))
        with self._lock:
            started = Execution(
                execution_id=max(self.executions, default=0) + 1,
                started_at=self.now(),
                runs_s=workflow.runs_s,
                data=workflow.data,
                tags=tags,
                inputs=inputs,
                workflow_id=workflow.workflow_id,
            )
            return self.add_execution(started)

    def find(self, execution_id: int) -> Body | None:
        """Return the answer about an execution, None where there is no log of it.

        There is none yet before it is synced, and none any more when it is deleted.
        """
        with self._lock:
            one = self.executions.get(execution_id)
            now = self.now()
        if one is None or now < one.started_at + self._sync or self.is_deleted(one):
            return None
        return one.at(now)

    def is_deleted(self, execution: Execution) -> bool:
        """Return whether the time is over for which the execution is kept."""
        return self.now() >= execution.started_at + self._ttl


def _pairs(given: object) -> Pairs:
    """Return inputs or tags; what has not their shape is none."""
    pairs = given if isinstance(given, list) else []
    return [pair for pair in pairs if isinstance(pair, dict)]
