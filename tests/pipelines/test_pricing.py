"""Unit prices: as listed, as the user pays, and how a change of price is taken in."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from pipelines.prices import ALWAYS, OwnPrice, Used, prices_of
from pipelines.pricing import price_new_models, reprice
from pipelines.rules import read_csv
from pipelines.store import Home
from pipelines.tables import create_tables
from sources.errors import ConfigurationError, StoreError
from sources.records import ModelPrice
from tests.pipelines.command import execledger
from tests.pipelines.small_torale import contents, one, rows

pytestmark = pytest.mark.usefixtures("here")

GPT = Used("openai", "gpt-4o", embeds=False)
O3 = Used("openai", "o3", embeds=False)
CLAUDE = Used("anthropic", "claude-3-5-sonnet", embeds=False)
EMBEDDING = Used("azure", "text-embedding-3-small", embeds=True)
NOBODYS = Used("acme", "frobnicate-1", embeds=False)


def per_million(price: ModelPrice, column: str = "input_usd") -> Decimal | None:
    """Return a unit price as people say it, for a million tokens."""
    unit: Decimal | None = getattr(price, column)
    return None if unit is None else (unit * 1_000_000).normalize()


def own(tmp_path: Path, text: str) -> list[OwnPrice]:
    """Return the rows of a file of own prices."""
    file = tmp_path / "prices.csv"
    file.write_text(text, encoding="utf-8")
    return read_csv(file, OwnPrice)


# --- listed -------------------------------------------------------------------


def test_a_listed_model_has_its_unit_prices() -> None:
    """Law: prices are those of genai-prices, per token, with its version."""
    (price,) = prices_of([GPT])

    assert per_million(price) == Decimal("2.5")
    assert per_million(price, "output_usd") == 10
    assert per_million(price, "cached_input_usd") == Decimal("1.25")
    assert (price.valid_from, price.origin) == (ALWAYS, "genai-prices")
    assert str(price.price_version).startswith("genai-prices 0.")


def test_a_price_that_changed_has_a_row_for_each_time() -> None:
    """Law: what an execution cost depends on its day."""
    first, second = prices_of([O3])

    assert (first.valid_from, per_million(first)) == (ALWAYS, Decimal(10))
    assert (second.valid_from, per_million(second)) == (date(2025, 6, 10), Decimal(2))


def test_embeddings_have_a_price_of_their_own() -> None:
    """Law: what a model reads to embed is priced as such."""
    (price,) = prices_of([EMBEDDING])

    assert per_million(price, "embedding_usd") == Decimal("0.02")
    assert price.output_usd is None


def test_a_model_without_a_vendor_is_found_by_its_name() -> None:
    """Law: providers that name the model alone are priced too."""
    (price,) = prices_of([Used("", "gpt-4o", embeds=False)])

    assert (price.model_provider, per_million(price)) == ("", Decimal("2.5"))


@pytest.mark.parametrize(
    "used",
    [
        NOBODYS,
        Used("acme", "gpt-4o", embeds=False),
        Used("azure", "our-own-deployment", embeds=False),
        Used("", "", embeds=False),
        Used("openai", "x" * 100_000, embeds=False),
        Used("openai", "'; drop table model_prices --", embeds=False),
    ],
)
def test_a_model_that_nobody_lists_has_a_row_without_a_price(used: Used) -> None:
    """Law: unknown is unknown: no price is guessed, also not from another vendor."""
    (price,) = prices_of([used])

    assert (price.valid_from, price.origin) == (ALWAYS, "unknown")
    assert (price.input_usd, price.output_usd, price.price_version) == (None,) * 3


def test_every_listed_model_can_be_priced() -> None:
    """Law: whatever shape a price has in the list, it makes rows and no error."""
    everything = [
        Used(vendor.id, model.id, embeds=False)
        for vendor in get_snapshot().providers
        for model in vendor.models
    ]

    found = prices_of(everything)

    assert len(everything) > 1_000
    assert {price.model for price in found} == {used.model for used in everything}


@given(
    read=st.integers(0, 10**9),
    written=st.integers(0, 10**9),
    cached=st.integers(0, 10**9),
    used=st.sampled_from([GPT, O3, CLAUDE]),
)
def test_unit_prices_give_what_the_list_itself_computes(
    read: int, written: int, cached: int, used: Used
) -> None:
    """Law: tokens times our units is what genai-prices says, where it has no tiers."""
    price = prices_of([used])[-1]
    cached = min(cached, read)
    usage = Usage(input_tokens=read, output_tokens=written, cache_read_tokens=cached)

    theirs = calc_price(usage, used.model, provider_id=used.model_provider).total_price

    units = (price.input_usd, price.cached_input_usd, price.output_usd)
    ours = sum(
        count * (unit or Decimal(0))
        for count, unit in zip((read - cached, cached, written), units, strict=True)
    )
    assert ours == theirs


# --- own ----------------------------------------------------------------------


def test_own_prices_take_the_place_of_listed_ones_from_their_day(
    tmp_path: Path,
) -> None:
    """Law: what a contract says from a day on holds from then, not before."""
    text = (
        "model_provider,model,valid_from,input_usd_per_mtok,output_usd_per_mtok\n"
        "openai,gpt-4o,2026-01-01,2,8\n"
    )

    before, since = prices_of([GPT], own(tmp_path, text))

    assert (per_million(before), before.origin) == (Decimal("2.5"), "genai-prices")
    assert (since.valid_from, per_million(since)) == (date(2026, 1, 1), Decimal(2))
    assert (per_million(since, "output_usd"), since.origin) == (Decimal(8), "own")
    assert since.cached_input_usd is None


def test_own_prices_make_a_model_known(tmp_path: Path) -> None:
    """Law: a model that nobody lists is priced once its user says what it costs."""
    text = "model,input_usd_per_mtok,output_usd_per_mtok\nfrobnicate-1,0.5,1.5\n"

    (price,) = prices_of([NOBODYS], own(tmp_path, text))

    assert (price.model_provider, price.origin) == ("acme", "own")
    assert (per_million(price), price.valid_from) == (Decimal("0.5"), ALWAYS)


def test_a_discount_reduces_listed_prices(tmp_path: Path) -> None:
    """Law: a discount of a vendor holds for its models alone, and says so."""
    text = "model_provider,valid_from,discount_percent\nopenai,2026-01-01,15\n"

    before, since, embedding = prices_of([GPT, EMBEDDING], own(tmp_path, text))

    assert per_million(before) == Decimal("2.5")
    assert per_million(since) == Decimal("2.125")
    assert since.origin == "genai-prices, less 15 %"
    assert embedding.origin == "genai-prices"


def test_the_row_that_names_more_counts(tmp_path: Path) -> None:
    """Law: a model's own discount beats the vendor's, and that the general one."""
    text = "model_provider,model,discount_percent\n,,5\nopenai,,10\nopenai,gpt-4o,20\n"

    found = prices_of([GPT, O3, EMBEDDING], own(tmp_path, text))

    by_model = {price.model: price.origin for price in found}
    assert by_model == {
        "gpt-4o": "genai-prices, less 20 %",
        "o3": "genai-prices, less 10 %",
        "text-embedding-3-small": "genai-prices, less 5 %",
    }


def test_a_discount_on_own_prices_reduces_those(tmp_path: Path) -> None:
    """Law: prices and discounts are taken together."""
    text = (
        "model,input_usd_per_mtok,discount_percent\n"
        "frobnicate-1,2,\nfrobnicate-1,,12.5\n"
    )

    (price,) = prices_of([NOBODYS], own(tmp_path, text))

    assert (per_million(price), price.origin) == (Decimal("1.75"), "own, less 12.5 %")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("model,input_usd_per_mtok\n,5\n", "line 2: prices need a model"),
        ("model,valid_from\ngpt-4o,2026-01-01\n", "line 2: neither a price nor"),
        ("model,input_usd_per_mtok\ngpt-4o,-1\n", "line 2"),
        ("model,input_usd_per_mtok\ngpt-4o,free\n", "line 2"),
        ("model,input_usd_per_mtok\ngpt-4o,1e9\n", "line 2"),
        ("model,input_usd_per_mtok\ngpt-4o,NaN\n", "line 2"),
        ("model,input_usd_per_mtok\ngpt-4o,Infinity\n", "line 2"),
        ("model,discount_percent\ngpt-4o,101\n", "line 2"),
        ("model,valid_from,discount_percent\ngpt-4o,1.1.2026,5\n", "line 2"),
        ("model,input_usd\ngpt-4o,5\n", "line 2: .*input_usd"),
    ],
)
def test_a_price_that_is_none_is_told_with_its_line(
    tmp_path: Path, text: str, words: str
) -> None:
    """Law: a slip names the file, the line, and what is wrong there."""
    with pytest.raises(ConfigurationError, match=f"prices.csv, {words}"):
        own(tmp_path, text)


# --- in the store ---------------------------------------------------------------


def used(con: duckdb.DuckDBPyConnection, vendor: str | None, model: str | None) -> None:
    """Add a usage of a model."""
    con.execute(
        "insert into execledger.token_usage (usage_key, model_provider, model, "
        "operation) values (?, ?, ?, 'chat')",
        [f"{vendor}/{model}", vendor, model],
    )


def test_a_load_prices_the_models_that_are_new(home: Home) -> None:
    """Law: each model that usage names gets its prices once; NULL names none."""
    with duckdb.connect() as con:
        create_tables(con)
        used(con, "openai", "gpt-4o")
        used(con, None, "gpt-4o")
        used(con, "acme", "frobnicate-1")
        used(con, None, None)
        price_new_models(con, home)
        used(con, "openai", "o3")
        price_new_models(con, home)
        price_new_models(con, home)

        found = con.execute(
            "select model_provider, model, origin, count(*) "
            "from execledger.model_prices group by all order by all"
        ).fetchall()

    assert found == [
        ("", "gpt-4o", "genai-prices", 1),
        ("acme", "frobnicate-1", "unknown", 1),
        ("openai", "gpt-4o", "genai-prices", 1),
        ("openai", "o3", "genai-prices", 2),
    ]


@pytest.fixture
def priced(loaded: Home) -> Home:
    """Return a home whose store has usage of a listed and of an unknown model."""
    with duckdb.connect(str(loaded.published)) as con:
        key = "(select min(execution_key) from execledger.executions)"
        for vendor, model in (("openai", "gpt-4o"), ("acme", "frobnicate-1")):
            con.execute(
                "insert into execledger.token_usage (provider, connection, "
                "execution_key, response_id, usage_key, purpose, source, operation, "
                "model_provider, model, model_basis, input_tokens, output_tokens, "
                f"is_counted) select 'torale', 'default', {key}, 'r', ?, 'unknown', "
                "'result', 'chat', ?, ?, 'reported', 1000000, 100000, true",
                [model, vendor, model],
            )
    reprice(loaded)
    return loaded


COSTS = (
    "select model, estimated_cost_usd, basis, reason from marts.token_costs order by 1"
)


def test_a_change_of_price_changes_costs_and_no_fact(priced: Home) -> None:
    """Law: reprice writes unit prices; costs follow by the join; facts stay."""
    facts = contents(priced, without=())
    before = rows(priced, COSTS)
    priced.rules.mkdir()
    (priced.rules / "prices.csv").write_text(
        "model,input_usd_per_mtok,output_usd_per_mtok\n"
        "gpt-4o,1,2\nfrobnicate-1,10,20\n",
        encoding="utf-8",
    )

    result = reprice(priced)

    assert before == [
        ("frobnicate-1", None, "unknown_model", "no price is known for the model"),
        ("gpt-4o", Decimal("3.5"), "listed", None),
    ]
    assert rows(priced, COSTS) == [
        ("frobnicate-1", Decimal(12), "listed", None),
        ("gpt-4o", Decimal("1.2"), "listed", None),
    ]
    assert (result.models, result.own, result.unknown) == (2, 2, [])
    after = contents(priced, without=())
    changed = {name for name in facts if facts[name] != after[name]}
    assert changed == {"model_prices", "runs"}


def test_repricing_again_changes_nothing(priced: Home) -> None:
    """Law: the same lists give the same prices."""
    result = reprice(priced)

    assert (result.changed, result.unknown) == (0, ["acme/frobnicate-1"])


def test_repricing_is_told_to_people_and_programs(priced: Home) -> None:
    """Law: how many models, what is unknown, and where to say it."""
    ran = execledger("reprice", "--home", str(priced.path))
    answered = execledger("reprice", "--home", str(priced.path), "--json")

    assert (ran.code, ran.out) == (0, "")
    assert "2 models have 2 prices, 0 of them your own; 0 changed." in ran.err
    assert "Without a price: acme/frobnicate-1. Say it in prices.csv" in ran.err
    assert '"unknown": [\n    "acme/frobnicate-1"\n  ]' in answered.out


def test_a_broken_list_of_own_prices_changes_nothing(priced: Home) -> None:
    """Law: exit 2 with the line; the prices are as they were."""
    priced.rules.mkdir()
    (priced.rules / "prices.csv").write_text("model\ngpt-4o\n", encoding="utf-8")
    runs = one(priced, "select count(*) from execledger.runs")

    ran = execledger("reprice", "--home", str(priced.path))

    assert ran.code == 2
    assert "prices.csv, line 2: neither a price nor a discount" in ran.err
    assert one(priced, "select count(*) from execledger.runs") == runs


def test_repricing_needs_a_store(home: Home) -> None:
    """Law: where nothing was loaded, it is said what to run first."""
    with pytest.raises(StoreError, match='run "execledger load" or'):
        reprice(home)
