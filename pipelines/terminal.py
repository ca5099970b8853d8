"""What a person sees on a terminal: progress, summaries, tables."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from pipelines.collect import Watch
from pipelines.config import Account
from pipelines.log import is_json, printable
from pipelines.outlook import Outlook, duration, told_loss
from pipelines.query import Result, as_text
from pipelines.runs import AccountReport, Report

__all__ = [
    "as_table",
    "at_work",
    "summary",
    "watched",
]

_SHOWN = 5
"""Lost results that a load names."""


@contextmanager
def watched() -> Iterator[Watch]:
    """Show what is read of each account, if stderr is a terminal and no log."""
    console = Console(stderr=True)
    if is_json() or not console.is_terminal:
        yield lambda *_: None
        return
    read: dict[str, Counter[str]] = {}
    lines: dict[str, TaskID] = {}
    with _progress(console) as progress:

        def watch(account: Account, what: str, more: int) -> None:
            name = account.name
            if name not in lines:
                lines[name], read[name] = progress.add_task(name), Counter()
            read[name][what] += more
            progress.update(lines[name], description=f"{name}  {_said(read[name])}")

        yield watch


@contextmanager
def at_work() -> Iterator[Callable[[str], None]]:
    """Show what is being done, as one says, if stderr is a terminal and no log.

    On a stream of its own: it goes on while the process's own leads elsewhere.
    """
    if is_json() or not Console(stderr=True).is_terminal:
        yield lambda _: None
        return
    own = os.fdopen(os.dup(2), "w", errors="backslashreplace")  # as that of stderr
    with own, _progress(Console(file=own)) as progress:
        line = progress.add_task("")
        yield lambda words: progress.update(line, description=words)


def _progress(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _said(counts: Counter[str] | dict[str, int]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def summary(report: Report) -> str:
    """Return what a load came to, in words."""
    lines = [line for account in report.accounts for line in _account(account)]
    seconds = (report.ended_at - report.started_at).total_seconds()
    lines += [f"  ! {problem}" for problem in report.problems]
    lines += _ahead(report.outlook)
    lines.append(f"Loaded in {seconds:.1f} s into {report.home}")
    return "\n".join(lines)


def _ahead(outlook: Outlook) -> Iterator[str]:
    """Yield what was lost, and what the next load must come in time for."""
    for lost in outlook.lost[:_SHOWN]:
        yield f"  ! {told_loss(lost)}"
    if more := len(outlook.lost[_SHOWN:]):
        yield f'  ! ... and {more:,} more lost results: "execledger status --all"'
    if outlook.expiring and outlook.interval_s is not None:
        yield (
            f"  ! {outlook.expiring:,} results expire before the next load, which is "
            f"due in {duration(outlook.interval_s)}: load again before"
        )
    if outlook.watched:
        yield f"{outlook.watched:,} executions are still watched"
    if outlook.safe_interval_s is not None:
        yield (
            "Longest safe interval between loads: "
            f"{duration(outlook.safe_interval_s)} (then one load may even fail)"
        )


def _account(account: AccountReport) -> Iterator[str]:
    yield (
        f"{account.account}: {account.new:,} new and {account.changed:,} changed "
        f"executions ({_said(account.read) or 'nothing was due'})"
    )
    for error in account.errors:
        yield f"  ! {error}"


def as_table(result: Result, title: str | None = None) -> Table:
    """Return rows as a table for a terminal; nothing in it is taken for markup."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for place, name in enumerate(result.names):
        is_number = _are_numbers([row[place] for row in result.rows])
        table.add_column(Text(name), justify="right" if is_number else "left")
    for row in result.rows:
        table.add_row(*(Text(printable(as_text(value))) for value in row))
    return table


def _are_numbers(values: list[object]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return bool(kinds) and kinds <= {int, float, Decimal}
