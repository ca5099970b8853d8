"""What came of each fault: the figures of ``docs/reliability.md``."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from pipelines.store import Home
from sources.journal import Journal
from sources.unstract.twin import US
from tests.pipelines.polled_twins import Polled
from tests.pipelines.small_torale import doubled, rows

__all__ = ["PAGE", "Tally", "told", "written"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_BEGIN, _END = "<!-- tried: begin -->", "<!-- tried: end -->"
WRITES = "EXECLEDGER_WRITE_RELIABILITY"
"""The variable that lets the suite write its figures into the page."""


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

    def count(self, home: Home, twins: Polled) -> list[str]:
        """Add what a store holds of what its providers handed out.

        After the fault, and one run in peace. Returns in words what is wrong, which
        ``faults`` gathers.
        """
        handed = {
            execution_id: given
            for (_, execution_id), given in twins.unstract.ledger().items()
            if given.is_whole and given.to == US
        }
        states: dict[str, str] = dict(
            rows(
                home,
                "select execution_id, result_state from execledger.executions "
                "where provider = 'unstract'",
            )
        )
        unread = {one for one in handed if states.get(one) == "lost_in_transit"}
        wrong = [
            said
            for said in twins.differences(home)
            if not any(one in said for one in unread)
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


def written(text: str, tallies: list[Tally]) -> str:
    """Return the text of the page with these figures in it."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    table = "\n".join(told(tallies))
    return f"{before}{_BEGIN}\n\n{table}\n\n{_END}{after}"


def may_write() -> bool:
    """Tell whether the suite is to write its figures into the page."""
    return bool(os.environ.get(WRITES))
