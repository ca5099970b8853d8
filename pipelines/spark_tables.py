"""The tables of a lake in the catalog of a session of Spark.

Those of the database ``lake_files`` are the files as they lie, those of
``observations`` have the columns of the model, in order, whatever the files have.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from pipelines.lake import TableFormat
from pipelines.lake_rows import lake_schema
from pipelines.newest import OBSERVATIONS
from pipelines.sql_files import SqlFile
from sources.errors import ConfigurationError, StoreError
from sources.records import TABLES, Record
from sources.tables import comment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["FILES", "make_tables", "make_view"]

FILES = "lake_files"
"""The database of the files as they lie."""

_TYPES = {
    pa.string(): "string",
    pa.bool_(): "boolean",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.binary(): "binary",
    pa.date32(): "date",
    pa.timestamp("us", tz="UTC"): "timestamp",
    pa.decimal128(18, 12): "decimal(18, 12)",
}

_NO_DELTA = (
    "This Spark does not know Delta. Give it the package, as of its own release: "
    "--conf spark.jars.packages=io.delta:delta-spark_2.13:VERSION. Or is the lake of "
    "plain files? Then --table-format parquet."
)

_ABSENT = re.compile(
    r"(?<!DATA_SOURCE_)NOT_FOUND|DOES_NOT_EXIST|MISSING_DELTA_TABLE|SCHEMA_NOT_SET"
    "|No commit files found"
)
"""How Delta, and Sail, say that there is no table in a folder yet."""


def make_tables(
    spark: "SparkSession", root: str, names: Iterable[str], table_format: TableFormat
) -> None:
    """Make these tables anew, of the folders of their names in ``root``.

    Raises ``StoreError`` where a table of that name is none of ours,
    ``ConfigurationError`` where Spark does not know the format.
    """
    ours = _replaceable(spark)
    for name in names:
        if name in ours:
            spark.sql(f"drop table {FILES}.{name}")
        record = TABLES[name]
        there = _files(spark, name, f"{root}/{name}", record, table_format)
        make_view(spark, _as_model(name, record, there))


def _replaceable(spark: "SparkSession") -> set[str]:
    """Return our tables of an earlier call; dropping them leaves their files alone.

    Raises ``StoreError`` where a table is none of ours: with it, its rows would go.
    """
    there = {table.name: table.tableType for table in spark.catalog.listTables(FILES)}
    for name, kind in there.items():
        if kind != "EXTERNAL":
            raise StoreError(
                f"{FILES}.{name} is in the catalog of this Spark, and not ours. Drop "
                "it, or use another catalog."
            )
    return there.keys() & TABLES.keys()


def _files(
    spark: "SparkSession",
    name: str,
    folder: str,
    record: type[Record],
    table_format: TableFormat,
) -> set[str]:
    """Make the table of the files in a folder; return the columns that it has.

    The types of plain files are said, so that nothing is guessed of folders, no
    folder is needed, and older files may lack columns. Of Delta nothing may be said:
    Sail would begin the table anew.
    """
    if table_format == "parquet":
        types = ", ".join(f"{one} {kind}" for one, kind in _columns(record).items())
        # one that is being written there has no end yet
        is_local = folder.startswith("file:")
        passing = "options (ignoreCorruptFiles 'true')" if is_local else ""
        spark.sql(
            f"create table {FILES}.{name} ({types}) using parquet {passing} "
            f"location '{folder}'"
        )
        return {*_columns(record)}
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        found = {*spark.read.format("delta").load(folder).columns}
        spark.sql(f"create table {FILES}.{name} using delta location '{folder}'")
    except (PySparkException, Py4JError) as error:
        if "DATA_SOURCE_NOT_FOUND" in str(error):
            raise ConfigurationError(_NO_DELTA) from None
        if not _ABSENT.search(str(error)):
            raise
        return set()
    return found


def _columns(record: type[Record]) -> Mapping[str, str]:
    """Return the columns of a table of the lake, and their types in Spark."""
    return {field.name: _TYPES[field.type] for field in lake_schema(record)}


def _as_model(name: str, record: type[Record], columns: set[str]) -> SqlFile:
    """Return a view with the columns of the model, in order: NULL for what lacks."""
    chosen = [
        one if one in columns else f"cast(null as {kind}) as {one}"
        for one, kind in _columns(record).items()
    ]
    source = f"from {FILES}.{name}" if columns else "where false"
    sql = f"-- {comment(record)}\nselect {', '.join(chosen)} {source}"
    return SqlFile(OBSERVATIONS, name, sql)


def make_view(spark: "SparkSession", view: SqlFile) -> None:
    """Make a view, or make it anew, with its comment."""
    said = exp.Literal.string(view.comment).sql(dialect="spark")
    spark.sql(f"create or replace view {view.qualified} comment {said} as {view.sql}")
