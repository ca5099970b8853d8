"""An hour of traffic, a load each minute, and what that leaves behind."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta

import msgspec

from pipelines.store import Home
from sources.journal import Journal
from sources.leases import folder_of
from sources.watchlist import watching
from tests.faults.command import python
from tests.faults.stepping import Step
from tests.faults.traffic import FOREVER, Traffic, serving
from tests.pipelines.small_torale import one

__all__ = ["PEACE", "Left", "halves", "soak"]

PEACE = (timedelta(minutes=2), timedelta(minutes=18), FOREVER)
"""How long after the traffic is loaded once more, in peace."""


class Left(msgspec.Struct, kw_only=True):
    """What one load took, and what it left behind."""

    step: Step
    executions: int
    store_bytes: int
    journal_bytes: int
    watched: int
    leftovers: list[str]

    def bytes_each(self) -> float:
        """How large the store is by execution."""
        return self.store_bytes / self.executions


def soak(
    home: Home,
    traffic: Traffic,
    *,
    executions: int,
    minutes: int,
    peace: Sequence[timedelta] = PEACE,
) -> list[Left]:
    """Let so many executions run in so many minutes, a load each; then end in peace.

    Returns what each load left, those at the end included.
    """
    with serving(traffic) as environment:
        process = python(
            "tests.faults.stepping",
            str(home.path),
            environment=environment,
            stdin=subprocess.PIPE,
        )
        try:
            upto = [executions * (n + 1) // minutes for n in range(minutes)]
            times = _times(home, traffic, upto, peace)
            left = [_left(home, _step(at, process)) for at in times]
        finally:
            _, said = process.communicate()
            assert process.returncode == 0, said
    return left


def _times(
    home: Home, traffic: Traffic, upto: Sequence[int], peace: Sequence[timedelta]
) -> Iterator[datetime]:
    """Let minutes of traffic pass, and the peace behind them; yield when to load.

    ``upto`` is how many executions have started by the end of each minute.
    """
    for count in upto:
        traffic.go_on(home, count - traffic.started)
        yield traffic.now
    traffic.heal()
    ended = traffic.now
    for later in peace:
        traffic.now = ended + later
        yield traffic.now


def _step(at: datetime, process: "subprocess.Popen[str]") -> Step:
    """Let the loader load at a time; return what that came to."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{msgspec.json.encode(at).decode()}\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, "the loader ended"
    return msgspec.json.decode(line, type=Step)


def _left(home: Home, step: Step) -> Left:
    with closing(Journal(home.journal)) as journal:
        polls = folder_of(journal, "")
        watched = sum(1 for _ in watching(journal))
        waiting = [f"{count} of {of} wait" for of, count in journal.counts().items()]
    guard = folder_of(journal, "guard")
    arriving = [path.name for path in polls.glob("*") if path != guard]
    work = [home.work.name] if home.work.exists() else []
    return Left(
        step=step,
        executions=one(home, "select count(*) from execledger.executions"),
        store_bytes=home.published.stat().st_size,
        journal_bytes=home.journal.stat().st_size,
        watched=watched,
        leftovers=waiting + arriving + work,
    )


def halves(left: Sequence[Left]) -> tuple[Sequence[Left], Sequence[Left]]:
    """Return the loads of the first half, and those of the second."""
    middle = len(left) // 2
    return left[:middle], left[middle:]
