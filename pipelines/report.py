"""The notebooks as one page: run without a browser, put together as HTML.

The page asks for nothing: style, scripts and data stand in it, and its policy forbids
every request and every script but its own two.
"""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pipelines.fragments import NOTEBOOKS, escaped, page_scripts, page_style
from pipelines.placing import put
from pipelines.query import opened
from pipelines.store import Home
from sources.errors import ConfigurationError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from nbformat import NotebookNode

__all__ = ["CHAPTERS", "Made", "Progress", "make_report"]

CHAPTERS = (
    "executions_and_failures",
    "token_usage_and_cost",
    "answers_and_sources",
)
"""The notebooks, in their order on the page."""

Progress = Callable[[int, int], None]
"""Told how many cells are done, and of how many."""


class Made(msgspec.Struct, kw_only=True):
    """A report that was made."""

    path: str
    days: int
    until: date
    size_bytes: int
    took_s: float


def make_report(
    home: Home,
    *,
    days: int = 30,
    until: date | None = None,
    provider: str | None = None,
    workflow: str | None = None,
    out: Path | None = None,
    progress: Progress = lambda *_: None,
) -> Made:
    """Run the notebooks on the store, and write one HTML file (0600).

    ``out`` is by default ``reports/report.html`` in the home. Raises ``StoreError``
    where there is no store, and ``ReportFailed`` with the cell that fails; a report
    that is there already then stays.
    """
    began = datetime.now(UTC)
    with opened(home) as con:
        today: date = con.execute("select today from staging.clock").fetchall()[0][0]
        _refuse_unknown(con, provider, workflow)
    last = until or today
    given = {
        "home": str(home.path),
        "days": days,
        "until": last.isoformat(),
        "provider": provider,
        "workflow": workflow,
    }
    chapters = _run(given, progress)
    path = out or home.reports / "report.html"
    page = _page(chapters, given, began).encode()
    _write(path, page)
    return Made(
        path=str(path),
        days=days,
        until=last,
        size_bytes=len(page),
        took_s=round((datetime.now(UTC) - began).total_seconds(), 1),
    )


def _refuse_unknown(
    con: "DuckDBPyConnection", provider: str | None, workflow: str | None
) -> None:
    """Raise ``ConfigurationError`` for what the store does not know: a slip, mostly."""
    known = {
        "provider": (provider, "select provider from execledger.executions"),
        "workflow": (
            workflow,
            "select unnest([workflow_key, name]) from execledger.workflows",
        ),
    }
    for what, (said, sql) in known.items():
        names = con.execute(f"select distinct name from ({sql}) as known (name)")
        if said and (said,) not in names.fetchall():
            raise ConfigurationError(
                f"The store knows no {what} {said!r}. See them with: execledger query "
                '"select distinct provider, workflow_name from marts.workflow_usage"'
            )


def _write(path: Path, page: bytes) -> None:
    """Put a page in its place in one step; it is its owner's alone."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        put(path, page)
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or path}: {error.strerror}. Say another file with --out."
        ) from None


# --- running ------------------------------------------------------------------------


def _run(given: Mapping[str, object], progress: Progress) -> list["NotebookNode"]:
    """Run all notebooks side by side, each in a process of its own."""
    try:
        import nbformat

        from pipelines.kernels import run_notebook
    except ImportError as absent:
        raise ConfigurationError(
            f'A report needs the extra "report" ({absent.name} is not installed): '
            'pip install "execledger[report]"'
        ) from None
    notebooks = [
        nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]  # untyped library
        for name in CHAPTERS
    ]
    total = sum(cell.cell_type == "code" for one in notebooks for cell in one.cells)
    done = count(1)

    async def every() -> None:
        async with asyncio.TaskGroup() as group:
            for name, one in zip(CHAPTERS, notebooks, strict=True):
                ran = run_notebook(
                    name, one, given, lambda: progress(next(done), total)
                )
                group.create_task(ran)

    try:
        asyncio.run(every())
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return notebooks


_FOOTER = "<footer>Made by execledger {version}. All times and days are UTC.</footer>"

# --- the page -----------------------------------------------------------------------


def _page(
    notebooks: Sequence["NotebookNode"], given: Mapping[str, object], made: datetime
) -> str:
    scripts = [*page_scripts()]
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; "
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    )
    chapters = [
        (name, _title(one), _body(one))
        for name, one in zip(CHAPTERS, notebooks, strict=True)
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="color-scheme" content="light dark">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>execledger, {escaped(given['until'])}</title>",
            f"<style>{page_style()}</style>\n</head>",
            '<body class="ledger-page">',
            _header(given, made, [(name, title) for name, title, _ in chapters]),
            "<main>",
            *(
                f'<article id="{name}"><h2>{escaped(title)}</h2>{body}</article>'
                for name, title, body in chapters
            ),
            "</main>",
            _FOOTER.format(version=version("execledger")),
            *(f"<script>{script}</script>" for script in scripts),
            "</body>\n</html>\n",
        ]
    )


def _header(
    given: Mapping[str, object], made: datetime, chapters: Sequence[tuple[str, str]]
) -> str:
    links = "".join(
        f'<a href="#{name}">{escaped(title)}</a>' for name, title in chapters
    )
    of = ", ".join(
        f"{what} {given[what]}" for what in ("provider", "workflow") if given[what]
    )
    about = (
        f"{given['days']} days up to {given['until']}; {of or 'all providers'}; "
        f"made {made:%Y-%m-%d %H:%M} UTC"
    )
    return (
        "<header><h1>Executions of AI workflows</h1>"
        f'<p class="ledger-about">{escaped(about)}</p><nav>{links}</nav></header>'
    )


def _title(notebook: "NotebookNode") -> str:
    first: str = notebook.cells[0].source
    return first.partition("\n")[0].removeprefix("# ")


def _body(notebook: "NotebookNode") -> str:
    """Return what a notebook shows, as HTML without its code and its title."""
    from nbconvert import HTMLExporter

    notebook.cells[0].source = notebook.cells[0].source.partition("\n")[2]
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]  # untyped library
        template_name="basic",
        exclude_input=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    body: str = exporter.from_notebook_node(notebook)[0]
    return body


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
