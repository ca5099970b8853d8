"""A lake in Apache Spark: its tables and all our views, by the names they have here.

In a notebook or a job, with the session that is there:

    from pathlib import Path

    from pipelines.spark import register
    from pipelines.store import Home

    home = Home(Path(".execledger"))
    register(spark, home, "s3a://bucket/lake", table_format="parquet")
    spark.table("marts.daily_usage").show()

The names live in the session's own catalog: kept in memory, as it is by default, they
end with it. New files of later loads are seen when ``register`` is called again; Spark
lists the files of a table once. Spark Connect is spoken too.

Stock Spark reads plain Parquet. For Delta tables it needs Delta's own package
(``spark.jars.packages``), and the two settings that Delta's page names.
"""

import re
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Literal

import pyarrow as pa
import sqlglot
from sqlglot import exp

from pipelines.dialects import engine_views, translated
from pipelines.lake import DATASET
from pipelines.lake_rows import lake_schema
from pipelines.newest import OBSERVATIONS, newest_views
from pipelines.sql_files import SqlFile
from pipelines.store import Home
from pipelines.views import views
from sources.errors import ConfigurationError, StoreError
from sources.records import TABLES, Record
from sources.tables import comment

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = [
    "DATABASES",
    "FILES",
    "TableFormat",
    "all_views",
    "asked",
    "reads",
    "register",
]

FILES = "lake_files"
"""The database of the files as they lie; ``observations`` shows them as the model."""

DATABASES = (FILES, OBSERVATIONS, "execledger", "staging", "marts")
"""What ``register`` makes; views of these names are replaced."""

TableFormat = Literal["delta", "parquet"]

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

_PATTERN = re.compile(r"[\s*?{}\[\]\\%'`]")
"""What some engine takes for a pattern, an escape or an end in the name of a folder."""

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


def register(
    spark: "SparkSession",
    home: Home,
    location: str,
    *,
    table_format: TableFormat,
    only: Collection[str] | None = None,
) -> None:
    """Make the tables of a lake and all our views in the catalog of a session.

    ``location`` is what dlt's ``bucket_url`` says, as Spark says it (``s3a://…``,
    ``file:///…``); from ``home`` come the user's own rules; ``only`` names the tables
    and views that are wanted, and what they rest on is made too. Times are UTC: the
    session's time zone is set. Called again, it makes the same again, of the files
    that are there then; a table without files is empty.

    Raises ``ConfigurationError`` for such a location or a broken rule, ``StoreError``
    where a table of that name is none of ours.
    """
    root = f"{location.rstrip('/')}/{DATASET}"
    if found := _PATTERN.search(root):
        raise ConfigurationError(
            f"The location of the lake must not have {found[0]!r}, which Spark takes "
            f"for more than a name: {location}"
        )
    made = all_views(home)
    chosen = _chosen(made, only)
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    for database in DATABASES:
        spark.sql(f"create database if not exists {database}")
    ours = _replaceable(spark)
    for name, record in TABLES.items():
        if f"{OBSERVATIONS}.{name}" not in chosen:
            continue
        if name in ours:
            spark.sql(f"drop table {FILES}.{name}")
        there = _files(spark, name, f"{root}/{name}", record, table_format)
        _make(spark, _as_model(name, record, there))
    for view in made:
        if view.qualified in chosen:
            _make(spark, view)


def all_views(home: Home) -> list[SqlFile]:
    """Return all views in Spark's SQL, each after those it selects from."""
    newest = newest_views()
    told = [
        SqlFile(view.schema, view.name, translated(view.sql, "spark"))
        for view in newest
    ]
    meant = {view.qualified: view.comment for view in (*newest, *views(home))}
    return [
        SqlFile(view.schema, view.name, f"-- {meant[view.qualified]}\n{view.sql}")
        for view in (*told, *engine_views(home, "spark"))
    ]


def reads(sql: str) -> set[str] | None:
    """Return the qualified names that a query of Spark reads; none where it is unclear.

    >>> reads("select 1 from marts.daily_usage as d")
    {'marts.daily_usage'}
    """
    try:
        found = sqlglot.parse_one(sql, read="spark").find_all(exp.Table)
    except sqlglot.errors.SqlglotError:
        return None
    return {f"{table.db}.{table.name}".lower() for table in found if table.db}


def asked(spark: "SparkSession", sql: str) -> pa.Table:
    """Return the rows of a query, and of nothing but a query: Spark could write too."""
    return spark.sql(f"select * from (\n{sql.rstrip().rstrip(';')}\n)").toArrow()


def _chosen(made: list[SqlFile], only: Collection[str] | None) -> set[str]:
    """Return the names of what is wanted, and of all that it rests on."""
    every = {f"{OBSERVATIONS}.{name}" for name in TABLES}
    if only is None:
        return every | {view.qualified for view in made}
    by_name = {view.qualified: view.sql for view in made}
    chosen: set[str] = set()
    left = [*only]
    while left:
        name = left.pop()
        if name not in chosen and name in {*every, *by_name}:
            chosen.add(name)
            left += reads(by_name[name]) or () if name in by_name else ()
    return chosen


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


def _make(spark: "SparkSession", view: SqlFile) -> None:
    said = exp.Literal.string(view.comment).sql(dialect="spark")
    spark.sql(f"create or replace view {view.qualified} comment {said} as {view.sql}")
