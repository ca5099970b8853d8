"""What is said of a load once it has ended, in either form of messages."""

import click

from pipelines.ended import Ended, line
from pipelines.endings import tell as tell_ending
from pipelines.log import is_json, printable, say
from pipelines.options import print_json
from pipelines.signals import held_back
from pipelines.terminal import summary

__all__ = ["tell"]


def tell(ended: Ended, *, as_json: bool) -> int:
    """Say how a load ended, and return its exit code; raises what nobody foresaw."""
    with held_back():
        if as_json and ended.report:
            print_json(ended.report)
        if is_json():
            _log(ended)
        else:
            _show(ended, is_silent=as_json)
    if ended.fault:
        raise ended.fault
    return ended.exit_code


def _log(ended: Ended) -> None:
    """Write the one line of a load."""
    seconds = (ended.ended_at - ended.started_at).total_seconds()
    words = ended.end.words if ended.end else f"Loaded in {seconds:.1f} s"
    say(words, event="load", level=ended.level, **line(ended))


def _show(ended: Ended, *, is_silent: bool) -> None:
    """Say for people how a load ended."""
    if ended.report and not is_silent:
        click.echo(printable(summary(ended.report)), err=True)
    if ended.end and not ended.fault:
        tell_ending(ended.end)
