"""The table of unit prices: filled for the models in the store, made anew on demand.

SQL joins the prices to the usage, so a change of price rewrites no fact.
"""

from datetime import UTC, datetime

import duckdb
import msgspec

from pipelines.prices import LISTED, UNKNOWN, OwnPrice, Used, prices_of
from pipelines.rules import own_rows
from pipelines.runs import run_of
from pipelines.selecting import select_from
from pipelines.store import Home, locked, work_copy
from pipelines.tables import add
from sources.records import ModelPrice, Run
from sources.seen import Select

__all__ = ["FILE", "Repriced", "new_prices", "price_new_models", "reprice"]

FILE = "prices.csv"
"""The user's own prices, in the folder of rules."""


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
    home.require_store()
    started = datetime.now(UTC)
    own = own_rows(home, FILE, OwnPrice)
    with locked(home, wait_s=wait_s), work_copy(home) as work:
        used = _used(select_from(work.con))
        prices = prices_of(used, own)
        before = _rows(work.con)
        work.con.execute("delete from execledger.model_prices")
        add(work.con, ModelPrice, prices)
        result = Repriced(
            home=str(home.path),
            models=len(used),
            prices=len(prices),
            own=sum(price.origin != LISTED for price in prices if _is_known(price)),
            unknown=[_name(price) for price in prices if not _is_known(price)],
            changed=len(before ^ _rows(work.con)),
        )
        counts = {"models": result.models, "prices": result.prices}
        add(work.con, Run, [run_of("reprice", started, counts)])
        work.publish()
    return result


def price_new_models(con: duckdb.DuckDBPyConnection, home: Home) -> None:
    """Add prices of those models of an open store that have none yet.

    A model that nobody knows gets a row without a price: it is not looked up again
    before ``reprice``. Raises ``ConfigurationError``.
    """
    if prices := new_prices(select_from(con), home):
        add(con, ModelPrice, prices)


def new_prices(select: Select, home: Home) -> list[ModelPrice]:
    """Return prices of those models that have none yet; see ``price_new_models``."""
    used = _used(select, _UNPRICED)
    return prices_of(used, own_rows(home, FILE, OwnPrice)) if used else []


_USED = """
    select coalesce(u.model_provider, ''), u.model,
    max(case when u.operation = 'embeddings' then 1 else 0 end)
    from {token_usage} as u where u.model is not null
"""
_UNPRICED = """
    and not exists (
        select 1 from {model_prices} as prices where prices.model = u.model
        and prices.model_provider = coalesce(u.model_provider, '')
    )
"""


def _used(select: Select, condition: str = "") -> list[Used]:
    rows = select(f"{_USED} {condition} group by 1, 2 order by 1, 2", ())
    return [Used(vendor, model, bool(embeds)) for vendor, model, embeds in rows]


def _rows(con: duckdb.DuckDBPyConnection) -> set[tuple[object, ...]]:
    return set(con.execute("from execledger.model_prices").fetchall())


def _name(price: ModelPrice) -> str:
    return "/".join(filter(None, (price.model_provider, price.model)))


def _is_known(price: ModelPrice) -> bool:
    return price.origin != UNKNOWN
