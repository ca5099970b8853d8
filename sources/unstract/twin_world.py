"""The state of the Unstract twin: executions, their life, and what was handed out."""

import hashlib
import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any, Literal, NamedTuple

from sources.twin_server import Refusal

__all__ = [
    "FINAL",
    "Asked",
    "Execution",
    "FileRun",
    "Form",
    "Handed",
    "Item",
    "Life",
    "Reader",
    "Refusal",
    "Sent",
    "World",
    "named_id",
    "refusal",
    "usage_parts",
]

FINAL = frozenset({"COMPLETED", "ERROR", "STOPPED"})
NAMESPACE = uuid.UUID("5e6f0f54-0d0c-5f0e-9a57-2f9cf4f6d6a2")
PURPOSES = ("extraction_llm", "challenge_llm", "summarize_llm", "lookup_llm")
UNSUPPORTED = frozenset({".dll", ".exe", ".iso"})
ELAPSED_S, PAGES = 12.91, 3
"""What every file takes."""

Item = dict[str, Any]
"""A file of a result, as it is where everything is asked for."""

Life = tuple[tuple[float, str], ...]
"""The words for an execution, and how many seconds after its start each begins."""

Reader = Literal["the reader with the key", "somebody else"]


def named_id(*names: object) -> str:
    """Return a UUID that is always the same for the same names."""
    return str(uuid.uuid5(NAMESPACE, "/".join(map(str, names))))


def refusal(
    status: int,
    detail: str,
    *,
    attr: str | None = None,
    code: str = "error",
    kind: str = "client_error",
) -> Refusal:
    """Return an error in Unstract's envelope."""
    error = {"code": code, "detail": detail, "attr": attr}
    return Refusal(status, {"type": kind, "errors": [error]})


class Sent(NamedTuple):
    """A file as it was sent."""

    name: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, name: str, content: bytes) -> "Sent":
        """Return what is noted of a file."""
        return cls(name, len(content), hashlib.sha256(content).hexdigest())


class Asked(NamedTuple):
    """Which parts of a result a request asks for."""

    metadata: bool = False
    metrics: bool = False
    text: bool = False


@dataclass(frozen=True, kw_only=True)
class Form:
    """What a POST sends; ``values`` are its fields as they came."""

    files: tuple[tuple[str, bytes], ...]
    asked: Asked
    timeout_s: int
    tags: tuple[str, ...]
    uses_history: bool
    values: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class FileRun:
    """A file and what comes of it.

    ``result`` is as it is where everything is asked for; a file with an ``error`` has
    failed. ``noted`` are further fields of its metadata. ``earlier`` is its item in
    the file history, which is then its answer.
    """

    name: str
    content: bytes | None = None
    result: object = None
    error: str | None = None
    usage: Mapping[str, object] | None = None
    noted: Mapping[str, object] = field(default_factory=dict)
    earlier: Item | None = None

    @property
    def sent(self) -> Sent:
        """The file as it was sent; its content is its name where none is given."""
        content = self.name.encode() if self.content is None else self.content
        return Sent.of(self.name, content)


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What the one read that gets the result was answered.

    ``body`` is the answer as JSON; ``is_whole`` tells whether all of it was sent,
    ``reads`` how often the execution was read after its end, in vain or not.
    """

    at: datetime
    to: Reader
    body: Item
    is_whole: bool
    reads: int = 1


@dataclass(kw_only=True)
class Execution:
    """An execution; ``answered`` is the last word for it that a reader got.

    ``is_known`` tells whether the answer to its start arrived, ``is_usage_known``
    whether the platform's rows of its usage were handed out.
    """

    execution_id: str
    api_name: str
    started_at: datetime
    life: Life
    items: tuple[Item, ...]
    sent: tuple[Sent, ...]
    tags: tuple[str, ...]
    is_known: bool
    answered: str | None = None
    is_usage_known: bool = False
    handed: Handed | None = None

    def _last(self, now: datetime) -> tuple[float, str]:
        """Return the part of its life that it is in."""
        age_s = (now - self.started_at).total_seconds()
        return [self.life[0], *(part for part in self.life if part[0] <= age_s)][-1]

    def word(self, now: datetime) -> str:
        """Return the server's word for its state."""
        return self._last(now)[1]

    def changed_at(self, now: datetime) -> datetime:
        """Return when its state changed last; of a final one, when it finished."""
        return self.started_at + timedelta(seconds=self._last(now)[0])

    @property
    def ends_at(self) -> datetime:
        """When the last thing that is scripted happens."""
        return self.started_at + timedelta(seconds=self.life[-1][0])


class World:
    """All executions of an organization, as they are at this moment of the clock.

    May be changed at any time and from any thread. ``pace`` is after how many seconds
    an execution that is started without a ``life`` executes, and ends.
    """

    def __init__(
        self, clock: Callable[[], datetime], organization_id: str, api_name: str
    ) -> None:
        self.organization_id = organization_id
        self.api_name = api_name
        self.executions: dict[str, Execution] = {}
        self.pace = (1.0, 3.0)
        self.lock = threading.RLock()
        self._clock = clock
        self._passed = timedelta()
        self._numbers = itertools.count()

    def now(self) -> datetime:
        """Return the time in this world: the clock's, and what was let pass."""
        return self._clock() + self._passed

    def let_pass(self, seconds: float) -> None:
        """Let time go on by so many seconds."""
        with self.lock:
            self._passed += timedelta(seconds=seconds)

    def pass_time(self) -> None:
        """Let time go on until everything that is scripted has happened."""
        with self.lock:
            now = self.now()
            ends = max([now, *(one.ends_at for one in self.executions.values())])
            self._passed += ends - now

    def start(
        self,
        *files: FileRun,
        started_at: datetime | None = None,
        life: Life | None = None,
        ends: str | None = None,
        tags: Sequence[str] = (),
        sent: Sequence[Sent] | None = None,
        api_name: str | None = None,
        is_known: bool = True,
    ) -> Execution:
        """Start an execution, now if no time is given; return it.

        It ends as COMPLETED, or ERROR where all files fail, unless ``ends`` says
        otherwise. ``sent`` are the files that were sent, if not the ones answered.
        """
        with self.lock:
            at = started_at or self.now()
            api_name = api_name or self.api_name
            number = next(self._numbers)
            new_id = named_id(self.organization_id, api_name, number, at.isoformat())
            has_failed = bool(files) and all(file.error is not None for file in files)
            queued_s, ended_s = self.pace
            one = Execution(
                execution_id=new_id,
                api_name=api_name,
                started_at=at,
                life=life
                or (
                    (0, "PENDING"),
                    (queued_s, "EXECUTING"),
                    (ended_s, ends or ("ERROR" if has_failed else "COMPLETED")),
                ),
                items=(),
                sent=tuple([file.sent for file in files] if sent is None else sent),
                tags=tuple(tags),
                is_known=is_known,
            )
            one.items = tuple(self._item(one, file) for file in files)
            self.executions[new_id] = one
        return one

    def begin(
        self, form: Form, outcome: Callable[[str, bytes], FileRun], *, is_known: bool
    ) -> Execution:
        """Start an execution with the files of a POST.

        Files of one name are joined, an unsupported type is skipped in silence, and
        content that comes twice is answered once.
        """
        contents: dict[str, bytes] = {}
        for name, content in form.files:
            contents[name] = contents.get(name, b"") + content
        runs: dict[str, FileRun] = {}
        for name, content in contents.items():
            sha256 = Sent.of(name, content).sha256
            earlier = self.in_history(sha256) if form.uses_history else None
            run = outcome(name, content)
            if PurePath(name).suffix.lower() not in UNSUPPORTED:
                runs.setdefault(
                    sha256, replace(run, name=name, content=content, earlier=earlier)
                )
        return self.start(
            *runs.values(),
            sent=[Sent.of(name, content) for name, content in form.files],
            tags=form.tags,
            is_known=is_known,
        )

    def under_way(self) -> int:
        """Return how many executions have not ended."""
        now = self.now()
        return sum(one.word(now) not in FINAL for one in self.executions.values())

    def workflow_id(self, api_name: str) -> str:
        """Return the id of the workflow behind an API deployment."""
        return named_id(self.organization_id, api_name, "workflow")

    def in_history(self, sha256: str) -> Item | None:
        """Return the answer for a file whose content succeeded in a finished run."""
        with self.lock:
            now = self.now()
            for one in self.executions.values():
                if one.api_name != self.api_name or one.word(now) != "COMPLETED":
                    continue
                for item in one.items:
                    known = item["metadata"]["source_hash"] == sha256
                    if known and item["status"] == "Success":
                        return item
        return None

    def _item(self, one: Execution, file: FileRun) -> Item:
        """Return a file's part of the result."""
        file_id = named_id(one.execution_id, file.name)
        if file.earlier is not None:
            return {**file.earlier, "file": file.name, "file_execution_id": file_id}
        result = file.result
        if isinstance(result, dict) and isinstance(result.get("metadata"), dict):
            own = {"run_id": file_id, "file_name": file.name}
            result = {**result, "metadata": {**own, **result["metadata"]}}
        return {
            "file": file.name,
            "file_execution_id": file_id,
            "status": "Success" if file.error is None else "Failed",
            "result": result,
            "error": file.error,
            "metadata": self._metadata(one, file, file_id),
        }

    def _metadata(self, one: Execution, file: FileRun, file_id: str) -> Item:
        """Return what the server notes of a file, the fields in its order."""
        tool = {"tool_name": "structure_tool", "output_type": "JSON"}
        usage = file.usage and {**file.usage, "file_execution_id": file_id}
        return {
            "source_name": file.name,
            "source_hash": file.sent.sha256,
            "organization_id": self.organization_id,
            "workflow_id": self.workflow_id(one.api_name),
            "execution_id": one.execution_id,
            "file_execution_id": file_id,
            "tags": list(one.tags),
            "workflow_start_time": one.started_at.timestamp(),
            "total_elapsed_time": ELAPSED_S,
            "tool_metadata": [{**tool, "elapsed_time": 11.2}],
            **({"usage": usage} if usage else {}),
            "total_pages_processed": PAGES,
            **file.noted,
        }


def usage_parts(item: Item) -> Iterator[tuple[str, Item]]:
    """Yield purpose and numbers of each model that a file used, where it says so."""
    result = item.get("result")
    inner = result.get("metadata") if isinstance(result, dict) else None
    for purpose in (*PURPOSES, "embedding"):
        for part in (inner or {}).get(purpose) or ():
            yield purpose.removesuffix("_llm"), part
