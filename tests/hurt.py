"""JSON as an enemy would write it: a body changed anywhere, and written in bytes."""

import copy
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import msgspec

__all__ = ["NAMES", "ONLY_HERE", "RAW", "Raw", "hurt", "wire"]


class Raw(msgspec.Struct, frozen=True):
    """Bytes that stand in a body as they are, JSON or not quite."""

    content: bytes


ONLY_HERE = "only here"
"""How a text begins that stands nowhere else, and so is missed where it is lost."""

NAMES = (
    "../../etc/passwd",
    "C:\\Windows\\System32\\..",
    "'; drop table executions; --",
    '"); delete from execledger.executions; --',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(A1)",
    "<script>alert(1)</script>",
    "</table><img src=x onerror=alert(1)>",
    "{{7*7}}${7*7}",
    "\u0000",
    "nul\u0000inside",
    "\x1b[2J\u202e\u2028",
    "__v_text",
    "is_gone",
    "execution_key",
    "a/b~c~1",
    "",
    "NaN",
    "id",
    "status",
    "metadata",
    "x" * 5_000,
)
"""Names and texts that look like paths, SQL, formulas, markup or fields of ours."""

RAW = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"1" + b"0" * 5_000,
    b"-" + b"9" * 4_100,
    b"18446744073709551616",
    b"-9223372036854775809",
    b"0.1" + b"0" * 400 + b"1",
    b"-0.0",
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"a\x00b"',
    b'"a\\u0000b"',
    b'{"a":1,"a":2}',
    b'{"\\ud800":1,"\\ud801":2}',
    b'{"a":{"b":[1]},"\\u0061":3}',
    b"[" * 300 + b"]" * 300,
    b'{"a":' * 300 + b"1" + b"}" * 300,
)
"""Values that a parser may refuse, bend or lose."""

ODD: tuple[object, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    "",
    "12",
    " 12.0 ",
    "1e3",
    [],
    {},
    [None],
    [[]],
    {"": None},
    2**63,
    2**64,
    -(2**63),
    1e308,
    "2026-02-30T00:00:00Z",
    "9999-12-31T23:59:59.999999999+23:59",
    "0001-01-01T00:00:00+14:00",
    "text " * 1_000,
    list(range(50)),
)


def hurt(body: object, chance: Random) -> Any:
    """Return a body that is changed at a few places; ``chance`` says where and how."""
    changed = [copy.deepcopy(body)]  # in a list, so that the whole can be replaced
    for _ in range(chance.randint(1, 4)):
        spots = list(_spots(changed))
        if not spots:
            break
        place, name = spots[chance.randrange(len(spots))]
        how = _WAYS[chance.randrange(len(_WAYS))]
        how(place, name, chance)
    return changed[0] if changed else None


def _spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the container and the name of everything in a value, but of itself."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    for name, child in inner:
        yield value, name
        yield from _spots(child)


def _replace(place: Any, name: Any, chance: Random) -> None:
    place[name] = _odd(chance)


def _delete(place: Any, name: Any, _: Random) -> None:
    del place[name]


def _insert(place: Any, name: Any, chance: Random) -> None:
    if isinstance(place, dict):
        place[_name(chance)] = _odd(chance)
    else:
        place.insert(name, _odd(chance))


def _insert_below(place: Any, name: Any, chance: Random) -> None:
    below = place[name]
    if isinstance(below, dict):
        below[_name(chance)] = _odd(chance)
    elif isinstance(below, list):
        below.append(_odd(chance))
    else:
        place[name] = {_name(chance): below}


def _repeat(place: Any, name: Any, _: Random) -> None:
    if isinstance(place, list):
        place.insert(name, copy.deepcopy(place[name]))
    else:
        place[name] = [place[name], place[name]]


def _swap(place: Any, name: Any, chance: Random) -> None:
    names = list(place) if isinstance(place, dict) else list(range(len(place)))
    other = names[chance.randrange(len(names))]
    place[name], place[other] = place[other], place[name]


def _rename(place: Any, name: Any, chance: Random) -> None:
    if isinstance(place, dict):
        place[_name(chance)] = place.pop(name)


_Way = Callable[[Any, Any, Random], None]
_WAYS: tuple[_Way, ...] = (
    _replace,
    _replace,
    _delete,
    _insert,
    _insert_below,
    _repeat,
    _swap,
    _rename,
)


def _name(chance: Random) -> str:
    return NAMES[chance.randrange(len(NAMES))]


def _odd(chance: Random) -> object:
    kind = chance.randrange(6)
    if kind == 0:
        return Raw(RAW[chance.randrange(len(RAW))])
    if kind == 1:
        return _name(chance)
    if kind == 2:
        return f"{ONLY_HERE} {chance.randrange(10**9)}"
    if kind == 3:
        return {_name(chance): _odd(chance), _name(chance): [_odd(chance)]}
    return copy.deepcopy(ODD[chance.randrange(len(ODD))])


def wire(value: object) -> bytes:
    """Return a body as it would come over the wire."""
    if isinstance(value, Raw):
        return value.content
    if isinstance(value, dict):
        pairs = (wire(name) + b":" + wire(child) for name, child in value.items())
        return b"{" + b",".join(pairs) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(map(wire, value)) + b"]"
    return json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
