"""The world of the demo: two weeks of six tasks, and what happens while one looks.

The same moment gives the same world.
"""

from datetime import datetime, timedelta
from itertools import cycle
from typing import cast
from uuid import uuid5

from sources.torale.twin_runs import Dialect, Run, finished_runs, topics
from sources.torale.twin_world import LONG_AGO, NAMESPACE, Columns, World

__all__ = ["furnish"]

FAILS_FIRST, FAILS_EVERY = 11, 17
NEW = timedelta()
FORCED = "Execution cancelled by manual force run"
RETRYING = "Temporary connection issue. Retrying automatically."
FAILURES = (
    ("Rate limit exceeded for Google Search API", 2.1),
    ("Search timed out after 30 seconds", 30.2),
    ("Search API error: 503 Service Unavailable", 3.4),
    ("The model refused to answer: flagged by its safety policy", 6.8),
    ("Execution was stuck in running and was failed after 30 minutes", 1884.0),
)
"""Why runs fail, by turns, and after how many seconds."""


def _put(
    world: World,
    run: Run,
    columns: Columns,
    *events: tuple[datetime, Columns],
    label: str = "scheduled",
    appears_at: datetime = LONG_AGO,
) -> None:
    """Add a run to its task, with what becomes of it."""
    task_id = run.topic.task_id
    new_id = uuid5(NAMESPACE, f"{task_id}/{run.started_at}/{label}")
    known = {"id": str(new_id), "started_at": run.started_at}
    world.add_execution(
        task_id, {**known, **columns}, life=events, appears_at=appears_at
    )


def _past(world: World, dialect: Dialect) -> list[list[Run]]:
    """Add the tasks with two weeks of finished runs; return the runs of each."""
    now = world.now()
    reasons = cycle(FAILURES)
    past = []
    for topic in topics():
        runs = list(
            finished_runs(topic, now.replace(minute=0, second=0, microsecond=0))
        )
        for number in range(FAILS_FIRST, len(runs), FAILS_EVERY):
            failure, took_s = next(reasons)
            took = timedelta(seconds=took_s)
            runs[number] = runs[number]._replace(failure=failure, took=took)
        world.add_task(topic.task())
        for run in runs:
            _put(world, run, run.outcome(dialect, now - run.started_at))
        past.append(runs)
    return past


def _oddities(world: World, dialect: Dialect, runs: list[Run]) -> None:
    """Add two runs at the same moment, and a success whose result says it failed.

    Whether the condition was met is no boolean there.
    """
    now = world.now()
    tied, mistaken = runs[-9], runs[-14]
    _put(world, tied, tied.outcome(dialect, now - tied.started_at), label="forced")
    result = {"success": False, "answer": "", "error": "The search found nothing."}
    ended_at = mistaken.started_at + mistaken.took
    odd = {"result": result, "completed_at": ended_at, "condition_met": "unsure"}
    _put(world, mistaken, odd)


def _going_on(world: World, dialect: Dialect, *last: Run) -> None:
    """Add a pending, a running and a retrying run, which end within 12 seconds."""
    now = world.now()
    second = timedelta(seconds=1)
    waits, runs, retries = last
    waits = waits._replace(started_at=now - 0.4 * second, took=8.4 * second)
    started = (now + 2 * second, {"status": "running"})
    ended = (now + 8 * second, waits.outcome(dialect, NEW))
    _put(world, waits, {"status": "pending"}, started, ended)
    runs = runs._replace(started_at=now - 4 * second, took=9 * second)
    ended = (now + 5 * second, runs.outcome(dialect, NEW))
    _put(world, runs, {"status": "running"}, ended)
    gave_up = {"completed_at": now - 31 * second, "error_message": RETRYING}
    resumed = {"status": "running", "error_message": None, "completed_at": None}
    failure, _ = FAILURES[2]
    retries = retries._replace(started_at=now - 40 * second, took=52 * second)
    ended = (now + 12 * second, retries._replace(failure=failure).outcome(dialect, NEW))
    _put(
        world,
        retries,
        {"status": "retrying", **gave_up},
        (now + 3 * second, resumed),
        ended,
    )


def _to_come(world: World, dialect: Dialect, phone: Run, battery: Run) -> None:
    """Script a flag on a finished run, a cancelled one that succeeds, two new ones."""
    now = world.now()
    second = timedelta(seconds=1)
    known = battery.outcome(dialect, now - battery.started_at)
    flag = {"notification_failed": True}
    flagged = {"result": cast("dict[str, object]", known["result"]) | flag}
    _put(world, battery, known, (now + 30 * second, flagged))
    forced = phone._replace(started_at=now - 1200 * second, took=9 * second)
    cancelled = {"status": "cancelled", "error_message": FORCED}
    _put(world, forced, cancelled, (now + 20 * second, forced.outcome(dialect, NEW)))
    for run, wait_s in ((phone, 10), (battery, 15)):
        new = run._replace(started_at=now + wait_s * second, took=4 * second)
        _put(world, new, new.outcome(dialect, NEW), appears_at=new.started_at)


def furnish(world: World, dialect: Dialect) -> None:
    """Fill a world with the tasks of the demo, as they are at its ``now``.

    Three runs are going on. Within 30 seconds they end, a flag comes to a finished
    run, a cancelled one succeeds after all, and two new ones appear.
    """
    graphics, phone, battery, console, mortgage, _python = _past(world, dialect)
    _oddities(world, dialect, graphics)
    _going_on(world, dialect, console[-1], graphics[-1], mortgage[-1])
    _to_come(world, dialect, phone[-1], battery[-1])
