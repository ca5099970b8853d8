"""The commands that look at the store: tables, query, reprice, check."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import click

from pipelines.log import say
from pipelines.options import (
    console,
    destination_option,
    form_option,
    home_option,
    json_option,
    print_json,
    wait_option,
    wait_s,
)

__all__ = ["check", "query", "reprice", "tables"]


@click.command()
@home_option
@json_option
def tables(home: str | None, *, as_json: bool) -> None:
    """List tables and views with their comments and row counts."""
    from pipelines.config import find_home
    from pipelines.query import Result
    from pipelines.query import tables as list_tables
    from pipelines.terminal import as_table

    found = list_tables(find_home(home))
    if as_json:
        print_json(found)
        return
    rows = [(info.name, info.rows, info.comment) for info in found]
    console().print(as_table(Result(["name", "rows", "what one row is"], rows)))


@click.command()
@click.argument("sql")
@home_option
@form_option
def query(
    sql: str, home: str | None, form: Literal["table", "csv", "json", "parquet"]
) -> None:
    """Run SQL on the store, read-only; "-" reads it from standard input."""
    from pipelines.config import find_home
    from pipelines.query import rows_of, written

    text = sys.stdin.read() if sql == "-" else sql
    with _ctrl_c_at_once():
        if form != "table":
            rows = written(find_home(home), text, form)
            sys.stdout.buffer.write(rows)
            return
        from pipelines.terminal import as_table

        console().print(as_table(rows_of(find_home(home), text)))


@contextmanager
def _ctrl_c_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process: DuckDB may not hear of it before a query ends."""
    handler = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


@click.command()
@home_option
@wait_option
@json_option
def reprice(home: str | None, *, wait: bool, as_json: bool) -> None:
    """Refresh the unit prices of the models in the store; rewrites no fact.

    Prices come from the installed genai-prices, and from prices.csv in the folder of
    your own rules (rules below [execledger], else "rules" in the home).
    """
    from pipelines.config import find_home
    from pipelines.pricing import reprice as run_reprice

    result = run_reprice(find_home(home), wait_s=wait_s(wait=wait))
    if as_json:
        print_json(result)
        return
    say(
        f"{result.models:,} models have {result.prices:,} prices, {result.own:,} of "
        f"them your own; {result.changed:,} changed."
    )
    if result.unknown:
        names = ", ".join(result.unknown)
        say(
            f"Without a price: {names}. Say it in prices.csv, or see "
            "marts.unpriced_models for what that is."
        )


@click.command()
@home_option
@destination_option
@wait_option
@json_option
def check(
    home: str | None, destination: str | None, *, wait: bool, as_json: bool
) -> int:
    """Check the store and the budgets, and keep what came of it.

    Exit code 4: a result was lost since the last load began, or expires before the
    next one; 1: a check or a budget failed; 3: another run holds the lock.
    """
    from pipelines.checks import check as run_check
    from pipelines.checks import told
    from pipelines.config import bounds, budgets, find_home, schedule_s
    from pipelines.terminal import as_table

    checked = run_check(
        find_home(home, destination),
        bounds=bounds(),
        budgets=budgets(),
        schedule_s=schedule_s(),
        wait_s=wait_s(wait=wait),
    )
    if as_json:
        print_json(checked)
    else:
        console().print(as_table(told(checked)))
    if checked.expiring:
        say(
            f"{checked.expiring:,} results expire before the next load: run "
            '"execledger load" now; "execledger status" says which.'
        )
    if checked.is_alarming:
        return 4
    return 0 if checked.outcome == "ok" else 1
