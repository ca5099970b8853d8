"""The table of unit prices: filled for the models in the store, made anew on demand.

SQL joins the prices to the usage, so a change of price rewrites no fact.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

import duckdb
import msgspec

from pipelines.prices import LISTED, UNKNOWN, OwnPrice, Used, prices_of
from pipelines.rules import own_rows
from pipelines.runs import insert_run, run_of
from pipelines.store import Home, locked, work_copy
from sources.records import ModelPrice
from sources.tables import to_arrow

__all__ = ["FILE", "Repriced", "price_new_models", "reprice"]

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
        counts = {"models": result.models, "prices": result.prices}
        insert_run(work.con, run_of("reprice", started, counts))
        work.publish()
    return result


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
