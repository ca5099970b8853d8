"""Torale's lists of executions by columns, where their fields have the usual types.

The same rows as those of ``normalize``. Where anything is odd in a list, such as a
field of another type, all of it goes that way.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from types import NoneType
from typing import Any, TypeVar

import msgspec
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET, Raw, UnsetType

from sources.columnar import (
    MOMENT,
    Column,
    IrregularError,
    Owners,
    domains,
    joined,
    milliseconds,
    repeated,
    spread,
    table,
    times,
)
from sources.json_text import colons, encode, pointer, sha256
from sources.observations import Observation, Sight
from sources.records import (
    ErrorRecord,
    Execution,
    ExecutionMetadata,
    ExecutionStep,
    GroundingSource,
    Output,
    Record,
    Response,
    Status,
    StatusChange,
    execution_key,
    workflow_key,
)
from sources.torale.mapping import (
    ACTIVITY_LISTS,
    ANSWERS,
    SOURCE_LISTS,
    identity,
    step_name,
)
from sources.torale.normalize import TERMINAL, neutral_status, start_of

__all__ = ["Listing", "read", "sight_of", "tables"]

T = TypeVar("T")
Text = UnsetType | str | None


class _Source(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    uri: Text = UNSET
    url: Text = UNSET
    title: Text = UNSET
    snippet: Text = UNSET


class _Item(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    id: str
    task_id: Text = UNSET
    status: Text = UNSET
    result: UnsetType | dict[str, Any] | None = UNSET
    error_message: Text = UNSET
    notification: Text = UNSET
    grounding_sources: UnsetType | list[_Source | str] | None = UNSET
    started_at: Text = UNSET
    completed_at: Text = UNSET
    created_at: Text = UNSET
    condition_met: UnsetType | bool | None = UNSET
    change_summary: Text = UNSET


class Listing(msgspec.Struct):
    """One list of executions; ``at`` is the JSON Pointer of the list itself."""

    response: Response
    answered: dict[str, object]
    at: str
    items: list[_Item]
    hashes: list[str]
    keys: list[str]
    scopes: list[str]


_ENVELOPE = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[_Item])
_CANONICAL = msgspec.json.Encoder(order="sorted")


# --- reading ------------------------------------------------------------------------


def read(response: Response) -> Listing | None:
    """Return a list of executions that is regular, or ``None``."""
    if response.endpoint != "executions" or response.outcome != "ok":
        return None
    try:
        return _listing(response, response.body or b"")
    except (msgspec.MsgspecError, LookupError, ValueError, TypeError, RecursionError):
        return None  # TypeError: orjson refuses depth and big integers


def _listing(response: Response, body: bytes) -> Listing:
    answered: dict[str, object] = {}
    raw: bytes | Raw = body
    if body[:1] == b"{":
        envelope = _ENVELOPE.decode(body)
        raw = envelope.pop("executions")
        answered = {name: msgspec.json.decode(v) for name, v in envelope.items()}
    items = _ITEMS.decode(raw)
    encoded = [_CANONICAL.encode(item) for item in items]
    at = "" if raw is body else pointer("executions")
    _check_whole(body, items, encoded, answered, at)
    scopes = _scopes(response, items)
    return Listing(
        response=response,
        answered=answered,
        at=at,
        items=items,
        hashes=[sha256(one) for one in encoded],
        keys=_keys(response, items, scopes),
        scopes=scopes,
    )


def _check_whole(
    body: bytes,
    items: Sequence[_Item],
    encoded: Sequence[bytes],
    answered: dict[str, object],
    at: str,
) -> None:
    """Raise unless all of a body was read: no key twice, nothing nested too deep."""
    found = b"".join(encoded).count(b":")
    if at:
        found += orjson.dumps({"executions": 0, **answered}).count(b":")
    if found != colons(body):
        raise IrregularError("a key stands twice")
    results = [item.result for item in items if item.result]
    orjson.dumps([[results]] if at else [results])  # as deep as they stand in the body


def sight_of(response: Response) -> Sight | None:
    """Return what ``observe`` sees in a list that is regular, or ``None``."""
    page = read(response)
    if page is None or len(set(page.keys)) < len(page.keys):
        return None
    words = _said(page.items, "status")
    results = _said(page.items, "result")
    starts = _said(page.items, "started_at")
    observations = []
    for place, item in enumerate(page.items):
        status = neutral_status(words[place], results[place])
        observations.append(
            Observation(
                kind="item",
                key=page.keys[place],
                pointer=page.at + pointer(place),
                sha256=page.hashes[place],
                status=status,
                provider_status=words[place],
                is_terminal=status in TERMINAL,
                at=start_of(starts[place]),
                scope=page.scopes[place],
                name=item.id,
            )
        )
    return Sight(
        outcome="ok",
        observations=observations,
        answered=page.answered,
        listing="paged" if page.at else "window",
    )


def _scopes(response: Response, items: Sequence[_Item]) -> list[str]:
    asked = str(msgspec.json.decode(response.params).get("task_id") or "")
    return [item.task_id or asked for item in items]


def _keys(
    response: Response, items: Sequence[_Item], scopes: Sequence[str]
) -> list[str]:
    of = (response.provider, response.connection)
    before = {scope: execution_key(*of, scope, "") for scope in set(scopes)}
    ids = [item.id for item in items]
    if any(not one or ":" in one or "%" in one for one in ids):
        raise IrregularError("an id that is quoted in a key, or none")
    return [before[scope] + one for scope, one in zip(scopes, ids, strict=True)]


# --- tables -------------------------------------------------------------------------


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
        counts = [len(page.items) for page in pages]
        responses = [page.response for page in pages]
        received = [response.received_at for response in responses]
        codes = [response.http_status for response in responses]
        ids = [response.response_id for response in responses]
        paths = [p.at + pointer(i) for p in pages for i in range(len(p.items))]
        self.items = [item for page in pages for item in page.items]
        self.scopes = [scope for page in pages for scope in page.scopes]
        self.hashes = [hashed for page in pages for hashed in page.hashes]
        self.received = repeated(pa.array(received, MOMENT), counts)
        self.codes = repeated(pa.array(codes, pa.int64()), counts)
        self.owners = Owners(
            provider=responses[0].provider,
            connection=responses[0].connection,
            keys=pa.array([key for page in pages for key in page.keys], pa.string()),
            response_ids=repeated(pa.array(ids, pa.string()), counts),
            paths=pa.array(paths, pa.string()),
        )
        self.results = _said(self.items, "result")
        self.with_result = [
            (place, result)
            for place, result in enumerate(self.results)
            if result is not None
        ]
        # What no result has need not be looked for in each.
        self.named: set[str] = set().union(*(result for _, result in self.with_result))
        self.has_sources = not self.named.isdisjoint(SOURCE_LISTS)
        self.words = _said(self.items, "status")
        self.statuses: list[Status] = [
            neutral_status(word, result)
            for word, result in zip(self.words, self.results, strict=True)
        ]

    def executions(self) -> pa.Table:
        items, owners = self.items, self.owners
        created = times(_said(items, "created_at"))
        started = times(_said(items, "started_at"))
        ended = times(_said(items, "completed_at"))
        notification = self._texts("notification")
        of = (owners.provider, owners.connection)
        flows = {scope: workflow_key(*of, scope) for scope in set(self.scopes)}
        are_over = [status in TERMINAL for status in self.statuses]
        return table(
            Execution,
            len(items),
            provider=owners.provider,
            connection=owners.connection,
            execution_key=owners.keys,
            response_id=owners.response_ids,
            execution_id=[item.id for item in items],
            scope=self.scopes,
            workflow_key=[flows[scope] for scope in self.scopes],
            status=self.statuses,
            provider_status=self.words,
            is_terminal=are_over,
            result_state=["captured" if over else "pending" for over in are_over],
            day=pc.cast(pc.coalesce(started, created, self.received), pa.date32()),
            created_at=created,
            started_at=started,
            ended_at=ended,
            duration_ms=milliseconds(started, ended),
            condition_met=self._conditions(notification),
            change_summary=self._texts("change_summary"),
            notification=notification,
            error_message=_said(items, "error_message"),
            first_seen_at=self.received,
            observed_at=self.received,
            content_sha256=self.hashes,
            list_sha256=self.hashes,
        )

    def _texts(self, name: str) -> list[str | None]:
        """Return a text of the row, else of the result."""
        texts = _said(self.items, name)
        for place, result in self.with_result if name in self.named else ():
            if texts[place] is None and name in result:
                texts[place] = _text(result[name])
        return texts

    def _conditions(self, notification: Sequence[str | None]) -> list[bool | None]:
        met = _said(self.items, "condition_met")
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
        return table(
            StatusChange,
            len(self.items),
            provider=self.owners.provider,
            connection=self.owners.connection,
            execution_key=self.owners.keys,
            response_id=self.owners.response_ids,
            observed_at=self.received,
            status=self.statuses,
            provider_status=self.words,
            http_status=self.codes,
        )

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
        are_texts = [isinstance(answer, str) for _, _, answer in found]
        said = list(zip(are_texts, (answer for _, _, answer in found), strict=True))
        return self.owners.rows(
            Output,
            [place for place, _, _ in found],
            [below for _, below, _ in found],
            position=1,
            name="answer",
            value=[None if is_text else encode(answer) for is_text, answer in said],
            value_text=[answer if is_text else None for is_text, answer in said],
        )

    def sources_of_rows(self) -> pa.Table:
        """Return sources of executions that have them at the row alone."""
        lists = [
            []
            if self.has_sources and _has_sources(result)
            else item.grounding_sources or []
            for item, result in zip(self.items, self.results, strict=True)
        ]
        of, positions = spread([len(sources) for sources in lists])
        sources = [
            one if isinstance(one, _Source) else _Source(uri=one)
            for sources in lists
            for one in sources
        ]
        below = joined("/grounding_sources/", pc.cast(positions, pa.string()))
        return self._sources(of, below, positions, sources)

    def sources_in_results(self) -> pa.Table:
        """Return sources of the others, each once across the places."""
        of: list[int] = []
        below: list[str] = []
        positions: list[int] = []
        sources: list[_Source] = []
        for place, result in self.with_result if self.has_sources else ():
            if _has_sources(result):
                found = list(_distinct(self.items[place], result))
                of += [place] * len(found)
                positions += range(len(found))
                below += [path for path, _ in found]
                sources += [_source(source) for _, source in found]
        return self._sources(of, below, positions, sources)

    def _sources(
        self, of: Column, below: Column, position: Column, sources: Sequence[_Source]
    ) -> pa.Table:
        uris = pa.array(_addresses(sources), pa.string())
        domain, is_valid = domains(uris)
        return self.owners.rows(
            GroundingSource,
            of,
            below,
            position=position,
            uri=uris,
            title=_said(sources, "title"),
            snippet=_said(sources, "snippet"),
            domain=domain,
            is_valid_uri=is_valid,
        )

    def activity(self) -> pa.Table:
        of: list[int] = []
        below: list[str] = []
        positions: list[int] = []
        entries: list[object] = []
        has_activity = not self.named.isdisjoint(ACTIVITY_LISTS)
        for place, result in self.with_result if has_activity else ():
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
            for place, result in self.with_result
            if "metadata" in self.named and result.get("metadata") is not None
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


def _said(of: Sequence[_Item | _Source], name: str) -> list[Any]:
    """Return a field of each; what is not said is null."""
    return _null(map(attrgetter(name), of))


def _null(values: Iterable[UnsetType | T | None]) -> list[T | None]:
    return [None if value is UNSET else value for value in values]


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


def _error(item: _Item, result: dict[str, Any]) -> tuple[str, str | None]:
    """Return where the words of a failure stand, and what they are."""
    if isinstance(item.error_message, str):
        return "/error_message", item.error_message
    in_answer = ANSWERS if result.get("success") is False else ()
    for name in ("error", *in_answer):
        if isinstance(result.get(name), str):
            return f"/result/{name}", result[name]
    return "/error_message", None


def _has_sources(result: dict[str, Any] | None) -> bool:
    return result is not None and _first(result, SOURCE_LISTS) is not None


def _distinct(item: _Item, result: dict[str, Any]) -> Iterator[tuple[str, object]]:
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
    known = msgspec.to_builtins(source) if isinstance(source, _Source) else source
    if isinstance(known, dict) and not (known.get("uri") or known.get("url")):
        raise IrregularError("a source without an address")
    return identity(known)


def _source(source: object) -> _Source:
    """Return a source of a list in a result, whatever else is said of it there."""
    if isinstance(source, _Source):
        return source
    if isinstance(source, str):
        return _Source(uri=source)
    if not isinstance(source, dict):
        raise IrregularError("no source")
    name = "url" if source.get("uri") is None else "uri"
    said = [_text(source.get(one)) for one in (name, "title", "snippet")]
    uri, title, snippet = (UNSET if one is None else one for one in said)
    return _Source(uri=uri, title=title, snippet=snippet)


def _addresses(sources: Sequence[_Source]) -> list[str | None]:
    """Return the address of each, which has one of two names."""
    uris, urls = [one.uri for one in sources], [one.url for one in sources]
    if set(map(type, urls)) == {UnsetType} and NoneType not in set(map(type, uris)):
        return _null(uris)
    for place, uri in enumerate(uris):
        if uri is UNSET:
            uris[place] = urls[place]
        elif uri is None or urls[place] is not UNSET:
            raise IrregularError("two addresses")
    return _null(uris)
