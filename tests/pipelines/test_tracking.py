"""The watch-list as people use it: which account is meant, and which home."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.config import Account, accounts
from pipelines.store import Home
from pipelines.tracking import (
    account_of,
    read_given,
    track,
    track_started,
    untrack,
)
from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.tracking import Started, read_started
from sources.watchlist import Watching, watching
from tests.pipelines.conftest import Configure

ROOT = Path(__file__).resolve().parents[2]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
UUID = "bb9ac9bb-3f0c-4e8a-a6b8-6d4cf3d2a8f1"
CONFIG = """
[sources.unstract]
organization_id = "org_1"
api_name = "invoices"
connection_names = ["letters", "twin"]
[sources.unstract.connections.letters]
organization_id = "org_1"
api_name = "letters"
[sources.unstract.connections.twin]
organization_id = "org_2"
api_name = "letters"
"""
SECRETS = """
[sources.discuro]
api_key = "key_discuro"
[sources.unstract]
api_key = "key_invoices"
[sources.unstract.connections.letters]
api_key = "key_letters"
[sources.unstract.connections.twin]
api_key = "key_twin"
"""
pytestmark = pytest.mark.usefixtures("configured")


@pytest.fixture
def configured(configure: Configure) -> None:
    """Configure one account of Discuro and three deployments of Unstract."""
    configure(config=CONFIG, secrets=SECRETS)


def listed(home: Home) -> list[Watching]:
    """Return what is on the watch-lists of a home."""
    with Journal(home.journal) as journal:
        return list(watching(journal))


def named(home: Home) -> list[tuple[str, str, str]]:
    """Return provider, connection and id of what is on the watch-lists."""
    return sorted(
        (one.provider, one.connection, one.entry.watched.execution_id)
        for one in listed(home)
    )


# --- from Python --------------------------------------------------------------


def test_a_program_puts_what_it_started_on_the_watch_list(home: Home) -> None:
    """Law: ids, start and tags are on the list when the function returns."""
    begun = datetime.now(UTC) - HOUR

    new = track(
        "discuro",
        [98, "99"],
        started_at=begun,
        tags=["run=7", "nightly"],
        home=str(home.path),
    )
    again = track("discuro", ["99", 100], home=str(home.path))

    entries = {one.entry.watched.execution_id: one.entry for one in listed(home)}
    assert (new, again, sorted(entries)) == (2, 1, ["100", "98", "99"])
    assert entries["98"].watched.started_at == begun
    assert entries["99"].watched.tags == (("run", "7"), ("nightly", None))


@pytest.mark.parametrize("given", ["142", 142])
def test_one_id_is_one_id(home: Home, given: str | int) -> None:
    """Law: an id that is given alone is not taken for its digits."""
    assert track("discuro", given, tags="run=7", home=str(home.path)) == 1
    assert named(home) == [("discuro", "default", "142")]
    assert listed(home)[0].entry.watched.tags == (("run", "7"),)


def test_the_home_is_found_as_the_commands_find_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: without a word on it, the home is that of the commands run there."""
    monkeypatch.setenv("EXECLEDGER_HOME", str(here / "there"))

    track("discuro", [1])

    assert named(Home(here / "there")) == [("discuro", "default", "1")]


def test_a_program_is_told_what_is_wrong_and_nothing_is_put_there(home: Home) -> None:
    """Law: a bad id, an unknown provider or account puts nothing on any list."""
    path = str(home.path)
    with pytest.raises(ConfigurationError, match="no execution id"):
        track("discuro", ["1", "2 3"], home=path)
    with pytest.raises(ConfigurationError, match="no provider 'nobody'"):
        track("nobody", ["1"], home=path)
    with pytest.raises(ConfigurationError, match="connection 'eu'"):
        track("discuro", ["1"], connection="eu", home=path)

    assert not home.journal.exists() or named(home) == []


def test_torale_is_refused_in_words(home: Home) -> None:
    """Law: what every load lists needs no watch-list, with or without a key."""
    with pytest.raises(ConfigurationError, match="listed by every load") as refused:
        track("torale", ["1"], home=str(home.path))

    assert "discuro, unstract" in str(refused.value)
    assert not home.path.exists()


TRACKING = """
import sys
from pipelines.tracking import track

for number in range(5):
    track("discuro", [f"{sys.argv[2]}-{number}", "shared"], home=sys.argv[1])
"""


def test_processes_that_track_at_once_lose_nothing(home: Home, here: Path) -> None:
    """Law: from any process and at any time, also into a home that is not there."""
    processes = [
        subprocess.Popen(  # noqa: S603 - the program above
            [sys.executable, "-c", TRACKING, str(home.path), str(number)],
            cwd=here,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
        )
        for number in range(3)
    ]

    assert [process.wait() for process in processes] == [0] * 3
    own = {f"{process}-{number}" for process in range(3) for number in range(5)}
    assert {name for *_, name in named(home)} == own | {"shared"}


# --- which account ------------------------------------------------------------


@pytest.fixture
def deployments(configured: None) -> list[Account]:
    """Return the three deployments of Unstract."""
    del configured
    return accounts(["unstract"])


@pytest.mark.parametrize(
    ("said", "connection"),
    [
        ({"api": "invoices"}, "default"),
        ({"connection": "letters"}, "letters"),
        ({"connection": "twin", "api": "letters"}, "twin"),
        ({"scope": "org_2/letters"}, "twin"),
        ({"scope": "org_1/letters", "api": "letters"}, "letters"),
        ({"connection": "default"}, "default"),
    ],
)
def test_the_account_is_the_one_that_fits(
    deployments: list[Account], said: dict[str, str], connection: str
) -> None:
    """Law: api, connection and the scope of an answer pick among several."""
    assert account_of(deployments, **said).connection == connection


@pytest.mark.parametrize(
    ("said", "names"),
    [({"api": "letters"}, "letters, twin"), ({}, "default, letters, twin")],
)
def test_where_several_fit_the_option_is_named(
    deployments: list[Account], said: dict[str, str], names: str
) -> None:
    """Law: nothing is guessed; the message says which fit and what to say."""
    with pytest.raises(ConfigurationError, match=f"fit: {names}.*--connection"):
        account_of(deployments, **said)


@pytest.mark.parametrize(
    "said", [{"api": "nobody"}, {"connection": "default", "api": "letters"}]
)
def test_where_none_fits_what_is_configured_is_named(
    deployments: list[Account], said: dict[str, str]
) -> None:
    """Law: the message repeats what was said and lists what there is."""
    with pytest.raises(ConfigurationError, match="Configured: default, letters, twin"):
        account_of(deployments, **said)


def test_the_only_account_needs_no_name() -> None:
    """Law: one account is meant without a word."""
    assert account_of(accounts(["discuro"])).connection == "default"


# --- whole answers ------------------------------------------------------------


def started(api: str) -> str:
    """Return a whole answer to a start, as a client prints it."""
    address = f"/deployment/api/org_1/{api}/?execution_id={UUID}"
    answer = {"message": {"execution_status": "PENDING", "status_api": address}}
    return json.dumps(answer, indent=2)


def test_an_answer_goes_to_the_account_that_it_names(home: Home) -> None:
    """Law: the scope in ``status_api`` picks the deployment, each its own."""
    given = [
        one
        for api in ("invoices", "letters")
        for one in read_started(started(api), "unstract")
    ]

    done = track_started(home, "unstract", given)

    assert [(one.account, one.given, one.new) for one in done] == [
        ("unstract:default", 1, 1),
        ("unstract:letters", 1, 1),
    ]
    assert {one.entry.watched.scope for one in listed(home)} == {
        "org_1/invoices",
        "org_1/letters",
    }


def test_an_answer_of_a_deployment_that_is_not_configured_is_refused(
    home: Home,
) -> None:
    """Law: with one that fits nobody, none of all is put on a list."""
    given = [Started(execution_id="1", scope="org_1/invoices")]
    given += read_started(started("unknown"), "unstract")

    with pytest.raises(ConfigurationError, match="scope 'org_1/unknown'"):
        track_started(home, "unstract", given)

    assert not home.journal.exists()


def test_what_a_text_does_not_say_is_as_given() -> None:
    """Law: start and tags of the command line hold where the lines say none."""
    line = json.dumps({"id": 2, "started_at": NOON.isoformat(), "tags": ["own"]})

    given = read_given(
        "discuro", ["1"], [f"{line}\n3"], started_at=NOON - HOUR, tags=["run=7"]
    )

    run = (("run", "7"),)
    assert [(one.execution_id, one.started_at, one.tags) for one in given] == [
        ("1", NOON - HOUR, run),
        ("2", NOON, (("own", None),)),
        ("3", NOON - HOUR, run),
    ]


# --- taking off ---------------------------------------------------------------


def test_untracking_takes_off_one_account_only(home: Home) -> None:
    """Law: what is taken off is counted; the same id of another account stays."""
    for connection in ("default", "letters"):
        track("unstract", [UUID], connection=connection, home=str(home.path))

    gone = untrack(home, "unstract", [UUID, "unknown"], api="invoices")

    assert gone == 1
    assert named(home) == [("unstract", "letters", UUID)]


def test_untracking_where_nothing_is_makes_nothing(home: Home) -> None:
    """Law: a home that is not there has nothing to take off, and is not made."""
    assert untrack(home, "discuro", ["1"]) == 0
    assert not home.path.exists()
