"""The command that asks Apache Spark about a lake."""

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import click

from pipelines.log import say
from pipelines.options import console, form_option, home_option

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

    from pipelines.lake import Lake, TableFormat
    from pipelines.query import Form

__all__ = ["spark"]


def _settings(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    for one in given:
        if not all(one.partition("=")):
            raise click.BadParameter("say KEY=VALUE, as for spark-submit.")
    return {name: value for name, _, value in (one.partition("=") for one in given)}


@click.command()
@click.argument("sql", required=False)
@home_option
@click.option(
    "--master", metavar="URL", help="A master of Spark, such as spark://host:7077."
)
@click.option(
    "--remote", metavar="URL", help="A server of Spark Connect, such as sc://host."
)
@click.option(
    "--conf",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_settings,
    help="A setting of Spark's, as for spark-submit; any number of them.",
)
@click.option(
    "--lake",
    "url",
    metavar="URL",
    help="Where the lake is (else bucket_url of [destination.filesystem]).",
)
@click.option(
    "--table-format",
    type=click.Choice(["delta", "parquet"]),
    help="What its tables are (else table_format of [execledger], else delta).",
)
@form_option
def spark(
    sql: str | None,
    *,
    home: str | None,
    master: str | None,
    remote: str | None,
    settings: Mapping[str, str],
    url: str | None,
    table_format: "TableFormat | None",
    form: Literal["table", "csv", "json", "parquet"],
) -> None:
    """Run a query on the lake in Apache Spark; "-" reads it from standard input.

    Without SQL it says what there is to ask. Needs the extra "spark", and Java. Without
    --master and --remote, Spark's own configuration says where it runs, else this
    machine.
    """
    from pipelines.config import find_home
    from pipelines.spark import asked, location_of, reads, register
    from pipelines.spark_session import in_words, session
    from pipelines.terminal import at_work

    if master and remote:
        raise click.UsageError("Either --master or --remote: they are two ways.")
    remote = remote or (None if master else os.environ.get("SPARK_REMOTE"))
    text = sys.stdin.read() if sql == "-" else sql
    found, lake = find_home(home), _lake(url, table_format)
    location = location_of(lake.bucket_url)
    with at_work() as tell:
        tell("Spark begins")
        began = session(master=master, remote=remote, settings=settings)
        with began as running, in_words():
            tell("Tables and views are made")
            only = reads(text) if text else None
            register(
                running, found, location, table_format=lake.table_format, only=only
            )
            tell("Spark answers")
            table = asked(running, text) if text else _contents(running)
            tell("Spark ends")
    if not text and not any(table["rows"].to_pylist()):
        say(f"There are no rows in {location}: is the lake there?", level="warning")
    _write(table, form)


def _lake(url: str | None, table_format: "TableFormat | None") -> "Lake":
    from msgspec.structs import replace

    from pipelines.lake import Lake, lake

    found = Lake(bucket_url=url) if url else lake()
    return replace(found, table_format=table_format) if table_format else found


def _contents(spark: "SparkSession") -> "pa.Table":
    """Return what can be asked: the tables with their rows, and all views."""
    import pyarrow as pa

    from sources.records import TABLES

    counts = spark.sql(
        " union all ".join(
            f"select '{name}' as name, count(*) as rows from {name}"
            for name in (f"execledger.{table}" for table in TABLES)
        )
    ).toArrow()
    rows = dict(zip(*(column.to_pylist() for column in counts.columns), strict=True))
    meant = {
        f"{schema}.{view.name}": view.description
        for schema in ("execledger", "marts")
        for view in spark.catalog.listTables(schema)
    }
    views = sorted(name for name in meant if name.startswith("marts."))
    names = [*(f"execledger.{table}" for table in TABLES), *views]
    return pa.table(
        {
            "name": names,
            "rows": [rows.get(name) for name in names],
            "what one row is": [meant[name] for name in names],
        }
    )


def _write(table: "pa.Table", form: "Literal['table'] | Form") -> None:
    from pipelines.query import file_of, result_of
    from pipelines.terminal import as_table

    if form == "table":
        console().print(as_table(result_of(table)))
    else:
        sys.stdout.buffer.write(file_of(table, form))
