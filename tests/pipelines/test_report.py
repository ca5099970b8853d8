"""The report: one file, made whole or not at all, and said where it is."""

import json
import re
import stat
from pathlib import Path

import nbformat
import pytest

import pipelines.report
from pipelines.fragments import NOTEBOOKS
from pipelines.report import CHAPTERS, make_report
from pipelines.store import Home
from sources.errors import ReportFailed
from tests.pipelines.command import execledger

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="session")
def made(demo_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the demo."""
    out = tmp_path_factory.mktemp("report") / "demo.html"
    make_report(demo_home, out=out)
    return out


def test_a_report_is_one_private_page_with_every_chapter(made: Path) -> None:
    """Law: all notebooks are in it, their code is not; nobody else reads it."""
    page = made.read_text("utf-8")

    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert all(f'<article id="{name}">' in page for name in CHAPTERS)
    assert page.count("ledger-chart") > 8
    assert "period.frame" not in page
    assert "Search API error: 503 Service Unavailable" in page


def test_a_report_asks_for_nothing(made: Path) -> None:
    """Law: no element of the page names another file; its policy allows none."""
    page = made.read_text("utf-8")
    without_data = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)

    assert "default-src 'none'" in page
    assert "'unsafe-inline'; base-uri" in page
    assert re.findall(r"""<(?:link|img|iframe|object|embed)\b""", without_data) == []
    assert re.findall(r"""\bsrc=|@import|url\(""", without_data) == []


def test_the_command_says_where_the_report_is(demo_home: Home, tmp_path: Path) -> None:
    """Law: people are told, programs get JSON; the period is what was asked for."""
    out = tmp_path / "deep" / "r.html"
    where = ("--home", str(demo_home.path), "--out", str(out))

    ran = execledger("report", *where, "--days", "7", "--until", "2026-01-31", "--json")

    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["path"], said["days"], said["until"]) == (str(out), 7, "2026-01-31")
    assert "7 days up to 2026-01-31" in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--provider", "nobody"), "The store knows no provider 'nobody'"),
        (("--workflow", "nothing"), "The store knows no workflow 'nothing'"),
        (("--days", "0"), "0 is not in the range"),
        (("--until", "soon"), "is no date or time"),
    ],
)
def test_what_the_store_does_not_know_is_told(
    demo_home: Home, option: tuple[str, str], words: str
) -> None:
    """Law: exit 2; an empty page would look like good news."""
    ran = execledger("report", "--home", str(demo_home.path), *option)

    assert ran.code == 2
    assert words in ran.err


def test_a_report_needs_a_store(home: Home) -> None:
    """Law: where nothing was loaded, it is said what to run first."""
    ran = execledger("report", "--home", str(home.path))

    assert ran.code == 1
    assert 'run "execledger load"' in ran.err


def test_a_place_that_cannot_be_written_is_told(demo_home: Home, here: Path) -> None:
    """Law: exit 2, and what to say instead."""
    (here / "file").touch()

    ran = execledger(
        "report", "--home", str(demo_home.path), "--out", str(here / "file" / "r.html")
    )

    assert ran.code == 2
    assert "Say another file with --out." in ran.err


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let one notebook have a cell that fails, and the others be empty."""
    for name in CHAPTERS:
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]
        notebook.cells = notebook.cells[:2]
        nbformat.write(notebook, tmp_path / f"{name}.ipynb")  # type: ignore[no-untyped-call]
    fails = nbformat.v4.new_code_cell("total = 1\nraise ValueError('odd\\nfigure')")  # type: ignore[no-untyped-call]
    notebook.cells.append(fails)
    nbformat.write(notebook, tmp_path / f"{CHAPTERS[-1]}.ipynb")  # type: ignore[no-untyped-call]
    monkeypatch.setattr(pipelines.report, "NOTEBOOKS", tmp_path)


@pytest.mark.usefixtures("broken")
def test_a_notebook_that_fails_is_named_and_the_last_report_stays(
    demo_home: Home, tmp_path: Path
) -> None:
    """Law: which cell and why, in one line; the good page is as it was."""
    out = tmp_path / "good.html"
    out.write_text("the last good one", encoding="utf-8")

    with pytest.raises(ReportFailed) as failed:
        make_report(demo_home, out=out)

    assert str(failed.value) == (
        f"{CHAPTERS[-1]}.ipynb, cell 4 (total = 1): ValueError: odd. No report was "
        "written; one that was there before is as it was."
    )
    assert out.read_text("utf-8") == "the last good one"
    assert [path.name for path in tmp_path.glob("*.html")] == ["good.html"]


@pytest.mark.usefixtures("configured")
def test_a_load_may_make_the_report(home: Home) -> None:
    """Law: the page is of what was just loaded."""
    ran = execledger("load", "torale", "--report", "--home", str(home.path))

    assert ran.code == 0, ran.err
    page = (home.reports / "report.html").read_text("utf-8")
    assert "Phone below 500" in page
    assert f"is {home.reports / 'report.html'}" in ran.err


@pytest.mark.usefixtures("configured", "broken")
def test_a_report_that_fails_fails_no_load(home: Home) -> None:
    """Law: exit 1 with the reason; what was loaded is in the store."""
    ran = execledger("load", "torale", "--report", "--home", str(home.path))

    assert ran.code == 1
    assert "ValueError: odd" in ran.err
    assert home.published.exists()
