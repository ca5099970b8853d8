"""The real command in a process of its own, and the peace that follows a fault."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.store import Home
from tests.pipelines.polled_twins import Polled

__all__ = ["load", "python", "settle"]

ROOT = Path(__file__).resolve().parents[2]


def python(
    *program: str,
    environment: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
    stdin: int = subprocess.DEVNULL,
) -> "subprocess.Popen[str]":
    """Start a module in a Python of its own, with this checkout.

    ``within`` is a command that runs the rest of its line, such as a shell's script.
    """
    return subprocess.Popen(  # noqa: S603 - this Python, and what stands here
        [*within, sys.executable, "-m", *program],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def load(
    home: Home,
    twins: Polled,
    *options: str,
    within: Sequence[str] = (),
    **environment: str,
) -> "subprocess.Popen[str]":
    """Start ``execledger load`` for both providers; ``environment`` wins."""
    return python(
        "pipelines",
        "load",
        "--home",
        str(home.path),
        *options,
        environment={**twins.environment, **environment},
        within=within,
    )


def settle(home: Home, twins: Polled) -> None:
    """Let all that runs end, and load in peace until nothing is due any more."""
    twins.load(home)
    twins.pass_time()
    twins.load(home, max_wait_s=20)
