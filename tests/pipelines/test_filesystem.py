"""A lake as the destination of loads: what is loaded there is what the twins have."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.demo import differences
from pipelines.lake import lake
from pipelines.lake_reading import opened
from pipelines.store import Home
from sources.records import TABLES
from tests.faults.command import load
from tests.pipelines.polled_twins import Polled, polled
from tests.plain_store import shown

FORMATS = ["parquet", pytest.param("delta", marks=pytest.mark.slow)]


@pytest.fixture(params=FORMATS)
def home(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Home:
    """Return a new home whose loads go to a lake."""
    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", str(tmp_path / "lake"))
    monkeypatch.setenv("EXECLEDGER__TABLE_FORMAT", request.param)
    monkeypatch.setenv("EXECLEDGER_DESTINATION", "filesystem")
    return Home(tmp_path / "home", destination="filesystem")


def unlike(home: Home, twins: Polled) -> Iterator[str]:
    """Yield where the lake is not what could be had of the servers."""
    with closing(opened(lake(), home)) as con:
        for name, twin in twins.twins.items():
            yield from differences(con, name, twin.obtained())


def run(home: Home, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a person does."""
    return subprocess.run(  # noqa: S603 - this Python, and what stands here
        [sys.executable, "-m", "pipelines", *command, "--home", str(home.path)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_loaded_is_what_the_servers_had(home: Home) -> None:
    """Law: new, changed and ended executions of several loads stand there once."""
    with polled() as twins:
        twins.track(home)
        first = load(home, twins, "--json")
        out, err = first.communicate()
        assert first.returncode in {0, 1, 4}, err
        loaded = json.loads(out)
        twins.pass_time()
        twins.load(home, max_wait_s=20)

        assert list(unlike(home, twins)) == []
    status = json.loads(run(home, "status", "--json").stdout)
    checked = json.loads(run(home, "check", "--json").stdout)

    assert sum(one["new"] for one in loaded["accounts"]) > 0
    assert status["last_run"]["command"] == "load"
    assert status["waiting"] == {}
    assert {one["outcome"] for one in checked["checks"]} <= {"passed", "failed"}
    assert not home.published.exists()
    assert not home.work.exists()


def test_a_store_is_copied_and_compared(home: Home) -> None:
    """Law: all rows arrive, once, also where that is repeated; and loads go on."""
    own = Home(home.path)
    with polled() as twins:
        twins.track(own)
        twins.load(own)

        copied = [run(home, "copy", "--to", "filesystem", "--json") for _ in range(2)]

        assert [one.returncode for one in copied] == [0, 0], copied[0].stderr
        told = json.loads(copied[1].stdout)
        assert {one["what"].partition(".")[2] for one in told["tables"]} <= set(TABLES)
        with closing(opened(lake(), home)) as con:
            assert len(shown(con, "runs")) == 3
        twins.pass_time()
        twins.load(home, max_wait_s=20)
        assert list(unlike(home, twins)) == []


@pytest.mark.parametrize("command", [["query", "select 1"], ["tables"], ["reprice"]])
def test_what_asks_the_homes_own_store_says_where_loads_go(
    home: Home, command: list[str]
) -> None:
    """Law: a command that knows no destination makes no empty store, and says why."""
    ran = run(home, *command)

    assert ran.returncode == 1
    assert "loads go to filesystem" in ran.stderr
    assert not home.published.exists()


def test_what_a_lake_cannot_do_is_said(home: Home) -> None:
    """Law: nothing is changed in a lake, and who asks for it is told what to do."""
    for command in (("replay",), ("prune", "--raw-older-than", "1d")):
        ran = run(home, *command)

        assert ran.returncode == 2
        assert "lake" in ran.stderr
