"""The outcomes as a table on the terminal, and in ``docs/performance.md``."""

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.bench import Goal, Outcome
from pipelines.query import Result

__all__ = ["PAGE", "Machine", "as_result", "machine", "told", "written"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"
_BEGIN, _END = "<!-- measured: begin -->", "<!-- measured: end -->"
_PACKAGES = ("dlt", "duckdb", "pyarrow", "msgspec", "httpx")
_SMALL = 10


class Machine(msgspec.Struct, kw_only=True):
    """On what it was measured."""

    system: str
    cpus: int
    memory_gb: float
    versions: dict[str, str]


def machine() -> Machine:
    """Return what this machine and its packages are."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        system=f"{platform.system()} {platform.machine()}",
        cpus=len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1,
        memory_gb=round(memory / 10**9, 1),
        versions={
            "Python": platform.python_version(),
            **{name: version(name) for name in _PACKAGES},
        },
    )


_NAMES = ["case", "side", "CPU s", "wall s", "peak MB", "goal", "reached"]


def as_result(outcomes: Sequence[Outcome]) -> Result:
    """Return one row for each side of each case, goals beside them."""
    return Result(_NAMES, [tuple(row) for row in _rows(outcomes)])


def _rows(outcomes: Sequence[Outcome]) -> Iterator[list[object]]:
    for one in outcomes:
        sides = list(one.costs.items())
        for place in range(max(len(sides), len(one.goals))):
            row: list[object] = [one.case if place == 0 else "", *[""] * 6]
            if place < len(sides):
                name, cost = sides[place]
                row[1:5] = [
                    name,
                    f"{cost.cpu_s:.2f}",
                    f"{cost.wall_s:.2f}",
                    f"{cost.peak_mb:,.0f}",
                ]
            if place < len(one.goals):
                row[5:] = _told(one.goals[place])
            yield row


def _told(goal: Goal) -> tuple[str, str]:
    sign = "" if goal.holds else " (missed)"
    return f"{goal.text} ≤ {_number(goal.at_most)}", f"{_number(goal.reached)}{sign}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= _SMALL else f"{value:.2f}"


def written(text: str, outcomes: Sequence[Outcome], runs: int) -> str:
    """Return the page with these outcomes in the place of the earlier ones."""
    before, _, rest = text.partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}\n\n{_table(outcomes, runs)}\n{_END}{after}"


def told(runs: int) -> str:
    """Return in words on what it was measured, and how often."""
    here = machine()
    packages = ", ".join(f"{name} {number}" for name, number in here.versions.items())
    place = f"{here.system}, {here.cpus} CPUs, {here.memory_gb} GB"
    often = f"median of {runs}" if runs > 1 else "one run"
    return f"{place}; {packages}; {often}."


def _table(outcomes: Sequence[Outcome], runs: int) -> str:
    lines = [
        told(runs),
        "",
        "| " + " | ".join(_NAMES) + " |",
        "|" + " --- |" * 2 + " ---: |" * 3 + " --- | ---: |",
    ]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in _rows(outcomes)]
    return "\n".join(lines) + "\n"
