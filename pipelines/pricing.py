"""Unit prices of the models in the store: as listed, and as the user pays.

Listed prices come from genai-prices, which carries them: nobody is asked. A file
``prices.csv`` of the user's own puts prices and discounts in their place. SQL joins
the prices to the usage, so a change of price rewrites no fact.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import duckdb
import msgspec
from msgspec.structs import replace

from pipelines.rules import own_rows
from pipelines.runs import insert_run
from pipelines.store import Home, locked, work_copy
from sources.errors import StoreError
from sources.journal import uuid7
from sources.json_text import encode
from sources.records import ModelPrice, Run
from sources.tables import to_arrow

if TYPE_CHECKING:
    from genai_prices.types import ModelPrice as ListedPrice
    from genai_prices.types import TieredPrices

__all__ = ["OwnPrice", "Repriced", "price_new_models", "prices_of", "reprice"]

FILE = "prices.csv"
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
            if isinstance(value, Decimal) and not least <= value <= most:
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


class Repriced(msgspec.Struct, kw_only=True):
    """What a repricing came to.

    ``models`` are those that usage in the store names, ``prices`` the rows of unit
    prices now, ``own`` those of them by the user's file, ``unknown`` the models without
    a price, ``changed`` the rows that are new, gone or another than before.
    """

    home: str
    models: int
    prices: int
    own: int
    unknown: list[str]
    changed: int


def reprice(home: Home, *, wait_s: float = 0) -> Repriced:
    """Make the table of unit prices anew in one atomic step; rewrites no fact.

    Raises ``StoreError`` and ``ConfigurationError``; the store is then as it was.
    """
    if not home.published.exists():
        raise StoreError(f'{home.published} is not there: run "execledger load" first.')
    started = datetime.now(UTC)
    own = own_rows(home, FILE, OwnPrice)
    with locked(home, wait_s=wait_s), work_copy(home) as work:
        used = _used(work.con)
        prices = prices_of(used, own)
        before = _rows(work.con)
        work.con.execute("delete from execledger.model_prices")
        _insert(work.con, prices)
        result = Repriced(
            home=str(home.path),
            models=len(used),
            prices=len(prices),
            own=sum(price.origin != LISTED for price in prices if _is_known(price)),
            unknown=[_name(price) for price in prices if not _is_known(price)],
            changed=len(before ^ _rows(work.con)),
        )
        insert_run(work.con, _run(result, started))
        work.publish()
    return result


def _run(result: Repriced, started: datetime) -> Run:
    return Run(
        run_id=uuid7(started),
        command="reprice",
        started_at=started,
        ended_at=datetime.now(UTC),
        outcome="ok",
        counts=encode({"models": result.models, "prices": result.prices}),
    )


def price_new_models(con: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Add prices of those models of an open store that have none yet.

    A model that nobody knows gets a row without a price: it is not looked up again
    before ``reprice``. Raises ``ConfigurationError``.
    """
    if new := _used(con, _UNPRICED):
        _insert(con, prices_of(new, own_rows(home, FILE, OwnPrice)))


_USED = """
    select coalesce(model_provider, ''), model, bool_or(operation = 'embeddings')
    from execledger.token_usage as usage where model is not null
"""
_UNPRICED = """
    and not exists (
        from execledger.model_prices as prices where prices.model = usage.model
        and prices.model_provider = coalesce(usage.model_provider, '')
    )
"""


def _used(con: duckdb.DuckDBPyConnection, condition: str = "") -> list[Used]:
    rows = con.execute(f"{_USED} {condition} group by all order by all").fetchall()
    return [Used(vendor, model, bool(embeds)) for vendor, model, embeds in rows]


def _rows(con: duckdb.DuckDBPyConnection) -> set[tuple[object, ...]]:
    return set(con.execute("from execledger.model_prices").fetchall())


def _insert(con: duckdb.DuckDBPyConnection, prices: Sequence[ModelPrice]) -> None:
    con.register("prices", to_arrow(ModelPrice, prices))
    con.execute("insert into execledger.model_prices by name from prices")
    con.unregister("prices")


def _name(price: ModelPrice) -> str:
    return "/".join(filter(None, (price.model_provider, price.model)))


def _is_known(price: ModelPrice) -> bool:
    return price.origin != UNKNOWN


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
