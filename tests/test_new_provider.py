"""A provider added by the steps of the README is there, and held to the laws."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STEPS = ROOT / "sources" / "README.md"
FILE = re.compile(
    r"`(sources/pebble/[\w./]+)`.*?^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
QUIET = ("pytest", "-q", "-p", "no:cacheprovider")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the project with the provider that the README describes."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("sources", "pipelines", "sql", "notebooks", "tests"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path, text in FILE.findall(STEPS.read_text("utf-8")):
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return folder


def run(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a module of that copy, and of no other."""
    return subprocess.run(  # noqa: S603 - commands of the tests
        [sys.executable, "-m", *arguments],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_recordings_are_held_to_the_laws(checkout: Path) -> None:
    """Law: the contract tests run over a provider's folder because it is there."""
    ran = run(
        checkout,
        *QUIET,
        *("tests/sources/test_contract.py", "-k", "pebble"),
    )

    assert ran.returncode == 0, ran.stdout[-3000:]
    assert re.search(r"\n[4-9] passed", ran.stdout), ran.stdout[-300:]


def test_it_stands_in_the_house_and_is_typed(checkout: Path) -> None:
    """Law: what the README shows follows the rules that it is to follow."""
    house = run(checkout, *QUIET, "tests/test_house.py")
    typed = run(checkout, "mypy", "--strict", "sources/pebble")
    linted = run(checkout, "ruff", "check", "sources/pebble")

    assert house.returncode == 0, house.stdout[-3000:]
    assert typed.returncode == 0, typed.stdout[-3000:]
    assert linted.returncode == 0, linted.stdout[-3000:]


def test_the_demo_picks_it_up_and_its_store_is_right(
    checkout: Path, tmp_path: Path
) -> None:
    """Law: a new folder is loaded, shown and compared without a word elsewhere."""
    ran = run(checkout, "pipelines", "demo", "--home", str(tmp_path / "home"))

    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "pebble:default: 2 new and 0 changed executions" in ran.stdout
    assert "pebble:default: 0 new and 1 changed executions" in ran.stdout
    assert "The store equals what the twins handed out." in ran.stdout
