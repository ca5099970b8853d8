"""``python -m benchmarks``: measures, as a table or as JSON."""

import click

from benchmarks.marts import measure
from pipelines.options import console, print_json
from pipelines.query import Result
from pipelines.terminal import as_table


@click.command()
@click.option("--executions", type=click.IntRange(min=1), default=1_000_000)
@click.option("--runs", type=click.IntRange(min=1), default=3)
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
def main(executions: int, runs: int, *, as_json: bool) -> None:
    """Measure how long each view takes on a store with so many executions."""
    found = list(measure(executions, runs))
    if as_json:
        print_json(found)
        return
    rows = [(one.view, one.rows, round(one.seconds, 2), one.how) for one in found]
    names = ["view", "rows", "seconds", "read"]
    console().print(as_table(Result(names, rows), f"{executions:,} executions"))


if __name__ == "__main__":
    main()
