"""The command that makes a report, and making one after a load."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.log import is_json, say
from pipelines.options import Time, home_option, json_option, print_json

if TYPE_CHECKING:
    from pipelines.report import Made, Progress
    from pipelines.store import Home

__all__ = ["report", "report_after_load"]


@click.command()
@home_option
@click.option(
    "--days",
    type=click.IntRange(1, 3660),
    default=30,
    show_default=True,
    help="How many days it is about.",
)
@click.option("--until", type=Time(), help="The last of them; today if not said.")
@click.option("--provider", metavar="NAME", help="Of this provider alone.")
@click.option("--workflow", metavar="NAME", help="Of this workflow: its name or key.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Where to write it (else reports/report.html in the home).",
)
@click.option("--open", "opens", is_flag=True, help="Show it in the browser.")
@json_option
def report(
    *,
    home: str | None,
    days: int,
    until: datetime | None,
    provider: str | None,
    workflow: str | None,
    out: Path | None,
    opens: bool,
    as_json: bool,
) -> None:
    """Run the notebooks on the store, and write one HTML page that needs nothing else.

    A report that is there already stays where a notebook fails.
    """
    from pipelines.config import find_home
    from pipelines.report import make_report

    with _bar() as progress:
        made = make_report(
            find_home(home),
            days=days,
            until=until.date() if until else None,
            provider=provider,
            workflow=workflow,
            out=out,
            progress=progress,
        )
    if as_json:
        print_json(made)
    else:
        _tell(made)
    if opens:
        click.launch(made.path)


def report_after_load(home: "Home") -> bool:
    """Make the report of a home that was just loaded; tell whether there is one now."""
    from pipelines.report import make_report
    from sources.errors import ExecledgerError

    try:
        with _bar() as progress:
            _tell(make_report(home, progress=progress))
    except ExecledgerError as error:
        say(str(error), event="report", level="error")
        return False
    return True


def _tell(made: "Made") -> None:
    say(
        f"The report of {made.days} days up to {made.until} is {made.path}",
        event="report",
        path=made.path,
    )


@contextmanager
def _bar() -> Iterator["Progress"]:
    """Show how many cells are done, if stderr is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, disable=is_json() or not console.is_terminal
    ) as shown:
        task = shown.add_task("The notebooks", total=None)

        def progress(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        yield progress
