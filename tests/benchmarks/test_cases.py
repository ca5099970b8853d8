"""The benchmark, small: it runs, and each side does what it is compared for."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.bench import Goal, Outcome
from benchmarks.cases import CASES
from benchmarks.page import PAGE, written
from benchmarks.process import PYTHON, Cost, Program, cost
from pipelines.sql_files import SQL, sql_files

MB = 2**20


def measured(*cases: str) -> list[dict[str, object]]:
    """Return the outcomes of these cases, at the smallest size."""
    ran = CliRunner().invoke(
        main, [*cases, "--runs", "1", "--scale", "0.002", "--json"]
    )
    assert ran.exit_code == 0, ran.output
    outcomes: list[dict[str, object]] = json.loads(ran.stdout)["outcomes"]
    return outcomes


def test_every_view_is_measured() -> None:
    """Law: a new view is in the benchmark by being there, and is not empty."""
    (outcome,) = measured("marts")

    goals = outcome["goals"]
    assert isinstance(goals, list)
    views = {goal["text"].partition(",")[0] for goal in goals}
    assert views == {file.name for file in sql_files(SQL / "marts", "marts")}


@pytest.mark.parametrize(
    "case",
    [
        "start",
        *(
            pytest.param(case, marks=pytest.mark.slow)
            for case in CASES
            if case not in {"marts", "start"}
        ),
    ],
)
def test_each_case_can_be_measured(case: str) -> None:
    """Law: every program of it ends well, and something was compared."""
    outcomes = measured(case)

    assert outcomes
    for outcome in outcomes:
        costs, goals = outcome["costs"], outcome["goals"]
        assert isinstance(costs, dict)
        assert all(cost["cpu_s"] > 0 for cost in costs.values())
        assert goals or "pending" in str(outcome["case"])


def test_memory_is_that_of_the_program_alone(tmp_path: Path) -> None:
    """Law: what this process holds is not counted to what it starts."""
    held = bytearray(200 * MB)

    small = cost(Program(command=[PYTHON, "-c", "pass"]), tmp_path)
    large = cost(Program(command=[PYTHON, "-c", "b'x' * (100 << 20)"]), tmp_path)

    assert small.peak_mb < 50
    assert 100 < large.peak_mb < 200
    assert len(held) == 200 * MB


def test_a_program_that_fails_says_why(tmp_path: Path) -> None:
    """Law: a side that fails is no side that is fast."""
    with pytest.raises(RuntimeError, match="no such thing"):
        cost(
            Program(command=[PYTHON, "-c", "raise SystemExit('no such thing')"]),
            tmp_path,
        )


def test_the_page_keeps_what_is_around_the_table() -> None:
    """Law: only what was measured is written, goals that were missed said so."""
    some = Cost(cpu_s=1.25, wall_s=2, peak_mb=1234)
    missed = Goal(text="CPU by dlt's", reached=0.61, at_most=0.5)
    text = PAGE.read_text("utf-8")

    page = written(text, [Outcome(case="one", costs={"ours": some}, goals=[missed])], 3)

    line = "| one | ours | 1.25 | 2.00 | 1,234 | CPU by dlt's ≤ 0.50 | 0.61 (missed) |"
    assert line in page
    assert page.partition("<!--")[0] == text.partition("<!--")[0]
    assert page.rpartition("-->")[2] == text.rpartition("-->")[2]
