"""A program in a process of its own, and what it cost."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

__all__ = ["EXECLEDGER", "PYTHON", "Cost", "Program", "cost", "medians"]

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
_LAUNCH = ROOT / "benchmarks" / "launch.py"
EXECLEDGER = str(Path(sysconfig.get_path("scripts")) / "execledger")
_KEPT = ("PATH", "HOME", "LANG", "TMPDIR")


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What a program took, its children included.

    ``cpu_s`` is user and system time, ``peak_mb`` the largest resident memory of one
    process, in 10^6 bytes.
    """

    cpu_s: float
    wall_s: float
    peak_mb: float


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A command line, the environment it needs, and what comes before each run."""

    command: Sequence[str]
    environment: Mapping[str, str] = {}
    before: Callable[[], object] = lambda: None


def cost(program: Program, folder: Path) -> Cost:
    """Run a program in a folder; raises ``RuntimeError`` with what it said.

    It sees nothing of the environment but the path, and telemetry of dlt is off.
    """
    program.before()
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    own = {
        "PYTHONPATH": str(ROOT),
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        **program.environment,
    }
    ran = subprocess.run(  # noqa: S603 - the programs of the benchmark
        [PYTHON, "-IS", str(_LAUNCH), *program.command],
        cwd=folder,
        env=kept | own,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=True,
    )
    said, _, last = ran.stdout.rstrip().rpartition(b"\n")
    result = msgspec.json.decode(last)
    if result.pop("exit_code"):
        raise RuntimeError(f"{' '.join(program.command)}\n{said.decode()}")
    return Cost(**result)


def medians(
    programs: Mapping[str, Program], folder: Path, runs: int
) -> dict[str, Cost]:
    """Return the median of each figure of each program, taken in turns."""
    taken: dict[str, list[Cost]] = {name: [] for name in programs}
    for _ in range(runs):
        for name, program in programs.items():
            taken[name].append(cost(program, folder))
    return {
        name: Cost(
            **{
                figure: median(getattr(one, figure) for one in costs)
                for figure in Cost.__struct_fields__
            }
        )
        for name, costs in taken.items()
    }
