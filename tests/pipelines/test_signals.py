"""How a process that a signal has ended says so to the one that started it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import signal

import pipelines.draining  # its import, later, would execute texts of its own
from pipelines.cli import cli, main

@cli.command()
def interrupted():
    exec("signal.raise_signal({number})")

main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_exit_code_is_ours_whatever_a_signal_breaks_off(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Law: also in a text that is executed, where CPython would die of SIGINT."""
    (tmp_path / "program.py").write_text(PROGRAM.format(number=int(number)), "utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "program", "interrupted"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 128 + number, ended.stderr
    assert "Interrupted. What was received" in ended.stderr
    assert "Traceback" not in ended.stderr
