"""The pictures of the documentation."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.browser.screenshots import LINEAGE, SHOTS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
PNG = b"\x89PNG\r\n\x1a\n"


def test_the_script_makes_the_pictures_that_the_pages_show(tmp_path: Path) -> None:
    """Law: whoever changes how reports look can make the pictures anew."""
    script = (sys.executable, "-m", "tests.browser.screenshots", str(tmp_path))
    subprocess.run(script, cwd=ROOT, check=True)  # noqa: S603 - it

    made = {path.name: path.read_bytes()[:8] for path in tmp_path.iterdir()}
    pages = [ROOT / "README.md", ROOT / "docs" / "dagster.md"]
    shown = "".join(page.read_text("utf-8") for page in pages)
    assert made == dict.fromkeys([*SHOTS, LINEAGE], PNG)
    assert all(f"images/{name})" in shown for name in made)
