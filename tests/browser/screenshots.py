"""Makes the pictures of the documentation: ``python -m tests.browser.screenshots``.

Needs Debian's chromium. The demo's data depends on the time, so the pictures are of
the moment in which they are made.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.lineage import loaded, shoot_lineage

IMAGES = Path(__file__).resolve().parent.parent.parent / "docs" / "images"
SHOTS = {
    "report.png": ("light", "#executions_and_failures", 1060),
    "report-dark.png": ("dark", "#answers_and_sources", 1060),
}
"""Picture → colours, the chapter where it begins, and how high it is."""

LINEAGE = "dagster.png"


def main(folder: Path) -> None:
    """Write the pictures into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home:
        execledger = Path(sys.executable).with_name("execledger")
        report = Path(home) / "report.html"
        for command in (
            ("demo", "--home", home, "--no-report"),
            ("report", "--home", home, "--days", "14", "--out", str(report)),
        ):
            subprocess.run([execledger, *command], check=True)  # noqa: S603 - these two
        with loaded(Path(home)) as dagster, chromium() as browser:
            shoot_lineage(browser, dagster, folder / LINEAGE)
            for name in SHOTS:
                shoot(browser, report, folder / name)


def shoot(browser: Browser, report: Path, picture: Path) -> None:
    """Take one picture of a report."""
    scheme, chapter, height = SHOTS[picture.name]
    page = browser.new_page(
        viewport={"width": 1100, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page.goto(report.as_uri())
    page.wait_for_function(
        "document.querySelectorAll('figure svg').length"
        " === document.querySelectorAll('figure').length"
    )
    page.locator(chapter).evaluate("chapter => chapter.scrollIntoView()")
    page.screenshot(path=picture)
    page.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES)
