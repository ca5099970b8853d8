"""A lake in Spark Connect, as Sail speaks it: all is as DuckDB has it."""

from pathlib import Path

import pytest

from pipelines.store import Home
from tests.spark.beside import by_duckdb, by_spark, differences, made

pytestmark = pytest.mark.slow

TOO_DEEP = ("adversarial_deep_nesting_10000",)
"""Recordings with JSON that Sail does not read: it is deeper than 126 levels."""


@pytest.mark.parametrize("table_format", ["parquet", "delta"])
def test_spark_connect_gives_what_duckdb_gives(
    table_format: str, connect: str, demo_home: Home, tmp_path: Path
) -> None:
    """Law: every table and view has the same columns and rows, in both formats."""
    lake = made(tmp_path, demo_home, table_format, but=TOO_DEEP)
    wanted = by_duckdb(lake, demo_home)

    seen = by_spark(tmp_path, lake, demo_home, remote=connect)

    assert differences(tmp_path, wanted) == {}
    assert wanted["marts.daily_usage"].num_rows > 0
    assert seen["registered"] == seen["before"] + 1
