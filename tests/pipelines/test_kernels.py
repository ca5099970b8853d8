"""The process of a notebook: it ends with the run, however that ends."""

import asyncio
import gc
import json
from pathlib import Path

import nbformat
import pytest

from pipelines.kernels import run_notebook
from sources.errors import ReportFailed

_CELL: dict[str, object] = {"cell_type": "code", "execution_count": None, "outputs": []}


def _notebook() -> nbformat.NotebookNode:
    tagged = {"id": "a", "source": "days = 1", "metadata": {"tags": ["parameters"]}}
    slow = {"id": "b", "source": "import time; time.sleep(60)", "metadata": {}}
    cells = [_CELL | tagged, _CELL | slow]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    read: nbformat.NotebookNode = nbformat.reads(json.dumps(notebook), as_version=4)  # type: ignore[no-untyped-call]
    return read


def _children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


@pytest.mark.parametrize("least_done", [0, 1])
def test_a_cancelled_run_leaves_no_process_and_no_socket(least_done: int) -> None:
    """Law: also before the kernel answers for the first time, its process is ended."""
    before = _children()
    done: list[None] = []

    async def cancelled() -> None:
        run = run_notebook("slow", _notebook(), {}, lambda: done.append(None))
        task = asyncio.create_task(run)
        while len(done) < least_done or _children() == before:  # noqa: ASYNC110 - a process tells no event
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # its channels are open, and it has not answered
        task.cancel()
        with pytest.raises((asyncio.CancelledError, ReportFailed)):
            await task

    asyncio.run(cancelled())

    assert _children() == before
    gc.collect()  # a socket that was not closed says so, and the test fails
