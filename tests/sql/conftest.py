"""Stores in memory with all views: an empty one, and one of all recordings."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from pipelines.pricing import price_new_models
from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.views import make_views
from sources import part, providers
from sources.records import TABLES
from tests.plain_store import PlainStore
from tests.responses import recorded, recordings

NOWHERE = Home(Path("nowhere"))


@pytest.fixture(scope="session")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an empty store, with its views: each case fills it for itself."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        create_tables(con)
        make_views(con, NOWHERE)
        yield con


@pytest.fixture(scope="session")
def recorded_store() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a store with every recording of every provider, and all views."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        create_tables(con)
        for provider in providers():
            with closing(PlainStore(part(provider, "normalize"), provider)) as store:
                for second, name in enumerate(recordings(provider)):
                    store.load([recorded(provider, name, second=second)])
                for table in TABLES:
                    con.register("rows", store.con.table(f"execledger.{table}").arrow())
                    con.execute(f"insert into execledger.{table} by name from rows")
                    con.unregister("rows")
        price_new_models(con, NOWHERE)
        make_views(con, NOWHERE)
        yield con


@pytest.fixture(scope="session")
def odd_rules(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home with own rules whose patterns engines could take otherwise."""
    home = Home(tmp_path_factory.mktemp("odd") / "home")
    home.rules.mkdir(parents=True)
    patterns = ("a\\b", "%\\%%", "%\\_", "\\", "\\\\%", "_", "%''%")
    rows = [f"{one},server,true,provider" for one in patterns]
    text = "\n".join(["message,category,is_retryable,who_acts", *rows, ""])
    (home.rules / "failure_rules.csv").write_text(text, encoding="utf-8")
    return home
