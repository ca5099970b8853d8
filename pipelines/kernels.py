"""Runs one notebook in a process of its own, and says which cell fails, and why."""

import atexit
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import (
    CellExecutionError,
    CellTimeoutError,
    DeadKernelError,
)

from pipelines.fragments import IN_REPORT
from sources.errors import ReportFailed

__all__ = ["run_notebook"]

_CELL_S = 600
"""Seconds for one cell, which reads the store and draws."""

_PARAMETERS = "parameters"
"""The tag of the cell whose values may be given."""


class _Kernel(AsyncKernelManager):
    """A kernel of this very interpreter, whatever kernels a user has installed."""

    kernel_spec = KernelSpec(
        argv=[
            sys.executable,
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
            "--HistoryManager.enabled=False",
        ],
        display_name="execledger",
        language="python",
    )


async def run_notebook(
    name: str,
    notebook: nbformat.NotebookNode,
    given: Mapping[str, object],
    step: Callable[[], None],
) -> None:
    """Run a notebook with these parameters; its outputs are in it afterwards.

    ``step`` is called after each code cell. Raises ``ReportFailed``.
    """
    _give(notebook, given)
    with tempfile.TemporaryDirectory(prefix="execledger-report-") as folder:
        environment = {
            **_without_keys(os.environ),
            IN_REPORT: "1",
            "IPYTHONDIR": folder,  # no start-up files of the user's
        }
        client = NotebookClient(
            notebook,
            kernel_manager_class=_Kernel,
            timeout=_CELL_S,
            resources={"metadata": {"path": folder}},
            on_cell_executed=lambda **_: step(),
        )
        kernel = client.create_kernel_manager()
        kernel.connection_file = str(Path(folder) / "kernel.json")
        kernel.transport = "ipc"  # not through TCP, where other users could listen
        kernel.ip = str(Path(folder) / "socket")
        try:
            await client.async_execute(env=environment)
        except CellExecutionError as error:
            reason = f"{error.ename}: {error.evalue.partition(chr(10))[0]}"
            raise _failed(name, notebook, reason) from None
        except CellTimeoutError:
            raise _failed(name, notebook, f"it took over {_CELL_S} s") from None
        except DeadKernelError:
            reason = "its process was ended, by hand or for want of memory"
            raise _failed(name, notebook, reason) from None
        finally:
            # what nbclient forgets where it is cancelled before the kernel answers
            if client.kc is not None:
                client.kc.stop_channels()
            if kernel.has_kernel:
                await ensure_async(kernel.shutdown_kernel(now=True))
            atexit.unregister(client._cleanup_kernel)  # noqa: SLF001 - as it does itself


def _without_keys(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without keys of providers: a notebook needs none."""
    return {k: v for k, v in environment.items() if not k.startswith("SOURCES__")}


def _give(notebook: nbformat.NotebookNode, given: Mapping[str, object]) -> None:
    """Set the parameters of a notebook, in a cell after those it has."""
    tagged = [
        place
        for place, cell in enumerate(notebook.cells)
        if _PARAMETERS in cell.metadata.get("tags", ())
    ]
    source = "\n".join(f"{key} = {value!r}" for key, value in given.items())
    cell = nbformat.v4.new_code_cell(source)  # type: ignore[no-untyped-call]  # untyped library
    notebook.cells.insert(tagged[0] + 1, cell)


def _failed(name: str, notebook: nbformat.NotebookNode, reason: str) -> ReportFailed:
    """Say which cell failed: the last one that was begun."""
    begun = [
        (place, cell)
        for place, cell in enumerate(notebook.cells, 1)
        if cell.cell_type == "code" and cell.metadata.get("execution")
    ]
    place, cell = begun[-1] if begun else (1, notebook.cells[0])
    first = cell.source.strip().partition("\n")[0]
    return ReportFailed(
        f"{name}.ipynb, cell {place} ({first}): {reason}. No report was written; one "
        "that was there before is as it was."
    )
