"""Where messages go: to stderr, as text for people or as lines of JSON for machines."""

from datetime import UTC, datetime
from typing import Literal

import click

__all__ = [
    "FORMATS",
    "Level",
    "as_ascii",
    "fault_words",
    "is_json",
    "printable",
    "say",
    "use",
]

Level = Literal["info", "warning", "error"]
FORMATS = ("text", "json")

_chosen = {"format": "text"}


def use(form: str) -> None:
    """Write everything from now on as ``text`` or ``json``.

    As JSON also what libraries log, warnings, and the traceback of a fault.
    """
    if form not in FORMATS or form == _chosen["format"]:
        return
    _chosen["format"] = form
    from pipelines.lines import listen, stop_listening

    (listen if is_json() else stop_listening)()


def is_json() -> bool:
    """Tell whether messages are lines of JSON."""
    return _chosen["format"] == "json"


def say(
    text: str, *, event: str = "note", level: Level = "info", **more: object
) -> None:
    """Tell something on stderr; ``event``, ``level`` and ``more`` are for machines."""
    if not is_json():
        click.echo(f"execledger: {printable(text)}", err=True)
        return
    line = {"at": datetime.now(UTC), "level": level, "event": event, "message": text}
    click.echo(as_ascii(line | more), err=True)


def printable(text: str) -> str:
    """Return a text without what could steer a terminal."""
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def as_ascii(value: object, *, indent: int | None = None) -> str:
    r"""Return a value as JSON of printable ASCII, on one line unless indented.

    >>> as_ascii({"text": "a\nb\x9b2J"})
    '{"text": "a\\nb\\u009b2J"}'
    """
    import json

    return json.dumps(value, default=_plain, indent=indent)


def _plain(value: object) -> object:
    """Return a time or a record as JSON has it; times in UTC end in Z."""
    import msgspec

    plain: object = msgspec.to_builtins(value)
    return plain


def fault_words(error: BaseException) -> str:
    """Return what is said of an error that nobody foresaw, without its own words."""
    return f"{type(error).__name__}: a fault of execledger itself. Please report it."
