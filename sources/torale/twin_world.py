"""The state of the Torale twin: tasks, executions, and their life over the clock."""

import itertools
import threading
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from sources.twin_server import Refusal

__all__ = ["Columns", "Execution", "QueryFailed", "Task", "World", "stamp"]

Columns = Mapping[str, object]
"""Columns of a stored execution, in the words of either dialect; never changed."""

LONG_AGO = datetime.min.replace(tzinfo=UTC)
BIGINT_END = 2**63
NAMESPACE = uuid.UUID("5e6f0f54-0d0c-5f0e-9a57-2f9cf4f6d6a1")
FINISHED = ("success", "failed", "cancelled")
NOTHING_NEW: Columns = {
    "answer": "Nothing has changed.",
    "reasoning": "The sources say what they said before.",
    "condition_met": False,
    "sources_count": 0,
}


class QueryFailed(Refusal):
    """What the database refuses: a row it cannot read, a limit it cannot take."""

    def __init__(self) -> None:
        super().__init__(500, "Internal Server Error")


def stamp(moment: datetime) -> str:
    """Return a time as Torale writes it: UTC, ``Z``, 0 or 6 fraction digits.

    >>> stamp(datetime(2026, 4, 24, 3, 48, tzinfo=UTC))
    '2026-04-24T03:48:00Z'
    """
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _written(columns: Columns) -> Columns:
    return {
        name: stamp(value) if isinstance(value, datetime) else value
        for name, value in columns.items()
    }


@dataclass(frozen=True, kw_only=True)
class Execution:
    """A stored execution: its columns, and what becomes of them and when."""

    columns: Columns
    placed_at: datetime
    appears_at: datetime = LONG_AGO
    life: tuple[tuple[datetime, Columns], ...] = ()
    is_poisoned: bool = False

    def at(self, moment: datetime) -> Columns:
        """Return the columns as they are at that moment."""
        columns = self.columns
        for changes_at, changes in self.life:
            if changes_at <= moment:
                columns = {**columns, **changes}
        return columns

    def tie_breaker(self, limit: int) -> int:
        """Return this execution's place among those that started with it."""
        return zlib.crc32(f"{limit}/{self.columns['id']}".encode(errors="replace"))


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task and its executions by id; ``is_forbidden``: it is somebody else's."""

    task_id: str
    name: str = "A task"
    state: str = "active"
    query: str = ""
    condition: str = ""
    is_public: bool = False
    is_forbidden: bool = False
    executions: dict[str, Execution] = field(default_factory=dict)


class World:
    """All tasks and executions, as they are at this moment of the clock.

    May be changed at any time and from any thread, also while a client pages.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self.tasks: dict[str, Task] = {}
        self._clock = clock
        self._passed = timedelta()
        self._numbers = itertools.count()
        self._lock = threading.RLock()

    def now(self) -> datetime:
        """Return the time in this world: the clock's, and what was let pass."""
        return self._clock() + self._passed

    def pass_time(self) -> None:
        """Let time go on until everything that is scripted has happened."""
        with self._lock:
            events = [
                moment
                for task in self.tasks.values()
                for one in task.executions.values()
                for moment in (one.appears_at, *(at for at, _ in one.life))
            ]
            now = self.now()
            self._passed += max([now, *events]) - now

    def add_task(self, task: Task) -> str:
        """Add a task, or put it in the place of the one with that id; return the id."""
        self.tasks[task.task_id] = task
        return task.task_id

    def delete_task(self, task_id: str) -> None:
        """Delete a task with its executions."""
        del self.tasks[task_id]

    def add_execution(
        self,
        task_id: str,
        columns: Columns | None = None,
        *,
        life: Sequence[tuple[datetime, Columns]] = (),
        appears_at: datetime = LONG_AGO,
        is_poisoned: bool = False,
    ) -> str:
        """Add an execution, or put it in the place of the one with its id; return that.

        Columns not given are likely ones; columns of neither dialect are shown in
        both. ``life`` is what columns become, and when. A poisoned one is a row that
        the server cannot read.
        """
        columns = columns or {}
        with self._lock:
            placed_at = _moment(columns.get("started_at"), self.now())
            executions = self.tasks[task_id].executions
            new_id = str(uuid.uuid5(NAMESPACE, f"{task_id}/{next(self._numbers)}"))
            whole = _likely(new_id, task_id, placed_at, columns)
            execution_id = str(whole["id"])
            executions[execution_id] = Execution(
                columns=_written(whole),
                placed_at=placed_at,
                appears_at=appears_at,
                life=tuple((at, _written(changes)) for at, changes in life),
                is_poisoned=is_poisoned,
            )
        return execution_id

    def change_execution(
        self, task_id: str, execution_id: str, columns: Columns
    ) -> None:
        """Change columns of an execution from now on; what is scripted still comes."""
        with self._lock:
            executions = self.tasks[task_id].executions
            one = executions[execution_id]
            now = self.now()
            executions[execution_id] = replace(
                one,
                columns={**one.at(now), **_written(columns)},
                life=tuple(event for event in one.life if event[0] > now),
            )

    def delete_execution(self, task_id: str, execution_id: str) -> None:
        """Delete an execution."""
        with self._lock:
            del self.tasks[task_id].executions[execution_id]

    def window(
        self, task_id: str, *, offset: int, limit: int, status: str | None = None
    ) -> tuple[list[Columns], int]:
        """Return a window of a task's executions, newest first, and how many there are.

        Executions that started at the same moment come in an order of their own for
        each ``limit``: the server sorts by ``started_at`` alone.
        """
        if not 0 <= limit < BIGINT_END or not 0 <= offset < BIGINT_END:
            raise QueryFailed
        with self._lock:
            now = self.now()
            rows = [
                one
                for one in self.tasks[task_id].executions.values()
                if one.appears_at <= now
                and (status is None or one.at(now)["status"] == status)
            ]
        rows.sort(key=lambda one: (one.placed_at, one.tie_breaker(limit)), reverse=True)
        shown = rows[offset : offset + limit]
        if any(one.is_poisoned for one in shown):
            raise QueryFailed
        return [one.at(now) for one in shown], len(rows)

    def find(self, task_id: str, execution_id: str) -> Columns | None:
        """Return an execution, or None where there is no such one."""
        with self._lock:
            one = self.tasks[task_id].executions.get(execution_id)
            if one is None or one.appears_at > self.now():
                return None
            if one.is_poisoned:
                raise QueryFailed
            return one.at(self.now())


def _moment(started_at: object, now: datetime) -> datetime:
    """Return where an execution stands in the order: now, if its time is none."""
    try:
        moment = datetime.fromisoformat(str(started_at))
    except ValueError:
        return now
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _likely(
    new_id: str, task_id: str, started_at: datetime, columns: Columns
) -> dict[str, object]:
    """Return the columns given, and likely values for the others."""
    status = columns.get("status", "success")
    is_success = status == "success"
    likely: dict[str, object] = {
        "id": new_id,
        "task_id": task_id,
        "status": status,
        "started_at": started_at,
        "completed_at": None,
        "condition_met": False if is_success else None,
        "result": NOTHING_NEW if is_success else None,
        "change_summary": None,
        "notification": None,
        "grounding_sources": [] if is_success else None,
        "error_message": None,
        "created_at": columns.get("started_at", started_at),
    }
    if status in FINISHED and "completed_at" not in columns:
        likely["completed_at"] = started_at + timedelta(seconds=5)
    return likely | dict(columns)
