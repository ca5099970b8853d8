"""An empty store with all views, in memory: each case fills it for itself."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.views import make_views


@pytest.fixture(scope="session")
def store() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an empty store in memory, with its views."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        create_tables(con)
        make_views(con, Home(Path("nowhere")))
        yield con
