"""The command line: ``execledger``.

Messages for people go to stderr, results to stdout. Exit codes: 2 usage or
configuration, 3 another run holds the lock, 4 a result was lost or expires before the
next load, 1 loaded but a provider failed, 0 all well; 130 interrupted, 143 by SIGTERM.
What is slow to import is imported inside the commands that need it.
"""

import os
import sys
from contextlib import suppress

import click

from pipelines.cli_backup import backup, copy, prune, restore
from pipelines.cli_load import load
from pipelines.cli_report import report, report_after_load
from pipelines.cli_spark import spark
from pipelines.cli_store import check, query, reprice, tables
from pipelines.cli_submit import submit
from pipelines.cli_tracking import track, untrack
from pipelines.cli_views import views
from pipelines.endings import ending, tell
from pipelines.frugal import tune, without_pandas
from pipelines.log import is_json, printable, say, use
from pipelines.options import (
    destination_option,
    home_option,
    json_option,
    log_format_option,
    print_json,
    wait_option,
    wait_s,
)
from pipelines.signals import hear

__all__ = ["main"]

_LOG_FORMAT = "EXECLEDGER_LOG_FORMAT"


def main() -> None:
    """Run a command and exit with its code; errors made on purpose are one line."""
    use(os.environ.get(_LOG_FORMAT, "text"))
    tune()
    os.umask(0o077)  # whatever is made, also by libraries, is its owner's alone
    with suppress(ValueError):  # only the main thread hears signals
        hear()
    try:
        sys.exit(cli(standalone_mode=False) or 0)
    except click.ClickException as error:
        _show(error)
        sys.exit(error.exit_code)
    except (Exception, KeyboardInterrupt) as error:
        end = ending(error)
        if end is None:
            raise
        tell(end)
        sys.exit(end.exit_code)


def _show(error: click.ClickException) -> None:
    """Say what is wrong with a command; with its usage, for a person."""
    if not is_json():
        error.show()
        return
    context = getattr(error, "ctx", None)
    see = f' See "{context.command_path} -h".' if context else ""
    say(f"{error.format_message()}{see}", event="usage", level="error")


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Leave Ctrl-C to ``main``: click would write an empty line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise click.Abort from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="execledger", prog_name="execledger")
@log_format_option(_LOG_FORMAT)
def cli() -> None:
    """Every execution of your hosted AI workflows in one DuckDB store.

    Start with "execledger demo", which needs no key.
    """
    from pipelines.config import quiet_dlt

    quiet_dlt()


for command in (backup, check, copy, load, prune, query, report, reprice, restore):
    cli.add_command(command)
for command in (spark, submit, tables, track, untrack, views):
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
@home_option
@destination_option
@click.option("--all", "everything", is_flag=True, help="Name every execution.")
@json_option
def status(
    home: str | None, destination: str | None, *, everything: bool, as_json: bool
) -> None:
    """Say how things stand: last run, watch-list, what expires, what waits or is lost.

    Names the watched executions that expire first, and the newest losses.
    """
    from pipelines.config import find_home
    from pipelines.status import status as read_status
    from pipelines.status import told

    found = read_status(find_home(home, destination))
    if as_json:
        print_json(found)
    else:
        click.echo(printable(told(found, everything=everything)))


@cli.command()
@home_option
@destination_option
@wait_option
@json_option
def replay(
    home: str | None, destination: str | None, *, wait: bool, as_json: bool
) -> int:
    """Rebuild every normalized table from the raw responses; asks no provider."""
    from pipelines.config import find_home
    from pipelines.replay import replay as run_replay

    without_pandas()
    result = run_replay(find_home(home, destination), wait_s=wait_s(wait=wait))
    for problem in result.problems:
        say(problem, level="warning")
    if as_json:
        print_json(result)
        return int(bool(result.problems))
    kept = f"; {result.kept} kept as they were, their bodies are pruned"
    say(
        f"Rebuilt {result.executions} executions from {result.responses} responses"
        f"{kept if result.kept else ''}."
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

    findings = examine(find_home(home), providers)
    if as_json:
        print_json(findings)
    for finding in () if as_json else findings:
        sign = ("FAIL", "red") if not finding.is_ok else ("ok  ", "green")
        text = printable(f"{finding.subject}: {finding.message}")
        click.echo(f"{click.style(sign[0], sign[1])} {text}")
    faults = {finding.subject for finding in findings if not finding.is_ok}
    return 2 if CONFIGURATION in faults else 1 if faults else 0
