"""Status: how a home stands, in words and for programs."""

import json

import duckdb
import pytest

from pipelines.status import Status, status, told
from pipelines.store import Home, locked
from sources.exchange import Reply
from sources.journal import Journal, utc_now
from tests.pipelines.command import execledger
from tests.pipelines.small_torale import account, load_into

pytestmark = pytest.mark.usefixtures("here", "no_naps")


def test_a_new_home_has_no_run_yet(home: Home) -> None:
    """Law: where nothing is, status says so and what to run, and makes nothing."""
    ran = execledger("status", "--home", str(home.path))

    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"Home       {home.path}",
        'Last run   none yet: run "execledger load" or "execledger demo"',
        "Executions none",
        "Open       0, read again by the next load",
    ]
    assert not home.path.exists()


def test_status_says_what_the_store_holds(loaded: Home) -> None:
    """Law: the last run, executions by status, what is open, and values that misfit."""
    found = status(loaded)

    assert found.last_run is not None
    assert (found.last_run.command, found.last_run.outcome) == ("load", "ok")
    assert found.executions == {"failed": 1, "succeeded": 11}
    assert (found.open, found.lost, found.unfinished) == (0, {}, {})
    assert (found.rejects, found.waiting) == (1, {})
    assert "Rejects    1 values did not fit: see load_rejects" in told(found)


def test_status_names_what_failed_what_is_open_and_what_is_lost(home: Home) -> None:
    """Law: everything that somebody may have to look after is a line."""
    home.create()
    load_into(home, account("http://127.0.0.1:9"))
    make(home)

    lines = execledger("status", "--home", str(home.path)).out.splitlines()

    assert lines[1].startswith("Last run   load, 20")
    assert lines[1].endswith(", partial")
    assert lines[2].startswith("           ! torale:default: Torale: ")
    assert "Executions 1 expired, 2 running" in lines
    assert "Open       2, read again by the next load" in lines
    assert "Lost       1 expired" in lines
    assert "Unfinished torale:us: a, b; the next load reads them again" in lines


def make(home: Home) -> None:
    """Put executions of odd kinds into a store, and what was not finished."""
    columns = (
        "provider, connection, execution_key, response_id, execution_id, scope, "
        "status, is_terminal, result_state, first_seen_at, observed_at, content_sha256"
    )
    running, expired = ("running", False, None), ("expired", True, "expired")
    with duckdb.connect(str(home.published)) as con:
        for number, kind in enumerate([running, running, expired]):
            con.execute(
                f"insert into execledger.executions ({columns}) values "
                "('torale', 'default', ?, 'r', 'e', 's', ?, ?, ?, now(), now(), 'h')",
                [f"k{number}", *kind],
            )
        unfinished = '{"unfinished": {"torale:us": {"b": "", "a": "2026-01-01"}}}'
        con.execute("update execledger.runs set counts = ?", [unfinished])


def test_status_counts_what_waits_for_the_next_load(home: Home) -> None:
    """Law: what a crash left in the journal is told by account."""
    leave_one(home)

    shown = execledger("status", "--home", str(home.path))

    assert "Waiting    1 responses of torale:us in the journal, not loaded" in shown.out


def leave_one(home: Home) -> None:
    """Leave one response in the journal, as a crash does."""
    reply = Reply(
        method="GET", url="https://x/", elapsed_ms=1, outcome="transport_error"
    )
    with Journal(home.journal) as journal:
        journal.append(
            provider="torale",
            connection="us",
            endpoint="tasks",
            params={},
            reply=reply,
        )


def test_status_for_programs_is_the_same_in_json(loaded: Home) -> None:
    """Law: --json is one JSON object with every field of ``Status``."""
    ran = execledger("status", "--home", str(loaded.path), "--json")

    found = json.loads(ran.out)
    assert (ran.code, ran.err) == (0, "")
    assert found.keys() == set(Status.__struct_fields__)
    assert found["executions"] == {"failed": 1, "succeeded": 11}
    assert found["last_run"]["command"] == "load"


def test_nothing_in_status_can_steer_the_terminal(home: Home) -> None:
    """Law: a provider's words are shown without what is no text."""
    load_into(home, account("http://127.0.0.1:9"))
    with duckdb.connect(str(home.published)) as con:
        con.execute("update execledger.runs set error = 'a' || chr(27) || '[2J'")

    ran = execledger("status", "--home", str(home.path))

    assert "! a\ufffd[2J" in ran.out
    assert "\x1b" not in ran.out


def test_told_leaves_out_what_is_not_there() -> None:
    """Law: no line about losses, rejects or the journal where there are none."""
    found = Status(home="h", at=utc_now(), executions={"succeeded": 1200})
    lines = told(found).splitlines()

    assert lines[2:] == [
        "Executions 1,200 succeeded",
        "Open       0, read again by the next load",
    ]


@pytest.mark.parametrize("name", ["published.duckdb", "journal.sqlite"])
@pytest.mark.parametrize("command", ["status", "doctor"])
def test_a_damaged_file_is_told_in_one_line(
    loaded: Home, name: str, command: str
) -> None:
    """Law: exit 1, the file, and what to do; never a traceback."""
    (loaded.path / name).write_bytes(b"not what it was" * 1000)

    ran = execledger(command, "--home", str(loaded.path))

    said = ran.err + ran.out
    assert ran.code in {1, 2}
    assert str(loaded.path / name) in said
    assert "ove it" in said
    assert "Traceback" not in said


def test_a_store_with_a_damaged_middle_is_told_too(loaded: Home) -> None:
    """Law: a fault that shows only while reading has words as well."""
    data = bytearray(loaded.published.read_bytes())
    data[12288:] = bytes(len(data) - 12288)
    loaded.published.write_bytes(data)

    codes = []
    for command in ("status", "tables"):
        ran = execledger(command, "--home", str(loaded.path))
        codes.append(ran.code)
        assert str(loaded.published) in ran.err
        assert "Traceback" not in ran.err

    assert codes == [1, 1]


def test_status_needs_no_lock(loaded: Home) -> None:
    """Law: one may look while another run loads."""
    with locked(loaded):
        assert execledger("status", "--home", str(loaded.path)).code == 0
        assert execledger("tables", "--home", str(loaded.path)).code == 0
