"""How a command ends by an error: its exit code, and in which words."""

from typing import Literal, NamedTuple

import click

from pipelines.log import is_json, say
from pipelines.signals import exit_code, turn_deaf

__all__ = ["Ending", "ending", "tell"]


class Ending(NamedTuple):
    """What comes of an error."""

    outcome: Literal["failed", "locked", "interrupted"]
    exit_code: int
    words: str


def ending(error: BaseException) -> Ending | None:
    """Return how an error ends a command; none for one that nobody foresaw.

    Once a signal has ended it, no other is heard.
    """
    from sources.errors import ConfigurationError, ExecledgerError, StoreLocked

    if _is_interrupt(error):
        turn_deaf()
        return Ending("interrupted", exit_code(), _INTERRUPTED)
    if isinstance(error, StoreLocked):
        return Ending("locked", 3, str(error))
    if isinstance(error, ExecledgerError):
        code = 2 if isinstance(error, ConfigurationError) else 1
        return Ending("failed", code, str(error))
    return None


def tell(end: Ending) -> None:
    """Say how a command ends, below the terminal's line that has the ``^C``."""
    if end.outcome == "interrupted" and not is_json():
        click.echo(err=True)
    say(end.words, event=end.outcome, level="error", exit_code=end.exit_code)


_INTERRUPTED = (
    "Interrupted. What was received is in the journal; the store is as it was."
)


def _is_interrupt(error: BaseException) -> bool:
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return True
    if not isinstance(error, RuntimeError):
        return False
    from pipelines.draining import INTERRUPTED

    return str(error) == INTERRUPTED
