"""Whether an output is the one that a README shows, but for what differs each time."""

import re

__all__ = ["is_shown"]

DIFFERS = [
    (re.compile(r"\x1b\[[0-9;]*[A-Za-z]"), ""),
    (re.compile(r"(?<![\w/:])(?:~|\.{1,2})?(?:/[\w.@+%-]+)+/?"), "<path>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (
        re.compile(
            r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?"
            r"(?: ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?))?)?\b|\b\d\d?:\d\d(?::\d\d)?\b"
        ),
        "<time>",
    ),
    (re.compile(r"\d+(?:\.\d+)? ?(?:ms|s|seconds?|minutes?|min|h)\b"), "<duration>"),
    (re.compile(r"\d+(?:[.,_]\d+)*"), "<number>"),
    (re.compile(r"[─━═╌┄=-]{2,}"), "-"),
    (re.compile(r"\s+"), " "),
]
"""Colours, paths, ids, times, durations, numbers, rulers and spaces."""


def is_shown(shown: str, printed: str) -> bool:
    """Return whether ``printed`` is what ``shown`` says; ``...`` is any text."""
    pieces = re.split(r"\.\.\.|…", shown)
    pattern = ".*".join(re.escape(alike(piece)) for piece in pieces)
    return re.fullmatch(pattern, alike(printed), re.DOTALL) is not None


def alike(text: str) -> str:
    """Return ``text`` with everything that differs from run to run made equal."""
    for pattern, word in DIFFERS:
        text = pattern.sub(word, text)
    return text.strip()
