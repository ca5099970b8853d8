"""A dlt pipeline as a user of dlt writes one around the source, with its DuckDB."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.extract import DltSource

from pipelines.config import quiet_dlt
from sources.torale import torale_source


def pipeline_in(
    folder: Path, con: duckdb.DuckDBPyConnection | None = None
) -> dlt.Pipeline:
    """Return a pipeline with its state in ``folder``, its store there or in ``con``."""
    quiet_dlt()
    return dlt.pipeline(
        "ledger",
        pipelines_dir=str(folder / "dlt"),
        destination=dlt.destinations.duckdb(con or str(folder / "store.duckdb")),
        dataset_name="execledger",
    )


def journal_in(folder: Path) -> Path:
    """Return the path of the journal beside the pipeline's store."""
    return folder / "journal.sqlite"


def run(folder: Path, *sources: DltSource) -> None:
    """Run the sources in the pipeline of ``folder``."""
    pipeline_in(folder).run(list(sources), loader_file_format="parquet")


def source(folder: Path, base_url: str, **how: Any) -> DltSource:
    """Return the source of a twin, its journal in ``folder``."""
    given = {"requests_per_second": 1e5, "journal": journal_in(folder), **how}
    return torale_source(base_url=base_url, **given)


def query(folder: Path, sql: str) -> Sequence[tuple[Any, ...]]:
    """Return the rows of a select on the store in ``folder``."""
    with duckdb.connect(str(folder / "store.duckdb")) as con:
        return con.execute(sql).fetchall()
