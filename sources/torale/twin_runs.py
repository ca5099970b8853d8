"""What the tasks of the demo watch and what their runs find, in either dialect.

What they watch is in ``twin_topics.json``; the figures are invented from a seed.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Literal, NamedTuple
from uuid import uuid5

import msgspec

from sources.torale.twin_world import NAMESPACE, Columns, Task

__all__ = ["Dialect", "Run", "Topic", "finished_runs", "topics"]

Dialect = Literal["paged", "window"]

DAYS = 14
TOPICS = Path(__file__).with_name("twin_topics.json")


class Topic(msgspec.Struct, frozen=True):
    """What a task watches: a figure that goes from ``first`` past ``limit``.

    The condition is met on the other side of ``limit``; ``noise`` is how far a run
    strays, ``shown`` how the figure is written, with ``digits`` after the point.
    """

    name: str
    query: str
    condition: str
    state: str
    every_h: int
    first: float
    limit: float
    noise: float
    digits: int
    shown: str
    answer: str
    subject: str
    sources: tuple[dict[str, str], ...]

    @property
    def task_id(self) -> str:
        """The id of the task, always the same."""
        return str(uuid5(NAMESPACE, self.name))

    def task(self) -> Task:
        """Return the task that watches it."""
        return Task(
            task_id=self.task_id,
            name=self.name,
            state=self.state,
            query=self.query,
            condition=self.condition,
        )


class Run(NamedTuple):
    """One run of a task: what it found, or why it failed."""

    topic: Topic
    started_at: datetime
    took: timedelta
    figure: float
    before: float | None
    confidence: int
    sources: list[dict[str, str]]
    failure: str | None = None

    @property
    def is_met(self) -> bool:
        """Whether the figure meets the condition."""
        topic = self.topic
        if topic.first > topic.limit:
            return self.figure <= topic.limit
        return self.figure >= topic.limit

    @property
    def answer(self) -> str:
        """The answer in a sentence."""
        return self.topic.answer.format(figure=self.topic.shown.format(self.figure))

    @property
    def change(self) -> str:
        """What changed since the run before, in Torale's words."""
        if self.before is None:
            return "Initial execution - no previous state to compare"
        then, now = map(self.topic.shown.format, (self.before, self.figure))
        if then == now:
            return "No significant changes detected (98% similar)"
        return f"{self.topic.subject} changed from {then} to {now}"

    @property
    def metadata(self) -> Columns:
        """What later eras keep beside the answer."""
        state = {"figure": self.figure}
        return {"changed": self.before != self.figure, "current_state": state}

    def outcome(self, dialect: Dialect, age: timedelta) -> Columns:
        """Return the columns of the finished run."""
        ended = {"completed_at": self.started_at + self.took}
        if self.failure:
            return {**ended, "status": "failed", "error_message": self.failure}
        found = _documented(self) if dialect == "paged" else _live(self, age)
        return {**ended, "status": "success", **found}


def _documented(run: Run) -> Columns:
    """Return what a run found as Torale's documentation shows it."""
    verdict = "is met" if run.is_met else "is not met"
    return {
        "condition_met": run.is_met,
        "change_summary": run.change,
        "grounding_sources": run.sources,
        "result": {
            "answer": run.answer,
            "reasoning": f'The condition "{run.topic.condition}" {verdict}.',
            "condition_met": run.is_met,
            "sources_count": len(run.sources),
        },
    }


def _live(run: Run, age: timedelta) -> Columns:
    """Return what a run found as the server of its day stored it."""
    era = next(era for from_days, era in ERAS if age.days >= from_days)
    return era(run, [{"url": one["uri"], "title": one["title"]} for one in run.sources])


def _content(run: Run, _sources: list[dict[str, str]]) -> Columns:
    asked = {"model": "gemini-2.0-flash-exp", "prompt": run.topic.query}
    return {"result": {"success": True, "content": run.answer, **asked}}


def _answer(run: Run, sources: list[dict[str, str]]) -> Columns:
    result = {
        "success": True,
        "answer": run.answer,
        "condition_met": run.is_met,
        "change_summary": run.change,
        "grounding_sources": sources,
        "current_state": {"figure": run.figure},
    }
    return {"result": result, "grounding_sources": sources}


def _summary(run: Run, sources: list[dict[str, str]]) -> Columns:
    result = {
        "summary": run.answer,
        "sources": sources,
        "actions": [],
        "metadata": run.metadata,
    }
    return {"result": result, "grounding_sources": None}


def _evidence(run: Run, sources: list[dict[str, str]]) -> Columns:
    notice = f"**{run.topic.name}**\n\n{run.answer}" if run.is_met else None
    next_run = run.started_at + timedelta(hours=run.topic.every_h)
    result = {
        "evidence": run.answer,
        "notification": notice,
        "confidence": run.confidence,
        "next_run": next_run.isoformat(),
        "grounding_sources": sources,
        "activity": [{"tool": "perplexity_search", "detail": run.topic.query}],
        "metadata": run.metadata,
    }
    return {"result": result, "notification": notice, "grounding_sources": sources}


ERAS: tuple[tuple[int, Callable[[Run, list[dict[str, str]]], Columns]], ...] = (
    (12, _content),
    (10, _answer),
    (7, _summary),
    (-1, _evidence),
)
"""How the server stored results, by the age in days from which it did."""


def topics() -> list[Topic]:
    """Return what the tasks of the demo watch."""
    return msgspec.json.decode(TOPICS.read_bytes(), type=list[Topic])


def finished_runs(topic: Topic, until: datetime) -> Iterator[Run]:
    """Yield the runs of two weeks, the oldest first; none fails yet."""
    chance = Random(topic.name)  # noqa: S311 - seeded invention, not cryptography
    count = DAYS * 24 // topic.every_h
    before = None
    for number in range(count):
        gone = min(1.05, number / (0.8 * count))
        strayed = chance.uniform(-topic.noise, topic.noise)
        figure = topic.first + gone * (topic.limit - topic.first) + strayed
        figure = round(max(figure, 0.0), topic.digits)
        late = timedelta(microseconds=chance.choice((0, chance.randrange(10**7))))
        took = min(max(chance.lognormvariate(1.5, 0.5), 1.2), 55)
        yield Run(
            topic=topic,
            started_at=until - timedelta(hours=(count - number) * topic.every_h) + late,
            took=timedelta(milliseconds=int(took * 1000)),
            figure=figure,
            before=before,
            confidence=chance.randint(55, 97),
            sources=chance.sample(topic.sources, chance.randint(1, 3)),
        )
        before = figure
