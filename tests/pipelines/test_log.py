"""Messages as lines of JSON: one line a run, and nothing on stderr that is none."""

import json
import logging
import signal
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.log import as_ascii, printable
from pipelines.store import Home, locked
from sources.errors import StoreError
from sources.loopback import serve
from sources.torale.twin import ToraleTwin
from tests.faults.command import ROOT, python
from tests.pipelines.command import execledger
from tests.pipelines.polled_twins import polled
from tests.pipelines.small_torale import KEY, PHONE, small_torale

pytestmark = pytest.mark.usefixtures("here", "no_naps")

HOSTILE = "a\nb\r\x1b[2J\u2028\x85\x9b2J\x7f\u202e\ud800"
"""New lines and what steers a terminal, in all the ways that Unicode has."""

Lines = list[dict[str, Any]]


@pytest.fixture
def twin(configured_twin: ToraleTwin, monkeypatch: pytest.MonkeyPatch) -> ToraleTwin:
    """Return the small Torale, configured; messages are JSON."""
    monkeypatch.setenv("EXECLEDGER_LOG_FORMAT", "json")
    return configured_twin


def lines(text: str) -> Lines:
    """Return the messages; each line must be one, and say when, how bad and what."""
    found = []
    for one in text.split("\n")[:-1]:
        assert one.isascii()
        assert one.isprintable()
        message = json.loads(one)
        assert list(message)[:4] == ["at", "level", "event", "message"]
        assert datetime.fromisoformat(message["at"]).tzinfo == UTC
        assert message["level"] in {"info", "warning", "error"}
        found.append(message)
    assert text == "" or text.endswith("\n")
    return found


def load(
    home: Home, *arguments: str, of: str = "torale", is_terminal: bool = False
) -> tuple[int, Lines]:
    """Run a load; return its exit code and its messages, beside which nothing is."""
    where = ("--home", str(home.path))
    ran = execledger("load", *of.split(), *arguments, *where, is_terminal=is_terminal)
    assert ran.out == ""
    return ran.code, lines(ran.err)


# --- one line a run -----------------------------------------------------------


@pytest.mark.usefixtures("configured")
def test_a_load_is_one_line_with_its_counts(home: Home) -> None:
    """Law: --log-format json: what a load came to, by account, on exactly one line."""
    code, (ran,) = load(home, "--log-format", "json")

    assert code == 0
    assert (ran["level"], ran["event"], ran["outcome"]) == ("info", "load", "ok")
    assert (ran["exit_code"], ran["home"]) == (0, str(home.path))
    assert ran["accounts"] == {
        "torale:default": {
            "new": 11,
            "changed": 0,
            "read": {"tasks": 2, "executions": 11, "details": 10},
            "error_count": 0,
            "errors": [],
        }
    }
    assert ran["providers"] == {"torale": {"new": 11, "changed": 0, "error_count": 0}}
    assert (ran["lost"], ran["lost_results"], ran["problems"]) == (0, {}, [])
    started, ended = (
        datetime.fromisoformat(ran[f"{n}_at"]) for n in ("started", "ended")
    )
    assert ran["seconds"] == round((ended - started).total_seconds(), 3) > 0
    assert (ran["interval_s"], ran["next_load_at"], ran["error"]) == (None, None, None)


@pytest.mark.usefixtures("twin")
def test_accounts_of_one_provider_are_summed(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: counts by account and, over all of its accounts, by provider."""
    own = "SOURCES__TORALE__CONNECTIONS__"
    monkeypatch.setenv("SOURCES__TORALE__CONNECTION_NAMES", '["eu", "us"]')
    with serve(small_torale().app) as url:
        for name, key in (("EU", KEY), ("US", "sk_wrong")):
            monkeypatch.setenv(f"{own}{name}__BASE_URL", url)
            monkeypatch.setenv(f"{own}{name}__API_KEY", key)
        code, (ran,) = load(home)

    assert (code, ran["level"], ran["outcome"]) == (1, "warning", "partial")
    assert ran["providers"] == {"torale": {"new": 22, "changed": 0, "error_count": 1}}
    assert [one["new"] for one in ran["accounts"].values()] == [11, 11, 0]
    (error,) = ran["accounts"]["torale:us"]["errors"]
    assert "Set SOURCES__TORALE__CONNECTIONS__US__API_KEY" in error


def test_what_is_lost_is_named_with_its_state(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: exit 4 is a warning: which results, in which state, and what is watched."""
    with polled() as twins:
        for name, value in twins.environment.items():
            monkeypatch.setenv(name, value)
        twins.track(home)
        code, (ran,) = load(home, "--log-format", "json", of="discuro unstract")

    assert (code, ran["exit_code"], ran["level"]) == (4, 4, "warning")
    assert ran["lost"] == len(ran["lost_results"]) > 0
    assert ran["lost_results"]["discuro:default::131"] == "expired"
    assert ran["watched"] > 0
    assert 5_300 < ran["safe_interval_s"] < 5_400


def test_the_next_load_is_said_where_it_is_known(
    home: Home, twin: ToraleTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: at the next even step from the beginning, as a schedule has it."""
    del twin
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "300")

    _, (ran,) = load(home)

    started, due = (
        datetime.fromisoformat(ran[n]) for n in ("started_at", "next_load_at")
    )
    assert (due - started).total_seconds() == ran["interval_s"] == 300


@pytest.mark.usefixtures("twin")
@pytest.mark.parametrize(
    ("error", "outcome", "exit_code"),
    [
        (StoreError("The disk is full. Free some of it."), "failed", 1),
        (KeyboardInterrupt(), "interrupted", 130),
        (RuntimeError("Query interrupted"), "interrupted", 130),
    ],
)
def test_a_load_that_fails_is_one_line_too(
    home: Home,
    error: BaseException,
    outcome: str,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: the exit code and the words of the error, and nothing beside that line."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("pipelines.embedded.finish", fail)

    code, (ran,) = load(home)

    assert (code, ran["exit_code"]) == (exit_code, exit_code)
    assert (ran["event"], ran["outcome"]) == ("load", outcome)
    assert ran["error"] == ran["message"] != ""
    assert (ran["run_id"], ran["accounts"], ran["lost"]) == (None, {}, None)
    assert ran["level"] == ("error" if outcome == "failed" else "warning")


@pytest.mark.usefixtures("twin")
def test_a_load_that_may_not_begin_is_one_line_too(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: who holds the home, or which key is missing, as for a load that failed."""
    with locked(home):
        held, (waits,) = load(home)
    monkeypatch.delenv("SOURCES__TORALE__API_KEY")
    lacking, (lacks,) = load(home)

    assert (held, waits["outcome"], waits["exit_code"]) == (3, "locked", 3)
    assert f"Another run holds {home.path}" in waits["error"]
    assert (lacking, lacks["outcome"], lacks["exit_code"]) == (2, "failed", 2)
    assert "SOURCES__TORALE__API_KEY" in lacks["error"]


def test_a_fault_of_our_own_is_a_line_and_its_traceback_another(
    home: Home, twin: ToraleTwin
) -> None:
    """Law: what nobody foresaw has its traceback, escaped; the load's line has not."""
    del twin
    planted = {"PLANTED": "pipelines.embedded.drain"}
    arguments = ("tests.faults.loud", "load", "torale", "--home", str(home.path))

    process = python(*arguments, environment=planted)
    _, err = process.communicate()

    ran, fault = lines(err)
    assert (process.returncode, ran["exit_code"], ran["outcome"]) == (1, 1, "failed")
    assert ran["error"].startswith("RuntimeError: a fault of execledger itself")
    assert "planted" not in ran["error"]
    assert (fault["event"], fault["level"]) == ("fault", "error")
    assert "Traceback" in fault["traceback"]
    assert "RuntimeError: planted: " in fault["traceback"]
    assert KEY not in err


def test_no_key_stands_in_a_line(home: Home, twin: ToraleTwin) -> None:
    """Law: an answer that spells the key back is masked here as everywhere."""
    body = f'{{"detail": "no such key: {KEY}"}}'
    twin.fail_next(f"{PHONE}/executions/done", 401, body=body, times=9)

    _, (ran,) = load(home)

    assert ran["accounts"]["torale:default"]["error_count"] > 0
    assert KEY not in str(ran)


# --- nothing else -------------------------------------------------------------


@pytest.mark.usefixtures("twin")
def test_no_words_make_a_second_line_or_steer_a_terminal(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: whatever an error says, its line is one of printable ASCII, and is whole."""

    def fail(*_: object) -> None:
        raise StoreError(HOSTILE)

    monkeypatch.setattr("pipelines.embedded.finish", fail)

    _, (ran,) = load(home)

    assert ran["error"] == HOSTILE


@given(st.recursive(st.text() | st.floats(allow_nan=False), st.lists))
def test_what_is_said_is_ascii_on_one_line_and_is_what_was_meant(value: object) -> None:
    """Law: for every text: nothing is lost, and nothing but its own line is written."""
    text = as_ascii(value)

    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text) == value


def test_text_for_people_steers_no_terminal_either(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: messages as text keep their lines, and nothing else that is no text."""

    def fail(*_: object) -> None:
        raise StoreError(HOSTILE)

    monkeypatch.setattr("pipelines.status.status", fail)

    ran = execledger("status", "--home", str(home.path))

    assert ran.err == f"execledger: {printable(HOSTILE)}\n"
    assert printable(HOSTILE).startswith("a\nb\ufffd\ufffd[2J")


@pytest.mark.usefixtures("twin")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "event"),
    [
        (("load", "--nothing"), 2, "usage"),
        (("load", "--since", "yesterday"), 2, "usage"),
        (("--nothing",), 2, "usage"),
        (("nothing",), 2, "usage"),
        (("load", "nobody"), 2, "load"),
        (("query", "select nothing"), 2, "failed"),
        (("replay",), 0, "note"),
        (("backup", "copy.tar"), 0, "note"),
        (("track", "torale", "1"), 2, "failed"),
    ],
)
def test_every_command_says_lines_alone(
    loaded: Home,
    arguments: tuple[str, ...],
    exit_code: int,
    event: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: EXECLEDGER_LOG_FORMAT=json holds for each message of each command."""
    monkeypatch.setenv("EXECLEDGER_HOME", str(loaded.path))

    ran = execledger(*arguments)

    said = lines(ran.err)
    assert ran.code == exit_code
    assert [one["event"] for one in said] == [event]
    assert (said[0]["level"] == "error") is (exit_code != 0)


@pytest.mark.usefixtures("twin")
def test_ctrl_c_in_another_command_is_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: not even the empty line that ends a terminal's ^C stands beside it."""

    def cut_off(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.status.status", cut_off)

    ran = execledger("status", "--home", str(home.path))

    (said,) = lines(ran.err)
    assert (ran.code, said["event"]) == (130, "interrupted")


@pytest.mark.usefixtures("twin")
def test_at_a_terminal_there_is_no_progress_among_lines(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: who asked for lines gets no bar, wherever stderr leads to."""
    monkeypatch.setenv("TERM", "xterm")

    code, said = load(home, is_terminal=True)

    assert (code, len(said)) == (0, 1)


@pytest.mark.usefixtures("twin")
def test_what_libraries_log_is_a_line_too(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: warnings and logs come among the lines, with the name of who says so."""

    def talk(*_: object) -> None:
        logging.getLogger("a.library").warning("odd: %s", "x\ny")
        logging.getLogger("a.library").info("nobody wants to know")
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", stacklevel=1)
        raise StoreError("Seen enough.")

    monkeypatch.setattr("pipelines.embedded.finish", talk)

    _, (log, warned, _) = load(home)

    assert (log["event"], log["logger"], log["message"]) == (
        "log",
        "a.library",
        "odd: x\ny",
    )
    assert (warned["logger"], warned["level"]) == ("py.warnings", "warning")


@pytest.mark.usefixtures("twin")
def test_who_is_skipped_is_a_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: the note on providers without a key names them for machines."""
    monkeypatch.setattr("pipelines.config.without_key", lambda _: ["newcomer"])

    _, (skipped, _) = load(home, of="")

    assert (skipped["event"], skipped["names"]) == ("skipped", ["newcomer"])


@pytest.mark.parametrize("wrong", [("--since", "yesterday"), ("--until", "2026-01-31")])
def test_what_is_wrong_with_a_load_is_said_in_its_form(wrong: tuple[str, str]) -> None:
    """Law: --log-format is heeded first, wherever it stands."""
    ran = execledger("load", *wrong, "--log-format", "json")

    (said,) = lines(ran.err)
    assert (ran.code, said["event"]) == (2, "usage")
    assert said["message"].endswith('See "execledger load -h".')


def test_a_form_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: exit 2 names the variable and what it may be."""
    monkeypatch.setenv("EXECLEDGER_LOG_FORMAT", "xml")

    ran = execledger("status")

    assert ran.code == 2
    assert "EXECLEDGER_LOG_FORMAT" in ran.err
    assert "'text', 'json'" in ran.err


# --- again and again ----------------------------------------------------------


def test_a_loop_says_lines_alone(home: Home, twin: ToraleTwin) -> None:
    """Law: each load, each waiting and the end; a load says when the next one is."""
    del twin
    command = Path(sys.executable).with_name("execledger")
    with subprocess.Popen(  # noqa: S603 - the command
        [command, "load", "torale", "--every", "1s", "--home", home.path],
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as loop:
        assert loop.stderr is not None
        text = ""
        while text.count('"next_load"') < 2:
            line = loop.stderr.readline()
            assert line
            text += line
        loop.send_signal(signal.SIGTERM)
        text += loop.stderr.read()

    said = lines(text)
    assert loop.returncode == 0
    assert [one["event"] for one in said][:4] == ["load", "next_load"] * 2
    assert said[-1]["event"] == "stopped"
    for ran, waits in zip(said[0:4:2], said[1:4:2], strict=True):
        ended, due = (
            datetime.fromisoformat(ran[n]) for n in ("ended_at", "next_load_at")
        )
        then = datetime.fromisoformat(waits["next_load_at"])
        assert ended < due
        assert abs((due - then).total_seconds()) < 1.5  # a step may end in between
