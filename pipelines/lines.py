"""What others write to stderr, as lines of JSON: logs, warnings, and tracebacks."""

import logging
import sys
import traceback
from types import TracebackType

from pipelines.log import Level, fault_words, say

__all__ = ["listen", "stop_listening"]


def listen() -> None:
    """Say as lines what libraries log or warn of, and what nobody foresaw."""
    logging.getLogger().addHandler(_LINES)
    logging.captureWarnings(capture=True)
    sys.excepthook = _fault


def stop_listening() -> None:
    """Leave logs and warnings to themselves again."""
    logging.getLogger().removeHandler(_LINES)
    logging.captureWarnings(capture=False)


class _Lines(logging.Handler):
    """Says what libraries log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as a line."""
        is_error = record.levelno >= logging.ERROR
        level: Level = "error" if is_error else "warning"
        say(record.getMessage(), event="log", level=level, logger=record.name)


_LINES = _Lines(logging.WARNING)


def _fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Say what nobody foresaw."""
    said = "".join(traceback.format_exception(kind, error, trace))
    say(fault_words(error), event="fault", level="error", traceback=said)
