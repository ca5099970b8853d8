"""Unit prices of models: as listed, and as the user pays. Pure functions.

Listed prices come from genai-prices, which carries them: nobody is asked. A file
``prices.csv`` of the user's own puts prices and discounts in their place.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec.structs import replace

from sources.records import ModelPrice

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice as ListedPrice
    from genai_prices.types import TieredPrices

__all__ = ["ALWAYS", "LISTED", "OWN", "UNKNOWN", "OwnPrice", "Used", "prices_of"]

LISTED, OWN, UNKNOWN = "genai-prices", "own", "unknown"
ALWAYS = date(1970, 1, 1)
"""The first day of a price that was never another."""

_UNITS = {
    "input": "input_usd",
    "output": "output_usd",
    "cached_input": "cached_input_usd",
    "cache_write": "cache_write_usd",
    "reasoning": "reasoning_usd",
    "embedding": "embedding_usd",
}
"""Kinds of tokens, and the column of each one's unit price."""

_LISTED = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "reasoning": "output_reasoning_mtok",
}
_MILLION = Decimal(1_000_000)
_EXACT = Decimal("1e-12")
_NOON = time(12, tzinfo=UTC)
_LONGEST_NAME = 200
"""A model's name beyond this is none."""


class Used(NamedTuple):
    """A model that usage in the store names, and whether it makes embeddings."""

    model_provider: str
    model: str
    embeds: bool


class OwnPrice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A row of ``prices.csv``: prices in USD per million tokens, or a discount.

    A row holds for the vendor and model that it names, from the day that it names;
    what is left empty is any vendor, any model, always. Prices need a model.
    """

    model_provider: str | None = None
    model: str | None = None
    valid_from: date | None = None
    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None
    cached_input_usd_per_mtok: Decimal | None = None
    cache_write_usd_per_mtok: Decimal | None = None
    reasoning_usd_per_mtok: Decimal | None = None
    embedding_usd_per_mtok: Decimal | None = None
    discount_percent: Decimal | None = None

    def __post_init__(self) -> None:
        if self.has_prices and not self.model:
            raise ValueError("prices need a model")
        for name in self.__struct_fields__:
            value = getattr(self, name)
            least, most = (-100, 100) if name == "discount_percent" else (0, _MILLION)
            if isinstance(value, Decimal) and not _is_between(least, value, most):
                raise ValueError(f"{name} must be from {least} to {most}")
        if not self.has_prices and self.discount_percent is None:
            raise ValueError("neither a price nor a discount")

    @property
    def has_prices(self) -> bool:
        """Whether the row says a price, and not a discount alone."""
        return any(getattr(self, f"{kind}_usd_per_mtok") is not None for kind in _UNITS)

    @property
    def since(self) -> date:
        """The first day on which the row holds."""
        return self.valid_from or ALWAYS

    def fits(self, used: Used) -> bool:
        """Return whether the row is about a model."""
        return self.model_provider in {None, used.model_provider} and (
            self.model in {None, used.model}
        )


def prices_of(used: Iterable[Used], own: Sequence[OwnPrice] = ()) -> list[ModelPrice]:
    """Return the unit prices of models, one row for each day from which they hold.

    A model whose price nobody knows has one row, without prices.
    """
    return [price for model in used for price in _over_time(model, own)]


def _over_time(used: Used, own: Sequence[OwnPrice]) -> Iterator[ModelPrice]:
    """Yield a row for each day on which a price or a discount begins."""
    listed = list(_listed(used))
    fitting = [row for row in own if row.fits(used)]
    days = {price.valid_from for price in listed} | {row.since for row in fitting}
    found = [
        price for day in sorted(days) if (price := _on(day, used, listed, fitting))
    ]
    yield from found or [_empty(used, ALWAYS, UNKNOWN)]


def _on(
    day: date, used: Used, listed: Sequence[ModelPrice], own: Sequence[OwnPrice]
) -> ModelPrice | None:
    """Return the prices of a day: the user's own, else the listed, less a discount."""
    priced = [row for row in own if row.has_prices and row.since <= day]
    if priced:
        price = _own_price(used, max(priced, key=_precedence))
    else:
        known = [price for price in listed if price.valid_from <= day]
        if not known:
            return None
        price = max(known, key=lambda one: one.valid_from)
    discounts = [
        row for row in own if row.discount_percent is not None and row.since <= day
    ]
    if discounts:
        price = _reduced(price, max(discounts, key=_precedence).discount_percent)
    return replace(price, valid_from=day)


def _precedence(row: OwnPrice) -> tuple[bool, bool, date]:
    """Return what makes a row count before others: who is named, then the newest."""
    return row.model is not None, row.model_provider is not None, row.since


def _own_price(used: Used, row: OwnPrice) -> ModelPrice:
    units = {
        column: _per_token(getattr(row, f"{kind}_usd_per_mtok"))
        for kind, column in _UNITS.items()
    }
    return replace(_empty(used, row.since, OWN), **units)


def _reduced(price: ModelPrice, percent: Decimal | None) -> ModelPrice:
    if not percent:
        return price
    factor = 1 - percent / 100
    units = {column: getattr(price, column) for column in _UNITS.values()}
    less = {
        column: None if unit is None else (unit * factor).quantize(_EXACT)
        for column, unit in units.items()
    }
    return replace(
        price, **less, origin=f"{price.origin}, less {percent.normalize():f} %"
    )


def _is_between(least: Decimal | int, value: Decimal, most: Decimal | int) -> bool:
    return value.is_finite() and least <= value <= most  # NaN cannot be compared


def _empty(used: Used, valid_from: date, origin: str) -> ModelPrice:
    return ModelPrice(
        model_provider=used.model_provider,
        model=used.model,
        valid_from=valid_from,
        origin=origin,
    )


def _per_token(per_million: Decimal | None) -> Decimal | None:
    return None if per_million is None else (per_million / _MILLION).quantize(_EXACT)


def _listed(used: Used) -> Iterator[ModelPrice]:
    """Yield the prices that genai-prices lists of a model, by their first days.

    Where a price depends on the time of the day, that of noon in UTC is taken; where
    it depends on the size of a request, that of the smallest.
    """
    if not used.model or len(used.model) > _LONGEST_NAME:
        return
    from genai_prices import Usage, calc_price

    try:
        found = calc_price(
            Usage(), used.model, provider_id=used.model_provider or None
        ).model
    except LookupError:
        return
    prices = found.prices if isinstance(found.prices, list) else []
    starts = (getattr(one.constraint, "start_date", None) for one in prices)
    for day in sorted({ALWAYS, *filter(None, starts)}):
        price = found.get_prices(datetime.combine(day, _NOON))
        yield replace(
            _empty(used, day, LISTED),
            **_units(price, embeds=used.embeds),
            price_version=f"genai-prices {version('genai-prices')}",
        )


def _units(price: "ListedPrice", *, embeds: bool) -> dict[str, Decimal | None]:
    units = {
        _UNITS[kind]: _per_token(_smallest(getattr(price, name)))
        for kind, name in _LISTED.items()
    }
    return {**units, "embedding_usd": units["input_usd"] if embeds else None}


def _smallest(price: "Decimal | TieredPrices | None") -> Decimal | None:
    return price if price is None or isinstance(price, Decimal) else price.base
