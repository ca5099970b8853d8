"""The command line: ``execledger``.

Messages for people go to stderr, results to stdout. Exit codes: 2 usage or
configuration, 3 another run holds the lock, 4 a result was lost or expires before the
next load, 1 loaded but a provider failed, 0 all well; 130 interrupted, 143 by SIGTERM.
What is slow to import is imported inside the commands that need it.
"""

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import click

from pipelines.cli_backup import backup, prune, restore
from pipelines.cli_report import report, report_after_load
from pipelines.cli_store import check, query, reprice, tables
from pipelines.cli_submit import submit
from pipelines.cli_tracking import track, untrack
from pipelines.frugal import tune, without_pandas
from pipelines.options import (
    Duration,
    Time,
    home_option,
    json_option,
    print_json,
    say,
    wait_option,
    wait_s,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from pipelines.runs import Report
    from pipelines.store import Home

__all__ = ["main"]


def main() -> None:
    """Run a command and exit with its code; errors made on purpose are one line."""
    from sources.errors import ConfigurationError, ExecledgerError, StoreLocked

    tune()
    os.umask(0o077)  # whatever is made, also by libraries, is its owner's alone
    with suppress(ValueError):  # only the main thread hears signals
        _hear()
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _interrupted()
    except RuntimeError as error:
        from pipelines.draining import INTERRUPTED

        if str(error) != INTERRUPTED:
            raise
        _interrupted()
    except ExecledgerError as error:
        say(str(error))
        if isinstance(error, ConfigurationError):
            sys.exit(2)
        sys.exit(3 if isinstance(error, StoreLocked) else 1)


_heard: list[int] = []
"""The signals by which somebody ended the command, other than Ctrl-C."""

_AGAIN_S = 0.05


def _hear() -> None:
    """Have SIGTERM end the command as Ctrl-C does, and neither say more than that."""
    signal.signal(signal.SIGTERM, _terminated)
    atexit.register(_turn_deaf)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with "&" by a script
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = _unraisable


def _turn_deaf() -> None:
    """What is done is done: a signal at the very end changes nothing, exit code too."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _unraisable(fault: "sys.UnraisableHookArgs") -> None:
    """Let Ctrl-C come again where Python could not raise it: in a finalizer."""
    if fault.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(fault)
        return
    again = threading.Timer(_AGAIN_S, signal.raise_signal, [signal.SIGINT])
    again.daemon = True
    again.start()


def _terminated(number: int, _frame: "FrameType | None") -> None:
    """End as by Ctrl-C: what comes in just now is kept, and nothing left half done."""
    _heard.append(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.raise_signal(signal.SIGINT)


def _interrupted() -> NoReturn:
    with suppress(ValueError):
        _turn_deaf()
    say("Interrupted. What was received is in the journal; the store is as it was.")
    sys.exit(128 + (_heard or [signal.SIGINT])[0])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="execledger", prog_name="execledger")
def cli() -> None:
    """Every execution of your hosted AI workflows in one DuckDB store.

    Start with "execledger demo", which needs no key.
    """
    from pipelines.config import quiet_dlt

    quiet_dlt()


for command in (backup, check, prune, query, report, reprice, restore, submit):
    cli.add_command(command)
for command in (tables, track, untrack):
    cli.add_command(command)


@cli.command()
def init() -> None:
    """Write templates of configuration and secrets, and say what to fill in."""
    from pipelines.templates import needed, write_templates
    from sources import providers

    for path, is_new in write_templates():
        click.echo(f"{'wrote' if is_new else 'kept '} {path}")
    sections = " or ".join(f"[sources.{name}]" for name in providers())
    variables = " or ".join(f"SOURCES__{name.upper()}__API_KEY" for name in providers())
    click.echo(
        f"\nFill in the api_key below {sections} in .dlt/secrets.toml, or set "
        f"{variables}."
    )
    for name, fields in needed().items():
        click.echo(f"{name} also needs {', '.join(fields)} in .dlt/config.toml.")
    click.echo("Then: execledger doctor && execledger load")


@cli.command()
@home_option
@click.option(
    "--report/--no-report",
    "reports",
    default=True,
    show_default=True,
    help="Make a report of it.",
)
def demo(home: str | None, *, reports: bool) -> int:
    """Load twice from small servers on this machine; no key, no network."""
    from rich.console import Console

    from pipelines.config import find_home
    from pipelines.demo import run_demo, show
    from pipelines.terminal import watched

    chosen = home or os.environ.get("EXECLEDGER_HOME") or ".execledger-demo"
    with watched() as watch:
        result = run_demo(find_home(chosen), watch)
    show(result, Console())
    has_report = report_after_load(result.home) if reports else True
    return 0 if has_report and not result.differences else 1


@cli.command()
@click.argument("providers", nargs=-1)
@home_option
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
@wait_option
@json_option
def load(
    providers: tuple[str, ...],
    *,
    home: str | None,
    since: datetime | None,
    until: datetime | None,
    max_wait: float,
    every: float | None,
    reports: bool,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> int:
    """Collect what is due of all PROVIDERS that have a key, and load it.

    One atomic step: the store is as it was, or holds all of it. A provider that
    fails keeps no other's data from loading. Exit code 4: a result was lost, or
    expires before the next load; 1: a provider failed; 3: another load runs.
    """
    from pipelines.config import accounts, find_home, schedule_s, without_key
    from pipelines.load import load as run_load
    from pipelines.load import planned
    from sources.provider import Window

    if until and not (since and since <= until):
        raise click.UsageError("--until needs a --since that is not after it.")
    if every and (since or dry_run):
        raise click.UsageError("--every goes with neither --since nor --dry-run.")
    chosen = find_home(home)
    _refuse_new_home(home, chosen)
    window = Window(since, until)
    found = accounts(providers)
    if skipped := [] if providers else without_key(found):
        say(f"Without a key, and so skipped: {', '.join(skipped)}.")
    if dry_run:
        click.echo("\n".join(planned(chosen, found, window)))
        return 0

    run = partial(
        run_load,
        chosen,
        found,
        window=window,
        wait_s=wait_s(wait=wait),
        max_wait_s=max_wait,
        schedule_s=every or schedule_s(),
    )

    without_pandas()

    def once() -> int:
        code = _load_once(run, as_json=as_json)
        if reports and not report_after_load(chosen):
            return code or 1
        return code

    return once() if every is None else _load_every(once, every)


def _load_once(run: "Callable[..., Report]", *, as_json: bool) -> int:
    """Load, say what came of it, and return the exit code."""
    from pipelines.terminal import printable, summary, watched

    with watched() as watch:
        came = run(watch=watch)
    if as_json:
        print_json(came)
    else:
        click.echo(printable(summary(came)), err=True)
    if came.outlook.is_alarming:
        return 4
    return 0 if came.outcome == "ok" else 1


def _load_every(once: "Callable[[], int]", every_s: float) -> int:
    """Load at each step until somebody says stop; no fault of a load ends it."""
    from pipelines.outlook import duration
    from pipelines.repeating import repeat, stopped_within
    from sources.errors import ExecledgerError

    def load_and_go_on() -> None:
        try:
            once()
        except ExecledgerError as error:
            say(str(error))

    def tell(seconds: float, left_out: int) -> None:
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        late = f"{left_out:,} steps were over before it was done. " if left_out else ""
        say(f"{late}Next load in {duration(seconds)}, at {at:%H:%M:%S} UTC.")

    repeat(load_and_go_on, every_s, wait=stopped_within, tell=tell)
    say("Stopped, as was asked.")
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


@cli.command()
@home_option
@click.option("--all", "everything", is_flag=True, help="Name every execution.")
@json_option
def status(home: str | None, *, everything: bool, as_json: bool) -> None:
    """Say how things stand: last run, watch-list, what expires, what waits or is lost.

    Names the watched executions that expire first, and the newest losses.
    """
    from pipelines.config import find_home
    from pipelines.status import status as read_status
    from pipelines.status import told
    from pipelines.terminal import printable

    found = read_status(find_home(home))
    if as_json:
        print_json(found)
    else:
        click.echo(printable(told(found, everything=everything)))


@cli.command()
@home_option
@wait_option
@json_option
def replay(home: str | None, *, wait: bool, as_json: bool) -> int:
    """Rebuild every normalized table from the raw responses; asks no provider."""
    from pipelines.config import find_home
    from pipelines.replay import replay as run_replay

    without_pandas()
    result = run_replay(find_home(home), wait_s=wait_s(wait=wait))
    for problem in result.problems:
        say(problem)
    if as_json:
        print_json(result)
        return int(bool(result.problems))
    kept = f"; {result.kept} kept as they were, their bodies are pruned"
    click.echo(
        f"Rebuilt {result.executions} executions from {result.responses} responses"
        f"{kept if result.kept else ''}.",
        err=True,
    )
    return int(bool(result.problems))


@cli.command()
@click.argument("providers", nargs=-1)
@home_option
@json_option
def doctor(providers: tuple[str, ...], home: str | None, *, as_json: bool) -> int:
    """Test configuration, keys and connectivity; says how to mend each fault."""
    from pipelines.config import find_home
    from pipelines.doctor import CONFIGURATION, examine
    from pipelines.terminal import printable

    findings = examine(find_home(home), providers)
    if as_json:
        print_json(findings)
    for finding in () if as_json else findings:
        sign = ("FAIL", "red") if not finding.is_ok else ("ok  ", "green")
        text = printable(f"{finding.subject}: {finding.message}")
        click.echo(f"{click.style(sign[0], sign[1])} {text}")
    faults = {finding.subject for finding in findings if not finding.is_ok}
    return 2 if CONFIGURATION in faults else 1 if faults else 0
