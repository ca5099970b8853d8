"""The command line, run within the tests' own process."""

import io
import os
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

from pipelines import signals
from pipelines.cli import main
from pipelines.log import use


class Ran(NamedTuple):
    """What a command came to."""

    code: int
    out: str
    err: str
    bytes_out: bytes


class Stream(io.TextIOWrapper):
    """Standard input, output or error, which may be a terminal."""

    def __init__(self, content: str = "", *, is_terminal: bool) -> None:
        super().__init__(io.BytesIO(content.encode()), "utf-8", newline="")
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        """Return whether a person sits at the other end."""
        return self._is_terminal

    def written(self) -> bytes:
        """Return what was written so far."""
        self.flush()
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue()


def execledger(
    *arguments: str, stdin: str | None = "", is_terminal: bool = False
) -> Ran:
    """Run a command as ``execledger`` does; ``None`` closes standard input.

    Signals are heard, and messages written, afterwards as before.
    """
    out, err = (Stream(is_terminal=is_terminal) for _ in range(2))
    given = None if stdin is None else Stream(stdin, is_terminal=is_terminal)
    mask = os.umask(0o022)  # which the command sets for its process
    numbers = (signal.SIGINT, signal.SIGTERM)
    heard = [(number, signal.getsignal(number)) for number in numbers]
    with (
        patch.object(sys, "argv", ["execledger", *arguments]),
        patch.object(sys, "stdin", given),
        patch.object(sys, "excepthook", sys.excepthook),
        patch.object(signals, "_heard", []),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        finally:
            for number, handler in heard:
                signal.signal(number, handler)
            os.umask(mask)
            use("text")
    assert isinstance(code, int)
    raw = out.written()
    return Ran(code, raw.decode(errors="replace"), err.written().decode(), raw)
