"""Register a lake in a session of Spark, and again, and write what each view gives.

``python -m tests.spark.program FOLDER``: the folder's ``told.json`` says the master or
the server, Spark's settings, the lake and its format, the home, and what the clock's
view selects. ``<schema>.<view>.arrow`` is written for each table and view, and
``seen.json``: how many runs were in the lake, by when that was asked.
"""

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa

from pipelines.lake import Lake
from pipelines.newest import OBSERVATIONS
from pipelines.spark import all_views, register
from pipelines.spark_session import session
from pipelines.store import Home
from sources.fold import Batch
from sources.records import TABLES, Run
from tests.pipelines.lake_loads import put

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["main"]


def main(folder: Path) -> None:
    """Do what the docstring of the module says."""
    told = json.loads((folder / "told.json").read_text("utf-8"))
    home, lake = Home(Path(told["home"])), Lake(told["table_format"], told["lake"])

    def again(spark: "SparkSession", only: Collection[str] | None = None) -> None:
        where = f"file://{told['lake']}"
        register(spark, home, where, table_format=lake.table_format, only=only)

    with session(
        master=told["master"], remote=told["remote"], settings=told["settings"]
    ) as spark:
        again(spark)
        again(spark, only=["marts.daily_usage", "staging.json_leaves"])
        spark.sql(f"create or replace view staging.clock as {told['clock']}")
        tables = [f"{OBSERVATIONS}.{name}" for name in TABLES]
        for name in [*tables, *(view.qualified for view in all_views(home))]:
            _write(folder / f"{name}.arrow", spark.table(name).toArrow())
        seen = {"before": _runs(spark)}
        put(
            lake,
            None,
            [Batch(rows={"runs": [msgspec.convert(told["run"], Run)]}, gone={})],
        )
        seen["unregistered"] = _runs(spark)
        again(spark, only=["execledger.runs"])
        seen["registered"] = _runs(spark)
    (folder / "seen.json").write_text(json.dumps(seen), "utf-8")


def _runs(spark: "SparkSession") -> Any:
    return spark.sql("select count(*) from execledger.runs").toArrow()[0][0].as_py()


def _write(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as to:
        to.write_table(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
