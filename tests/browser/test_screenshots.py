"""The pictures of the README."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.screenshots import SHOTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
PNG = b"\x89PNG\r\n\x1a\n"


def test_the_script_makes_the_pictures_that_the_readme_shows(tmp_path: Path) -> None:
    """Law: whoever changes how reports look can make the pictures anew."""
    script = (sys.executable, "-m", "tests.browser.screenshots", str(tmp_path))
    subprocess.run(script, cwd=ROOT, check=True)  # noqa: S603 - it

    made = {path.name: path.read_bytes()[:8] for path in tmp_path.iterdir()}
    readme = (ROOT / "README.md").read_text("utf-8")
    assert made == dict.fromkeys(SHOTS, PNG)
    assert all(f"docs/images/{name}" in readme for name in made)
