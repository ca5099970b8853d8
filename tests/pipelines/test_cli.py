"""The command line: options, exit codes, and what comes out where."""

import json
import logging
import re
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest

from pipelines.cli import cli
from pipelines.load import waiting
from pipelines.store import Home, locked
from sources import part
from sources.errors import StoreError
from sources.loopback import serve
from sources.records import TABLES
from sources.torale.twin import ToraleTwin
from sources.twin_server import Trouble
from tests.pipelines.command import Ran, execledger
from tests.pipelines.conftest import Configure
from tests.pipelines.small_torale import KEY, NEWS, PHONE, one, rows, small_torale

COMMANDS = sorted(cli.commands)
pytestmark = pytest.mark.usefixtures("here", "no_naps")


@pytest.fixture
def twin() -> ToraleTwin:
    """Return the small Torale."""
    return small_torale()


@pytest.fixture
def url(here: Path, twin: ToraleTwin, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve the small Torale, and configure it; yield where."""
    del here  # which forgets what is configured: first
    with serve(twin.app) as address:
        monkeypatch.setenv("SOURCES__TORALE__BASE_URL", address)
        monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)
        monkeypatch.setenv("SOURCES__TORALE__REQUESTS_PER_SECOND", "1000")
        yield address


def load(home: Home, *arguments: str) -> Ran:
    """Run ``execledger load``."""
    return execledger("load", *arguments, "--home", str(home.path))


# --- options ------------------------------------------------------------------


def test_the_version_is_that_of_the_package() -> None:
    """Law: --version says name and version on stdout."""
    ran = execledger("--version")

    assert (ran.code, ran.out) == (0, f"execledger, version {version('execledger')}\n")


def test_help_lists_every_command() -> None:
    """Law: each command is there with a sentence, and where to begin."""
    ran = execledger("--help")

    assert ran.code == 0
    assert " ".join(COMMANDS) == (
        "backup check copy demo doctor init load prune query replay report reprice "
        "restore spark status submit tables track untrack views"
    )
    assert all(f"\n  {name} " in ran.out for name in COMMANDS)
    assert "execledger demo" in ran.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_mentions_its_options(name: str) -> None:
    """Law: every option is shown with what it does; -h is --help."""
    ran = execledger(name, "-h")

    assert ran.code == 0
    for option in cli.commands[name].params:
        if isinstance(option, click.Option):
            assert option.opts[-1] in ran.out
            assert option.help


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("load", "--nothing"), "--nothing"),
        (("nothing",), "nothing"),
        (("load", "--since", "yesterday"), "2026-01-31"),
        (("load", "--until", "2026-01-31"), "--since"),
        (("load", "--since", "2026-02-01", "--until", "2026-01-31"), "--since"),
        (("query", "select 1", "--format", "xml"), "'xml'"),
        (("query",), "SQL"),
        (("load", "nobody"), "'nobody'"),
    ],
)
def test_a_command_that_is_not_understood_is_exit_2(
    arguments: tuple[str, ...], word: str, home: Home
) -> None:
    """Law: usage and configuration are exit 2, the word that is wrong on stderr."""
    where = () if arguments[0] == "nothing" else ("--home", str(home.path))

    ran = execledger(*arguments, *where)

    assert (ran.code, ran.out) == (2, "")
    assert word in ran.err
    assert "Traceback" not in ran.err
    assert not home.path.exists()


# --- load ---------------------------------------------------------------------


@pytest.mark.usefixtures("url")
def test_a_load_says_on_stderr_what_it_brought_and_where(home: Home) -> None:
    """Law: exit 0; people read stderr, stdout is for results, of which it has none."""
    ran = load(home, "torale")

    assert (ran.code, ran.out) == (0, "")
    lines = ran.err.splitlines()
    assert lines[0] == (
        "torale:default: 11 new and 0 changed executions "
        "(2 tasks, 11 executions, 10 details)"
    )
    assert lines[1].startswith("Loaded in ")
    assert lines[1].endswith(f" s into {home.path}")
    assert len(lines) == 2


@pytest.mark.usefixtures("url")
def test_a_load_for_programs_is_one_json_object(home: Home) -> None:
    """Law: --json has the whole report on stdout, and nothing on stderr."""
    ran = load(home, "torale", "--json")

    report = json.loads(ran.out)
    assert ran.code == 0
    assert ran.err == ""
    assert (report["outcome"], report["home"]) == ("ok", str(home.path))
    assert report["accounts"] == [
        {
            "account": "torale:default",
            "read": {"tasks": 2, "executions": 11, "details": 10},
            "new": 11,
            "changed": 0,
            "errors": [],
            "unfinished": {},
        }
    ]


@pytest.mark.usefixtures("url")
def test_at_a_terminal_a_load_shows_its_progress(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what is read is counted before one's eyes, by account, on stderr."""
    monkeypatch.setenv("TERM", "xterm")

    ran = execledger("load", "--home", str(home.path), is_terminal=True)

    assert (ran.code, ran.out) == (0, "")
    assert re.search(r"torale:default  \d+ requests, \d+ executions", ran.err)


def test_a_load_in_part_is_exit_1_and_says_what_failed(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: one account's fault is exit 1, and all of the other is in the store."""
    own = "SOURCES__TORALE__CONNECTIONS__US__"
    monkeypatch.setenv("SOURCES__TORALE__CONNECTION_NAMES", "us")
    monkeypatch.setenv(f"{own}BASE_URL", url)
    monkeypatch.setenv(f"{own}API_KEY", "sk_canary_wrong")

    ran = load(home)

    assert (ran.code, ran.out) == (1, "")
    assert "torale:default: 11 new" in ran.err
    assert "torale:us: 0 new and 0 changed executions (" in ran.err
    assert "\n  ! Torale: " in ran.err
    assert "401" in ran.err
    assert "Set SOURCES__TORALE__CONNECTIONS__US__API_KEY" in ran.err
    assert "sk_canary" not in ran.err
    assert one(home, "select count(*) from execledger.executions") == 11


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize(("named", "is_told"), [((), True), (("torale",), False)])
def test_a_provider_without_its_key_is_skipped_and_said_so(
    home: Home,
    named: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_told: bool,
) -> None:
    """Law: where all are meant, who is left out is told; the others are loaded."""
    monkeypatch.setattr("pipelines.config.providers", lambda: ("newcomer", "torale"))
    monkeypatch.setattr("pipelines.config.part", lambda _, name: part("torale", name))

    ran = load(home, *named, "--dry-run")

    assert ran.code == 0
    assert ("so skipped: newcomer." in ran.err) is is_told


@pytest.mark.usefixtures("url")
def test_a_dry_run_says_what_is_due_and_reads_nothing(
    home: Home, twin: ToraleTwin
) -> None:
    """Law: the plan is on stdout; no request is made, no file, and no lock needed."""
    ran = load(home, "torale", "--dry-run")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Torale: every task that the key can list")
    assert twin.requests == []
    assert not home.path.exists()


@pytest.mark.usefixtures("url")
def test_since_takes_a_date_or_a_time_and_reads_from_then_on(
    home: Home, twin: ToraleTwin
) -> None:
    """Law: a date is its midnight in UTC; what started from then on is read again."""
    load(home)
    twin.requests.clear()

    plan = load(home, "--dry-run", "--since", "2020-01-31", "--until", "2099-01-01")
    ran = load(home, "--since", "2020-01-31T00:00:00Z")

    assert plan.out.count("back to 2020-01-31 00:00 UTC") == 2
    assert ran.code == 0
    assert twin.count("/executions/") == 10


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize("stdin", ["", None])
def test_without_a_terminal_no_new_home_is_begun_by_chance(
    here: Path, stdin: str | None
) -> None:
    """Law: a job in the wrong folder is refused (exit 2) and leaves nothing there."""
    ran = execledger("load", stdin=stdin)

    assert ran.code == 2
    assert f"There is no store in {here / '.execledger'}" in ran.err
    assert "--home DIR or set EXECLEDGER_HOME" in ran.err
    assert [*here.iterdir()] == []


@pytest.mark.usefixtures("url")
def test_a_person_or_a_home_that_is_there_begins_at_once(here: Path) -> None:
    """Law: at a terminal the default home is begun; a job may then go on with it."""
    codes = [execledger("load", is_terminal=True).code, execledger("load").code]

    assert codes == [0, 0]
    assert (here / ".execledger" / "published.duckdb").exists()


@pytest.mark.usefixtures("url")
def test_a_home_in_config_toml_is_no_chance(here: Path, configure: Configure) -> None:
    """Law: where the folder's own configuration names the home, a job may begin."""
    configure(config='[execledger]\nhome = "data"\n')

    ran = execledger("load")

    assert ran.code == 0
    assert str(here / "data") in ran.err


def test_without_a_key_a_load_says_what_to_set(home: Home) -> None:
    """Law: exit 2, the variable's name, and nothing is made."""
    ran = load(home)

    assert ran.code == 2
    assert "SOURCES__TORALE__API_KEY" in ran.err
    assert not home.path.exists()


@pytest.mark.usefixtures("url")
def test_a_fault_of_the_store_is_exit_1_in_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: an error made on purpose is a line on stderr, without a traceback."""

    def fail(*_: object) -> None:
        raise StoreError("The disk is full. Free some of it.")

    monkeypatch.setattr("pipelines.embedded.finish", fail)

    ran = load(home, "torale")

    assert (ran.code, ran.out) == (1, "")
    assert ran.err.strip() == "execledger: The disk is full. Free some of it."


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt(), RuntimeError("Query interrupted")]
)
def test_ctrl_c_is_130_in_one_line(
    home: Home, interrupt: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: Ctrl-C is no fault, also where DuckDB spells it as one."""

    def cut_off(*_: object) -> None:
        raise interrupt

    monkeypatch.setattr("pipelines.embedded.finish", cut_off)

    ran = load(home, "torale")

    assert (ran.code, ran.out) == (130, "")
    assert ran.err.lstrip("\n") == (  # click ends the line that has the ^C
        "execledger: Interrupted. What was received is in the journal; "
        "the store is as it was.\n"
    )
    assert sum(waiting(home).values()) > 10
    assert not home.published.exists()


def test_a_fault_of_our_own_is_not_taken_for_ctrl_c(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what nobody foresaw keeps its traceback."""

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("pipelines.status.status", broken)

    with pytest.raises(RuntimeError, match="a bug"):
        execledger("status", "--home", str(home.path))


# --- the lock -----------------------------------------------------------------


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize("command", ["load", "replay"])
def test_while_another_run_holds_the_home_a_command_is_exit_3(
    loaded: Home, command: str
) -> None:
    """Law: who may not write says who holds the home, and how to wait."""
    with locked(loaded):
        ran = execledger(command, "--home", str(loaded.path))

    assert (ran.code, ran.out) == (3, "")
    assert f"Another run holds {loaded.path}" in ran.err
    assert "--wait" in ran.err


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize("command", ["load", "replay"])
def test_a_command_may_wait_for_the_home(loaded: Home, command: str) -> None:
    """Law: with --wait it goes on as soon as the other run has ended."""
    is_held, is_free = threading.Event(), threading.Event()
    holder = threading.Thread(target=hold, args=(loaded, is_held, is_free))
    holder.start()
    assert is_held.wait(10)
    threading.Timer(0.2, is_free.set).start()

    ran = execledger(command, "--wait", "--home", str(loaded.path))

    holder.join()
    assert ran.code == 0, ran.err


def hold(home: Home, is_held: threading.Event, is_free: threading.Event) -> None:
    """Hold a home's lock from the one event to the other."""
    with locked(home):
        is_held.set()
        is_free.wait(10)


# --- keys ---------------------------------------------------------------------


FAULTS: dict[str, list[tuple[int | Trouble, str | None]]] = {
    "refusals": [
        (401, f'{{"detail": "no such key: {KEY}"}}'),
        (403, f"Bearer {KEY}"),
        (500, f'{{"error": "failed for {KEY}"}}'),
    ],
    "odd answers": [(200, f"{{{KEY}"), (200, f'[{{"id": "{KEY}"}}]'), ("html", None)],
    "connections": [("cut", None), ("reset", None)],
}
"""What goes wrong in one load, each at another request."""


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize("faults", FAULTS.values(), ids=FAULTS.keys())
def test_a_key_comes_out_nowhere_whatever_fails(
    home: Home,
    twin: ToraleTwin,
    faults: list[tuple[int | Trouble, str | None]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Law: no output, log, table or file has the key, though the answer had it."""
    caplog.set_level(logging.DEBUG)
    headers = {"location": f"/{KEY}", "x-ratelimit-key": KEY}
    places = (f"{PHONE}/executions/done", f"{NEWS}/executions/n1", f"{NEWS}/executions")
    for place, (fault, body) in zip(places, faults, strict=False):
        twin.fail_next(f"{place}", fault, body=body, headers=headers, times=9)

    ran = load(home)
    said = execledger("status", "--home", str(home.path))

    assert ran.code in {0, 1}
    texts = [*ran[1:3], *said[1:3], caplog.text, *in_store(home)]
    assert [text for text in texts if KEY in text] == []
    assert files_with(KEY, home.path) == []


def in_store(home: Home) -> list[str]:
    """Return every row of every table as text."""
    return [
        str(text)
        for name in TABLES
        for (text,) in rows(home, f"select cast(t as varchar) from execledger.{name} t")
    ]


def files_with(text: str, folder: Path) -> list[str]:
    """Return the files below a folder that hold a text."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path.name for path in files if text.encode() in path.read_bytes()]


@pytest.mark.usefixtures("url")
@pytest.mark.parametrize(
    "place",
    ["pipelines.draining.fold", "dlt.load.load.Load.run", "pipelines.embedded.finish"],
)
def test_a_key_is_in_no_file_that_a_failed_load_leaves(
    home: Home, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: neither the journal nor the message of a load that breaks has the key."""

    def fail(*_: object, **__: object) -> None:
        raise StoreError("It broke.")

    monkeypatch.setattr(place, fail)

    ran = load(home)

    assert ran.code == 1
    assert sum(waiting(home).values()) > 10
    assert files_with(KEY, home.path) == []
    assert KEY not in ran.err


@pytest.mark.usefixtures("url")
def test_a_key_is_in_no_file_of_a_load_while_it_runs(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: not even the work folder, with dlt's own files, ever has the key."""
    found: list[str] = []

    def look(*_: object) -> None:
        found.extend(files_with(KEY, home.path))
        assert files_with("execledger", home.work)
        raise StoreError("Seen enough.")

    monkeypatch.setattr("pipelines.embedded.finish", look)

    assert load(home).err.strip().endswith("Seen enough.")
    assert found == []
