"""What signals do to a command: SIGTERM ends it as Ctrl-C does."""

import atexit
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

__all__ = ["exit_code", "hear", "held_back", "turn_deaf"]

_heard: list[int] = []
"""The signals by which somebody ended the command, other than Ctrl-C."""

_AGAIN_S = 0.05


def hear() -> None:
    """Have SIGTERM end the command as Ctrl-C does, and neither say more than that."""
    signal.signal(signal.SIGTERM, _terminated)
    atexit.register(turn_deaf)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun with "&" by a script
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.unraisablehook = _unraisable


def turn_deaf() -> None:
    """What is done is done: a signal at the very end changes nothing, exit code too."""
    with suppress(ValueError):  # only the main thread hears signals
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
    # CPython marks an interrupt within exec(), of which it dies by SIGINT at the very
    # end, handled or not; the next exec() takes the mark away.
    exec("")  # noqa: S102


def _unraisable(fault: "sys.UnraisableHookArgs") -> None:
    """Let Ctrl-C come again where Python could not raise it: in a finalizer."""
    if fault.exc_type is not KeyboardInterrupt:
        sys.__unraisablehook__(fault)
        return
    again = threading.Timer(_AGAIN_S, signal.raise_signal, [signal.SIGINT])
    again.daemon = True
    again.start()


def _terminated(number: int, _frame: FrameType | None) -> None:
    """End as by Ctrl-C: what comes in just now is kept, and nothing left half done."""
    _heard.append(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    signal.raise_signal(signal.SIGINT)


def exit_code() -> int:
    """Return the exit code of a command that a signal ended."""
    return 128 + (_heard or [signal.SIGINT])[0]


@contextmanager
def held_back() -> Iterator[None]:
    """Let a signal that comes meanwhile come afterwards: what is done here is short."""
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield  # which hears none
        return
    before = {
        number: signal.signal(number, lambda heard, _: came.append(heard))
        for number in numbers
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])
