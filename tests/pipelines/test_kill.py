"""A load that is killed anywhere loses nothing, doubles nothing, and breaks nothing."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.store import Home
from sources.journal import Journal
from sources.loopback import serve
from sources.records import TABLES, Mode
from sources.torale.twin import ToraleTwin
from tests.pipelines.killed_command import MERGING, POINTS
from tests.pipelines.small_torale import (
    AT_OUR_TIME,
    KEY,
    Rows,
    account,
    changed,
    contents,
    doubled,
    load_into,
    small_torale,
)

ROOT = Path(__file__).resolve().parent.parent.parent
COMPARED = [
    name
    for name, table in TABLES.items()
    if table.MODE is not Mode.LEDGER or name in {"status_history", "load_rejects"}
]
FAST = {"in dlt's merge", "after publishing"}
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def twin() -> ToraleTwin:
    """Return the small Torale."""
    return small_torale()


@pytest.fixture(scope="module")
def url(twin: ToraleTwin) -> Iterator[str]:
    """Serve the small Torale; yield where."""
    with serve(twin.app) as address:
        yield address


@pytest.fixture(scope="module")
def before(
    twin: ToraleTwin, url: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a home as it was before the executions changed; now they have."""
    folder = tmp_path_factory.mktemp("before") / "home"
    load_into(Home(folder), account(url))
    changed(twin)
    return folder


@pytest.fixture(scope="module")
def undisturbed(
    before: Path, url: str, tmp_path_factory: pytest.TempPathFactory
) -> dict[bool, dict[str, Rows]]:
    """Return what is in a store that was loaded in peace, a later and a first time."""
    later, first = (Home(tmp_path_factory.mktemp("peace") / name) for name in "ab")
    shutil.copytree(before, later.path)
    for home in (later, first):
        load_into(home, account(url))
    return {
        is_later: contents(home, COMPARED, without=AT_OUR_TIME)
        for is_later, home in ((True, later), (False, first))
    }


def cut_off(
    home: Home, url: str, point: str, number: signal.Signals
) -> "subprocess.CompletedProcess[str]":
    """Run the real command, which gets a signal at a point."""
    own = {
        "PYTHONPATH": str(ROOT),
        "SOURCES__TORALE__API_KEY": KEY,
        "SOURCES__TORALE__BASE_URL": url,
        "SOURCES__TORALE__PAGE_SIZE": "4",
        "SOURCES__TORALE__REQUESTS_PER_SECOND": "1000",
    }
    program = (sys.executable, "-m", "tests.pipelines.killed_command")
    return subprocess.run(  # noqa: S603 - the program of the tests
        [*program, number.name, point, "load", "torale", "--home", str(home.path)],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
    )


def kept(home: Home) -> int:
    """Return how many responses the journal holds."""
    with Journal(home.journal) as journal:
        return sum(journal.counts().values())


@pytest.mark.parametrize(
    ("point", "is_later"),
    [
        pytest.param(
            point,
            is_later,
            id=f"{point}, {'later' if is_later else 'first'} load",
            marks=() if point in FAST and is_later else pytest.mark.slow,
        )
        for is_later in (True, False)
        for point in POINTS
        if is_later or point not in MERGING
    ],
)
def test_a_kill_anywhere_changes_nothing_that_the_next_load_does_not_mend(
    home: Home,
    before: Path,
    url: str,
    undisturbed: dict[bool, dict[str, Rows]],
    point: str,
    *,
    is_later: bool,
) -> None:
    """Law: a kill leaves the old store or the new one, and one clean load mends it.

    Then it equals a store that was never disturbed, and nothing stands twice.
    """
    if is_later:
        shutil.copytree(before, home.path)
    old = home.published.read_bytes() if is_later else None

    killed = cut_off(home, url, point, signal.SIGKILL)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    is_published = point == "after publishing"
    now = home.published.read_bytes() if home.published.exists() else None
    assert (now == old) is not is_published
    assert kept(home) > 0
    load_into(home, account(url))
    assert contents(home, COMPARED, without=AT_OUR_TIME) == undisturbed[is_later]
    assert doubled(home) == []
    assert kept(home) == 0
    assert not home.work.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "point",
    [
        "in extract",
        pytest.param("a response is journaled", marks=pytest.mark.slow),
        pytest.param("in normalize", marks=pytest.mark.slow),
        pytest.param("in dlt's load", marks=pytest.mark.slow),
        pytest.param("in dlt's merge", marks=pytest.mark.slow),
        pytest.param("before publishing", marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_or_sigterm_is_told_and_loses_nothing(
    home: Home, before: Path, url: str, point: str, number: signal.Signals
) -> None:
    """Law: an interrupted load ends with 130, or 143, and in words.

    The journal keeps all that was received.
    """
    shutil.copytree(before, home.path)
    old = home.published.read_bytes()

    ended = cut_off(home, url, point, number)

    assert ended.returncode == 128 + number, ended.stderr
    assert ended.stdout == ""
    *more, last = ended.stderr.strip().splitlines()
    assert last == (
        "execledger: Interrupted. What was received is in the journal; "
        "the store is as it was."
    )
    assert [line for line in more if line and "is waited for" not in line] == []
    assert kept(home) >= 3
    assert home.published.read_bytes() == old
    assert not home.work.exists()
