"""The commands of execledger as steps of a run in Dagster.

Each runs in a process of its own, so that Dagster can end a run and still nothing is
lost: a load that is told to stop finishes the answer that is under way.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO, TypeVar

import dagster as dg
import msgspec

__all__ = ["run"]

T = TypeVar("T")


def run(answer: type[T], *arguments: str, more: Mapping[str, str] | None = None) -> T:
    """Run a command with ``--json``; return what it answers, whatever its exit code.

    ``more`` is added to the environment. If Dagster ends the run, the command is told
    so, and waited for as long as that takes. Raises ``Failure`` with what the command
    says where it answers nothing.
    """
    command = [sys.executable, "-m", "pipelines", *arguments, "--json"]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**os.environ, **(more or {})},
            start_new_session=True,  # Ctrl-C at a terminal is passed on, once
        )
        _wait(child)
        answered, said = (_all_of(file) for file in (out, err))
    sys.stderr.write(said)
    if not answered:
        why = said.strip() or f"It ended with exit code {child.returncode}."
        raise dg.Failure(why, allow_retries=False)
    return msgspec.json.decode(answered, type=answer)


def _all_of(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _wait(child: subprocess.Popen[bytes]) -> None:
    """Wait for a command; a wish to end it is passed on, each time it comes."""
    wish: BaseException | None = None
    while child.returncode is None:
        try:
            child.wait()
        except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as interrupt:
            wish = interrupt
            child.terminate()
    if wish:
        raise wish
