"""What the fold and a provider's ``normalize`` say to each other.

``observe`` names what a response shows, by keys and hashes; the fold decides
which of it counts; ``records`` turns only that into rows.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Protocol

import msgspec

from sources.json_text import Decoded, NotJsonError, decode
from sources.records import Outcome, Record, Response, ResultState, Status

__all__ = [
    "Kind",
    "Known",
    "KnownWorkflow",
    "Normalizer",
    "Observation",
    "Page",
    "Sight",
    "Winner",
    "decoded_body",
]

Kind = Literal["item", "detail", "workflow", "request", "reject"]
"""An execution in a list, an execution by itself, a workflow, an error of a
request that concerns no single execution, a value that belongs to no execution."""


class Observation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One sight of one subject in one response.

    ``pointer`` leads to the subject in the response; ``sha256`` is the hash of
    what is there. Of a detail, ``list_sha256`` is the hash of the list item that
    made us ask for it. ``at`` is the time by which a listing is ordered, ``scope``
    and ``name`` are those of the key; of a reject, ``name`` is the reason.
    ``result_state`` is said only by providers that hand a result out once or delete
    it: there, what shows no result never replaces one that was captured.
    """

    kind: Kind
    key: str
    pointer: str
    sha256: str
    list_sha256: str | None = None
    status: Status | None = None
    provider_status: str | None = None
    result_state: ResultState | None = None
    is_terminal: bool = False
    at: datetime | None = None
    scope: str = ""
    name: str = ""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """All that one response shows, and what its envelope says.

    ``listing`` is the dialect that a listing speaks: ``paged`` is an object with a
    total, ``window`` a bare array. ``decoded`` is the body, if it was decoded.
    """

    outcome: Outcome
    observations: Sequence[Observation] = ()
    answered: dict[str, object] = {}
    listing: Literal["paged", "window"] | None = None
    decoded: Decoded | None = None


class Page(msgspec.Struct, kw_only=True):
    """A response whose fields have the usual types, read at once.

    ``keys`` are those of its executions, ``scopes`` of those that stand in a list;
    ``workflows`` is what it shows beside them.
    """

    response: Response
    keys: list[str]
    scopes: list[str] = []
    workflows: list[Observation] = []
    answered: dict[str, object] = {}


class Known(msgspec.Struct, frozen=True):
    """What the store holds of an execution."""

    status: str
    provider_status: str | None
    first_seen_at: datetime
    observed_at: datetime
    list_sha256: str | None
    content_sha256: str
    result_state: str | None


class KnownWorkflow(msgspec.Struct, frozen=True):
    """What the store holds of a workflow."""

    first_seen_at: datetime
    observed_at: datetime
    sha256: str | None


class Winner(msgspec.Struct, frozen=True, kw_only=True):
    """An observation that counts, with what only the fold knows of its subject."""

    observation: Observation
    first_seen_at: datetime
    list_sha256: str | None = None


class Normalizer(Protocol):
    """What each provider's module ``normalize`` offers. Pure; never raises."""

    VERSION: int

    def observe(self, response: Response) -> Sight:
        """Return what the response shows: keys and hashes, no rows yet."""
        ...

    def records(
        self,
        response: Response,
        winners: Sequence[Winner],
        decoded: Decoded,
    ) -> list[Record]:
        """Return the rows of the winning subjects of one response.

        ``decoded`` is its body; its value is ``None`` where that is no JSON.
        """
        ...


def decoded_body(response: Response) -> Decoded | None:
    """Return the body as JSON, or ``None`` where it is none."""
    try:
        return decode(response.body or b"")
    except NotJsonError:
        return None
