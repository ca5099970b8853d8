"""JSON decoding: nothing dropped in silence, and both ways mean the same."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources import json_text
from sources.json_text import (
    MAX_DEPTH,
    NotJsonError,
    canonical_sha256,
    decode,
    encode,
    pointer,
    resolve,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


def reasons(body: bytes) -> list[tuple[str, str]]:
    """Return where and why a body had to be bent."""
    return [(fault.pointer, fault.reason) for fault in decode(body).faults]


@settings(max_examples=400, deadline=None)
@given(value=JSON, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
def test_the_quick_and_the_tolerant_way_give_the_same(
    value: object, indent: int | None, *, ascii_only: bool
) -> None:
    """Whichever way a body takes, value and faults are the same."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    body = text.encode("utf-8", errors="surrogatepass")

    assert decode(body) == json_text._decode_tolerantly(body)


@settings(max_examples=300, deadline=None)
@given(body=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_decode_or_are_said_to_be_no_json(body: bytes) -> None:
    """Nothing but NotJsonError leaves decode, and what it gives can be stored."""
    try:
        decoded = decode(body)
    except NotJsonError:
        return

    encode(decoded.value).encode()


@pytest.mark.parametrize(
    ("body", "value", "faults"),
    [
        (b"[NaN]", ["NaN"], [("/0", "not_finite")]),
        (b"[-Infinity]", ["-Infinity"], [("/0", "not_finite")]),
        (b'{"a":1e999}', {"a": "1e999"}, [("/a", "beyond_double")]),
        (b'"\\ud800x"', "\ufffdx", [("", "lone_surrogate")]),
        (b'"\xff"', "\ufffd", [("", "invalid_utf8")]),
        (b'"a\x00b"', "a\x00b", [("", "control_character")]),
        (b'{"a":1,"a":2}', {"a": 2}, [("/a", "duplicate_key")]),
        (b'\xef\xbb\xbf{"a":1}', {"a": 1}, []),
        (b"[18446744073709551616]", [2**64], []),
        (b'["\\u0022:",{"a":1,"a":1}]', ['":', {"a": 1}], [("/1/a", "duplicate_key")]),
        (b'{"a" :1,"b":2,"b":3}', {"a": 1, "b": 3}, [("/b", "duplicate_key")]),
        (
            b'["\\"\\u003a",{"a":1,"a":2}]',
            ['":', {"a": 2}],
            [("/1/a", "duplicate_key")],
        ),
    ],
)
def test_what_is_odd_becomes_text_and_a_fault(
    body: bytes, value: object, faults: list[tuple[str, str]]
) -> None:
    """Each oddity keeps what it said, and says that it was odd."""
    assert decode(body).value == value
    assert reasons(body) == faults


def test_two_keys_that_bend_to_the_same_text_both_stay() -> None:
    """Two lone surrogates as keys become two keys, not one."""
    decoded = decode(b'{"\\ud800":1,"\\ud801":2}')

    assert sorted(decoded.value.values()) == [1, 2]  # type: ignore[attr-defined]


def test_integers_of_thousands_of_digits_are_kept_as_text() -> None:
    """Python would refuse them; the digits are all there."""
    digits = "9" * 5_000

    assert decode(f"[{digits}]".encode()).value == [digits]
    assert reasons(f"[{digits}]".encode()) == [("/0", "too_many_digits")]


@pytest.mark.parametrize("depth", [MAX_DEPTH, MAX_DEPTH + 1, 10_000])
def test_what_is_nested_too_deep_is_kept_as_text_and_the_rest_is_read(
    depth: int,
) -> None:
    """The 255th container is text, whichever way the body takes."""
    body = b'{"deep":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b',"b":1}'

    decoded = decode(body)

    is_cut = depth > MAX_DEPTH
    assert [fault.reason for fault in decoded.faults] == ["too_deep"] * is_cut
    assert resolve(decoded.value, "/b") == 1
    assert len(encode(decoded.value)) >= len(body) - 10


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{", b'"', b'"\\"\\"', b"[" * 99_999]
)
def test_what_is_no_json_is_said_to_be_none(body: bytes) -> None:
    """Cut, empty, HTML, never closed: one error, and quickly."""
    with pytest.raises(NotJsonError):
        decode(body)


def test_the_hash_depends_on_what_is_said_and_not_on_how() -> None:
    """Order of keys and white space do not change a hash; a value does."""
    one = decode(b'{"a": 1, "b": [2]}').value
    other = decode(b'{"b":[2],"a":1}').value

    assert canonical_sha256(one) == canonical_sha256(other)
    assert canonical_sha256(one) != canonical_sha256({"a": 1, "b": [3]})


def test_a_pointer_leads_back_to_its_value() -> None:
    """Escapes of RFC 6901 go both ways."""
    value = {"a/b": {"m~n": [1, {"": 2}]}}

    assert resolve(value, pointer("a/b", "m~n", 1, "")) == 2
    with pytest.raises(LookupError):
        resolve(value, "/a~1b/m~0n/1//x")


def test_zero_and_minus_zero_and_small_numbers_stay() -> None:
    """Numbers that are close to nothing are not nothing."""
    assert decode(b"[-0.0, 5e-324]").value == [-0.0, 5e-324]
    assert math.copysign(1, decode(b"[-0.0]").value[0]) == -1  # type: ignore[index]
