"""A search led by coverage, for so long, finds no body that breaks a law."""

import re
from pathlib import Path

import pytest

from sources import providers
from tests.faults.command import python

SECONDS = 30
LEAST = 300
"""Bodies that the slowest machine tries in that time; most try ten times as many."""

LAW_BROKEN = 77
pytestmark = pytest.mark.slow


def searched(provider: str, folder: Path, *how: str) -> tuple[int, str]:
    """Return the exit code of a search, and what it said."""
    program = ("tests.faults.fuzz", provider, str(SECONDS), str(folder), *how)
    process = python(*program)
    out, err = process.communicate(timeout=4 * SECONDS)
    return process.returncode, out + err


@pytest.mark.parametrize("provider", providers())
def test_no_body_that_is_found_breaks_a_law(tmp_path: Path, provider: str) -> None:
    """Law: no traceback, no leaf lost, no type forked, and both ways are one."""
    code, said = searched(provider, tmp_path / "found")

    assert code == 0, said[-5_000:]
    (tried,) = re.findall(r"number_of_executed_units: (\d+)", said)
    assert int(tried) > LEAST


def test_a_planted_fault_is_found_and_its_body_is_kept(tmp_path: Path) -> None:
    """Law: the search can fail, and then says by what."""
    code, said = searched("torale", tmp_path / "found", "--plant")

    assert code == LAW_BROKEN
    (kept,) = (tmp_path / "found").glob("broken-*.json")
    assert f"{kept} (execution" in said
    assert b"only here" in kept.read_bytes()
