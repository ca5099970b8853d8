"""The load: what it writes, what it leaves alone, and what it does when it fails."""

import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from dlt.common.exceptions import TerminalValueError

from pipelines.draining import Inflow, drain
from pipelines.load import planned
from pipelines.query import tables
from pipelines.replay import _responses
from pipelines.runs import Report
from pipelines.sql_files import SQL
from pipelines.status import status
from pipelines.store import Home, WorkCopy
from sources import part
from sources.bulk import Looked
from sources.errors import LoadCheckFailed, StoreError
from sources.journal import Journal
from sources.loopback import serve
from sources.provider import Window
from sources.records import TABLES, Mode
from sources.tables import columns
from sources.torale.twin import ToraleTwin
from tests.pipelines.small_torale import (
    AT_OUR_TIME,
    KEY,
    NEWS,
    NOW,
    PHONE,
    account,
    changed,
    contents,
    load_into,
    one,
    put,
    rows,
    small_torale,
    source,
)
from tests.plain_store import PlainStore, shown

ROOT = Path(__file__).resolve().parent.parent.parent
SNAPSHOTS = [name for name, table in TABLES.items() if table.MODE is Mode.SNAPSHOT]
SOURCES = "select count(*) from execledger.grounding_sources where execution_key like ?"
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


@pytest.fixture
def one_more(twin: ToraleTwin) -> None:
    """Let the twin be as it was at the second load of ``loaded``, but for one more."""
    changed(twin)
    put(twin, "one-more", 0, grounding_sources=[source(3)])


def totals(report: Report) -> list[tuple[str, int, int]]:
    """Return account, new and changed executions."""
    return [(one.account, one.new, one.changed) for one in report.accounts]


# --- what a load writes -------------------------------------------------------


def test_a_first_load_brings_every_execution(home: Home, url: str) -> None:
    """Law: what the provider lists is in the store, details and tasks included."""
    report = load_into(home, account(url))

    assert report.outcome == "ok"
    assert totals(report) == [("torale:default", 11, 0)]
    found = rows(
        home, "select status, count(*) from execledger.executions group by all"
    )
    assert dict(found) == {"succeeded": 9, "failed": 1, "running": 1}
    assert one(home, SOURCES, "%:done") == 3
    assert one(home, "select count(snippet) from execledger.grounding_sources") == 10
    assert rows(home, "select name from execledger.workflows order by 1") == [
        ("News of the phone",),
        ("Phone below 500",),
    ]


def test_a_load_that_needs_more_memory_is_given_it(
    home: Home,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Law: little memory is a wish; no body is too large for it to be loaded."""
    monkeypatch.setattr("pipelines.store._LITTLE", 1_000_000)
    monkeypatch.setattr("pipelines.store._TIMES", 0)

    report = load_into(home, account(url))

    assert "Once more, with more memory: " in caplog.text
    assert report.outcome == "ok"
    assert totals(report) == [("torale:default", 11, 0)]


def test_a_value_that_does_not_fit_is_a_reject_and_nothing_else_is_lost(
    loaded: Home,
) -> None:
    """Law: an odd value costs that value alone."""
    rejects = rows(loaded, "select path, reason from execledger.load_rejects")
    odd = rows(
        loaded,
        "select status, ended_at, value_text from execledger.executions "
        "join execledger.outputs using (execution_key) "
        "where execution_id = 'odd' and name = 'result'",
    )

    assert [path.rpartition("/")[2] for path, _ in rejects] == ["completed_at"]
    assert odd == [("succeeded", None, "just a text")]


def test_every_table_and_column_has_its_comment(loaded: Home) -> None:
    """Law: the store documents itself, in the words of the records."""
    described = {(table, name): text for table, name, text in rows(loaded, _COLUMNS)}
    expected = {
        (name, column.name): column.comment
        for name, record in TABLES.items()
        for column in columns(record)
    }

    assert described == expected
    assert all(text for text in described.values())
    assert all(info.comment for info in tables(loaded))


_COLUMNS = (
    "select table_name, column_name, comment from duckdb_columns() "
    "where schema_name = 'execledger' and not starts_with(table_name, '_dlt')"
)


def test_the_views_are_there_with_their_comments(loaded: Home) -> None:
    """Law: each file of sql/marts is a view, its first comment the view's."""
    views = {info.name: info for info in tables(loaded) if "marts." in info.name}

    files = {f"marts.{file.stem}" for file in (SQL / "marts").glob("*.sql")}
    assert files | {"marts.failure_rules"} == {*views}
    assert views["marts.answer_sources"].comment.startswith("One row per web source")
    assert views["marts.answer_sources"].rows > 0


def test_a_load_leaves_the_store_and_an_empty_journal(home: Home, url: str) -> None:
    """Law: one store, private; no staging, no work folder, nothing waiting."""
    load_into(home, account(url))

    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in home.path.iterdir()}
    assert modes.pop("journal.sqlite") == 0o600
    assert modes == {"published.duckdb": 0o600, "load.lock": 0o600}
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    schemas = rows(home, "select schema_name from duckdb_schemas() where not internal")
    assert {name for (name,) in schemas} == {"execledger", "marts", "staging"}
    assert waiting(home) == 0


def waiting(home: Home) -> int:
    """Return how many responses the journal holds."""
    with Journal(home.journal) as journal:
        return sum(journal.counts().values())


def test_each_load_is_a_row_of_runs(loaded: Home) -> None:
    """Law: a run's row says when, how it ended and what it brought."""
    found = rows(
        loaded,
        "select command, outcome, error, started_at < ended_at, "
        "cast(counts ->> '$.accounts.\"torale:default\".new' as int), "
        "cast(counts ->> '$.accounts.\"torale:default\".changed' as int) "
        "from execledger.runs order by run_id",
    )

    assert found == [
        ("load", "ok", None, True, 11, 0),
        ("load", "ok", None, True, 1, 3),
    ]


# --- what it leaves alone -----------------------------------------------------


def test_a_load_of_nothing_new_rewrites_no_row(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: unchanged executions keep their rows, and no body is stored twice."""
    load_into(home, account(url))
    before = contents(home, [*SNAPSHOTS, "workflows", "status_history", "load_rejects"])
    twin.requests.clear()

    report = load_into(home, account(url))

    assert totals(report) == [("torale:default", 0, 0)]
    assert contents(home, tuple(before)) == before
    assert twin.count("/executions/") == 0
    bodies = rows(
        home,
        "select endpoint, outcome, body is null, body_sha256 is null "
        "from execledger.raw_responses where received_at >= ? group by all",
        report.started_at,
    )
    assert sorted(bodies) == [
        ("executions", "unchanged", True, False),
        ("tasks", "unchanged", True, False),
    ]


def test_a_changed_execution_replaces_all_its_rows(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: a re-read execution has the rows it has now, also fewer, also none."""
    load_into(home, account(url))
    key = "torale:default:t-phone:done"
    first = one(
        home, "select observed_at from execledger.executions where execution_key=?", key
    )
    changed(twin)

    report = load_into(home, account(url))

    assert totals(report) == [("torale:default", 1, 3)]
    assert [one(home, SOURCES, f"%:{name}") for name in ("done", "n1", "runs")] == [
        1,
        0,
        1,
    ]
    seen = rows(
        home,
        "select first_seen_at < ?, observed_at > ? from execledger.executions "
        "where execution_key = ?",
        report.started_at,
        first,
        key,
    )
    assert seen == [(True, True)]
    assert rows(
        home,
        "select status from execledger.status_history where execution_key like '%runs' "
        "order by observed_at",
    ) == [("running",), ("succeeded",)]


def test_since_and_until_read_again_on_purpose(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: a window is read again, details and all, though nothing changed."""
    load_into(home, account(url))
    twin.requests.clear()
    window = Window(NOW.replace(year=NOW.year - 1), NOW.replace(year=NOW.year + 1))

    load_into(home, account(url), window=window)

    assert twin.count("/executions/") == 10  # all but the one that runs


# --- when something fails -----------------------------------------------------


@pytest.mark.parametrize("fault", ["bad key", "dead port", "a bug"])
def test_an_account_that_fails_keeps_no_other_from_loading(
    home: Home, url: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: every other account is loaded; the fault is in the report and the run."""
    key = "sk_canary_bad" if fault == "bad key" else KEY
    bad = account("http://127.0.0.1:9" if fault == "dead port" else url, "us", key=key)
    if fault == "a bug":
        break_reading(monkeypatch, "us")

    report = load_into(home, account(url), bad)

    assert report.outcome == "partial"
    assert totals(report) == [("torale:default", 11, 0), ("torale:us", 0, 0)]
    errors = [len(each.errors) for each in report.accounts]
    assert errors == [0, 2 if fault == "a bug" else 1]
    ((outcome, error),) = rows(home, "select outcome, error from execledger.runs")
    assert outcome == "partial"
    assert error.startswith("torale:us: ")
    assert "canary" not in error
    assert waiting(home) == 0


def break_reading(monkeypatch: pytest.MonkeyPatch, connection: str) -> None:
    """Let the reading of one connection fail in a way that nobody foresaw."""
    collect = part("torale", "collect")
    good = collect.collect

    async def broken(settings: object, *given: object, **how: object) -> object:
        if how["connection"] == connection:
            faults = [KeyError(f"no such thing: {settings}"), StoreError("It is full.")]
            raise ExceptionGroup("side by side", faults)
        result: object = await good(settings, *given, **how)
        return result

    monkeypatch.setattr(collect, "collect", broken)


def test_two_accounts_do_not_mix(home: Home, url: str) -> None:
    """Law: the same ids at two accounts are two sets of executions."""
    load_into(home, account(url), account(url, "us"))

    report = load_into(home, account(url), account(url, "us"))

    assert totals(report) == [("torale:default", 0, 0), ("torale:us", 0, 0)]
    found = rows(
        home, "select connection, count(*) from execledger.executions group by all"
    )
    assert sorted(found) == [("default", 11), ("us", 11)]


def test_a_listing_that_failed_is_read_as_deep_by_a_later_load(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: what a load could not read stays due, also over runs of other accounts."""
    account_url = account(url)
    twin.fail_next(f"{NEWS}/executions?page=2", 500, times=100)
    first = load_into(home, account_url)
    twin.fail_next("other", 500)
    load_into(home, account("http://127.0.0.1:9", "us"))
    due = status(home).unfinished
    twin._faults.clear()

    last = load_into(home, account_url)

    assert first.outcome == "partial"
    assert first.accounts[0].unfinished == {NEWS: ""}
    assert due == {"torale:default": [NEWS]}
    assert last.outcome == "ok"
    assert status(home).unfinished == {}
    assert one(home, "select count(*) from execledger.executions") == 11


def test_what_a_crash_cut_is_read_whole_though_the_next_load_cannot(
    home: Home, twin: ToraleTwin, url: str
) -> None:
    """Law: a page left by a crash does not pass for a listing that was read.

    Once it is in the store, nothing there shows that older executions are missing.
    """
    put(twin, "ancient", 24 * 30, NEWS)
    leave_first_pages(home, url)
    twin.fail_next("tasks/?", 500, times=100)
    second = load_into(home, account(url))
    twin._faults.clear()

    load_into(home, account(url))

    assert second.accounts[0].unfinished == {NEWS: "", PHONE: ""}
    assert one(home, "select count(*) from execledger.executions") == 12


def test_a_reading_that_broke_off_is_read_whole_by_the_next_load(
    home: Home, twin: ToraleTwin, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what came before an unforeseen fault is loaded, and what is below is due."""
    put(twin, "ancient", 24 * 30, NEWS)
    good = Journal.append

    def append(self: Journal, **given: object) -> object:
        kept = good(self, **given)  # type: ignore[arg-type] # as given
        if "page=2" in kept.url:
            raise KeyError("a bug")
        return kept

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", append)
        first = load_into(home, account(url))

    second = load_into(home, account(url))

    assert first.outcome == "partial"
    assert first.accounts[0].new > 0
    assert first.accounts[0].unfinished.get(NEWS) == ""
    assert second.outcome == "ok"
    assert second.accounts[0].unfinished == {}
    assert one(home, "select count(*) from execledger.executions") == 12


def leave_first_pages(home: Home, url: str) -> None:
    """Have the journal hold the first page of each task, as a crash leaves it."""

    class Crash(BaseException):
        """The end of the process."""

    pages = 0
    good = Journal.append

    def append(self: Journal, **given: object) -> object:
        nonlocal pages
        kept = good(self, **given)  # type: ignore[arg-type] # as given
        pages += given["endpoint"] == "executions"
        if pages == 2:
            raise Crash
        return kept

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", append)
        with pytest.raises((Crash, BaseExceptionGroup)):
            load_into(home, account(url))


@pytest.mark.usefixtures("one_more")
def test_a_load_whose_check_fails_leaves_the_store_as_it_was(
    loaded: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what is not whole is not published; the next load brings it."""
    before = loaded.published.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(
            "pipelines.embedded._CHECKS",
            {"all is odd": "select 'a-key' where ? || ? || ? > ''"},
        )

        with pytest.raises(LoadCheckFailed, match=r"all is odd \(such as a-key\)"):
            load_into(loaded, account(url))

    assert loaded.published.read_bytes() == before
    assert not loaded.work.exists()
    assert waiting(loaded) > 0
    assert totals(load_into(loaded, account(url))) == [("torale:default", 1, 0)]
    assert waiting(loaded) == 0


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ("executions", "executions stand twice"),
        ("grounding_sources", "sources belong to no execution"),
        ("outputs", "outputs belong to no execution"),
    ],
)
def test_a_check_sees_what_it_is_there_for(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch, table: str, what: str
) -> None:
    """Law: rows that stand twice, or belong to nothing, are found and named."""
    odd = "* replace (response_id as response_id)"
    if table != "executions":
        odd = "* replace ('of-nobody' as execution_key)"

    def carelessly(work: WorkCopy, inflows: Sequence[Inflow]) -> list[Looked]:
        looked = drain(work, inflows)
        work.con.execute(
            f"insert into execledger.{table} select {odd} from execledger.{table}"
        )
        return looked

    monkeypatch.setattr("pipelines.embedded.drain", carelessly)

    with pytest.raises(LoadCheckFailed, match=what):
        load_into(home, account(url))


def test_a_response_that_does_not_reach_the_store_is_missed(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a load is published only with every response that it carries."""
    monkeypatch.setattr("sources.bulk._Pile.add", lambda *_: None)
    load_nothing = pytest.raises(LoadCheckFailed, match="responses did not reach")

    with load_nothing:
        load_into(home, account(url))

    assert not home.published.exists()


def test_broken_rules_keep_no_fact_from_the_store(home: Home, url: str) -> None:
    """Law: a slip in the user's rules or prices is told; the load is whole."""
    load_into(home, account(url))
    home.rules.mkdir()
    for name in ("failure_rules.csv", "prices.csv"):
        (home.rules / name).write_text("nonsense\n1\n", encoding="utf-8")
    with duckdb.connect(str(home.published)) as con:
        con.execute(
            "insert into execledger.token_usage by name "
            "select 'e' as execution_key, 'k' as usage_key, 'm' as model"
        )

    views = "select count(*) from duckdb_views() where schema_name = 'marts'"
    before = one(home, views)

    report = load_into(home, account(url))

    assert before > 0
    assert report.outcome == "partial"
    prices, rules = report.problems
    assert "prices.csv, line 2: " in prices
    assert "failure_rules.csv, line 2: " in rules
    assert "The facts are loaded, the views as they were." in rules
    assert rows(home, "select outcome, error from execledger.runs order by 1")[1] == (
        "partial",
        f"{prices}\n{rules}",
    )
    assert one(home, views) == before


@pytest.mark.usefixtures("one_more")
@pytest.mark.parametrize("step", ["extract", "normalize", "load"])
def test_a_failure_in_dlt_is_told_and_loses_nothing(
    loaded: Home,
    url: str,
    step: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Law: one line with the next step; the journal keeps all for the next load."""
    before = loaded.published.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(PLACES[step], fail)

        with pytest.raises(StoreError, match=rf"step '{step}': no room") as failed:
            load_into(loaded, account(url))

    assert "\n" not in str(failed.value)
    assert "run it again" in str(failed.value)
    assert capfd.readouterr() == ("", "")
    assert loaded.published.read_bytes() == before
    assert waiting(loaded) > 0
    assert totals(load_into(loaded, account(url))) == [("torale:default", 1, 0)]
    assert one(loaded, "select count(*) from execledger.executions") == 13
    assert waiting(loaded) == 0


PLACES = {
    "extract": "dlt.extract.extract.Extract.extract",
    "normalize": "dlt.normalize.normalize.Normalize.run",
    "load": "dlt.destinations.impl.duckdb.duck.DuckDbCopyJob.run",
}
"""Where each step of dlt does its work."""


def fail(*_: object, **__: object) -> None:
    """Fail in a way that dlt does not try again."""
    raise TerminalValueError("no room\nat all")


def test_an_error_of_ours_within_dlt_comes_out_as_it_is(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what the journal or the store says keeps its own words."""
    words = "The journal is damaged. Move it away."

    def broken(*_: object) -> object:
        raise StoreError(words)

    monkeypatch.setattr("pipelines.draining.fold", broken)

    with pytest.raises(StoreError) as failed:
        load_into(home, account(url))

    assert str(failed.value) == words


def test_ctrl_c_that_duckdb_swallowed_is_ctrl_c(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: an interrupted statement is an interrupted load, not a fault of dlt's."""

    def interrupted(*_: object) -> None:
        raise RuntimeError("Query interrupted")

    monkeypatch.setattr(PLACES["normalize"], interrupted)

    with pytest.raises(KeyboardInterrupt):
        load_into(home, account(url))

    assert waiting(home) > 0


def test_the_next_load_after_a_failure_needs_no_second_answer(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what is in the journal is loaded, though the provider is gone."""
    with monkeypatch.context() as patch:
        patch.setattr(PLACES["load"], fail)
        with pytest.raises(StoreError):
            load_into(home, account(url))

    report = load_into(home, account("http://127.0.0.1:9"))

    assert totals(report) == [("torale:default", 11, 0)]
    assert report.outcome == "partial"


def test_the_store_is_what_the_model_says_of_the_same_responses(loaded: Home) -> None:
    """Law: dlt's merge gives the rows that plain SQL by the model's rules gives.

    The laws that are tested on generated input, on such a store, so hold for a load.
    """
    plain = closing(PlainStore(part("torale", "normalize")))
    with duckdb.connect(str(loaded.published)) as con, plain as own:
        con.execute("set global timezone = 'UTC'")
        ends = con.execute("select ended_at from execledger.runs order by 1").fetchall()
        responses = list(_responses(con, ("torale", "default"), None))
        first = [each for each in responses if each.received_at < ends[0][0]]

        rebuilt = own.after(first, responses[len(first) :]).tables()

        assert len(first) < len(responses)
        assert {name: shown(con, name) for name in rebuilt} == rebuilt


# --- readers, plans, and the user's own dlt ------------------------------------


READER = """
import sys
import time
import duckdb
first = duckdb.connect(sys.argv[1], read_only=True)
counts = "select (select count(*) from execledger.runs), (select count(*) from " \\
    "execledger.executions), (select count(*) from execledger.grounding_sources)"
held = first.execute(counts).fetchall()
print("open", flush=True)
seen = set()
while True:
    other = duckdb.connect()
    other.execute(f"attach '{sys.argv[1]}' as store (read_only)")
    other.execute("use store")
    seen.update(other.execute(counts).fetchall())
    other.close()
    if any(runs == 3 for runs, *_ in seen):
        break
    time.sleep(0.01)
assert first.execute(counts).fetchall() == held
for row in sorted(seen):
    print(*row)
"""
"""Keeps one connection open, opens others all the time, until a run is there."""


@pytest.mark.usefixtures("one_more")
def test_a_reader_neither_stops_a_load_nor_sees_half_of_it(
    loaded: Home, url: str
) -> None:
    """Law: who is open keeps what was; who opens sees before or after, no less."""
    with subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-c", READER, str(loaded.published)],
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        load_into(loaded, account(url))
        seen = reader.stdout.read().splitlines()

    assert reader.returncode == 0
    assert seen == ["2 12 10", "3 13 11"]


def test_a_plan_says_what_is_due_and_makes_no_file(
    home: Home, loaded: Home, url: str
) -> None:
    """Law: planning asks nobody, writes nothing, and needs no lock."""
    new = Home(home.path / "new")

    lines = planned(loaded, [account(url)], Window())
    whole = planned(new, [account(url)], Window())

    assert lines[0].startswith("Torale: every task that the key can list")
    assert [line.partition(", ")[0] for line in lines[1:]] == [
        f"Torale: task {NEWS}",
        f"Torale: task {PHONE}",
    ]
    assert all(", back to 20" in line for line in lines[1:])
    assert len(whole) == 1
    assert not new.path.exists()


def test_a_plan_counts_what_waits_in_the_journal(home: Home, url: str) -> None:
    """Law: what a crash left is part of what the next load brings."""
    leave_first_pages(home, url)

    lines = planned(home, [account(url)], Window())

    assert lines[-1] == "3 responses of torale:default wait in the journal"


def test_a_load_keeps_out_of_dlts_own_folder(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Law: nothing of a load outlives it but the home; a user's pipelines rest."""
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))

    load_into(home, account(url))

    assert {path.name for path in tmp_path.iterdir()} == {"here", "home"}


def test_the_columns_compared_by_these_tests_exist(loaded: Home) -> None:
    """Law: what is left out of comparisons is no more than times and ids."""
    shown = contents(loaded, ["executions"], without=AT_OUR_TIME)["executions"]

    assert len(shown[0]) == len(columns(TABLES["executions"])) - len(AT_OUR_TIME)
