"""Options and answers that the commands share."""

import re
import sys
from collections.abc import Callable
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from pipelines import log
from pipelines.repeating import YEAR_S

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Duration",
    "Time",
    "api_option",
    "connection_option",
    "console",
    "destination_option",
    "form_option",
    "home_option",
    "json_option",
    "log_format_option",
    "monitor_option",
    "print_json",
    "wait_option",
    "wait_s",
]

F = TypeVar("F", bound=Callable[..., object])

home_option = click.option(
    "--home",
    metavar="DIR",
    help="Where store and journal are (else EXECLEDGER_HOME, else ./.execledger).",
)
destination_option = click.option(
    "--destination",
    metavar="NAME",
    help="Which store: duckdb, which is the home's own, postgres or filesystem "
    "(else EXECLEDGER_DESTINATION, else the configuration).",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Answer for programs."
)
wait_option = click.option(
    "--wait", is_flag=True, help="Wait while another run holds the lock."
)


def _no_text(_context: click.Context, _option: click.Parameter, form: str) -> str:
    if form == "parquet" and sys.stdout.isatty():
        raise click.UsageError("Parquet is no text: send it to a file, > rows.parquet")
    return form


form_option = click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    callback=_no_text,
    help="How to write the rows.",
)


def _use(_context: click.Context, _option: click.Parameter, form: str | None) -> None:
    if form:
        log.use(form)


def monitor_option(
    name: str, ending: str, words: str, needs: str = ""
) -> Callable[[F], F]:
    """Return an option for a file that monitors read; a wrong one is refused at once.

    It must end so: what must never be replaced, such as the store, ends otherwise.
    ``needs`` is the library of an extra.
    """

    def checked(_context: object, _option: object, file: Path | None) -> Path | None:
        if file is None:
            return None
        if needs and find_spec(needs) is None:
            extra = needs.partition("_")[0]
            raise click.BadParameter(
                f'this needs the extra "{extra}": pip install "execledger[{extra}]"'
            )
        if file.suffix != ending:
            raise click.BadParameter(f"{file} must end in {ending}: say such a file.")
        try:
            path = file.resolve()
            is_folder = path.parent.is_dir()
            is_plain = not path.exists() or path.is_file()
        except OSError as error:
            raise click.BadParameter(f"{file}: {error.strerror}.") from error
        if not is_folder:
            raise click.BadParameter(f"{path.parent} is no folder: make it first.")
        if not is_plain:
            raise click.BadParameter(f"{path} is no plain file: say another.")
        return path

    return click.option(
        f"--{name}",
        type=click.Path(path_type=Path),
        envvar=f"EXECLEDGER_{name.upper()}",
        show_envvar=True,
        metavar=f"FILE{ending}",
        callback=checked,
        help=words,
    )


def log_format_option(variable: str | None = None) -> Callable[[F], F]:
    """Return the option that says how messages are written.

    Read before all others, so that what is wrong with those is said in its form.
    """
    return click.option(
        "--log-format",
        type=click.Choice(log.FORMATS),
        envvar=variable,
        show_envvar=True,
        is_eager=True,
        expose_value=False,
        callback=_use,
        help="Messages as text, or each as a line of JSON.",
    )


connection_option = click.option("--connection", metavar="NAME", help="Which account.")
api_option = click.option(
    "--api", metavar="NAME", help="Which API deployment (Unstract)."
)


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?")
_UNITS = (86_400, 3_600, 60, 1)


class Duration(click.ParamType[float]):
    """A number of seconds, or such as ``5m`` or ``1h30m``."""

    name = "duration"

    def convert(
        self,
        value: str | float,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Return the seconds that a text says."""
        if isinstance(value, int | float):
            return value
        found = _DURATION.fullmatch(value.strip())
        parts = found.groups() if found else ()
        seconds = sum(
            float(part) * unit
            for part, unit in zip(parts, _UNITS, strict=False)
            if part
        )
        if not seconds:
            self.fail(f"{value!r} is no duration, such as 5m, 1h30m or 300", param, ctx)
        if seconds > YEAR_S:
            self.fail(f"{value!r} is more than a year", param, ctx)
        return seconds


class Time(click.ParamType[datetime]):
    """A date or a time in UTC."""

    name = "time"

    def convert(
        self,
        value: str | datetime,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> datetime:
        """Return the time that a text says."""
        from sources.values import MisfitError, timestamp

        if isinstance(value, datetime):
            return value
        try:
            is_date = len(value) == len("2026-01-31")
            return timestamp(f"{value}T00:00" if is_date else value)
        except MisfitError:
            self.fail(f"{value!r} is no date or time, such as 2026-01-31", param, ctx)


def wait_s(*, wait: bool) -> float:
    """Return how many seconds to wait for the lock: none, or for ever."""
    return float("inf") if wait else 0


def console() -> "Console":
    """Return where tables are printed; a pipe has no width: cut nothing there."""
    from rich.console import Console

    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=10_000)


def print_json(value: object) -> None:
    """Write an answer for programs to stdout."""
    import msgspec

    encoded = msgspec.json.encode(value)
    click.echo(msgspec.json.format(encoded, indent=2).decode())
