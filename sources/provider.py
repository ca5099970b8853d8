"""What a provider's folder offers, and what its collecting gives back."""

import json
import ssl
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, get_origin, get_type_hints

import msgspec

from sources.errors import ConfigurationError, ExecledgerError

__all__ = [
    "AccountSettings",
    "Collected",
    "Progress",
    "Window",
    "check_authority",
    "check_ranges",
    "listed_ids",
    "settings_from",
    "unwatched",
]

S = TypeVar("S", bound=msgspec.Struct)

Progress = Callable[[str, int], None]
"""Told what was read, such as ``executions``, and how many more of it."""


def unwatched(what: str, more: int) -> None:
    """Take note of no progress."""
    del what, more


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings of every provider have in common: their keys are not shown."""

    def __repr__(self) -> str:
        given = msgspec.structs.asdict(self)
        shown = ", ".join(
            f"{name}={'***' if name.endswith('key') and value else repr(value)}"
            for name, value in given.items()
        )
        return f"{type(self).__name__}({shown})"


class Window(msgspec.Struct, frozen=True):
    """A range of starts to read again on purpose; ``None`` leaves an end open.

    A time without a zone is taken as UTC.
    """

    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            at: datetime | None = getattr(self, name)
            if at is not None and at.tzinfo is None:
                msgspec.structs.force_setattr(self, name, at.replace(tzinfo=UTC))

    def __contains__(self, at: datetime) -> bool:
        after = self.since is not None and at >= self.since
        return after and (self.until is None or at <= self.until)


class Collected(msgspec.Struct):
    """What one collecting of one connection came to.

    ``unfinished`` has the scopes whose listing could not be read down to the time
    that was due, and that time (ISO 8601; empty for everything): the next
    collecting reads at least as deep. ``broke_off`` says that it ended in an error
    that nobody foresaw.
    """

    counts: dict[str, int] = {}
    errors: list[ExecledgerError] = []
    unfinished: dict[str, str] = {}
    broke_off: bool = False


def check_ranges(
    settings: msgspec.Struct, ranges: Mapping[str, tuple[float, float]]
) -> None:
    """Raise ``ValueError`` for the first setting that is outside its range."""
    for name, (least, most) in ranges.items():
        if not least <= getattr(settings, name) <= most:  # NaN is in no range
            raise ValueError(f"{name} must be from {least:,} to {most:,}")


def check_authority(ca_file: str) -> None:
    """Raise ``ValueError`` where ``ca_file`` is given and holds no certificate."""
    if not ca_file:
        return
    try:
        path = Path(ca_file).expanduser()
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        is_read = isinstance(error, ssl.SSLError)
        reason = "it holds no certificate" if is_read else error.strerror
        raise ValueError(
            f"ca_file cannot be used: {reason}. Set it to a PEM file with the "
            "certificate of your own authority, or take it out"
        ) from None


def settings_from(kind: type[S], raw: Mapping[str, object], section: str) -> S:
    """Return the settings of a connection from configuration values.

    Texts become what the setting is; a list may be a list, JSON or separated by
    commas. Raises ``ConfigurationError`` that names the key and never its value.
    """
    given: dict[str, object] = {}
    for name, hint in get_type_hints(kind).items():
        value = raw.get(name)
        if value is not None:
            given[name] = _listed(value) if get_origin(hint) is tuple else value
    for field in msgspec.structs.fields(kind):
        if field.required and given.get(field.name) in (None, ""):
            variable = f"{section.replace('.', '__')}__{field.name}".upper()
            raise ConfigurationError(
                f"[{section}]: {field.name} is missing. Set it there, or {variable}."
            )
    try:
        return msgspec.convert(given, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(f"[{section}]: {error}") from None


class _Ids(msgspec.Struct):
    execution_ids: tuple[str | int, ...] = ()


def listed_ids(given: object) -> list[str]:
    """Return execution ids from a list, JSON, or text with commas."""
    raw = {"execution_ids": given}
    return [str(one) for one in settings_from(_Ids, raw, "sources").execution_ids]


def _listed(value: object) -> object:
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return [part.strip() for part in value.split(",") if part.strip()]
