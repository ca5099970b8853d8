"""How long each view takes on a store of a given size.

A view that sums up is read whole. One that has a row for each execution, usage or
source is read as people read it: its first hundred rows, and those of one workflow.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import duckdb
import msgspec

from benchmarks.big_store import fill
from pipelines.readers import read_only
from pipelines.sql_files import SQL, sql_files
from pipelines.store import Home
from pipelines.views import make_views

__all__ = ["MartTime", "measure"]

DETAILED = {
    "answer_sources",
    "condition_changes",
    "failures",
    "output_fields",
    "required_fields_missing",
    "slowest_executions",
    "time_in_status",
    "token_costs",
}
"""Views with a row for each execution or more."""


class MartTime(msgspec.Struct, kw_only=True):
    """How long a view took: median seconds of wall time, of all ways to read it."""

    view: str
    rows: int
    seconds: float
    how: str


def measure(executions: int, runs: int = 3) -> Iterator[MartTime]:
    """Yield the time of each view on a store with so many executions."""
    folder = Path(tempfile.mkdtemp(prefix="execledger-benchmark-"))
    try:
        home = Home(folder)
        with duckdb.connect(str(home.published)) as con:
            con.execute("set timezone = 'UTC'")
            fill(con, executions)
            make_views(con, home)
        with read_only(home) as con:
            for file in sql_files(SQL / "marts", "marts"):
                yield _measured(con, file.name, runs)
    finally:
        shutil.rmtree(folder)


def _measured(con: duckdb.DuckDBPyConnection, view: str, runs: int) -> MartTime:
    reads = {"whole": f"from marts.{view}"}
    if view in DETAILED:
        ((workflow,),) = con.execute(
            f"select min(workflow_key) from marts.{view}"
        ).fetchall()
        of = f"workflow_key = '{workflow}'"
        reads = {
            "100 rows": f"from marts.{view} limit 100",
            "one workflow": f"select * from marts.{view} where {of}",
        }
    times = {how: _median(con, sql, runs) for how, sql in reads.items()}
    slowest = max(times, key=lambda how: times[how])
    ((rows,),) = con.execute(f"select count(*) from marts.{view}").fetchall()
    return MartTime(view=view, rows=int(rows), seconds=times[slowest], how=slowest)


def _median(con: duckdb.DuckDBPyConnection, sql: str, runs: int) -> float:
    times = []
    for _ in range(runs):
        began = time.perf_counter()
        con.execute(f"create or replace temp table read as {sql}")
        times.append(time.perf_counter() - began)
    return median(times)
