"""Replay: the same tables from the raw responses, and what has none any more."""

import json
from collections.abc import Iterator

import duckdb
import pytest

from pipelines.replay import replay
from pipelines.store import Home
from sources.errors import StoreError
from sources.loopback import serve
from sources.records import TABLES
from sources.torale.twin import ToraleTwin
from tests.pipelines.command import execledger
from tests.pipelines.small_torale import (
    NEWS,
    PHONE,
    account,
    changed,
    contents,
    load_into,
    one,
    put,
    rows,
    small_torale,
)

REBUILT = [name for name in TABLES if name != "runs"]
pytestmark = pytest.mark.usefixtures("here", "no_naps")


@pytest.fixture
def twin() -> ToraleTwin:
    """Return the small Torale."""
    return small_torale()


@pytest.fixture
def url(twin: ToraleTwin) -> Iterator[str]:
    """Serve the small Torale; yield where."""
    with serve(twin.app) as address:
        yield address


def edit(home: Home, *statements: str) -> None:
    """Change the store by hand."""
    with duckdb.connect(str(home.published)) as con:
        for sql in statements:
            con.execute(sql)


def test_replay_gives_the_same_tables_row_for_row(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: errors, rejects, details, workflows, times and ids come out as they were."""
    load_into(home, account(url), account(url, "us"))
    twin.fail_next(f"{NEWS}/executions", 403, times=4)
    twin.fail_next(f"{PHONE}/executions/runs", 500, times=9)
    changed(twin)
    load_into(home, account(url), account(url, "us"))
    twin._faults.clear()
    put(twin, "later", 0, NEWS)
    load_into(home, account(url))
    before = contents(home, REBUILT)

    result = replay(home)

    after = contents(home, REBUILT)
    assert {name: after[name] for name in REBUILT if after[name] != before[name]} == {}
    assert len(before["errors"]) > 2  # of executions and of requests
    assert result.executions == len(before["executions"])
    assert result.kept == 0


def test_replay_writes_what_is_missing_or_wrong_anew(loaded: Home) -> None:
    """Law: the raw responses alone decide; comments and views are there again."""
    before = contents(loaded, REBUILT)
    edit(
        loaded,
        "delete from execledger.outputs",
        "update execledger.executions set status = 'unknown', is_passed = true",
        "insert into execledger.grounding_sources from execledger.grounding_sources",
        "drop view marts.answer_sources",
        "comment on table execledger.executions is null",
    )

    replay(loaded)

    assert contents(loaded, REBUILT) == before
    comment = "select comment from duckdb_tables() where table_name = 'executions'"
    assert one(loaded, comment).startswith("One row per execution")
    assert one(loaded, "select count(*) from marts.answer_sources") == 10


def test_a_second_replay_changes_nothing(loaded: Home) -> None:
    """Law: replay is idempotent, and each is a row of runs."""
    replay(loaded)
    before = contents(loaded, REBUILT)

    replay(loaded)

    assert contents(loaded, REBUILT) == before
    assert rows(
        loaded, "select command, outcome from execledger.runs order by run_id"
    ) == [("load", "ok"), ("load", "ok"), ("replay", "ok"), ("replay", "ok")]


def test_a_load_after_a_replay_finds_nothing_new(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: hashes survive a replay, so nothing is loaded or fetched again."""
    load_into(home, account(url))
    replay(home)
    twin.requests.clear()

    report = load_into(home, account(url))

    assert (report.accounts[0].new, report.accounts[0].changed) == (0, 0)
    assert twin.count("/executions/") == 0


# --- responses without a body ---------------------------------------------------


PRUNED = (
    "update execledger.raw_responses set body = null where response_id in "
    "(select response_id from execledger.executions where execution_id in "
    "('done', 'fails', 'n3'))"
)


def test_an_execution_whose_response_was_pruned_keeps_its_rows(loaded: Home) -> None:
    """Law: pruning a body takes nothing from the tables; what stays is counted."""
    before = contents(loaded, REBUILT)
    edit(loaded, PRUNED)
    now = contents(loaded, ["raw_responses"])

    result = replay(loaded)

    assert (result.kept, result.executions) == (3, 9)
    assert contents(loaded, REBUILT) == before | now


def test_a_store_without_any_raw_response_is_kept_whole(loaded: Home) -> None:
    """Law: nothing to read anew is no reason to empty the tables."""
    before = contents(loaded, REBUILT)
    edit(loaded, "delete from execledger.raw_responses")

    result = replay(loaded)

    assert (result.kept, result.executions, result.responses) == (12, 0, 0)
    assert contents(loaded, REBUILT) == before | {"raw_responses": []}


def test_when_something_was_first_seen_survives_pruning(loaded: Home) -> None:
    """Law: a first sight, and a status that it showed, need no body to be kept."""
    before = contents(loaded, REBUILT)
    edit(
        loaded,
        "update execledger.raw_responses set body = null where response_id not in "
        "(select response_id from execledger.executions) "
        "and response_id not in (select response_id from execledger.workflows)",
    )
    now = contents(loaded, ["raw_responses"])

    replay(loaded)

    assert contents(loaded, REBUILT) == before | now


def test_an_error_of_a_request_outlives_its_body(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: of a request that failed, the newest error stays, not an older one."""
    load_into(home, account(url))
    for body in ('{"detail": "the first"}', '{"detail": "the second"}'):
        twin.fail_next(f"{NEWS}/executions", 403, body=body)
        load_into(home, account(url))
    of_requests = (
        "select message from execledger.errors where starts_with(execution_key, "
        "'request:')"
    )
    before = rows(home, of_requests)
    edit(
        home,
        "update execledger.raw_responses set body = null where response_id in "
        "(select response_id from execledger.errors where level = 'request')",
    )

    replay(home)

    assert len(before) == 1
    assert "the second" in before[0][0]
    assert rows(home, of_requests) == before


def test_rows_of_a_provider_that_is_not_installed_stay(loaded: Home) -> None:
    """Law: an older execledger does not empty what a newer one loaded."""
    edit(
        loaded,
        *(
            f"update execledger.{table} set provider = 'newcomer'"
            for table in TABLES
            if table != "model_prices"
        ),
    )
    before = contents(loaded, REBUILT)

    result = replay(loaded)

    assert result.kept == 12
    assert contents(loaded, REBUILT) == before


# --- all or nothing -------------------------------------------------------------


def test_a_replay_that_fails_leaves_the_store_as_it_was(
    loaded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: replay publishes everything or nothing."""
    before = loaded.published.read_bytes()

    def fail(*_: object) -> None:
        raise StoreError("no room")

    monkeypatch.setattr("pipelines.replay._remember", fail)

    with pytest.raises(StoreError, match="no room"):
        replay(loaded)

    assert loaded.published.read_bytes() == before
    assert not loaded.work.exists()


def test_broken_rules_keep_no_replay_from_the_store(loaded: Home) -> None:
    """Law: a slip in the user's rules is told, with exit 1; the tables are rebuilt."""
    loaded.rules.mkdir()
    (loaded.rules / "failure_rules.csv").write_text("nonsense\n1\n", encoding="utf-8")

    ran = execledger("replay", "--home", str(loaded.path))

    assert ran.code == 1
    assert "failure_rules.csv, line 2: " in ran.err
    assert "Rebuilt 12 executions" in ran.err


def test_replay_needs_a_store(home: Home) -> None:
    """Law: without a store it says what to run, and makes nothing."""
    ran = execledger("replay", "--home", str(home.path))

    assert ran.code == 1
    assert 'run "execledger load" or' in ran.err
    assert not home.path.exists()


def test_replay_refuses_a_file_that_is_no_store_of_ours(home: Home) -> None:
    """Law: a database of somebody else is named and left alone."""
    home.create()
    edit(home, "create table mine as select 1 as x")
    before = home.published.read_bytes()

    ran = execledger("replay", "--home", str(home.path))

    assert ran.code == 1
    assert "is no store of execledger" in ran.err
    assert home.published.read_bytes() == before


def test_replay_tells_people_and_programs_what_it_did(loaded: Home) -> None:
    """Law: words on stderr, JSON on stdout, the same numbers in both."""
    edit(loaded, PRUNED)

    shown = execledger("replay", "--home", str(loaded.path))
    said = execledger("replay", "--home", str(loaded.path), "--json")

    assert (shown.code, shown.out, said.code) == (0, "", 0)
    assert shown.err.startswith("execledger: Rebuilt 9 executions from ")
    assert "; 3 kept as they were, their bodies are pruned." in shown.err
    found = json.loads(said.out)
    assert (found["executions"], found["kept"]) == (9, 3)
