"""The notebooks, run once on the store of the demo."""

import asyncio
from collections.abc import Mapping
from typing import Any

import nbformat
import pytest

from pipelines.fragments import NOTEBOOKS
from pipelines.kernels import run_notebook
from pipelines.report import CHAPTERS
from pipelines.store import Home

Shown = Mapping[str, str]
"""What each notebook shows, all its HTML."""


def read(name: str) -> Any:
    """Return a notebook as it is stored."""
    return nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def shown(notebook: Any) -> str:
    """Return all that a notebook shows, as HTML."""
    return "\n".join(
        output.data["text/html"]
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if "data" in output and "text/html" in output.data
    )


def run(home: Home, **given: object) -> Shown:
    """Return what each notebook shows of a home."""
    notebooks = {name: read(name) for name in CHAPTERS}
    values = {"home": str(home.path), **given}

    async def every() -> None:
        await asyncio.gather(
            *(
                run_notebook(name, notebook, values, lambda: None)
                for name, notebook in notebooks.items()
            )
        )

    asyncio.run(every())
    return {name: shown(notebook) for name, notebook in notebooks.items()}


@pytest.fixture(scope="session")
def of_demo(demo_home: Home) -> Shown:
    """Return what the notebooks show of the demo's store, of the last 30 days."""
    return run(demo_home, days=30)
