"""What came of each fault: the figures of ``docs/reliability.md``."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

import msgspec

from pipelines.store import Home
from sources.journal import Journal
from tests.pipelines.small_torale import doubled, rows

__all__ = ["PAGE", "Tally", "Twins", "may_write", "measured", "told", "written"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
WRITES = "EXECLEDGER_WRITE_RELIABILITY"
"""The variable that lets the suite write its figures into the page."""


class Twins(Protocol):
    """The servers that a store is compared with."""

    def handed_out(self) -> set[str]:
        """Return the executions of which a result was handed out whole, and once."""

    def differences(self, home: Home) -> list[str]:
        """Return where the store is not what could be had of the servers."""


class Tally(msgspec.Struct, kw_only=True):
    """What one kind of fault came to.

    ``handed_out`` are results that a provider handed out whole, each once. Of those
    ``unread`` never came into the process, from the network or from the socket, and the
    store says so; ``lost`` are all others that are not in the store, ``doubled`` tables
    in which a key stands twice.
    """

    fault: str
    tried: int = 0
    handed_out: int = 0
    unread: int = 0
    lost: int = 0
    doubled: int = 0
    faults: list[str] = []

    def count(self, home: Home, twins: Twins, *, is_told: bool = False) -> list[str]:
        """Add what a store holds of what its providers handed out.

        After the fault, and one run in peace. Returns in words what is wrong, which
        ``faults`` gathers. Who has read a result, we or another, nobody knows where an
        answer broke off; with ``is_told``, as it was said that the journal was damaged,
        of none that is gone.
        """
        said = {"lost_in_transit", *(["acknowledged_elsewhere"] if is_told else [])}
        handed = twins.handed_out()
        states: dict[str, str] = dict(
            rows(home, "select execution_id, result_state from execledger.executions")
        )
        unread = {one for one in handed if states.get(one) in said}
        unsure = {one for one, state in states.items() if state in said}
        wrong = [
            words
            for words in twins.differences(home)
            if not any(one in words for one in unread | unsure)
        ]
        with closing(Journal(home.journal)) as journal:
            wrong += [f"{of} still waits" for of in journal.counts()]
        twice = doubled(home)
        self.tried += 1
        self.handed_out += len(handed)
        self.unread += len(unread)
        self.lost += len(wrong)
        self.doubled += len(twice)
        faults = [*wrong, *(f"{name} has a key twice" for name in twice)]
        self.faults += faults
        return faults


def told(tallies: list[Tally]) -> Iterator[str]:
    """Yield the lines of a table of figures."""
    yield "| fault | tried | handed out | never arrived | lost | doubled |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    for one in tallies:
        figures = (one.tried, one.handed_out, one.unread, one.lost, one.doubled)
        yield f"| {one.fault} | {' | '.join(f'{figure:,}' for figure in figures)} |"


def measured(figures: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of a table of what was measured, in words."""
    yield "| measured | |"
    yield "| --- | ---: |"
    yield from (f"| {name} | {figure} |" for name, figure in figures.items())


def written(text: str, name: str, table: Iterable[str]) -> str:
    """Return the text of the page with a table between its markers."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    lines = "\n".join(table)
    return f"{before}{begin}\n\n{lines}\n\n{end}{after}"


def may_write() -> bool:
    """Tell whether the suite is to write its figures into the page."""
    return bool(os.environ.get(WRITES))
