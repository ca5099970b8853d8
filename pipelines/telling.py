"""What is said of a load once it has ended: to monitors, people and machines."""

import click

from pipelines.ended import Ended, line
from pipelines.endings import tell as tell_ending
from pipelines.log import is_json, printable, say
from pipelines.monitors import Monitors
from pipelines.options import print_json
from pipelines.signals import held_back, turn_deaf
from pipelines.terminal import summary

__all__ = ["tell"]


def tell(ended: Ended, monitors: Monitors, *, as_json: bool) -> int:
    """Say how a load ended, and return its exit code; raises what nobody foresaw.

    First to the monitors: what could not be written is a problem, and exit code 1
    unless there is another. A signal that comes meanwhile changes nothing any more, but
    that the command ends when all is said, by ``Exit``.
    """
    is_over = False
    try:
        with held_back():
            _tell(ended, monitors, as_json=as_json)
    except KeyboardInterrupt:
        is_over = True
        turn_deaf()
    if ended.fault:
        raise ended.fault
    if is_over:
        raise click.exceptions.Exit(ended.exit_code)
    return ended.exit_code


def _tell(ended: Ended, monitors: Monitors, *, as_json: bool) -> None:
    unwritten = monitors.write(ended)
    ended.problems += unwritten
    ended.exit_code = ended.exit_code or int(bool(unwritten))
    if as_json and ended.report:
        print_json(ended.report)
    if is_json():
        _log(ended)
        return
    _show(ended, is_silent=as_json)
    for problem in unwritten:
        say(problem)


def _log(ended: Ended) -> None:
    """Write the one line of a load."""
    words = ended.end.words if ended.end else f"Loaded in {ended.seconds:.1f} s"
    say(words, event="load", level=ended.level, **line(ended))


def _show(ended: Ended, *, is_silent: bool) -> None:
    """Say for people how a load ended."""
    if ended.report and not is_silent:
        click.echo(printable(summary(ended.report)), err=True)
    if ended.end and not ended.fault:
        tell_ending(ended.end)
