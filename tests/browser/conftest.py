"""A real browser, what it asks for, and a store full of hostile texts."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from playwright.sync_api import Browser, Dialog, Page, Request

from pipelines.config import quiet_dlt
from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.views import make_views
from tests.browser.chromium import chromium

EVIL = "evil.example"
HOSTILE = (
    "<script>alert('script')</script>",
    f"<img src=https://{EVIL}/img onerror=alert('img')>",
    f"</script><script src=https://{EVIL}/js></script>",
    f"</td></table><iframe src=https://{EVIL}/frame></iframe>",
    "\"><a href=javascript:alert('a')>a</a><svg onload=alert('svg')>",
    f"<style>@import url(https://{EVIL}/css)</style>",
    f"<meta http-equiv=refresh content='0;url=https://{EVIL}/meta'>",
    "{{constructor.constructor('alert(1)')()}}",
    "\u202egnp.exe \x1b[2J \u2028 NUL",
)
"""Texts as somebody would write them who wants to be more than text."""

ADDRESSES = (
    "javascript:alert('uri')",
    "data:text/html,<script>alert('data')</script>",
    "vbscript:msgbox(1)",
    f"https://{EVIL}/\"onmouseover=\"alert('attr')",
    "https://example.com/fine",
)


class Seen:
    """A page in the browser, and what it did beside showing itself."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.refused: list[str] = []
        self.dialogs: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("requestfailed", self._note_refusal)
        page.on("dialog", self._dismiss)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text))

    def _note_refusal(self, request: Request) -> None:
        if request.failure == "csp":  # by the page's own policy
            self.refused.append(request.url)

    def _dismiss(self, dialog: Dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()


def reported(home: Home, out: Path) -> Path:
    """Return the report of a home, made by the command: a loop runs here already."""
    command = Path(sys.executable).with_name("execledger")
    subprocess.run(  # noqa: S603 - the command
        [command, "report", "--home", home.path, "--out", out, "--days", "20"],
        check=True,
    )
    return out


@pytest.fixture(scope="session")
def demo_report(demo_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of the demo."""
    return reported(demo_home, tmp_path_factory.mktemp("report") / "demo.html")


@pytest.fixture(scope="session")
def hostile_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the report of a store in which every text is hostile."""
    quiet_dlt()
    home = Home(tmp_path_factory.mktemp("hostile"))
    with duckdb.connect(str(home.published)) as con:
        con.execute("set timezone = 'UTC'")
        create_tables(con)
        for number, text in enumerate(HOSTILE):
            _fill(con, number, text, ADDRESSES[number % len(ADDRESSES)])
        make_views(con, home)
    return reported(home, home.path / "hostile.html")


def _fill(con: duckdb.DuckDBPyConnection, number: int, text: str, address: str) -> None:
    """Add an execution whose every text is hostile, to each table that is shown."""
    key = f"torale:default:t:{number}"
    common = {"provider": text, "connection": text, "response_id": "r"}
    child = {**common, "execution_key": key}
    rows: dict[str, list[dict[str, object]]] = {
        "workflows": [{**common, "workflow_key": text, "name": text}],
        "executions": [
            {
                **child,
                "workflow_key": text,
                "execution_id": text,
                "status": status,
                "result_state": state,
                "is_terminal": True,
                "condition_met": number % 2 == 0,
                "change_summary": text,
                "notification": text,
                "execution_key": key + place,
                "duration_ms": 5,
            }
            for place, status, state in (
                ("", "succeeded", "captured"),
                ("x", "failed", "captured"),
                ("y", "expired", "expired"),
            )
        ],
        "errors": [
            {
                **child,
                "execution_key": key + place,
                "error_key": f"{key}{place}/e",
                "error_type": kind,
                "message": text,
            }
            for place, kind in (("x", text), ("y", "expired"))
        ],
        "outputs": [
            {**child, "output_key": f"{key}/o", "name": "answer", "value_text": text}
        ],
        "grounding_sources": [
            {
                **child,
                "source_key": f"{key}/s{place}",
                "position": place,
                "uri": uri,
                "title": text,
                "domain": text,
                "is_valid_uri": False,
            }
            for place, uri in enumerate((address, "https://example.com/fine"))
        ],
        "token_usage": [
            {
                **child,
                "usage_key": f"{key}/u",
                "model": text,
                "model_provider": text,
                "model_basis": "reported",
                "total_tokens": 5,
                "provided_cost_usd": 1,
                "is_counted": True,
            }
        ],
        "execution_tags": [{**child, "tag_key": key, "tag": text, "tag_value": text}],
        "execution_files": [{**child, "file_key": f"{key}/f", "file_name": text}],
        "execution_steps": [
            {
                **child,
                "step_key": f"{key}/r",
                "file_key": f"{key}/f",
                "kind": "required_field",
                "name": text,
                "is_passed": False,
            }
        ],
        "load_rejects": [
            {**child, "reject_key": key, "path": f"/{text}", "reason": text}
        ],
        "raw_responses": [{**common, "response_id": "r"}],
    }
    for table, given in rows.items():
        for row in given:
            names = ", ".join(row)
            marks = ", ".join("?" * len(row))
            con.execute(
                f"insert into execledger.{table} ({names}) values ({marks})",
                [*row.values()],
            )
    con.execute(
        "update execledger.executions set started_at = now(), "
        "day = cast(now() as date), observed_at = now()"
    )
    con.execute("update execledger.raw_responses set received_at = now()")


@pytest.fixture(scope="module")
def browser(demo_report: Path, hostile_report: Path) -> Iterator[Browser]:
    """Yield Debian's chromium, once the pages are made: it brings a running loop."""
    del demo_report, hostile_report
    with chromium() as started:
        yield started
