"""Loads from providers that list nothing: the watch-list, and what is lost."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipelines.store import Home
from sources.journal import Journal
from sources.tracking import Started, track
from sources.unstract.twin import demo_documented
from tests.pipelines.command import Ran, execledger
from tests.pipelines.polled_twins import Polled, polled
from tests.pipelines.small_torale import contents, one, rows

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def twins(monkeypatch: pytest.MonkeyPatch) -> Iterator[Polled]:
    """Serve both providers, and configure them."""
    with polled() as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served


def command(home: Home, name: str, *arguments: str, stdin: str = "") -> Ran:
    """Run a command in the home."""
    return execledger(name, *arguments, "--home", str(home.path), stdin=stdin)


def lines(twins: Polled, provider: str) -> str:
    """Return what the user of a provider started, as JSON lines."""
    return "\n".join(json.dumps(one) for one in twins.twins[provider].started())


def test_what_is_tracked_by_commands_is_loaded_to_its_end(
    home: Home, twins: Polled
) -> None:
    """Law: track, load --max-wait: every result that can be had is in the store."""
    for provider in twins.twins:
        tracked = command(home, "track", provider, "-", stdin=lines(twins, provider))
        assert tracked.code == 0, tracked.err
    first = command(home, "load")
    twins.pass_time()

    second = command(home, "load", "--max-wait", "20")

    assert (first.code, second.code) == (4, 0)
    assert twins.differences(home) == []
    assert "lost" not in second.err
    assert one(home, "select count(*) from execledger.runs") == 2


def test_a_load_that_loses_a_result_is_exit_4_once(home: Home, twins: Polled) -> None:
    """Law: a loss is told by the load that found it, and then counted in status."""
    gone = next(iter(twins.discuro.started()))
    command(home, "track", "discuro", "-", stdin=json.dumps(gone))

    codes = [command(home, "load", "discuro").code for _ in range(2)]
    said = command(home, "status")

    assert codes == [4, 0]
    assert "Lost       1 expired" in said.out
    assert f"discuro:default::{gone['id']}: expired. Discuro has deleted" in said.out


def test_a_result_that_expires_before_the_next_load_is_exit_4(
    home: Home, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: the schedule that is configured decides; the words say when to load."""
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "7200")
    running = list(twins.discuro.started())[-2]
    started = datetime.now(UTC) - timedelta(hours=22, minutes=30)
    home.create()
    with Journal(home.journal) as journal:
        account = twins.accounts[1]
        watched = Started(execution_id=str(running["id"]), started_at=started)
        track(journal, *account.of, account.settings, [watched])

    ran = command(home, "load", "discuro")
    said = command(home, "status")

    assert ran.code == 4
    assert "1 results expire before the next load, which is due in 2 h" in ran.err
    assert "! 1 results expire within 2 h" in said.out
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "60")
    assert command(home, "load", "discuro").code == 0


def test_the_longest_safe_interval_is_half_of_the_shortest_life(
    home: Home, twins: Polled
) -> None:
    """Law: with 3 h at Unstract and 24 h at Discuro it is 1 h 30 min, less a load."""
    ran = command(home, "load", "--json")
    discuro = command(home, "load", "discuro", "--json")

    assert 5_300 < json.loads(ran.out)["outlook"]["safe_interval_s"] < 5_400
    assert 43_000 < json.loads(discuro.out)["outlook"]["safe_interval_s"] < 43_200
    assert twins.unstract.requests == []


def test_status_shows_each_watched_execution(home: Home, twins: Polled) -> None:
    """Law: state, next poll and expiry of each, and sums; before and after a load."""
    command(home, "track", "unstract", "-", stdin=lines(twins, "unstract"))
    before = json.loads(command(home, "status", "--json").out)
    command(home, "load", "unstract")

    said = command(home, "status", "--all")

    assert len(before["watched"]) == len(list(twins.unstract.started()))
    assert before["due"] == len(before["watched"])
    open_ones = [line for line in said.out.splitlines() if "next poll" in line]
    assert len(open_ones) == 4
    assert any(": running, next poll " in line for line in open_ones)
    expiry = re.compile(r", expires in (2 h|3 h)")
    assert [line for line in open_ones if not expiry.search(line)] == []
    assert any("! Unstract: still throttled" in line for line in open_ones)


def test_the_same_id_twice_is_one_entry_and_untrack_takes_it_off(
    home: Home, twins: Polled
) -> None:
    """Law: track is idempotent; untrack says what was not there by exit 1."""
    del twins
    first = command(home, "track", "discuro", "98", "99", "98")
    again = command(home, "track", "discuro", "99", "--json")

    gone = command(home, "untrack", "discuro", "98", "77")

    assert "watches 2 more executions, 1 were there" in first.err
    assert json.loads(again.out) == [
        {"account": "discuro:default", "given": 1, "new": 0}
    ]
    assert (gone.code, "1 of 2" in gone.err) == (1, True)
    with Journal(home.journal) as journal:
        ids = journal.file.rows("select execution_id from watched")
    assert ids == [("99",)]


def test_a_whole_answer_of_a_start_is_tracked(home: Home, twins: Polled) -> None:
    """Law: the id may stand in status_api alone, and the answer on many lines."""
    scope = twins.unstract.scope
    answer = {
        "message": {
            "execution_status": "PENDING",
            "status_api": f"/deployment/api/{scope}/?execution_id=e-1",
            "error": None,
            "result": None,
        }
    }

    ran = command(home, "track", "unstract", "-", stdin=json.dumps(answer, indent=2))

    assert ran.code == 0, ran.err
    with Journal(home.journal) as journal:
        found = journal.file.rows("select scope, execution_id from watched")
    assert found == [(scope, "e-1")]


def test_a_result_that_is_captured_is_never_asked_for_again(
    home: Home, twins: Polled
) -> None:
    """Law: tracking a captured execution again neither polls it nor loses it."""
    command(home, "track", "unstract", "-", stdin=lines(twins, "unstract"))
    command(home, "load", "unstract")
    sql = "from execledger.executions select execution_id where result_state = "
    ((finished,), *_) = rows(home, sql + "'captured'")
    asked = len(twins.unstract.requests)

    command(home, "track", "unstract", finished)
    again = command(home, "load", "unstract", "--json")

    assert twins.unstract.count(finished) == 1
    assert len(twins.unstract.requests) == asked + 4
    assert json.loads(again.out)["outlook"]["lost"] == []
    assert (finished,) in rows(home, sql + "'captured'")


def test_a_dry_run_counts_what_is_due(home: Home, twins: Polled) -> None:
    """Law: the plan is told from the journal; nothing is asked."""
    command(home, "track", "discuro", "98", "99")

    ran = command(home, "load", "discuro", "--dry-run")

    assert ran.out == "Discuro: 2 of 2 watched executions are due (default)\n"
    assert twins.discuro.requests == []


def test_what_is_tracked_while_a_load_runs_is_loaded_by_it(
    home: Home, twins: Polled
) -> None:
    """Law: the watch-list takes ids from any process at any time, at once."""
    running, waiting = list(twins.discuro.started())[-2:]
    command(home, "track", "discuro", "-", stdin=json.dumps(running))
    load = subprocess.Popen(  # noqa: S603 - the real command
        [
            *(sys.executable, "-m", "pipelines", "load", "discuro"),
            *("--max-wait", "30", "--home", str(home.path)),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    asked = threading.Event()
    twins.discuro.on_request(lambda _: asked.set())
    assert asked.wait(30)
    command(home, "track", "discuro", "-", stdin=json.dumps(waiting))
    twins.pass_time()

    _, err = load.communicate(timeout=60)

    assert load.returncode == 0, err
    found = rows(home, "select execution_id, result_state from execledger.executions")
    assert sorted(found) == sorted(
        (str(x["id"]), "captured") for x in (running, waiting)
    )


def test_accounts_whose_ids_collide_stay_apart(
    home: Home, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: an account is part of the identity; --connection says which is meant."""
    monkeypatch.setenv("SOURCES__DISCURO__CONNECTION_NAMES", "us")
    with polled() as others:
        for name, value in others.environment.items():
            own = name.replace("DISCURO__", "DISCURO__CONNECTIONS__US__")
            monkeypatch.setenv(own, value)
        unsaid = command(home, "track", "discuro", "132")
        for name in ("default", "us"):
            command(home, "track", "discuro", "132", "--connection", name)

        ran = command(home, "load", "discuro")

    assert unsaid.code == 2
    assert "Say --connection" in unsaid.err
    assert ran.code == 0, ran.err
    sql = "select execution_key from execledger.executions order by execution_key"
    assert rows(home, sql) == [("discuro:default::132",), ("discuro:us::132",)]
    assert len(twins.discuro.requests) == len(others.discuro.requests) == 1


def test_everything_is_rebuilt_from_what_was_answered(
    home: Home, twins: Polled
) -> None:
    """Law: replay gives the same tables, losses and their reasons included."""
    twins.track(home)
    twins.load(home)
    twins.pass_time()
    twins.load(home, max_wait_s=20)
    before = contents(home)

    ran = command(home, "replay")

    assert ran.code == 0, ran.err
    after = contents(home)
    assert [name for name in before if before[name] != after[name]] == ["runs"]


def test_doctor_tests_the_keys_without_consuming_anything(
    home: Home, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a good key is told from a bad one by asking for what cannot be there."""
    good = command(home, "doctor", "discuro", "unstract")
    monkeypatch.setenv("SOURCES__DISCURO__API_KEY", "wrong_canary")
    monkeypatch.setenv("SOURCES__UNSTRACT__API_KEY", "wrong_canary")

    bad = command(home, "doctor", "discuro", "unstract")

    assert good.code == 0, good.out
    assert "the key of invoices is good" in good.out
    assert "knows no execution 0" in good.out
    assert bad.code == 1
    assert bad.out.count("the key was refused (401") == 2
    assert "canary" not in bad.out
    handed = twins.unstract.ledger().values()
    assert all(one.to == "somebody else" for one in handed)
    assert twins.discuro.ledger() == {}


def test_what_is_missing_in_the_configuration_is_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: exit 2, the section, and what to set."""
    monkeypatch.setenv("SOURCES__UNSTRACT__API_KEY", "canary")

    ran = command(home, "load", "unstract")

    assert ran.code == 2
    assert "[sources.unstract]" in ran.err
    assert "SOURCES__UNSTRACT__ORGANIZATION_ID" in ran.err
    assert "canary" not in ran.err


@pytest.mark.parametrize("timeout", [(), ("--timeout", "30")])
def test_a_start_without_an_answer_is_told_and_can_be_attached(
    home: Home, twins: Polled, tmp_path: Path, timeout: tuple[str, ...]
) -> None:
    """Law: it is never sent twice; attached later, its result is loaded, or lost.

    The synchronous form hands the result out in its answer: that is then lost in
    transit, and not taken by somebody else.
    """
    file = tmp_path / "invoice.txt"
    file.write_text("Invoice 42")
    twins.unstract.fail_next("/deployment/api/", "reset")
    sent = command(home, "submit", "unstract", str(file), *timeout)
    told = command(home, "status")
    (open_one,) = json.loads(command(home, "status", "--json").out)["submits"]
    (started,) = twins.unstract.submissions
    of = (started.execution_id, "--submit", open_one["submit_id"])

    attached = command(home, "track", "unstract", *of)
    twins.unstract.pass_time()
    command(home, "load", "unstract", "--max-wait", "20")

    assert (sent.code, attached.code) == (1, 0)
    assert "invoice.txt: submit_unknown. " in told.out
    assert f"track unstract ID --submit {open_one['submit_id']}" in told.out
    assert open_one["state"] == "submit_unknown"
    assert len(twins.unstract.submissions) == 1
    state = one(home, "select result_state from execledger.executions")
    assert state == ("lost_in_transit" if timeout else "captured")
    assert json.loads(command(home, "status", "--json").out)["submits"] == []


def test_a_submit_to_discuro_is_loaded_with_its_tags(home: Home, twins: Polled) -> None:
    """Law: the id that is printed is watched; what was said at the start is kept."""
    uuid = next(iter(twins.discuro.world.workflows))
    inputs = ["--input", "product=ducks"]

    ran = command(
        home, "submit", "discuro", uuid, "--kind", "orchestrator", *inputs,
        "--tag", "team=blog",
    )  # fmt: skip
    twins.discuro.pass_time()
    loaded = command(home, "load", "discuro", "--max-wait", "20")

    assert (ran.code, loaded.code) == (0, 0), ran.err + loaded.err
    execution_id = ran.out.strip()
    sql = "select execution_id, workflow_key, status from execledger.executions"
    assert rows(home, sql) == [(execution_id, f"discuro:default:{uuid}", "succeeded")]
    tags = rows(home, "select tag, tag_value from execledger.execution_tags")
    assert tags == [("team", "blog")]
    flows = rows(home, "select workflow_id, kind from execledger.workflows")
    assert flows == [(uuid, "orchestrator")]


def test_a_small_account_does_not_wait_for_a_large_one(
    home: Home, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: accounts that share a host take turns at it."""
    asked: list[str] = []
    twins.discuro.on_request(lambda noted: asked.append(noted.query))
    small = {**twins.environment}
    monkeypatch.setenv("SOURCES__DISCURO__CONCURRENCY", "2")
    monkeypatch.setenv("SOURCES__DISCURO__CONNECTION_NAMES", "small")
    for name, value in small.items():
        own = name.replace("DISCURO__", "DISCURO__CONNECTIONS__SMALL__")
        monkeypatch.setenv(own, value)
    monkeypatch.setenv("SOURCES__DISCURO__CONNECTIONS__SMALL__CONCURRENCY", "2")
    many = "\n".join(str(number) for number in range(1000, 1060))
    command(home, "track", "discuro", "-", "--connection", "default", stdin=many)
    command(home, "track", "discuro", "132", "133", "--connection", "small")

    command(home, "load", "discuro")

    assert len(asked) == 62
    assert max(asked.index("id=132"), asked.index("id=133")) < 31


def test_ids_come_from_a_file(home: Home, twins: Polled, tmp_path: Path) -> None:
    """Law: --from-file reads what standard input would: ids, or JSON lines."""
    file = tmp_path / "ids.txt"
    file.write_text('132\n\n{"id": 133, "tags": ["team=blog"]}\n')

    ran = command(home, "track", "discuro", "--from-file", str(file))
    command(home, "load", "discuro")

    assert ran.code == 0, ran.err
    sql = "select execution_id from execledger.executions order by execution_id"
    assert rows(home, sql) == [("132",), ("133",)]
    tags = "select execution_key, tag, tag_value from execledger.execution_tags"
    assert rows(home, tags) == [("discuro:default::133", "team", "blog")]
    assert len(twins.discuro.requests) == 2


def test_a_file_that_was_sent_and_not_answered_is_an_error(
    home: Home, twins: Polled, tmp_path: Path
) -> None:
    """Law: names sent are reconciled with names returned; the run is in part."""
    for name in ("a.txt", "b.exe"):
        (tmp_path / name).write_text(f"content of {name}")
    files = [str(tmp_path / name) for name in ("a.txt", "b.exe")]
    command(home, "submit", "unstract", *files, "--per-run", "2")
    twins.unstract.pass_time()

    command(home, "load", "unstract", "--max-wait", "20")

    assert rows(home, "select status from execledger.executions") == [
        ("partially_succeeded",)
    ]
    sql = "select level, error_type, message from execledger.errors"
    ((level, kind, message),) = rows(home, sql)
    assert (level, kind) == ("file", "not_returned")
    assert "b.exe" in message


def test_the_documented_dialect_ends_in_the_same_tables(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what Unstract documents is read as well as what its servers speak."""
    monkeypatch.setattr("tests.pipelines.polled_twins.unstract_demo", demo_documented)
    with polled() as served:
        served.track(home)
        served.load(home)
        served.pass_time()

        served.load(home, max_wait_s=20)

        assert served.differences(home) == []
