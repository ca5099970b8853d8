"""What is written is its owner's alone, whatever the umask of who calls."""

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest

from pipelines.store import Home
from sources.loopback import serve
from tests.pipelines.small_torale import KEY, account, load_into, small_torale

ROOT = Path(__file__).resolve().parents[2]
OPEN = "import os, pipelines.cli; os.umask(0); pipelines.cli.main()"
"""The command, called by somebody whose files all may read and write."""

pytestmark = pytest.mark.usefixtures("here")


def too_open(*roots: Path) -> list[str]:
    """Return what others than the owner may do anything with, found by walking."""
    found = [path for root in roots for path in (root, *root.rglob("*"))]
    assert len(found) > len(roots)
    return [
        f"{path} {stat.S_IMODE(path.lstat().st_mode):o}"
        for path in found
        if path.lstat().st_mode & (stat.S_IRWXG | stat.S_IRWXO)
    ]


@pytest.fixture
def no_umask() -> Iterator[None]:
    """Let all do anything with new files, unless whoever makes them says else."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_a_load_from_a_script_leaves_nothing_that_others_can_read(home: Home) -> None:
    """Law: files are 0600 and folders 0700 also where the command is not used."""
    with serve(small_torale().app) as url:
        load_into(home, account(url))

    assert too_open(home.path) == []


def test_whatever_the_command_makes_is_private(home: Home, here: Path) -> None:
    """Law: folders of --home and --out, copies, and what init writes, too."""
    with serve(small_torale().app) as url:
        names = ("TORALE__BASE_URL", "TORALE__API_KEY", "DISCURO__API_KEY")
        values = (url, KEY, KEY)
        given = {f"SOURCES__{k}": v for k, v in zip(names, values, strict=True)}
        where = ("--home", str(here / "new" / "home"))
        for command in (
            ("init",),
            ("load", "torale", *where),
            ("track", "discuro", "131", *where),
            ("backup", "monday.tar", *where),
            ("restore", "monday.tar", "--home", str(home.path)),
        ):
            ran = run(  # noqa: S603 - this Python, and a command of ours
                [sys.executable, "-c", OPEN, *command],
                env={**os.environ, **given, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr

    made = [here / name for name in (".dlt", "new", "monday.tar")]
    assert too_open(*made, home.path) == []
