"""The demo: the whole path on this machine, and whether the store is right."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipelines.checks import run_checks
from pipelines.demo import _next_steps, _verdict
from pipelines.embedded import ask
from pipelines.limits import Bounds
from pipelines.query import opened, tables
from pipelines.store import Home, locked
from sources import part
from sources.loopback import Obtained
from sources.torale.twin import ToraleTwin
from tests.pipelines.command import Ran, execledger
from tests.pipelines.conftest import Configure
from tests.pipelines.small_torale import NEWS, PHONE, one, rows, small_torale

SECTIONS = (
    "Executions by status",
    "The newest answer of each workflow, and what it rests on",
    "The slowest",
    "Why executions failed, and who must act",
    "Tokens and cost by model",
    "Results that could not be had, and why",
    "What changed between the two loads",
)
Ledger = dict[tuple[str, str], Obtained]
Lie = Callable[[Ledger], object]
pytestmark = pytest.mark.usefixtures("here")


class Small(ToraleTwin):
    """The small Torale, which may lie about what could be had of it."""

    LIES: ClassVar[list[Lie]] = []

    def obtained(self) -> Ledger:
        """Return what could be had, or what the lies make of it."""
        ledger = super().obtained()
        for lie in self.LIES:
            lie(ledger)
        return ledger


def test_the_demo_answers_what_people_ask(demo_home: Home) -> None:
    """Law: after the demo each view has something to show, but for what has passed."""
    answers = {info.name: info.rows for info in tables(demo_home)}

    silent = {name for name, count in answers.items() if "marts." in name and not count}
    # all results were fetched, and the demo has no platform key
    assert silent == {"marts.expiring_results", "marts.usage_reconciliation"}


def test_the_demo_passes_every_check(demo_home: Home) -> None:
    """Law: a check that fails on sound data is wrong."""
    with opened(demo_home) as con:
        found = {
            one.name: one.outcome for one in run_checks(partial(ask, con), Bounds())
        }

    assert set(found.values()) == {"passed"}


@pytest.fixture
def lies(monkeypatch: pytest.MonkeyPatch) -> list[Lie]:
    """Let the demo use the small Torale, which is quicker; return its lies."""

    def small(_: datetime) -> ToraleTwin:
        twin = small_torale()
        twin.__class__ = Small
        return twin

    told: list[Lie] = []
    monkeypatch.setattr(part("torale", "twin"), "demo", small)
    monkeypatch.setattr(Small, "LIES", told)
    return told


def demo(home: Home) -> Ran:
    """Run ``execledger demo``."""
    return execledger("demo", "--home", str(home.path))


def test_the_demo_shows_everything_and_its_store_is_right(home: Home) -> None:
    """Law: exit 0, every section, the verdict, the paths, and what to try next."""
    ran = demo(home)

    assert ran.code == 0, ran.out[-2000:]
    assert [title for title in SECTIONS if title not in ran.out] == []
    assert "The store equals what the twins handed out." in ran.out
    assert f"The store is {home.published}." in ran.out
    assert f"execledger tables --home {home.path}" in ran.out
    assert one(home, "select count(*) from execledger.executions") > 200
    assert one(home, "select count(*) from execledger.runs") == 2
    states = rows(home, "select distinct result_state from execledger.executions")
    assert {("captured",), ("expired",), ("acknowledged_elsewhere",)} == set(states)
    for command in ("from marts.answer_sources", "from marts.slowest_executions"):
        assert execledger("query", "--home", str(home.path), command).code == 0


@pytest.mark.usefixtures("lies")
def test_the_demo_may_be_run_again(home: Home) -> None:
    """Law: its own home is started anew; a crash's remains do not matter."""
    codes = [demo(home).code]
    (home.path / "published.duckdb.wal").write_bytes(b"rubbish")
    home.work.mkdir()

    codes.append(demo(home).code)

    assert codes == [0, 0]
    assert one(home, "select count(*) from execledger.runs") == 2


def test_the_demo_refuses_a_home_with_other_data(loaded: Home) -> None:
    """Law: exit 2, and what is there stays."""
    before = loaded.published.read_bytes()

    ran = demo(loaded)

    assert ran.code == 2
    assert f"{loaded.path} holds data that is no demo's" in ran.err
    assert loaded.published.read_bytes() == before


def test_the_demo_waits_for_no_lock_and_takes_nothing_away(home: Home) -> None:
    """Law: while another run holds the home, exit 3, and its files stay."""
    home.create()
    (home.path / "this-is-a-demo").touch()
    home.published.write_bytes(b"in use")

    with locked(home):
        ran = demo(home)

    assert ran.code == 3
    assert home.published.read_bytes() == b"in use"


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [(("--home", "a"), "b", "a"), ((), "b", "b"), ((), "", ".execledger-demo")],
)
def test_the_demos_home_is_where_it_is_said(
    here: Path,
    configure: Configure,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    environment: str,
    *,
    expected: str,
) -> None:
    """Law: --home, EXECLEDGER_HOME, else ./.execledger-demo; never the real one."""
    configure(config='[execledger]\nhome = "real"\n')
    monkeypatch.setenv("EXECLEDGER_HOME", environment)
    (here / expected).mkdir()
    (here / expected / "published.duckdb").touch()

    ran = execledger("demo", *given)

    assert ran.code == 2
    assert f"{here / expected} holds data that is no demo's" in ran.err


def test_the_commands_to_try_next_can_be_pasted(tmp_path: Path) -> None:
    """Law: a home with a space in its name is quoted."""
    assert f"tables --home '{tmp_path / 'a b'}'\n" in _next_steps(
        Home(tmp_path / "a b")
    )


def lie_about_everything(ledger: Ledger) -> None:
    """Forget one, invent one, and change status, sources and result of others."""
    ledger[PHONE, "ghost"] = ledger.pop((NEWS, "n1"))
    changes: dict[str, dict[str, Any]] = {
        "fails": {"provider_status": "success"},
        "done": {"sources": 0},
        "odd": {"outputs": ["another text"]},
    }
    for name, change in changes.items():
        ledger[PHONE, name] = ledger[PHONE, name]._replace(**change)


def test_every_difference_is_told_and_is_exit_1(home: Home, lies: list[Lie]) -> None:
    """Law: the demo compares keys, status, sources and results, and can fail."""
    lies.append(lie_about_everything)

    ran = demo(home)

    assert ran.code == 1
    assert [line for line in ran.out.splitlines() if "differs" in line] == [
        "The store differs: torale t-news/n1 is only in the store",
        "The store differs: torale t-phone/ghost is only in the twin",
        "The store differs: torale t-phone/done: sources 3, the twin has 0",
        (
            "The store differs: torale t-phone/fails: provider_status 'failed', "
            "the twin has 'success'"
        ),
        (
            "The store differs: torale t-phone/odd: outputs ['just a text'], "
            "the twin has ['another text']"
        ),
    ]
    assert "equals" not in ran.out


def test_many_differences_are_cut_short() -> None:
    """Law: ten are shown, the rest is counted."""
    lines = [line for line, _ in _verdict([str(number) for number in range(1200)])]

    assert len(lines) == 11
    assert lines[-1] == "... and 1,190 more differences"
