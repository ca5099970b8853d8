"""Torale's lists of executions by columns, where their fields have the usual types.

The same rows as those of ``normalize``. Where anything is odd in a list, such as a
field of another type, all of it goes that way.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from types import NoneType
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, UnsetType

from sources.columnar import (
    Column,
    IrregularError,
    Owners,
    domains,
    elements,
    milliseconds,
    spread,
    text_or_json,
    times,
)
from sources.json_text import encode, pointer
from sources.records import (
    ErrorRecord,
    Execution,
    ExecutionMetadata,
    ExecutionStep,
    GroundingSource,
    Output,
    Record,
    Status,
    StatusChange,
    workflow_key,
)
from sources.torale.mapping import (
    ACTIVITY_LISTS,
    ANSWERS,
    SOURCE_LISTS,
    identity,
    step_name,
)
from sources.torale.normalize import TERMINAL, neutral_status
from sources.torale.regular import Item, Listing, Source, read
from sources.typed import each, null

__all__ = ["read", "tables"]


def tables(pages: Sequence[Listing]) -> list[tuple[type[Record], pa.Table]]:
    """Return all rows of executions that nobody has seen before.

    Raises ``IrregularError`` where one of the lists is not regular after all.
    """
    batch = _Batch(pages)
    return [
        (Execution, batch.executions()),
        (StatusChange, batch.changes()),
        (Output, batch.results_whole()),
        (Output, batch.answers()),
        (GroundingSource, batch.sources_of_rows()),
        (GroundingSource, batch.sources_in_results()),
        (ExecutionStep, batch.activity()),
        (ExecutionMetadata, batch.metadata()),
        (ErrorRecord, batch.errors()),
    ]


class _Batch:
    """The executions of several lists, as columns."""

    def __init__(self, pages: Sequence[Listing]) -> None:
        paths = [p.at + pointer(i) for p in pages for i in range(len(p.items))]
        self.items = [item for page in pages for item in page.items]
        self.scopes = [scope for page in pages for scope in page.scopes]
        self.hashes = [hashed for page in pages for hashed in page.hashes]
        self.owners = Owners.of(pages, paths)
        self.results = each(self.items, "result")
        self.with_result = [
            (place, result)
            for place, result in enumerate(self.results)
            if result is not None
        ]
        self.named: set[str] = set().union(*(result for _, result in self.with_result))
        self.with_sources = {
            place: result
            for place, result in self._with(SOURCE_LISTS)
            if _first(result, SOURCE_LISTS) is not None
        }
        self.words = each(self.items, "status")
        self.statuses: list[Status] = [
            neutral_status(word, result)
            for word, result in zip(self.words, self.results, strict=True)
        ]

    def _with(self, names: Sequence[str]) -> Sequence[tuple[int, dict[str, Any]]]:
        """Return all results, if any has a field of these names, else none."""
        return () if self.named.isdisjoint(names) else self.with_result

    def executions(self) -> pa.Table:
        items, owners = self.items, self.owners
        created = times(each(items, "created_at"))
        started = times(each(items, "started_at"))
        ended = times(each(items, "completed_at"))
        notification = self._texts("notification")
        of = (owners.provider, owners.connection)
        flows = {scope: workflow_key(*of, scope) for scope in set(self.scopes)}
        are_over = [status in TERMINAL for status in self.statuses]
        return owners.whole(
            Execution,
            execution_id=[item.id for item in items],
            scope=self.scopes,
            workflow_key=[flows[scope] for scope in self.scopes],
            status=self.statuses,
            provider_status=self.words,
            is_terminal=are_over,
            result_state=["captured" if over else "pending" for over in are_over],
            day=pc.cast(pc.coalesce(started, created, owners.received), pa.date32()),
            created_at=created,
            started_at=started,
            ended_at=ended,
            duration_ms=milliseconds(started, ended),
            condition_met=self._conditions(notification),
            change_summary=self._texts("change_summary"),
            notification=notification,
            error_message=each(items, "error_message"),
            first_seen_at=owners.received,
            content_sha256=self.hashes,
            list_sha256=self.hashes,
        )

    def _texts(self, name: str) -> list[str | None]:
        """Return a text of the row, else of the result."""
        texts = each(self.items, name)
        for place, result in self._with([name]):
            if texts[place] is None and name in result:
                texts[place] = _text(result[name])
        return texts

    def _conditions(self, notification: Sequence[str | None]) -> list[bool | None]:
        met = each(self.items, "condition_met")
        for place, said in enumerate(met):
            if said is None:
                met[place] = self._condition(place, notification[place])
        return met

    def _condition(self, place: int, notification: str | None) -> bool | None:
        """Return whether the condition was met, where the row itself does not say."""
        result = self.results[place] or {}
        said = result.get("condition_met")
        if isinstance(said, bool):
            return said
        if said is not None:
            raise IrregularError("a condition that is neither true nor false")
        if notification is not None:
            return True
        knows = self.items[place].notification is not UNSET or "notification" in result
        return False if knows and self.statuses[place] == "succeeded" else None

    def changes(self) -> pa.Table:
        return self.owners.changes(self.statuses, self.words)

    def results_whole(self) -> pa.Table:
        return self.owners.rows(
            Output,
            [place for place, _ in self.with_result],
            "/result",
            position=0,
            name="result",
            value=[encode(result) for _, result in self.with_result],
        )

    def answers(self) -> pa.Table:
        found = [
            (place, f"/result/{name}", result[name])
            for place, result in self.with_result
            if (name := _first(result, ANSWERS))
        ]
        return self.owners.rows(
            Output,
            [place for place, _, _ in found],
            [below for _, below, _ in found],
            position=1,
            name="answer",
            **text_or_json([answer for _, _, answer in found], "value_text"),
        )

    def sources_of_rows(self) -> pa.Table:
        """Return sources of executions that have them at the row alone."""
        lists = [
            [] if place in self.with_sources else item.grounding_sources or []
            for place, item in enumerate(self.items)
        ]
        of, positions = spread([len(sources) for sources in lists])
        sources = [
            one if isinstance(one, Source) else Source(uri=one)
            for sources in lists
            for one in sources
        ]
        below = elements("/grounding_sources", positions)
        return self._sources(of, below, positions, sources)

    def sources_in_results(self) -> pa.Table:
        """Return sources of the others, each once across the places."""
        of: list[int] = []
        below: list[str] = []
        positions: list[int] = []
        sources: list[Source] = []
        for place, result in self.with_sources.items():
            found = list(_distinct(self.items[place], result))
            of += [place] * len(found)
            positions += range(len(found))
            below += [path for path, _ in found]
            sources += [_source(source) for _, source in found]
        return self._sources(of, below, positions, sources)

    def _sources(
        self, of: Column, below: Column, position: Column, sources: Sequence[Source]
    ) -> pa.Table:
        uris = pa.array(_addresses(sources), pa.string())
        domain, is_valid = domains(uris)
        return self.owners.rows(
            GroundingSource,
            of,
            below,
            position=position,
            uri=uris,
            title=each(sources, "title"),
            snippet=each(sources, "snippet"),
            domain=domain,
            is_valid_uri=is_valid,
        )

    def activity(self) -> pa.Table:
        of: list[int] = []
        below: list[str] = []
        positions: list[int] = []
        entries: list[object] = []
        for place, result in self._with(ACTIVITY_LISTS):
            if _first(result, ACTIVITY_LISTS) is None:
                continue
            found = [
                (f"/result/{name}/{number}", entry)
                for name in ACTIVITY_LISTS
                for number, entry in enumerate(_list(result.get(name)))
            ]
            of += [place] * len(found)
            positions += range(len(found))
            below += [path for path, _ in found]
            entries += [entry for _, entry in found]
        known = [entry if isinstance(entry, dict) else {} for entry in entries]
        return self.owners.rows(
            ExecutionStep,
            of,
            below,
            kind="activity",
            position=positions,
            name=[step_name(entry) for entry in entries],
            started_at=times([_text(entry.get("started_at")) for entry in known]),
            ended_at=times([_text(entry.get("completed_at")) for entry in known]),
        )

    def metadata(self) -> pa.Table:
        found = [
            (place, encode(result["metadata"]))
            for place, result in self._with(["metadata"])
            if result.get("metadata") is not None
        ]
        return self.owners.rows(
            ExecutionMetadata,
            [place for place, _ in found],
            "/result/metadata",
            value=[value for _, value in found],
        )

    def errors(self) -> pa.Table:
        failed = [
            (place, *_error(self.items[place], self.results[place] or {}))
            for place, status in enumerate(self.statuses)
            if status == "failed"
        ]
        return self.owners.rows(
            ErrorRecord,
            [place for place, _, _ in failed],
            [below for _, below, _ in failed],
            level="execution",
            message=[message for _, _, message in failed],
        )


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise IrregularError("no text")


def _list(value: object) -> list[object]:
    if value is None or isinstance(value, list):
        return value or []
    raise IrregularError("no list")


def _first(result: dict[str, Any], names: Sequence[str]) -> str | None:
    for name in names:
        if result.get(name) is not None:
            return name
    return None


def _error(item: Item, result: dict[str, Any]) -> tuple[str, str | None]:
    """Return where the words of a failure stand, and what they are."""
    if isinstance(item.error_message, str):
        return "/error_message", item.error_message
    in_answer = ANSWERS if result.get("success") is False else ()
    for name in ("error", *in_answer):
        if isinstance(result.get(name), str):
            return f"/result/{name}", result[name]
    return "/error_message", None


def _distinct(item: Item, result: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield each source once across the places; doubles within one list stay."""
    rows: Sequence[object] = item.grounding_sources or []
    places = [("/grounding_sources", rows)]
    places += [(f"/result/{name}", _list(result.get(name))) for name in SOURCE_LISTS]
    before: Counter[str] = Counter()
    for path, sources in places:
        here: Counter[str] = Counter()
        for number, source in enumerate(sources):
            same = _identity(source)
            here[same] += 1
            if here[same] > before[same]:
                yield f"{path}/{number}", source
        before |= here


def _identity(source: object) -> str:
    known = msgspec.to_builtins(source) if isinstance(source, Source) else source
    if isinstance(known, dict) and not (known.get("uri") or known.get("url")):
        raise IrregularError("a source without an address")
    return identity(known)


def _source(source: object) -> Source:
    """Return a source of a list in a result, whatever else is said of it there."""
    if isinstance(source, Source):
        return source
    if isinstance(source, str):
        return Source(uri=source)
    if not isinstance(source, dict):
        raise IrregularError("no source")
    name = "url" if source.get("uri") is None else "uri"
    said = [_text(source.get(one)) for one in (name, "title", "snippet")]
    uri, title, snippet = (UNSET if one is None else one for one in said)
    return Source(uri=uri, title=title, snippet=snippet)


def _addresses(sources: Sequence[Source]) -> list[str | None]:
    """Return the address of each, which has one of two names."""
    uris, urls = [one.uri for one in sources], [one.url for one in sources]
    if set(map(type, urls)) == {UnsetType} and NoneType not in set(map(type, uris)):
        return null(uris)
    for place, uri in enumerate(uris):
        if uri is UNSET:
            uris[place] = urls[place]
        elif uri is None or urls[place] is not UNSET:
            raise IrregularError("two addresses")
    return null(uris)
