"""Putting executions on the watch-list: ids as people and programs give them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from sources import part, providers
from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.values import MisfitError, timestamp
from sources.watched import Tag, Watched
from sources.watchlist import WatchList

__all__ = ["Started", "read_started", "tag_of", "track", "trackable", "untrack"]

_ID = re.compile(r"[^\s\x00-\x1f\x7f\ud800-\udfff]{1,500}")
_UNREADABLE = (msgspec.DecodeError, UnicodeEncodeError, RecursionError)


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that somebody started: its id, and what else is known of it.

    ``scope`` is said by answers that name what was started; ``context`` is what the
    provider's own modules note.
    """

    execution_id: str
    scope: str | None = None
    started_at: datetime | None = None
    tags: tuple[Tag, ...] = ()
    context: dict[str, Any] = {}


def trackable() -> tuple[str, ...]:
    """Return the providers whose executions are asked for by their ids."""
    return tuple(name for name in providers() if _has_tracking(name))


def _has_tracking(provider: str) -> bool:
    try:
        part(provider, "tracking")
    except ModuleNotFoundError as absent:
        if absent.name != f"sources.{provider}.tracking":
            raise
        return False
    return True


def track(
    journal: Journal,
    provider: str,
    connection: str,
    settings: Any,  # noqa: ANN401 (each provider's own)
    started: Iterable[Started],
) -> int:
    """Put executions on the watch-list at once; return how many are new on it."""
    rules, now = part(provider, "tracking"), journal.now()
    scope = rules.scope_of(settings)
    added = [
        rules.watch(
            settings,
            Watched(
                execution_id=_checked(one.execution_id),
                scope=scope,
                tracked_at=now,
                started_at=_begun_at(one.started_at, now),
                tags=one.tags,
                context=one.context,
            ),
        )
        for one in started
    ]
    return WatchList(journal, provider, connection).add(added)


def _begun_at(said: datetime | None, now: datetime) -> datetime | None:
    """Return when it began: in UTC where no zone is said, and never in the future."""
    if said is None:
        return None
    return min(said if said.tzinfo else said.replace(tzinfo=UTC), now)


def untrack(
    journal: Journal, provider: str, connection: str, execution_ids: Iterable[str]
) -> int:
    """Take executions off the watch-list; return how many were on it."""
    return WatchList(journal, provider, connection).remove(execution_ids)


def read_started(text: str, provider: str) -> list[Started]:
    """Return what a text names: ids one a line, JSON lines, or a whole answer.

    A JSON line is an id, or an object with ``id``, ``started_at`` and ``tags``, or
    an answer to a start. Raises ``ConfigurationError`` that names the line.
    """
    text = text.removeprefix("\ufeff")  # some editors begin a file with it
    try:
        whole = msgspec.json.decode(text)
    except _UNREADABLE:
        whole = None
    if not isinstance(whole, list | dict):
        return list(_lines(text, provider))
    values = whole if isinstance(whole, list) else [whole]
    return [_started(value, provider, "what was given") for value in values]


def _lines(text: str, provider: str) -> Iterator[Started]:
    for number, line in enumerate(text.splitlines(), 1):
        word = line.strip()
        if not word:
            continue
        value: object = word
        if word[0] in '{["':
            try:
                value = msgspec.json.decode(word)
            except _UNREADABLE as error:
                raise ConfigurationError(f"Line {number} is no JSON: {error}") from None
        yield _started(value, provider, f"line {number}")


def _started(value: object, provider: str, where: str) -> Started:
    if _is_id(value):
        return Started(execution_id=_checked(str(value), where))
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"In {where} stands neither an id nor an object.")
    found = part(provider, "tracking").started_in(value)
    given = value.get("id")
    if found is None and _is_id(given):
        found = (str(given), None)
    if found is None:
        raise ConfigurationError(
            f'In {where} stands no execution id: {{"id": …}} or the whole answer of '
            "the call that started it."
        )
    return Started(
        execution_id=_checked(found[0], where),
        scope=found[1],
        started_at=_time(value.get("started_at"), where),
        tags=_tags(value.get("tags"), where),
    )


def _is_id(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _checked(execution_id: str, where: str = "the ids") -> str:
    if not _ID.fullmatch(execution_id):
        raise ConfigurationError(
            f"In {where} stands {execution_id[:80]!r}, which is no execution id."
        )
    return execution_id


def _time(value: object, where: str) -> datetime | None:
    try:
        return None if value is None else timestamp(value)
    except MisfitError:
        raise ConfigurationError(
            f"In {where}, started_at is no time, such as 2026-01-31T12:00:00Z."
        ) from None


def _tags(value: object, where: str) -> tuple[Tag, ...]:
    """Return tags from texts, ``{"key", "value"}`` objects, or one object of them."""
    if value is None:
        return ()
    if isinstance(value, Mapping):
        return tuple((str(name), _text(given)) for name, given in value.items())
    listed: Sequence[object] = value if isinstance(value, list) else [value]
    return tuple(_tag(one, where) for one in listed)


def _tag(value: object, where: str) -> Tag:
    if isinstance(value, str) and value:
        return tag_of(value)
    if isinstance(value, Mapping) and isinstance(value.get("key"), str):
        return (value["key"], _text(value.get("value")))
    raise ConfigurationError(f"In {where} stands a tag that is none.")


def tag_of(text: str) -> Tag:
    """Return a tag from ``name`` or ``name=value``."""
    name, equals, value = text.partition("=")
    return (name, value if equals else None)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
