"""JSON in and out: nothing dropped in silence, nothing that a store refuses.

``decode`` has two ways of the same meaning. The strict one is quick and takes
almost every body. What it refuses, or might lose, goes the tolerant way, which
keeps each odd value as text and says what was odd. A property test holds the
two equal wherever both can go.
"""

import hashlib
import json
import re
import secrets
from functools import lru_cache
from typing import Self

import msgspec
import orjson

from sources.records import Json

__all__ = [
    "MAX_DEPTH",
    "Decoded",
    "Fault",
    "NotJsonError",
    "canonical_sha256",
    "colons",
    "decode",
    "encode",
    "pointer",
    "resolve",
    "sha256",
]

MAX_DEPTH = 254
"""Containers nested deeper are kept as text; orjson writes no deeper ones."""

_MAX_DIGITS = 4000
"""Integers with more digits are kept as text; Python refuses from 4,300 on."""

_INFINITY = float("inf")

_CUT = secrets.token_hex(16)
"""A key that no provider can guess: below it stands what was nested too deep."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)

_ESCAPED_COLON = re.compile(rb"\\u003[aA]")


class NotJsonError(ValueError):
    """The body is no JSON document at all."""


class Fault(msgspec.Struct, frozen=True):
    """A value that had to be bent: where, why, and the hash of what stood there."""

    pointer: str
    reason: str
    value_sha256: str


class Decoded(msgspec.Struct, frozen=True):
    """A decoded body: its value, and the faults that were mended in it."""

    value: object
    faults: tuple[Fault, ...] = ()


class _Odd(str):
    """A number that JSON cannot say or Python cannot hold, kept as its text."""

    __slots__ = ("reason",)
    reason: str

    def __new__(cls, text: str, reason: str) -> Self:
        odd = super().__new__(cls, text)
        odd.reason = reason
        return odd


class _Doubled(dict[str, object]):
    """An object in which a key stood more than once; the last one holds."""

    dropped: tuple[tuple[str, object], ...] = ()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def encode(value: object) -> Json:
    """Return ``value`` as compact JSON text, keys in the order they have."""
    return Json(msgspec.json.encode(value).decode())


def canonical_sha256(value: object) -> str:
    """Return the hash of ``value`` as JSON with sorted keys and no white space."""
    return sha256(msgspec.json.encode(value, order="sorted"))


def pointer(*parts: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) that leads through ``parts``.

    >>> pointer("result", "a/b", 0)
    '/result/a~1b/0'
    """
    if len(parts) == 1:
        return _segment(parts[0])
    return "".join(map(_segment, parts))


@lru_cache(maxsize=4096)
def _segment(part: str | int) -> str:
    return "/" + str(part).replace("~", "~0").replace("/", "~1")


def resolve(value: object, path: str) -> object:
    """Return what the JSON Pointer ``path`` leads to; raises ``LookupError``."""
    for part in path.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            value = value[int(name)]
        elif isinstance(value, dict):
            value = value[name]
        else:
            raise KeyError(path)
    return value


def decode(body: bytes) -> Decoded:
    """Return the value of a JSON body and what had to be bent to read it.

    Kept as text, each with a fault: NaN and infinities, numbers beyond a double,
    integers of more than 4,000 digits, containers nested deeper than 254. A lone
    surrogate and invalid UTF-8 become U+FFFD. Of a key that stands twice the last
    value holds, and the others are faults. Raises ``NotJsonError``.
    """
    try:
        value = msgspec.json.decode(body)
        if _is_whole(body, value):
            return Decoded(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError, TypeError):
        pass  # orjson refuses depth and big integers with TypeError
    return _decode_tolerantly(body)


def _is_whole(body: bytes, value: object) -> bool:
    """Tell whether ``value`` is all of ``body``: no key stood twice.

    Writing it again also proves that the depth is bearable.
    """
    return orjson.dumps(value).count(b":") == colons(body)


def colons(body: bytes) -> int | None:
    """Return how many colons a JSON body has, or ``None`` where that says nothing.

    One follows each key, and others stand in strings. Unless some are escaped, there
    are as many as in its value written again, but for keys that stood twice, of which
    one was dropped.
    """
    if b"\\u003" in body and _ESCAPED_COLON.search(body):
        return None
    return body.count(b":")


def _decode_tolerantly(body: bytes) -> Decoded:
    faults = []
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("utf-8-sig", errors="replace")
        faults.append(Fault("", "invalid_utf8", sha256(body)))
    cut = _cut_depth(text)
    try:
        value = _loads(cut, strict=True)
    except json.JSONDecodeError:
        value = _loose(cut)
        faults.append(Fault("", "control_character", sha256(body)))
    settled = _settle(value, "", faults)
    return Decoded(settled, tuple(faults))


def _loads(text: str, *, strict: bool) -> object:
    try:
        return json.loads(
            text,
            strict=strict,
            object_pairs_hook=_pairs,
            parse_constant=lambda name: _Odd(name, "not_finite"),
            parse_float=_float,
            parse_int=_int,
        )
    except RecursionError:
        raise NotJsonError("nested beyond reading, and never closed") from None


def _loose(text: str) -> object:
    try:
        return _loads(text, strict=False)
    except json.JSONDecodeError as error:
        raise NotJsonError(str(error)) from None


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object] | _Odd:
    kept = dict(pairs)
    if _CUT in kept:
        return _Odd(str(kept[_CUT]), "too_deep")
    if len(kept) == len(pairs):
        return kept
    doubled = _Doubled(kept)
    last = {key: place for place, (key, _) in enumerate(pairs)}
    doubled.dropped = tuple(
        pair for place, pair in enumerate(pairs) if last[pair[0]] != place
    )
    return doubled


def _float(text: str) -> float | _Odd:
    value = float(text)
    return _Odd(text, "beyond_double") if value in (_INFINITY, -_INFINITY) else value


def _int(text: str) -> int | _Odd:
    return _Odd(text, "too_many_digits") if len(text) > _MAX_DIGITS else int(text)


def _settle(value: object, path: str, faults: list[Fault]) -> object:
    """Replace what is odd in a decoded value by plain text, and list it."""
    if isinstance(value, dict):
        return _settle_object(value, path, faults)
    if isinstance(value, list):
        return [_settle(v, path + pointer(i), faults) for i, v in enumerate(value)]
    if isinstance(value, str):
        return _settle_text(value, path, faults)
    return value


def _settle_object(
    value: dict[str, object], path: str, faults: list[Fault]
) -> dict[str, object]:
    settled: dict[str, object] = {}
    for key, child in value.items():
        name = _settle_text(key, path, faults)
        while name in settled:  # two lone surrogates became the same character
            name += "\ufffd"
        settled[name] = _settle(child, path + pointer(name), faults)
    if isinstance(value, _Doubled):
        for key, child in value.dropped:
            name = _settle_text(key, path, [])
            hashed = canonical_sha256(_settle(child, "", []))
            faults.append(Fault(path + pointer(name), "duplicate_key", hashed))
    return settled


def _settle_text(text: str, path: str, faults: list[Fault]) -> str:
    if isinstance(text, _Odd):
        plain = "".join(text)
        faults.append(Fault(path, text.reason, sha256(plain.encode())))
        return plain
    if not _SURROGATE.search(text):
        return text
    raw = text.encode("utf-8", errors="surrogatepass")
    faults.append(Fault(path, "lone_surrogate", sha256(raw)))
    return _SURROGATE.sub("\ufffd", text)


def _cut_depth(text: str) -> str:
    """Put what is nested too deep into a string of its own, marked as cut."""
    pieces, depth, start, end = [], 0, 0, 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                start = token.start()
        elif token[0] in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                deep = json.dumps(text[start : token.end()])
                pieces += [text[end:start], '{"', _CUT, '":', deep, "}"]
                end = token.end()
    return "".join([*pieces, text[end:]])
