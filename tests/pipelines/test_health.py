"""The health file: how a load ended and how its home stands, for a monitor."""

import errno
import json
import os
import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.ended import next_load_at
from pipelines.health import AccountHealth, Health, OpenExecution
from pipelines.monitors import _put
from pipelines.status import status
from pipelines.store import Home, locked
from sources.errors import StoreError
from sources.journal import Journal
from sources.torale.twin import ToraleTwin
from sources.tracking import Started, track
from tests.faults.command import ROOT
from tests.pipelines.command import Ran, execledger
from tests.pipelines.polled_twins import Polled, polled
from tests.pipelines.small_torale import PHONE, one, rows

pytestmark = pytest.mark.usefixtures("here", "no_naps")


@pytest.fixture
def twins(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Polled]:
    """Serve both providers that are asked by ids, and configure them."""
    del here
    with polled() as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where the health file is put: a folder for it alone."""
    folder = tmp_path / "monitored"
    folder.mkdir()
    return folder / "execledger.json"


def load(home: Home, file: Path, *arguments: str) -> Ran:
    """Run ``execledger load --health``."""
    where = ("--home", str(home.path), "--health", str(file))
    return execledger("load", *arguments, *where)


def read(file: Path) -> dict[str, Any]:
    """Return what a monitor reads; nothing else lies beside it."""
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208 - hidden ones, too
    found: dict[str, Any] = json.loads(file.read_text("ascii"))
    assert found.keys() == set(Health.__struct_fields__)
    return found


def time(text: str) -> datetime:
    """Return a time of the file, which is in UTC."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


# --- what it says -------------------------------------------------------------


@pytest.mark.usefixtures("configured")
def test_a_monitor_reads_how_a_load_ended(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: outcome, counts and times of the load, as the ledger of runs has them."""
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "300")

    ran = load(home, file, "torale")

    found = read(file)
    assert (ran.code, found["outcome"], found["exit_code"]) == (0, "ok", 0)
    ((run_id, started, ended),) = rows(
        home, "select run_id, started_at, ended_at from execledger.runs"
    )
    assert found["run_id"] == run_id
    assert [time(found[n]) for n in ("started_at", "loaded_at")] == [started, ended]
    assert found["seconds"] == round((ended - started).total_seconds(), 3)
    (account,) = found["accounts"].items()
    assert account[0] == "torale:default"
    assert time(account[1].pop("last_ok_at")) == one(
        home, "select max(last_loaded_at) from marts.freshness"
    )
    assert account[1] == {"outcome": "ok", "new": 11, "changed": 0, "errors": 0}
    assert (found["lost"], found["watched"], found["due"]) == (0, 0, 0)
    assert (found["interval_s"], found["expiring"]) == (300, 0)
    assert time(found["next_load_at"]) == started + timedelta(seconds=300)
    assert ended <= time(found["at"]) <= datetime.now(UTC)


@pytest.mark.usefixtures("configured")
def test_what_is_open_is_counted_and_the_oldest_named(home: Home, file: Path) -> None:
    """Law: executions that have not ended, by what the store says of their start."""
    load(home, file, "torale")

    found = read(file)

    ((count, key, started),) = rows(
        home,
        "select count(*), min_by(execution_key, started_at), min(started_at) "
        "from execledger.executions where not is_terminal",
    )
    assert found["open_executions"] == count == 1
    oldest = found["oldest_open_execution"]
    assert (oldest["execution_key"], time(oldest["started_at"])) == (key, started)


def test_the_watch_list_is_counted_with_what_expires(
    home: Home, file: Path, twins: Polled
) -> None:
    """Law: the same counts as status has; what is watched and new is open, too."""
    twins.track(home)

    ran = load(home, file, "discuro", "unstract")

    found, said = read(file), status(home)
    assert (ran.code, found["exit_code"], found["outcome"]) == (4, 4, "partial")
    assert found["lost"] == sum(said.lost.values()) > 0
    assert found["watched"] == len(said.watched) > 0
    assert found["due"] <= found["watched"]
    assert found["open_executions"] == len(said.watched) > said.open > 0
    expiries = [each.expires_at for each in said.watched if each.expires_at]
    assert time(found["next_expiry_at"]) == min(expiries)
    assert 5_300 < found["safe_interval_s"] < 5_400
    assert (found["interval_s"], found["expiring"]) == (None, None)


def test_what_is_only_watched_yet_is_open_too(
    home: Home, file: Path, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: before any load came through, the watch-list alone says what is open."""
    monkeypatch.setattr("pipelines.embedded.finish", fail_with(StoreError("Full.")))
    started = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    account = twins.accounts[1]
    running = str(list(twins.discuro.started())[-2]["id"])
    home.create()
    with Journal(home.journal) as journal:
        watched = [Started(execution_id=running, started_at=started)]
        track(journal, *account.of, account.settings, watched)

    ran = load(home, file, "discuro")

    found = read(file)
    assert (ran.code, found["outcome"], found["loaded_at"]) == (1, "failed", None)
    assert (found["watched"], found["open_executions"]) == (1, 1)
    oldest = found["oldest_open_execution"]
    assert oldest["execution_key"] == f"discuro:default::{running}"
    assert time(oldest["started_at"]) == started


def test_what_has_ended_is_watched_no_more(
    home: Home, file: Path, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a result in the journal only waits for the next load; nobody asks for it."""
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "86400")
    monkeypatch.setattr("pipelines.embedded.finish", fail_with(StoreError("Full.")))
    twins.track(home)

    load(home, file, "discuro", "unstract")

    found, said = read(file), status(home)
    still = [each for each in said.watched if not each.is_done]
    assert found["watched"] == found["open_executions"] == len(still)
    assert found["expiring"] == len(still) < len(said.watched)
    assert found["next_expiry_at"] is not None


def fail_with(error: BaseException) -> Any:
    """Return what raises an error, whatever it is given."""

    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("error", "ended"),
    [
        (StoreError("The disk is full."), ("failed", 1)),
        (KeyboardInterrupt(), ("interrupted", 130)),
    ],
)
def test_a_load_that_fails_says_so_and_when_the_last_one_came_through(
    home: Home,
    file: Path,
    error: BaseException,
    ended: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: whatever ends a load, the file is of it, and names the last good."""
    load(home, file, "torale")
    before = read(file)
    monkeypatch.setattr("pipelines.embedded.finish", fail_with(error))

    ran = load(home, file, "torale")

    after = read(file)
    assert (after["outcome"], after["exit_code"]) == ended
    assert ran.code == after["exit_code"]
    assert after["at"] > before["at"]
    assert after["started_at"] > before["started_at"]
    assert after["loaded_at"] == before["loaded_at"]
    assert (after["run_id"], after["lost"]) == (None, None)
    last_ok = before["accounts"]["torale:default"]["last_ok_at"]
    unread = dict.fromkeys(AccountHealth.__struct_fields__) | {"last_ok_at": last_ok}
    assert after["accounts"] == {"torale:default": unread}


@pytest.mark.usefixtures("configured")
def test_a_fault_of_our_own_is_in_the_file_before_its_traceback(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what nobody foresaw is a load that failed, too."""
    monkeypatch.setattr("pipelines.embedded.finish", fail_with(TypeError("a bug")))

    with pytest.raises(TypeError, match="a bug"):
        load(home, file, "torale")

    found = read(file)
    assert (found["outcome"], found["exit_code"]) == ("failed", 1)
    assert "bug" not in file.read_text("ascii")


@pytest.mark.usefixtures("configured")
def test_a_load_that_may_not_begin_is_in_the_file(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: who was locked out, or lacks a key, is told from who found nothing new."""
    with locked(home):
        held = load(home, file, "torale")
        locked_out = read(file)
    monkeypatch.delenv("SOURCES__TORALE__API_KEY")
    lacking = load(home, file)
    lacks = read(file)

    assert (held.code, locked_out["outcome"], locked_out["exit_code"]) == (
        3,
        "locked",
        3,
    )
    assert list(locked_out["accounts"]) == ["torale:default"]
    assert (lacking.code, lacks["outcome"], lacks["exit_code"]) == (2, "failed", 2)
    assert lacks["accounts"] == {}


@pytest.mark.usefixtures("configured")
def test_what_cannot_be_read_is_unknown(loaded: Home, file: Path) -> None:
    """Law: of a damaged store nothing is said, least of all 0."""
    loaded.published.write_bytes(b"not what it was" * 1000)

    ran = load(loaded, file, "torale")

    found = read(file)
    assert (ran.code, found["outcome"]) == (1, "failed")
    assert (found["open_executions"], found["loaded_at"]) == (None, None)
    assert (found["watched"], found["due"]) == (0, 0)


def test_no_word_of_a_provider_or_an_error_is_in_it(
    home: Home, file: Path, configured_twin: ToraleTwin
) -> None:
    """Law: who may read the file need not be one who may read the data."""
    body = '{"detail": "secret words"}'
    configured_twin.fail_next(f"{PHONE}/executions/done", 422, body=body, times=9)

    ran = load(home, file, "torale")

    found = read(file)
    assert (ran.code, found["outcome"]) == (1, "partial")
    assert found["accounts"]["torale:default"]["errors"] == 1
    assert found["accounts"]["torale:default"]["last_ok_at"] is None
    assert "422" in ran.err
    texts = [text for text in file.read_text().split('"') if " " in text.strip(" \n:,")]
    assert [text for text in texts if "words" in text or "Torale" in text] == []


def test_the_page_says_what_each_field_is() -> None:
    """Law: no field is in the file that docs/monitoring.md does not explain."""
    page = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
    table = page.partition("| field | is |")[2].partition("\n\n")[0]

    for record in (Health, AccountHealth, OpenExecution):
        assert [f for f in record.__struct_fields__ if f"`{f}`" not in table] == []


# --- how it is put there ------------------------------------------------------


@pytest.mark.usefixtures("configured")
def test_another_user_may_read_it(home: Home, file: Path) -> None:
    """Law: 0644, though all else that a load makes is its owner's alone."""
    file.touch(0o600)

    load(home, file, "torale")

    assert file.stat().st_mode & 0o777 == 0o644
    assert home.published.stat().st_mode & 0o777 == 0o600


def test_a_reader_sees_all_of_the_old_or_all_of_the_new(file: Path) -> None:
    """Law: however often it is read while it is written, it is whole."""
    texts = [str(number) * 50_000 for number in range(10)]
    seen: set[str] = set()
    _put(file, texts[0].encode())
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=watch)
    reader.start()
    for number in range(50):
        _put(file, texts[number % 10].encode())
    is_over.set()
    reader.join()

    assert len(seen) > 1
    assert seen <= set(texts)


@pytest.mark.usefixtures("configured")
def test_a_link_leads_to_the_file_also_afterwards(home: Home, file: Path) -> None:
    """Law: what a link names is replaced, not the link."""
    link = file.parent.parent / "link.json"
    link.symlink_to(file)

    load(home, link, "torale")

    assert link.is_symlink()
    assert read(file)["outcome"] == "ok"


@pytest.mark.usefixtures("configured")
def test_a_file_that_cannot_be_written_fails_no_load(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: exit 1 says what to do; the store is loaded, and the file as it was."""
    file.write_text("{}")
    monkeypatch.setattr("pipelines.placing.sync", fail_with(full()))

    ran = load(home, file, "torale")

    assert ran.code == 1
    assert f"{file}: {os.strerror(errno.ENOSPC)}. Let this user" in ran.err
    assert one(home, "select count(*) from execledger.executions") == 11
    assert file.read_text() == "{}"
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208 - hidden ones, too


def full() -> OSError:
    """Return what a full disk says."""
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_higher_exit_code_holds_where_the_file_cannot_be_written(
    home: Home, file: Path, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a lost result is no less told; as a line of JSON, with the problem."""
    monkeypatch.setattr("pipelines.placing.sync", fail_with(full()))
    twins.track(home)

    ran = load(home, file, "discuro", "unstract", "--log-format", "json")

    said = json.loads(ran.err)
    assert (ran.code, said["exit_code"]) == (4, 4)
    assert str(file) in said["problems"][0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("absent/health.json", "is no folder: make it first"),
        ("execledger.duckdb", "must end in .json"),
        ("pipe.json", "is no plain file"),
    ],
)
def test_a_place_that_is_none_is_refused_before_anything_is_asked(
    home: Home, configured_twin: ToraleTwin, file: Path, name: str, reason: str
) -> None:
    """Law: exit 2 in words; no request is made, and no home."""
    os.mkfifo(file.with_name("pipe.json"))

    ran = load(home, file.parent / name, "torale")

    assert ran.code == 2
    assert reason in ran.err
    assert "--health" in ran.err
    assert configured_twin.requests == []
    assert not home.path.exists()


@pytest.mark.usefixtures("configured")
def test_the_environment_may_say_where(
    home: Home, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: EXECLEDGER_HEALTH is --health; what only looks writes nothing there."""
    monkeypatch.setenv("EXECLEDGER_HEALTH", str(file))
    where = ("--home", str(home.path))

    looked = execledger("load", "torale", "--dry-run", *where)
    is_written = file.exists()
    ran = execledger("load", "torale", *where)

    assert (looked.code, ran.code, is_written) == (0, 0, False)
    assert read(file)["outcome"] == "ok"


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("again", [(), ("--every", "1h")])
def test_a_signal_waits_until_the_file_is_there(
    home: Home, file: Path, again: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what was loaded is told, and nothing false; then a loop is at its end."""

    def sync(_: Path) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("pipelines.placing.sync", sync)
    monkeypatch.setattr("pipelines.repeating.stopped_within", lambda _: True)

    ran = load(home, file, "torale", *again)

    assert ran.code == 0
    assert "11 new and 0 changed" in ran.err
    assert "Interrupted" not in ran.err
    assert "Next load" not in ran.err
    assert ran.err.endswith("Stopped, as was asked.\n") is bool(again)
    assert read(file)["outcome"] == "ok"


@given(
    took=st.floats(-10, 10**6),
    interval_s=st.floats(0.1, 10**6),
)
def test_the_next_load_is_ahead_and_at_an_even_step(
    took: float, interval_s: float
) -> None:
    """Law: however long a load took, the next is due within one step from now."""
    started = datetime(2026, 1, 31, tzinfo=UTC)
    now = started + timedelta(seconds=took)

    due = next_load_at(started, now, interval_s)

    assert due is not None
    assert (
        timedelta() <= due - max(now, started) <= timedelta(seconds=interval_s + 1e-3)
    )
    steps = (due - started).total_seconds() / interval_s
    assert abs(steps - round(steps)) < 1e-3


@pytest.mark.parametrize("interval_s", [None, 0.0, -1.0])
def test_who_does_not_know_the_steps_knows_no_next_load(
    interval_s: float | None,
) -> None:
    """Law: also where a clock that was set back made the steps none."""
    now = datetime(2026, 1, 31, tzinfo=UTC)

    assert next_load_at(now, now, interval_s) is None
