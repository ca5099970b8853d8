"""The pages about other destinations and engines are executed, on real servers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres_server import postgres_server
from tests.readme import Givens, Session
from tests.spark.servers import connect_server
from tests.test_readme import GIVENS, ROOT


@contextmanager
def postgresql() -> Iterator[Mapping[str, str]]:
    """Run PostgreSQL; yield what leads to it."""
    with postgres_server() as url:
        yield {"DESTINATION__POSTGRES__CREDENTIALS": url}


@contextmanager
def spark_connect() -> Iterator[Mapping[str, str]]:
    """Run a server of Spark Connect; yield what leads to it."""
    with connect_server() as url:
        yield {"SPARK_REMOTE": url}


SERVERS: Givens = {
    **GIVENS,
    "PostgreSQL server": postgresql,
    "Spark Connect server": spark_connect,
}


@pytest.mark.slow
@pytest.mark.parametrize("page", ["docs/scaling.md", "docs/spark.md"])
def test_what_a_page_shows_holds(page: str, tmp_path: Path) -> None:
    """Law: a reader who does what a page shows sees what it shows."""
    with Session(page, tmp_path, SERVERS) as session:
        session.read((ROOT / page).read_text("utf-8"))
