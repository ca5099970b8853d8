"""A loader that stays, and loads at each time that it is told of.

Run as ``python -m tests.faults.stepping HOME``: reads times (JSON, one a line) from
standard input; after each load says as JSON what the load came to, and what the
process takes. What it waits for passes at once.
"""

import sys
from datetime import datetime
from pathlib import Path

import msgspec

from pipelines.config import accounts, quiet_dlt
from pipelines.load import load
from pipelines.store import Home
from sources.polling import Clock
from sources.provider import Window

__all__ = ["Step"]

_PROCESS = Path("/proc/self")


class Step(msgspec.Struct, kw_only=True):
    """One load: what it came to, its peak of memory, and what is open after it."""

    outcome: str
    problems: list[str]
    peak_mb: float
    open_files: int
    threads: int


async def _at_once(_seconds: float) -> None:
    return


def _peak_mb() -> float:
    """Return the most memory that was resident since ``_forget_peak``, in MB."""
    status = (_PROCESS / "status").read_text("utf-8")
    (line,) = [one for one in status.splitlines() if one.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024 / 1_000_000


def _forget_peak() -> None:
    (_PROCESS / "clear_refs").write_text("5", "utf-8")


def step(home: Home, at: datetime) -> Step:
    """Load at a time; return what that came to."""
    _forget_peak()
    report = load(
        home,
        accounts(),
        window=Window(),
        watch=lambda *_: None,
        clock=Clock(lambda: at, _at_once),
    )
    return Step(
        outcome=report.outcome,
        problems=report.problems,
        peak_mb=_peak_mb(),
        open_files=sum(1 for _ in (_PROCESS / "fd").iterdir()),
        threads=sum(1 for _ in (_PROCESS / "task").iterdir()),
    )


def main() -> None:
    """Take steps until there is no more line."""
    quiet_dlt()
    home = Home(Path(sys.argv[1]))
    for line in sys.stdin:
        done = step(home, msgspec.json.decode(line, type=datetime))
        sys.stdout.buffer.write(msgspec.json.encode(done) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
