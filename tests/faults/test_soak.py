"""An hour of traffic of three providers, a load each minute, a part of it hurt."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median

import pytest

from pipelines.store import Home
from tests.faults.soak import Left, halves, soak
from tests.faults.tally import Tally
from tests.faults.traffic import FOREVER, WAYS, Traffic
from tests.pipelines.small_torale import rows

EXECUTIONS, MINUTES, SHARE = 100_000, 60, 0.05
pytestmark = pytest.mark.usefixtures("here")


Figure = Callable[[Left], float]
Most = Callable[[Iterable[float]], float]

MEASURED: Mapping[str, tuple[Most, Figure, float]] = {
    "peak of memory, MB, in the median": (median, lambda one: one.step.peak_mb, 1.3),
    "peak of memory, MB, at most": (max, lambda one: one.step.peak_mb, 2),
    "open files": (max, lambda one: one.step.open_files, 1),
    "threads": (max, lambda one: one.step.threads, 1),
    "journal after a load, kB": (max, lambda one: one.journal_bytes / 1000, 2),
    "executions on the watch-list": (max, lambda one: one.watched, 2),
    "store by execution, bytes": (lambda all_: [*all_][-1], Left.bytes_each, 1.1),
}
"""What is measured of each half, and how many times as much the second may have.

A load in which DuckDB writes whole row groups anew takes more memory than others.
Journal and watch-list hold what goes on at the time, which varies.
"""


def of_halves(left: Sequence[Left], name: str) -> tuple[float, float]:
    """Return a figure of the first half of the loads, and of the second."""
    most, figure, _ = MEASURED[name]
    first, second = halves(left)
    return most(map(figure, first)), most(map(figure, second))


def grown(left: Sequence[Left]) -> list[str]:
    """Return in words what has grown from the first half of the loads to the second."""
    return [
        f"{name}: {before:,.0f} → {after:,.0f}"
        for name, (_, _, times) in MEASURED.items()
        for before, after in [of_halves(left, name)]
        if after > times * before
    ]


def figures_of(home: Home, traffic: Traffic, left: Sequence[Left]) -> dict[str, str]:
    """Return what the page tells of a soak."""
    sql = "select result_state, count(*) from execledger.executions group by 1"
    states = Counter[str](dict(rows(home, sql)))
    lost = f"{states['lost_in_transit']:,}, {states['expired']:,}"
    halves_told = {
        name: f"{before:,.0f} → {after:,.0f}"
        for name in MEASURED
        for before, after in [of_halves(left, name)]
    }
    return {
        "loads, the last ones in peace": f"{len(left)}",
        "requests, and answers hurt": f"{traffic.asked:,}, {traffic.hurt.total():,}",
        "results lost on their way, and expired, as the store says": lost,
        **halves_told,
    }


def test_an_hour_of_traffic_in_small_leaves_nothing_behind(home: Home) -> None:
    """Law: what the servers handed out is in the store; the rest goes when it ended."""
    traffic = Traffic(share=0.2)

    left = soak(home, traffic, executions=600, minutes=2, peace=[FOREVER])

    said = Tally(fault="small")
    said.count(home, traffic)
    assert said.faults == []
    assert said.handed_out > 500
    assert len(traffic.hurt) > len(WAYS) / 2
    assert [one.leftovers for one in left] == [[]] * len(left)
    assert len({one.step.open_files for one in left}) == 1
    assert left[-1].watched == 0
    assert len(figures_of(home, traffic, left)) > 5


@pytest.mark.slow
def test_an_hour_of_traffic_leaves_nothing_behind_and_nothing_grows(
    home: Home, tally: Callable[[str], Tally], figures: dict[str, str]
) -> None:
    """Law: however long it goes on, it takes no more, and the store has it all."""
    traffic = Traffic(share=SHARE)

    left = soak(home, traffic, executions=EXECUTIONS, minutes=MINUTES)

    soaked = tally(
        f"{traffic.started:,} executions of three providers, {SHARE:.0%} hurt"
    )
    soaked.count(home, traffic)
    figures |= figures_of(home, traffic, left)
    assert soaked.faults == []
    assert set(traffic.hurt) == set(WAYS)
    assert [one.leftovers for one in left] == [[]] * len(left)
    assert [one.step.problems for one in left] == [[]] * len(left)
    assert left[-1].watched == 0
    assert left[-1].step.outcome == "ok"
    assert grown(left) == []
