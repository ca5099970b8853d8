"""Torale's lists of executions whose fields have the usual types: read at once.

What almost all lists are. Of any other, ``normalize`` says what is in it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import orjson
from msgspec import UNSET, Raw, UnsetType

from sources.json_text import colons, pointer, sha256
from sources.observations import Observation, Page, Sight
from sources.records import Response, execution_key
from sources.torale.normalize import TERMINAL, neutral_status, start_of
from sources.typed import CANONICAL, Flag, Text, Typed, each

__all__ = ["Item", "Listing", "Source", "read", "sight_of"]


class Source(Typed):
    """A web source; its address has one of two names."""

    uri: Text = UNSET
    url: Text = UNSET
    title: Text = UNSET
    snippet: Text = UNSET


class Item(Typed):
    """An execution as a list shows it."""

    id: str
    task_id: Text = UNSET
    status: Text = UNSET
    result: UnsetType | dict[str, Any] | None = UNSET
    error_message: Text = UNSET
    notification: Text = UNSET
    grounding_sources: UnsetType | list[Source | str] | None = UNSET
    started_at: Text = UNSET
    completed_at: Text = UNSET
    created_at: Text = UNSET
    condition_met: Flag = UNSET
    change_summary: Text = UNSET


class Listing(Page, kw_only=True):
    """One list of executions; ``at`` is the JSON Pointer of the list itself."""

    at: str
    items: list[Item]
    hashes: list[str]


_ENVELOPE = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Item])


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
    encoded = [CANONICAL.encode(item) for item in items]
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
    items: Sequence[Item],
    encoded: Sequence[bytes],
    answered: dict[str, object],
    at: str,
) -> None:
    """Raise unless all of a body was read: no key twice, nothing nested too deep."""
    found = b"".join(encoded).count(b":")
    if at:
        found += orjson.dumps({"executions": 0, **answered}).count(b":")
    if found != colons(body):
        raise ValueError("a key stands twice")
    results = [item.result for item in items if item.result]
    orjson.dumps([[results]] if at else [results])  # as deep as they stand in the body


def sight_of(response: Response) -> Sight | None:
    """Return what ``observe`` sees in a list that is regular, or ``None``."""
    page = read(response)
    if page is None or len(set(page.keys)) < len(page.keys):
        return None
    words = each(page.items, "status")
    results = each(page.items, "result")
    starts = each(page.items, "started_at")
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


def _scopes(response: Response, items: Sequence[Item]) -> list[str]:
    if "" in each(items, "task_id"):
        raise ValueError("a task without an id, which is kept")
    asked = str(msgspec.json.decode(response.params).get("task_id") or "")
    return [item.task_id or asked for item in items]


def _keys(
    response: Response, items: Sequence[Item], scopes: Sequence[str]
) -> list[str]:
    of = (response.provider, response.connection)
    before = {scope: execution_key(*of, scope, "") for scope in set(scopes)}
    ids = [item.id for item in items]
    if any(not one or ":" in one or "%" in one for one in ids):
        raise ValueError("an id that is quoted in a key, or none")
    return [before[scope] + one for scope, one in zip(scopes, ids, strict=True)]
