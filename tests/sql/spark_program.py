"""Make tables and views on Spark, and write what each view gives; runs without us.

``spark_program.py FOLDER (sail | spark)``: a program for an environment of Spark's own.
The folder has ``<schema>.<table>.parquet`` for each table and ``views.json``, a list of
schema, name and select in the order in which they are made. ``<schema>.<view>.rows``
(Parquet) is written for each view, ``faults.json`` with what went wrong, by view.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

READER = "Pacific/Kiritimati"
"""Where it is tomorrow already: no view may depend on where its reader is."""


@contextmanager
def session(kind: str, folder: Path) -> Iterator[Any]:
    """Yield a session of Spark, or of Sail, which answers as Spark does."""
    from pyspark.sql import SparkSession

    if kind == "sail":
        from pysail.spark import SparkConnectServer

        server = SparkConnectServer()
        server.start(background=True)
        _, port = server.listening_address
        spark = SparkSession.builder.remote(f"sc://127.0.0.1:{port}").getOrCreate()
        yield spark
        spark.stop()
        server.stop()  # while a session is open, it never does
        return
    spark = (
        SparkSession.builder.master("local[2]")
        .config("spark.ui.enabled", "false")
        .config("spark.sql.shuffle.partitions", "1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.sql.warehouse.dir", str(folder / "warehouse"))
        .getOrCreate()
    )
    yield spark
    spark.stop()


def main() -> None:
    """Do what the docstring of the module says."""
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    with session(kind, folder) as spark:
        made(spark, folder)


def made(spark: Any, folder: Path) -> None:
    """Make tables and views in a session, and write what came of them."""
    spark.conf.set("spark.sql.session.timeZone", READER)
    for schema in ("execledger", "staging", "marts", "asked"):
        spark.sql(f"create schema {schema}")
    for file in folder.glob("*.parquet"):
        spark.sql(f"create table {file.stem} using parquet location '{file}'")
    faults = {}
    for schema, name, sql in json.loads((folder / "views.json").read_text("utf-8")):
        view = f"{schema}.{name}"
        try:
            spark.sql(f"create view {view} as {sql}")
            table = spark.table(view).toArrow()
        except Exception as fault:  # noqa: BLE001 - whatever it is, the test tells
            faults[view] = str(fault)[:2000]
            continue
        pq.write_table(table, folder / f"{view}.rows")
    (folder / "faults.json").write_text(json.dumps(faults), "utf-8")


if __name__ == "__main__":
    main()
