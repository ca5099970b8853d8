"""Responses whose fields have the usual types, read at once: what providers share.

A provider says by classes what almost all of its responses are. Any other is left to
``normalize``, which says what is in it.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from sources.json_text import colons

__all__ = [
    "CANONICAL",
    "UNSAID",
    "UNSET",
    "Count",
    "Flag",
    "Name",
    "Text",
    "Typed",
    "canonical",
    "each",
    "null",
]

T = TypeVar("T")
Text = UnsetType | str | None
Name = UnsetType | Annotated[str, Meta(min_length=1)] | None
Flag = UnsetType | bool | None
Count = UnsetType | Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None

UNSAID = frozenset({UNSET, None})
"""What a field is that is not there, or null."""

CANONICAL = msgspec.json.Encoder(order="sorted")
"""Writes what was read as ``canonical_sha256`` hashes it."""


def canonical(value: "Typed", content: bytes) -> bytes:
    """Return the JSON of what was read from a body, as it is hashed.

    Raises ``ValueError`` where that is not all of the body: a key stood twice.
    """
    encoded = CANONICAL.encode(value)
    if encoded.count(b":") != colons(content):
        raise ValueError("a key stands twice")
    return encoded


class Typed(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An object of a response; a field that is not there is ``UNSET``."""


def each(of: Sequence[Typed], name: str) -> list[Any]:
    """Return a field of each; what is not said is null."""
    return null(map(attrgetter(name), of))


def null(values: Iterable[UnsetType | T | None]) -> list[T | None]:
    """Return values as a list; what is not said is null."""
    return [None if value is UNSET else value for value in values]
