"""Tolerant reading of JSON values: what does not fit becomes a misfit, not an error.

A converter takes one JSON value that is not null and returns it in the model's
type, or raises ``MisfitError`` with a reason. ``Fields`` takes the fields of an
object apart with them, and knows what was left.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation, localcontext
from functools import cache, lru_cache
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec
from publicsuffixlist import PublicSuffixList

from sources.json_text import encode, pointer

__all__ = [
    "Fields",
    "Misfit",
    "MisfitError",
    "as_object",
    "boolean",
    "host",
    "integer",
    "items",
    "milliseconds",
    "money",
    "number",
    "registrable_domain",
    "text",
    "text_or_none",
    "timestamp",
]

T = TypeVar("T")

_INT64 = 2**63
_USD_PLACES = Decimal("1e-12")
_USD_LIMIT = Decimal(10**6)
_INTEGER = re.compile(r"[+-]?\d{1,30}(\.0*)?", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?", re.ASCII)
_PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9}))?(Z|z|[+-]\d\d:?\d\d)?",
    re.ASCII,
)


class MisfitError(ValueError):
    """A value does not fit its column; the message is the reason."""


class Misfit(msgspec.Struct, frozen=True):
    """A value that did not fit: where it stood, why, and the value itself."""

    pointer: str
    reason: str
    value: object


def text(value: object) -> str:
    """Return a text; a number becomes its JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return encode(value)
    raise MisfitError("not_a_text")


def text_or_none(value: object) -> str | None:
    """Return a text, or ``None`` where there is none."""
    try:
        return None if value is None else text(value)
    except MisfitError:
        return None


def boolean(value: object) -> bool:
    """Return true or false as they are; nothing else is taken for either."""
    if isinstance(value, bool):
        return value
    raise MisfitError("not_a_boolean")


def integer(value: object) -> int:
    """Return a whole number of at most 64 bits, also from text or ``12.0``."""
    whole = _whole(value)
    if not -_INT64 <= whole < _INT64:
        raise MisfitError("beyond_64_bits")
    return whole


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _INTEGER.fullmatch(value.strip()):
        return int(value.strip().partition(".")[0])
    raise MisfitError("not_an_integer")


def number(value: object) -> float:
    """Return a double, also from text."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            result = float(value.strip())
            if abs(result) != float("inf"):
                return result
    except OverflowError:
        raise MisfitError("beyond_double") from None
    raise MisfitError("not_a_number")


def money(value: object) -> Decimal:
    """Return US dollars with 12 places, rounded half-even, also from text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise MisfitError("not_a_number")
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        raise MisfitError("not_a_number")
    try:
        amount = Decimal(str(value).strip())
        with localcontext(prec=60):
            rounded = amount.quantize(_USD_PLACES, ROUND_HALF_EVEN)
    except InvalidOperation:
        raise MisfitError("not_a_number") from None
    if not rounded.is_finite() or abs(rounded) >= _USD_LIMIT:
        raise MisfitError("beyond_decimal_18_12")
    return rounded


def timestamp(value: object) -> datetime:
    """Return a time in UTC from ISO 8601 text with 0 to 9 fraction digits.

    Digits beyond the microsecond are cut. A time without a zone is taken as UTC,
    as the providers' servers mean it.
    """
    if not isinstance(value, str):
        raise MisfitError("not_a_timestamp")
    return _timestamp(value)


@lru_cache(maxsize=4096)  # the parts of an execution often say the same time
def _timestamp(value: str) -> datetime:
    try:
        if _PLAIN_TIME.fullmatch(value):  # as most are: three times as fast
            return datetime.fromisoformat(value)
        match = _TIME.fullmatch(value.strip())
        if match is None:
            raise MisfitError("not_a_timestamp")
        clock, fraction, zone = match.groups()
        digits = f".{fraction[:6]:0<6}" if fraction else ""
        at = datetime.fromisoformat(clock + digits + (zone or "Z").upper())
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise MisfitError("not_a_timestamp") from None


def items(value: object) -> list[object]:
    """Return a list as it is."""
    if isinstance(value, list):
        return value
    raise MisfitError("not_a_list")


def as_object(value: object) -> dict[str, object]:
    """Return an object as it is."""
    if isinstance(value, dict):
        return value
    raise MisfitError("not_an_object")


def milliseconds(start: datetime | None, end: datetime | None) -> int | None:
    """Return the time between two, whole milliseconds, or ``None``."""
    if start is None or end is None:
        return None
    return (end - start) // timedelta(milliseconds=1)


class Fields:
    """The fields of one JSON object, taken one by one; the rest is known.

    ``misfits`` collects what did not fit, for all objects of one execution.
    """

    def __init__(
        self, value: Mapping[str, object], at: str, misfits: list[Misfit]
    ) -> None:
        self.at = at
        self._value = value
        self._taken: set[str] = set()
        self._misfits = misfits

    def where(self, name: str) -> str:
        """Return the JSON Pointer of the field ``name``."""
        return self.at + pointer(name)

    def raw(self, name: str) -> object:
        """Take a field as it is; ``None`` where it is absent or null."""
        self._taken.add(name)
        return self._value.get(name)

    def has(self, name: str) -> bool:
        """Tell whether the field is there, null included; takes nothing."""
        return name in self._value

    def take(self, name: str, convert: Callable[[object], T]) -> T | None:
        """Take a field in the model's type; ``None`` where absent or a misfit."""
        self._taken.add(name)
        value = self._value.get(name)
        if value is None:
            return None
        try:
            return convert(value)
        except MisfitError as misfit:
            self.misfit(name, str(misfit))
            return None

    def misfit(self, name: str, reason: str) -> None:
        """Say that the field ``name`` does not fit."""
        value = self._value.get(name)
        self._misfits.append(Misfit(self.where(name), reason, value))

    def rest(self) -> Iterator[tuple[str, object]]:
        """Yield JSON Pointer and value of each field that was not taken."""
        for name, value in self._value.items():
            if name not in self._taken:
                yield self.where(name), value


def host(uri: str) -> str | None:
    """Return the host of an absolute http(s) address, in lower case, or ``None``."""
    try:
        parts = urlsplit(uri)
        if parts.scheme.lower() in {"http", "https"} and parts.hostname:
            return parts.hostname
    except ValueError:  # such as an unclosed bracket
        pass
    return None


@lru_cache(maxsize=65_536)
def registrable_domain(name: str) -> str | None:
    """Return the registrable domain of a host, by the public suffix list.

    ``None`` for addresses of machines (IPv4, IPv6) and for a suffix itself.
    """
    try:
        ipaddress.ip_address(name)
    except ValueError:
        domain = _suffixes().privatesuffix(name.rstrip("."))
        return None if domain is None else str(domain)
    return None


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
