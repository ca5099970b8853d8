"""The notebooks in a plain JupyterLab, as an analyst opens them."""

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipelines.fragments import NOTEBOOKS
from pipelines.report import CHAPTERS
from pipelines.store import Home
from tests.browser.conftest import Seen

pytestmark = pytest.mark.slow

UV = os.environ.get("UV", "uv")
DRAWN = "document.querySelectorAll('figure.ledger-chart svg').length"
MINUTE = 60_000
HERE = ("http://127.0.0.1", "http://localhost", "data:", "blob:")


@pytest.fixture(scope="module")
def lab(demo_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run JupyterLab on copies of the notebooks; yield its address and token."""
    folder = tmp_path_factory.mktemp("lab")
    for name in CHAPTERS:
        shutil.copy(NOTEBOOKS / f"{name}.ipynb", folder)
    token = secrets.token_hex(16)
    options = ["--no-browser", "--allow-root", "--port=0", f"--notebook-dir={folder}"]
    with subprocess.Popen(  # noqa: S603 - JupyterLab
        [UV, "run", "--with", "jupyterlab>=4.4,<5", "jupyter", "lab", *options],
        cwd=Path(__file__).resolve().parent,
        env={
            **os.environ,
            "EXECLEDGER_HOME": str(demo_home.path),
            "JUPYTER_TOKEN": token,
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        },
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        said = ""
        while not (found := re.search(r"http://(?:127\.0\.0\.1|localhost):\d+", said)):
            said = server.stderr.readline()
            assert said, "JupyterLab did not start"
        try:
            path = "/lab/workspaces/{name}/tree/{name}.ipynb"
            yield f"{found[0]}{path}?token={token}"
        finally:
            server.terminate()
            server.stderr.read()


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_runs_in_a_plain_jupyter_lab(
    browser: Browser, lab: str, name: str
) -> None:
    """Law: opened and run as it is, it reads the configured store and draws."""
    seen = Seen(browser.new_context(viewport={"width": 1300, "height": 900}).new_page())
    seen.page.goto(lab.format(name=name), timeout=MINUTE)
    seen.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=MINUTE)

    seen.page.get_by_text("| Idle").wait_for(timeout=MINUTE)

    seen.page.get_by_role("menuitem", name="Run", exact=True).click()
    seen.page.get_by_text("Run All Cells", exact=True).click()

    # what is out of sight is not in the page
    seen.page.wait_for_function(f"{DRAWN} > 0", timeout=MINUTE)
    stderr = seen.page.locator('[data-mime-type="application/vnd.jupyter.stderr"]')
    assert stderr.count() == 0
    outside = [url for url in seen.requests if not url.startswith(HERE)]
    assert outside == []
