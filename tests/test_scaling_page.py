"""The page about other destinations is executed, on real servers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres_server import postgres_server
from tests.readme import Session
from tests.test_readme import GIVENS, ROOT


@contextmanager
def postgresql() -> Iterator[Mapping[str, str]]:
    """Run PostgreSQL; yield what leads to it."""
    with postgres_server() as url:
        yield {"DESTINATION__POSTGRES__CREDENTIALS": url}


@pytest.mark.slow
def test_what_the_page_shows_holds(tmp_path: Path) -> None:
    """Law: a reader who does what the page shows sees what it shows."""
    givens = {**GIVENS, "PostgreSQL server": postgresql}
    page = "docs/scaling.md"
    with Session(page, tmp_path, givens) as session:
        session.read((ROOT / page).read_text("utf-8"))
