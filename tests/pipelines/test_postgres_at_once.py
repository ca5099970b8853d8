"""Three loaders at once, one per provider, into one database: nothing is lost."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec
import pytest

from sources import part, providers
from sources.records import Response
from tests.pipelines.postgres_database import new_database
from tests.pipelines.postgres_rows import differences
from tests.plain_store import PlainStore
from tests.postgres_server import postgres_server
from tests.responses import every_recording

pytestmark = pytest.mark.slow

TRIALS = 20


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run PostgreSQL for all tests here."""
    with postgres_server() as url:
        yield url


@pytest.fixture(scope="module")
def said() -> dict[str, list[Response]]:
    """Return what each provider said."""
    return {name: every_recording(name) for name in providers()}


@pytest.fixture(scope="module")
def stores(said: dict[str, list[Response]]) -> list[PlainStore]:
    """Return what a store of one's own has of each provider."""
    return [
        PlainStore(part(name, "normalize"), name).after(of_one)
        for name, of_one in said.items()
    ]


@contextmanager
def loaders(
    folder: Path, said: dict[str, list[Response]], *options: str
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Start a loader for each provider."""
    with ExitStack() as stack:
        running = []
        for name, responses in said.items():
            file = folder / f"{name}.json"
            file.write_bytes(msgspec.json.encode(responses))
            command = ["tests.pipelines.postgres_loader", str(file), str(folder / name)]
            running.append(
                subprocess.Popen(  # noqa: S603 - this Python, and what stands here
                    [sys.executable, "-m", *command, *options],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.enter_context(running[-1])
        yield running


def at_once(url: str, running: Sequence["subprocess.Popen[str]"]) -> list[str]:
    """Have all load into a database at the same time; return what each says."""
    for loader in running:
        assert loader.stdin
        loader.stdin.write(f"{url}\n")
        loader.stdin.flush()
    return [loader.stdout.readline().strip() for loader in running if loader.stdout]


def test_three_loaders_at_once_lose_nothing(
    tmp_path: Path,
    server: str,
    said: dict[str, list[Response]],
    stores: list[PlainStore],
) -> None:
    """Law: in twenty new databases, all three find every table, and keep every row."""
    with loaders(tmp_path, said) as running:
        for _ in range(TRIALS):
            url = new_database(server)

            assert at_once(url, running) == ["done"] * len(said)
            assert list(differences(url, *stores)) == []


def test_with_one_staging_schema_for_all_they_would(
    tmp_path: Path,
    server: str,
    said: dict[str, list[Response]],
    stores: list[PlainStore],
) -> None:
    """Law: the test above sees what dlt's own name for the staging schema loses."""
    with loaders(tmp_path, said, "shared") as running:
        for _ in range(TRIALS):
            url = new_database(server)
            told = at_once(url, running)
            if told == ["done"] * len(said) and list(differences(url, *stores)):
                return
    pytest.fail("nothing was lost in silence")
