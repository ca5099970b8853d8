"""The command that loads: once, or again and again."""

import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.cli_report import report_after_load
from pipelines.frugal import without_pandas
from pipelines.log import say
from pipelines.options import (
    Duration,
    Time,
    destination_option,
    home_option,
    json_option,
    log_format_option,
    monitor_option,
    wait_option,
    wait_s,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pipelines.config import Account
    from pipelines.store import Home

__all__ = ["load"]

_BY_SIGNAL = 128
"""Exit codes above it are those of signals."""


@click.command()
@click.argument("providers", nargs=-1)
@home_option
@destination_option
@click.option("--since", type=Time(), help="Read again what started from then on.")
@click.option("--until", type=Time(), help="With --since: what started until then.")
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    default=0,
    metavar="SECONDS",
    help="Poll on until everything is done, so long at the most.",
)
@click.option(
    "--every",
    type=Duration(),
    metavar="DURATION",
    help="Stay, and load again at each step of so long, such as 5m.",
)
@click.option("--report", "reports", is_flag=True, help="Make the report afterwards.")
@click.option("--dry-run", is_flag=True, help="Say what would be read; read nothing.")
@monitor_option("health", ".json", "Write there how each load ended, for a monitor.")
@monitor_option(
    "prometheus",
    ".prom",
    "The same as metrics, where node_exporter reads them.",
    needs="prometheus_client",
)
@wait_option
@json_option
@log_format_option()
def load(
    providers: tuple[str, ...],
    *,
    home: str | None,
    destination: str | None,
    since: datetime | None,
    until: datetime | None,
    max_wait: float,
    every: float | None,
    reports: bool,
    dry_run: bool,
    health: Path | None,
    prometheus: Path | None,
    wait: bool,
    as_json: bool,
) -> int:
    """Collect what is due of all PROVIDERS that have a key, and load it.

    One atomic step: the store is as it was, or holds all of it. A provider that
    fails keeps no other's data from loading. Exit code 4: a result was lost, or
    expires before the next load; 1: a provider failed; 3: another load runs.
    """
    from pipelines import telling
    from pipelines.config import find_home, schedule_s
    from pipelines.ended import Begun, attempt, broken
    from pipelines.load import load as run_load
    from pipelines.load import planned
    from pipelines.monitors import Monitors
    from sources.errors import ExecledgerError
    from sources.provider import Window

    if until and not (since and since <= until):
        raise click.UsageError("--until needs a --since that is not after it.")
    if every and (since or dry_run):
        raise click.UsageError("--every goes with neither --since nor --dry-run.")
    chosen = find_home(home, destination)
    _refuse_new_home(home, chosen)
    window, started = Window(since, until), datetime.now(UTC)
    tell = partial(telling.tell, monitors=Monitors(health, prometheus), as_json=as_json)
    if dry_run:
        click.echo("\n".join(planned(chosen, _accounts(providers), window)))
        return 0
    try:
        found, interval_s = _accounts(providers), every or schedule_s()
    except ExecledgerError as error:
        return tell(broken(error, Begun(chosen, (), every, started)))

    without_pandas()
    run = partial(
        run_load,
        chosen,
        found,
        window=window,
        wait_s=wait_s(wait=wait),
        max_wait_s=max_wait,
        schedule_s=interval_s,
    )

    def once() -> int:
        names = [account.name for account in found]
        ended = attempt(run, Begun(chosen, names, interval_s, datetime.now(UTC)))
        code = tell(ended)
        if reports and ended.report and not report_after_load(chosen):
            return code or 1
        return code

    return once() if every is None else _load_every(once, every)


def _accounts(selected: "Sequence[str]") -> "list[Account]":
    """Return what is to be loaded; where all are meant, say who is left out."""
    from pipelines.config import accounts, without_key

    found = accounts(selected)
    if skipped := [] if selected else without_key(found):
        names = ", ".join(skipped)
        say(f"Without a key, and so skipped: {names}.", event="skipped", names=skipped)
    return found


def _load_every(once: "Callable[[], int]", every_s: float) -> int:
    """Load at each step until somebody says stop; no fault of a load ends it."""
    from pipelines.outlook import duration
    from pipelines.repeating import repeat, stopped_within

    def load_and_go_on() -> None:
        if (code := once()) > _BY_SIGNAL:
            raise click.exceptions.Exit(code)

    def tell(seconds: float, left_out: int) -> None:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        late = f"{left_out:,} steps were over before it was done. " if left_out else ""
        words = f"{late}Next load in {duration(seconds)}, at {at:%H:%M:%S} UTC."
        say(words, event="next_load", next_load_at=at, left_out=left_out)

    try:
        repeat(load_and_go_on, every_s, wait=stopped_within, tell=tell)
    except click.exceptions.Exit as end:
        if end.exit_code > _BY_SIGNAL:
            raise
    say("Stopped, as was asked.", event="stopped")
    return 0


def _refuse_new_home(said: str | None, chosen: "Home") -> None:
    """A job in the wrong folder would fill an empty store in silence."""
    from pipelines.config import is_default_home

    is_new = not chosen.published.exists() and not chosen.journal.exists()
    is_watched = sys.stdin is not None and sys.stdin.isatty()
    if is_new and is_default_home(said) and not is_watched:
        raise click.UsageError(
            f"There is no store in {chosen.path}, and this is no terminal. "
            "Say --home DIR or set EXECLEDGER_HOME to start one."
        )
