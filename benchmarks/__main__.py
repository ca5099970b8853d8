"""``python -m benchmarks``: what execledger costs, beside what people would use."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from benchmarks.bench import Bench, Outcome
from benchmarks.cases import CASES
from benchmarks.page import PAGE, Machine, as_result, machine, told, written
from pipelines.log import say
from pipelines.options import console, print_json
from pipelines.terminal import as_table


class Measured(msgspec.Struct, kw_only=True):
    """All that was measured, and on what."""

    machine: Machine
    runs: int
    scale: float
    outcomes: Sequence[Outcome]


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--runs", type=click.IntRange(min=1), default=3, show_default=True)
@click.option(
    "--scale",
    type=click.FloatRange(min=0, min_open=True, max=1),
    default=1.0,
    show_default=True,
    help="Of the full sizes; the least is 2,000 executions.",
)
@click.option("--json", "as_json", is_flag=True, help="Answer for programs.")
@click.option("--write", is_flag=True, help="Write the table of docs/performance.md.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep what both sides read here, for the next time (else nowhere).",
)
def main(
    cases: tuple[str, ...],
    runs: int,
    scale: float,
    *,
    as_json: bool,
    write: bool,
    folder: Path | None,
) -> None:
    """Measure CASES, or all, each side in a process of its own, taken in turns."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="execledger-benchmark-") as temporary:
        place = folder or Path(temporary)
        place.mkdir(parents=True, exist_ok=True)
        bench = Bench(place.resolve(), runs=runs, scale=scale)
        for name in cases or CASES:
            say(f"Measuring {name} ...")
            outcomes += CASES[name](bench)
    if write:
        text = PAGE.read_text("utf-8")
        PAGE.write_text(written(text, outcomes, runs), "utf-8")
    if as_json:
        print_json(
            Measured(machine=machine(), runs=runs, scale=scale, outcomes=outcomes)
        )
    else:
        console().print(as_table(as_result(outcomes), told(runs)))


if __name__ == "__main__":
    main()
