"""Converters: what fits is converted, what does not is a misfit with a reason."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.values import (
    Fields,
    Misfit,
    MisfitError,
    boolean,
    host,
    integer,
    items,
    money,
    number,
    registrable_domain,
    text,
    timestamp,
)

CONVERTERS: list[Callable[[object], object]] = [
    boolean,
    integer,
    items,
    money,
    number,
    text,
    timestamp,
]
ODD = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.just([]),
    st.just({}),
    st.from_regex(r"[+-]?[0-9]{0,30}\.?[0-9]{0,30}([eE][+-]?[0-9]{1,5})?"),
)


@pytest.mark.parametrize("convert", CONVERTERS)
@given(value=ODD)
def test_a_converter_raises_nothing_but_a_misfit(
    convert: Callable[[object], object], value: object
) -> None:
    """Law 5: whatever comes, it is a value of the column's type or a misfit."""
    try:
        convert(value)
    except MisfitError as misfit:
        assert str(misfit)  # noqa: PT017 (either outcome is right)


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [
        (text, "", ""),
        (text, 5, "5"),
        (text, 1.5, "1.5"),
        (integer, "12", 12),
        (integer, 12.0, 12),
        (integer, " 7 ", 7),
        (integer, "12.0", 12),
        (integer, -(2**63), -(2**63)),
        (number, "1e3", 1000.0),
        (number, 3, 3.0),
        (money, "0.0247", Decimal("0.024700000000")),
        (money, 0.1, Decimal("0.100000000000")),
        (money, "0.0000000000005", Decimal("0E-12")),
        (money, "0.0000000000015", Decimal("0.000000000002")),
        (boolean, False, False),
        (timestamp, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (
            timestamp,
            "2026-01-02T03:04:05.123456789Z",
            datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC),
        ),
        (
            timestamp,
            "2026-01-02T03:04:05.5+02:00",
            datetime(2026, 1, 2, 1, 4, 5, 500000, tzinfo=UTC),
        ),
        (timestamp, "2026-01-02 03:04", datetime(2026, 1, 2, 3, 4, tzinfo=UTC)),
    ],
)
def test_what_fits_becomes_the_columns_type(
    convert: Callable[[object], object], value: object, expected: object
) -> None:
    """A number that arrives as text is a number; times are UTC; money has 12 places."""
    converted = convert(value)

    assert converted == expected
    assert type(converted) is type(expected)


@pytest.mark.parametrize(
    ("convert", "value", "reason"),
    [
        (text, True, "not_a_text"),
        (text, {}, "not_a_text"),
        (integer, 1.5, "not_an_integer"),
        (integer, True, "not_an_integer"),
        (integer, "1e3", "not_an_integer"),
        (integer, 2**63, "beyond_64_bits"),
        (number, "many", "not_a_number"),
        (number, 10**400, "beyond_double"),
        (money, "1_000", "not_a_number"),
        (money, "NaN", "not_a_number"),
        (money, "1000000", "beyond_decimal_18_12"),
        (money, True, "not_a_number"),
        (boolean, 1, "not_a_boolean"),
        (boolean, "true", "not_a_boolean"),
        (timestamp, "yesterday", "not_a_timestamp"),
        (timestamp, 1_700_000_000, "not_a_timestamp"),
        (timestamp, "2026-02-30T00:00:00Z", "not_a_timestamp"),
        (timestamp, "0001-01-01T00:00:00+14:00", "not_a_timestamp"),
        (items, {}, "not_a_list"),
    ],
)
def test_what_does_not_fit_says_why(
    convert: Callable[[object], object], value: object, reason: str
) -> None:
    """1.5 is no integer, true no number, and nothing is rounded in silence."""
    with pytest.raises(MisfitError, match=reason):
        convert(value)


def test_fields_know_what_was_taken_and_what_did_not_fit() -> None:
    """What is left after taking is the rest; a misfit keeps the whole value."""
    misfits: list[Misfit] = []
    fields = Fields({"a": 1, "b": "x", "c/d": [1], "e": None}, "/r", misfits)

    assert fields.take("a", integer) == 1
    assert fields.take("b", integer) is None
    assert fields.take("e", integer) is None
    assert list(fields.rest()) == [("/r/c~1d", [1])]
    assert misfits == [Misfit("/r/b", "not_an_integer", "x")]


@pytest.mark.parametrize(
    ("uri", "name", "domain"),
    [
        ("https://www.apple.com/newsroom", "www.apple.com", "apple.com"),
        ("HTTPS://News.BBC.co.uk:443/x", "news.bbc.co.uk", "bbc.co.uk"),
        ("http://user:pw@[2001:db8::1]:8080/?q=%00", "2001:db8::1", None),
        ("http://10.0.0.1/", "10.0.0.1", None),
        (
            "https://\u4f8b\u3048.\u30c6\u30b9\u30c8/",
            "\u4f8b\u3048.\u30c6\u30b9\u30c8",
            "\u4f8b\u3048.\u30c6\u30b9\u30c8",
        ),
        ("https://localhost/", "localhost", None),
        ("ftp://example.com/", None, None),
        ("not a url at all", None, None),
        ("http://[::1", None, None),
        ("//example.com/", None, None),
        ("", None, None),
    ],
)
def test_the_domain_of_an_address_is_the_registrable_one(
    uri: str, name: str | None, domain: str | None
) -> None:
    """Only absolute http(s) addresses have a host; machines have no domain."""
    assert host(uri) == name
    assert (registrable_domain(name) if name else None) == domain
