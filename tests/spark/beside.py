"""What tables and views give in Spark, held beside what DuckDB gives."""

import json
import subprocess
import sys
from collections.abc import Container, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipelines.lake import Lake
from pipelines.lake_reading import opened
from pipelines.newest import OBSERVATIONS
from pipelines.spark import all_views
from pipelines.store import Home
from sources.records import TABLES
from tests.conftest import ROOT
from tests.spark.made_lake import append_demo, append_recordings
from tests.sql.elsewhere import rows, views_at

__all__ = ["by_duckdb", "by_spark", "differences", "made"]

RUN = {
    "run_id": "0199a000-0000-7000-8000-000000000000",
    "command": "load",
    "started_at": "2026-03-01T00:00:00+00:00",
    "outcome": "ok",
    "counts": "{}",
}
"""A run that comes later."""


def made(folder: Path, home: Home, table_format: str, but: Container[str] = ()) -> Lake:
    """Return a lake of the demo's data and of all recordings but some."""
    lake = Lake(table_format, str(folder / "lake"))  # type: ignore[arg-type]
    append_recordings(lake, but)
    append_demo(lake, home)
    return lake


def clock(engine: str, home: Home) -> str:
    """Return a clock that stands still, in the words of an engine."""
    views = {view.qualified: view.sql for view in views_at(engine, home)}
    return views["staging.clock"]


def by_duckdb(lake: Lake, home: Home) -> dict[str, pa.Table]:
    """Return what each table and view gives."""
    names = [f"{OBSERVATIONS}.{name}" for name in TABLES]
    names += [view.qualified for view in all_views(home)]
    with closing(opened(lake, home)) as con:
        still = clock("duckdb", home)
        con.execute(f"create or replace view staging.clock as {still}")
        return {name: con.sql(f"from {name}").to_arrow_table() for name in names}


def by_spark(
    folder: Path, lake: Lake, home: Home, **where: object
) -> Mapping[str, int]:
    """Have Spark write what each view gives; return how many runs it saw, and when."""
    told = {
        "master": None,
        "remote": None,
        "settings": {},
        "lake": lake.bucket_url,
        "table_format": lake.table_format,
        "home": str(home.path),
        "clock": clock("spark", home),
        "run": RUN,
    }
    (folder / "told.json").write_text(json.dumps({**told, **where}), "utf-8")
    subprocess.run(  # noqa: S603 - a module of the tests
        [sys.executable, "-m", "tests.spark.program", str(folder)],
        cwd=ROOT,
        check=True,
    )
    seen: Mapping[str, int] = json.loads((folder / "seen.json").read_text("utf-8"))
    return seen


def differences(folder: Path, wanted: Mapping[str, pa.Table]) -> dict[str, Any]:
    """Return, by view, the rows that one has and the other not."""
    found = {}
    for name, table in wanted.items():
        with pa.ipc.open_file(str(folder / f"{name}.arrow")) as file:
            ours, theirs = rows(name, table, table), rows(name, file.read_all(), table)
        if ours != theirs:
            found[name] = [*(ours - theirs)][:2], [*(theirs - ours)][:2]
    return found
