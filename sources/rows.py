"""Building the rows of one response, alike for every provider.

A value that does not fit its column is NULL there, a row of ``load_rejects``, and
stands whole in ``execution_metadata``: nothing is dropped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sources.json_text import (
    Decoded,
    Fault,
    canonical_sha256,
    encode,
    pointer,
)
from sources.observations import Observation, Sight
from sources.records import (
    ExecutionMetadata,
    LoadReject,
    Output,
    Record,
    Response,
    Snapshot,
    child_key,
    request_key,
)
from sources.values import Fields, Misfit

__all__ = [
    "Rows",
    "failed_request",
    "first_words",
    "is_within",
    "listed",
    "loose_reject",
    "loose_reject_row",
    "reject_key",
    "reject_row",
    "rejected_body",
    "request_key_of",
    "with_faults",
]

_WORDS = 1_000
"""Longest part of a body that is no JSON to stand in an error's message."""


class Rows:
    """The rows of one execution, as one response shows it.

    ``at`` is the JSON Pointer of the execution in the response; ``faults`` are
    those of the whole response, of which the execution's own become rejects.
    """

    def __init__(
        self, response: Response, key: str, at: str = "", faults: Sequence[Fault] = ()
    ) -> None:
        self.response = response
        self.key = key
        self.at = at
        self.records: list[Record] = []
        self._misfits: list[Misfit] = []
        self._faults = [fault for fault in faults if is_within(fault.pointer, at)]
        self._common: dict[str, Any] = {
            "provider": response.provider,
            "connection": response.connection,
            "response_id": response.response_id,
            "execution_key": key,
        }

    def fields(self, value: Mapping[str, object], at: str) -> Fields:
        """Return a reader of an object's fields; its misfits become rejects here."""
        return Fields(value, at, self._misfits)

    def key_of(self, path: str) -> str:
        """Return the key of the row that stands at ``path`` in the response."""
        return child_key(self.key, path)

    def add(self, table: type[Snapshot], **columns: Any) -> None:  # noqa: ANN401 (the columns of any table)
        """Add a row; provider, connection, response and execution are filled in."""
        self.records.append(table(**self._common, **columns))

    def metadata(self, path: str, value: object, file_key: str | None = None) -> None:
        """Keep a field that no other table models, its whole subtree."""
        self.add(
            ExecutionMetadata,
            metadata_key=self.key_of(path),
            file_key=file_key,
            path=path,
            value=encode(value),
        )

    def keep_rest(self, fields: Fields, file_key: str | None = None) -> None:
        """Keep each field of an object that was not taken."""
        for path, value in fields.rest():
            self.metadata(path, value, file_key)

    def output(
        self,
        path: str,
        position: int,
        name: str,
        value: object,
        file_key: str | None = None,
    ) -> None:
        """Add an output: a text as text, anything else as JSON."""
        is_text = isinstance(value, str)
        self.add(
            Output,
            output_key=self.key_of(path),
            file_key=file_key,
            position=position,
            name=name,
            value=None if is_text else encode(value),
            value_text=value if is_text else None,
        )

    def misfit(self, path: str, reason: str, value: object) -> None:
        """Say that a value fits nowhere; it becomes a reject and metadata."""
        self._misfits.append(Misfit(path, reason, value))

    def finish(self) -> list[Record]:
        """Return all rows, those of misfits and faults included."""
        for misfit in self._misfits:
            self.metadata(misfit.pointer, misfit.value)
        faults = [
            Fault(misfit.pointer, misfit.reason, canonical_sha256(misfit.value))
            for misfit in self._misfits
        ]
        for fault in [*faults, *self._faults]:
            key = reject_key(self.key, fault, fault.pointer.removeprefix(self.at))
            self.records.append(reject_row(self.response, self.key, key, fault))
        return self.records


def is_within(path: str, at: str) -> bool:
    """Tell whether the JSON Pointer ``path`` leads to ``at`` or below it."""
    return path == at or path.startswith(at + "/")


def request_key_of(response: Response, scope: str = "") -> str:
    """Return the key for what a response shows beside single executions."""
    return request_key(response.provider, response.connection, response.endpoint, scope)


def reject_key(owner: str, fault: Fault, place: str) -> str:
    """Return the key of a reject: the same value at the same place is one.

    ``place`` is the JSON Pointer within the owner, which does not move when the
    owner stands elsewhere in the next response.
    """
    return f"{child_key(owner, place)}#{fault.reason}:{fault.value_sha256[:16]}"


def reject_row(response: Response, owner: str, key: str, fault: Fault) -> LoadReject:
    """Return the row of a value that did not fit."""
    return LoadReject(
        provider=response.provider,
        connection=response.connection,
        response_id=response.response_id,
        reject_key=key,
        execution_key=owner,
        path=fault.pointer,
        reason=fault.reason,
        value_sha256=fault.value_sha256,
        first_seen_at=response.received_at,
    )


def loose_reject_row(
    response: Response, seen: Observation, scope: str = ""
) -> LoadReject:
    """Return the row of what ``loose_reject`` observed in a request's answer."""
    fault = Fault(seen.pointer, seen.name, seen.sha256)
    return reject_row(response, request_key_of(response, scope), seen.key, fault)


def loose_reject(owner: str, fault: Fault) -> Observation:
    """Return the observation of a value that belongs to no single execution."""
    return Observation(
        kind="reject",
        key=reject_key(owner, fault, ""),
        pointer=fault.pointer,
        sha256=fault.value_sha256,
        name=fault.reason,
    )


def listed(
    owner: str,
    values: Sequence[object],
    at: str,
    see: Callable[[object, str, str], Observation | str | None],
) -> Iterator[Observation]:
    """Yield what each element of a list shows, or that it can be no execution.

    ``see`` gets an element, its JSON Pointer and its hash, and returns what it shows
    or the reason why nothing; that, and another element with an id that was there
    before, is a reject that stands with ``owner``. ``None`` passes an element over.
    """
    first: dict[str, str] = {}
    for place, value in enumerate(values):
        path = at + pointer(place)
        hashed = canonical_sha256(value)
        seen = see(value, path, hashed)
        if seen is None:
            continue
        if isinstance(seen, str):
            yield loose_reject(owner, Fault(path, seen, hashed))
        elif first.setdefault(seen.key, hashed) == hashed:
            yield seen  # also when it stands twice: a listing counts its rows
        else:
            yield loose_reject(owner, Fault(path, "duplicate_id", hashed))


def with_faults(
    response: Response, sight: Sight, decoded: Decoded, scope: str = ""
) -> Sight:
    """Add the faults that lie in no execution: those stand with the request."""
    key = request_key_of(response, scope)
    owned = [o.pointer for o in sight.observations if o.kind in {"item", "detail"}]
    loose = [
        loose_reject(key, fault)
        for fault in decoded.faults
        if not any(is_within(fault.pointer, at) for at in owned)
    ]
    observations = [*sight.observations, *loose]
    return replace(sight, observations=observations, decoded=decoded)


def failed_request(response: Response, scope: str = "") -> Sight:
    """Return the sight of a request that brought no good answer."""
    hashed = response.body_sha256 or canonical_sha256(response.error)
    observation = Observation(
        kind="request", key=request_key_of(response, scope), pointer="", sha256=hashed
    )
    return Sight(outcome=response.outcome, observations=[observation])


def rejected_body(response: Response, reason: str, scope: str = "") -> Sight:
    """Return the sight of a body that is not what the endpoint gives."""
    hashed = response.body_sha256 or canonical_sha256(None)
    key = request_key_of(response, scope)
    return Sight(
        outcome="rejected",
        observations=[
            Observation(
                kind="request", key=key, pointer="", sha256=hashed, name=reason
            ),
            loose_reject(key, Fault("", reason, hashed)),
        ],
    )


def first_words(response: Response) -> str | None:
    """Return the beginning of a body that is no JSON, or what went wrong."""
    text = (response.body or b"").decode("utf-8", errors="replace").strip()
    return text[:_WORDS] or response.error
