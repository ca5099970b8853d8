"""The same views on Spark, and on Sail, which answers as Spark does: DuckDB's rows.

The newest Spark has an environment of its own: Sail holds the one here back.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.readers import read_only
from pipelines.store import Home
from sources.json_text import MAX_DEPTH
from tests.packages import UV, run
from tests.spark.servers import need
from tests.sql.elsewhere import Facts, facts, given, json_columns, rows, views_at
from tests.sql.hostile_json import hostile

NEWEST = ("pyspark[sql]>=4.3,<4.4", "pandas>=2.3,<4")
"""The packages of the newest Spark that the views are tried with."""

DEEPEST = {"sail": 126, "spark": MAX_DEPTH}
"""Sail reads no JSON that is nested deeper: there, it is not taken apart."""

_TEXT = re.compile(r'"(?:[^"\\]|\\.)*+"')

PROGRAM = Path(__file__).with_name("spark_program.py")

pytestmark = pytest.mark.slow


class Engine(NamedTuple):
    """What stands for Spark, and a Python in an environment of its own."""

    name: str
    python: Path


@pytest.fixture(scope="module", params=DEEPEST)
def engine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Yield an engine; an environment of its own is large, and is not kept."""
    if request.param == "sail":
        need("pysail")
        yield Engine(request.param, Path(sys.executable))
        return
    folder = tmp_path_factory.mktemp(request.param)
    run(UV, "venv", "--quiet", "environment", folder=folder)
    python = folder / "environment" / "bin" / "python"
    install = (UV, "pip", "install", "--quiet", "--python", python)
    run(*install, *NEWEST, folder=folder)
    yield Engine(request.param, python)
    shutil.rmtree(folder)


def joined(*stores: Facts) -> Facts:
    """Return the rows of several stores as one's."""
    names = stores[0].keys()
    return {name: pa.concat_tables([one[name] for one in stores]) for name in names}


def without_deeper(tables: Facts, deepest: int) -> Facts:
    """Return the same, without rows whose JSON is nested deeper."""
    return {name: _without_deeper(name, tables[name], deepest) for name in tables}


def _without_deeper(name: str, table: pa.Table, deepest: int) -> pa.Table:
    kept = [True] * table.num_rows
    for column in json_columns(name):
        depths = map(nesting, table[column].to_pylist())
        kept = [
            so_far and depth <= deepest
            for so_far, depth in zip(kept, depths, strict=True)
        ]
    return table.filter(pa.array(kept, pa.bool_()))


def nesting(text: str | None) -> int:
    """Return how deep the containers of a JSON document are nested."""
    steps = [(one in "[{") - (one in "]}") for one in _TEXT.sub("", text or "")]
    return max(accumulate(steps), default=0)


def test_views_give_duckdbs_rows(
    engine: Engine,
    demo_home: Home,
    recorded_store: duckdb.DuckDBPyConnection,
    odd_rules: Home,
    tmp_path: Path,
) -> None:
    """Law: of the demo, all recordings and hostile JSON, the rows are the same."""
    with read_only(demo_home) as store:
        tables = joined(facts(store), facts(recorded_store), hostile())
    tables = without_deeper(tables, DEEPEST[engine.name])
    for name, table in tables.items():
        pq.write_table(table, tmp_path / f"execledger.{name}.parquet")
    views = [
        (view.schema, view.name, view.sql) for view in views_at("spark", odd_rules)
    ]
    (tmp_path / "views.json").write_text(json.dumps(views), "utf-8")

    run(engine.python, PROGRAM, tmp_path, engine.name, folder=tmp_path)

    assert json.loads((tmp_path / "faults.json").read_text("utf-8")) == {}
    found: dict[str, Any] = {}
    for view, like in given(tables, odd_rules).items():
        table = pq.read_table(tmp_path / f"{view}.rows")
        here, there = rows(view, table, like), rows(view, like, like)
        if here != there:
            found[view] = (list(here - there)[:3], list(there - here)[:3])
        if view.startswith("staging."):
            assert kinds(table) == kinds(like), view
    assert found == {}


def kinds(table: pa.Table) -> list[str]:
    """Return the types of the columns; Arrow has two for text, and units of time."""
    names = [str(kind).removeprefix("large_") for kind in table.schema.types]
    return ["timestamp" if name.startswith("timestamp") else name for name in names]
