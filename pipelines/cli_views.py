"""The command that prints the views for another engine."""

import click

from pipelines.options import home_option

__all__ = ["views"]


@click.command()
@click.option(
    "--dialect",
    required=True,
    metavar="NAME",
    help="Whose SQL, as sqlglot calls it: snowflake, bigquery, spark, ...",
)
@home_option
def views(dialect: str, home: str | None) -> None:
    """Print the statements that make all views on an engine of your own.

    They read the tables of schema execledger, which you bring there. Tests run them on
    DuckDB, PostgreSQL and Spark; the first line says so of any other.
    """
    from pipelines.config import find_home
    from pipelines.statements import statements

    for statement in statements(find_home(home), dialect):
        click.echo(f"{statement}\n")
