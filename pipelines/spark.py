"""A lake in Apache Spark: its tables and all our views, by the names they have here.

In a notebook or a job, with the session that is there:

    from pipelines.config import find_home
    from pipelines.spark import register

    register(spark, find_home(None), "s3a://bucket/lake", table_format="parquet")
    spark.table("marts.daily_usage").show()

The names live in the session's own catalog: kept in memory, as it is by default, they
end with it. New files of later loads are seen when ``register`` is called again; Spark
lists the files of a table once. Spark Connect is spoken too.

Stock Spark reads plain Parquet. For Delta tables it needs Delta's own package
(``spark.jars.packages``), and the two settings that Delta's page names.
"""

import re
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import sqlglot
from sqlglot import exp

from pipelines.dialects import engine_views, translated
from pipelines.lake import DATASET, TableFormat
from pipelines.newest import OBSERVATIONS, newest_views
from pipelines.spark_tables import FILES, make_tables, make_view
from pipelines.sql_files import SqlFile
from pipelines.store import Home
from pipelines.views import views
from sources.errors import ConfigurationError
from sources.records import TABLES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["all_views", "asked", "location_of", "reads", "register"]

_DATABASES = (FILES, OBSERVATIONS, "execledger", "staging", "marts")
"""What ``register`` makes; views of these names are replaced."""

_PATTERN = re.compile(r"[\s*?{}\[\]\\%'`]")
"""What some engine takes for a pattern, an escape or an end in the name of a folder."""


def register(
    spark: "SparkSession",
    home: Home,
    location: str,
    *,
    table_format: TableFormat,
    only: Collection[str] | None = None,
) -> None:
    """Make the tables of a lake and all our views in the catalog of a session.

    ``location`` is where the lake is, as Spark says it (``location_of``). From ``home``
    come the user's own rules. ``only`` names the tables and views that are wanted; what
    they rest on is made too. Times are UTC: the session's time zone is set. Called
    again, it makes the same again, of the files that are there then; a table without
    files is empty.

    Raises ``ConfigurationError`` for such a location or a broken rule, ``StoreError``
    where a table of that name is none of ours.
    """
    root = f"{_checked(location).rstrip('/')}/{DATASET}"
    made = all_views(home)
    chosen = _chosen(made, only)
    spark.conf.set("spark.sql.session.timeZone", "UTC")
    for database in _DATABASES:
        spark.sql(f"create database if not exists {database}")
    tables = [name for name in TABLES if f"{OBSERVATIONS}.{name}" in chosen]
    make_tables(spark, root, tables, table_format)
    for view in made:
        if view.qualified in chosen:
            make_view(spark, view)


def location_of(bucket_url: str) -> str:
    """Return where a lake is, as Spark says it; a folder is one of this machine.

    Raises ``ConfigurationError`` for a name that Spark takes for more than one.

    >>> location_of("s3://bucket/lake")
    's3a://bucket/lake'
    """
    scheme, mark, rest = bucket_url.partition("://")
    if not mark or scheme == "file":
        return _checked(f"file://{Path(rest or bucket_url).expanduser().absolute()}")
    return _checked(f"s3a://{rest}" if scheme == "s3" else bucket_url)


def _checked(location: str) -> str:
    if found := _PATTERN.search(location):
        raise ConfigurationError(
            f"The location of the lake must not have {found[0]!r}, which Spark takes "
            f"for more than a name: {location}"
        )
    return location


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
    rows: pa.Table = spark.sql(
        f"select * from (\n{sql.rstrip().rstrip(';')}\n)"
    ).toArrow()
    return rows


def _chosen(made: list[SqlFile], only: Collection[str] | None) -> set[str]:
    """Return the names of what is wanted, and of all that it rests on."""
    every = {f"{OBSERVATIONS}.{name}" for name in TABLES}
    if only is None:
        return every | {view.qualified for view in made}
    by_name = {view.qualified: view.sql for view in made}
    chosen: set[str] = set()
    left = [name.replace(f"{FILES}.", f"{OBSERVATIONS}.") for name in only]
    while left:
        name = left.pop()
        if name not in chosen and name in {*every, *by_name}:
            chosen.add(name)
            left += reads(by_name[name]) or () if name in by_name else ()
    return chosen
