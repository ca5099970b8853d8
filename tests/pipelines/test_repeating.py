"""Loads that come again: at even steps, through faults, until somebody says stop."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines.options import Duration
from pipelines.repeating import repeat, stopped_within
from pipelines.signals import _unraisable
from pipelines.store import Home
from tests.pipelines.command import execledger
from tests.pipelines.small_torale import one

pytestmark = pytest.mark.usefixtures("here")


class Day:
    """A clock of which the waiting is what lets time pass."""

    def __init__(self, *takes: float) -> None:
        self.now = 1_000.0
        self.takes = iter(takes)
        self.begun: list[float] = []
        self.told: list[tuple[float, int]] = []

    def clock(self) -> float:
        """Return the time."""
        return self.now

    def once(self) -> None:
        """Take as long as the script says."""
        self.begun.append(self.now - 1_000)
        self.now += next(self.takes)

    def wait(self, seconds: float) -> bool:
        """Let time pass, and stop at the end of the script."""
        self.now += seconds
        return len(self.begun) == 4

    def tell(self, seconds: float, left_out: int) -> None:
        """Note what was told."""
        self.told.append((seconds, left_out))


def run(day: Day, every_s: float) -> None:
    """Repeat through a day."""
    repeat(day.once, every_s, wait=day.wait, tell=day.tell, clock=day.clock)


def test_steps_do_not_drift() -> None:
    """Law: however long a run takes, the next one begins at its step."""
    day = Day(3, 7.5, 0.25, 9)

    run(day, 10)

    assert day.begun == [0, 10, 20, 30]
    assert day.told == [(7, 0), (2.5, 0), (9.75, 0), (1, 0)]


def test_steps_that_are_over_are_left_out_and_said() -> None:
    """Law: a run that takes longer than a step is not run twice to make up for it."""
    day = Day(25, 1, 10, 1)

    run(day, 10)

    assert day.begun == [0, 30, 40, 60]
    assert day.told == [(5, 2), (9, 0), (10, 1), (9, 0)]


def test_a_signal_between_two_runs_ends_the_loop() -> None:
    """Law: whether it comes in the waiting or just before it."""
    day = Day(1)

    def told(_seconds: float, _left_out: int) -> None:
        raise KeyboardInterrupt

    repeat(day.once, 10, wait=day.wait, tell=told, clock=day.clock)

    assert day.begun == [0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_waiting_at_once(number: signal.Signals) -> None:
    """Law: whoever stops the loop does not wait for its next step."""
    began = time.monotonic()
    timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
    timer.start()

    is_over = stopped_within(60)

    timer.join()
    assert is_over
    assert time.monotonic() - began < 30


def test_a_waiting_that_nobody_ends_goes_on() -> None:
    """Law: the next step comes; signals are as before then, and break it off."""
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]

    assert not stopped_within(0.01)
    assert not stopped_within(-1)

    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == before
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("300", 300),
        ("5m", 300),
        ("1h30m", 5_400),
        ("2d", 172_800),
        ("90s", 90),
        ("0.5s", 0.5),
        (" 1m 30".replace(" ", ""), 90),
        (7, 7),
    ],
)
def test_a_duration_is_said_in_units_or_seconds(
    text: str | float, seconds: float
) -> None:
    """Law: 5m is what everybody takes it for."""
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "soon", "-5m", "5x", "m5"])
def test_what_is_no_duration_is_told(text: str) -> None:
    """Law: exit 2 with an example."""
    ran = execledger("load", "--every", text)

    assert ran.code == 2
    assert "is no duration, such as 5m" in ran.err


def test_a_step_of_more_than_a_year_is_a_slip(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: exit 2 and words; no sum of times breaks on it."""
    del here
    said = execledger("load", "--every", "400d")
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "1e12")
    monkeypatch.setenv("SOURCES__TORALE__API_KEY", "any")
    configured = execledger("load", "--home", "home")

    assert (said.code, configured.code) == (2, 2)
    assert "is more than a year" in said.err
    assert "schedule_s" in configured.err


@pytest.mark.parametrize("other", [("--dry-run",), ("--since", "2026-01-01")])
def test_a_loop_is_for_plain_loads(other: tuple[str, ...]) -> None:
    """Law: what is asked for once is not asked for again and again."""
    ran = execledger("load", "--every", "5m", *other)

    assert ran.code == 2
    assert "--every goes with neither" in ran.err


@pytest.mark.usefixtures("configured")
def test_the_command_loads_again_and_stops_when_asked(home: Home) -> None:
    """Law: it says its next run; SIGTERM between two runs is exit 0."""
    command = Path(sys.executable).with_name("execledger")
    with subprocess.Popen(  # noqa: S603 - the command
        [command, "load", "torale", "--every", "1s", "--home", home.path],
        stderr=subprocess.PIPE,
        text=True,
    ) as loop:
        assert loop.stderr is not None
        lines: list[str] = []
        while sum("Next load in" in line for line in lines) < 2:
            lines.append(loop.stderr.readline())
        loop.send_signal(signal.SIGTERM)
        lines += loop.stderr.readlines()

    assert loop.returncode == 0, "".join(lines)
    assert lines[-1] == "execledger: Stopped, as was asked.\n"
    assert one(home, "select count(*) from execledger.runs") >= 2


class Finalized:
    """Raises what Ctrl-C does where Python cannot raise it."""

    def __del__(self) -> None:
        """Be interrupted."""
        raise KeyboardInterrupt


def finalize_and_wait() -> None:
    """Let an object go, and be there when Ctrl-C comes again."""
    Finalized()
    time.sleep(5)


def test_ctrl_c_in_a_finalizer_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Law: it is not swallowed, as Python does, and leaves no traceback."""
    monkeypatch.setattr(sys, "unraisablehook", _unraisable)

    with pytest.raises(KeyboardInterrupt):
        finalize_and_wait()

    assert capsys.readouterr().err == ""
