"""Checks and budgets: what they find, what is kept of it, and the exit code."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import partial

import duckdb
import pytest

import pipelines.checks
from pipelines.budgets import Spent, spent
from pipelines.checks import Checked, check, checks
from pipelines.config import bounds, budgets
from pipelines.embedded import ask
from pipelines.limits import Bounds, Budget
from pipelines.sql_files import SqlFile
from pipelines.store import Home, locked
from pipelines.tables import create_tables
from pipelines.views import make_views
from sources.errors import ConfigurationError, StoreError
from sources.records import TABLES
from tests.pipelines.command import execledger
from tests.pipelines.conftest import Configure
from tests.pipelines.small_torale import rows

pytestmark = pytest.mark.usefixtures("here")

TODAY = datetime.now(UTC).date()
KEY = "torale:default:t:1"


def outcomes(checked: Checked) -> dict[str, str]:
    """Return what each check came to, by its name."""
    return {one.name: one.outcome for one in checked.checks}


def change(home: Home, sql: str) -> None:
    """Change the store, as no load would."""
    with duckdb.connect(str(home.published)) as con:
        con.execute(sql)


@pytest.fixture
def sound(loaded: Home) -> Home:
    """Return a loaded home in which nothing is amiss: the small Torale is sloppy."""
    change(
        loaded,
        "update execledger.executions set ended_at = started_at; "
        "update execledger.outputs set value = "
        "json_merge_patch(value, '{\"sources_count\": null}') where value is not null",
    )
    return loaded


# --- checks -------------------------------------------------------------------


def test_a_sound_store_passes_every_check(sound: Home) -> None:
    """Law: after loads without an error nothing is found."""
    checked = check(sound, bounds=Bounds())

    assert outcomes(checked) == {file.name: "passed" for file in checks()}
    assert (checked.outcome, checked.lost, checked.is_alarming) == ("ok", 0, False)


def test_what_a_check_finds_is_counted_with_examples(loaded: Home) -> None:
    """Law: a returned row is a failure; who reads of it sees which row it is."""
    change(
        loaded,
        "insert into execledger.executions select old.* replace "
        "('unknown' as status, 'MAYBE' as provider_status, execution_key || n "
        "as execution_key) from execledger.executions as old, range(10) as times (n) "
        "where execution_id = 'done'",
    )

    checked = check(loaded, bounds=Bounds())

    (found,) = [one for one in checked.checks if one.name == "statuses_are_known"]
    assert (found.outcome, found.rows) == ("failed", 1)
    assert found.examples[0]["provider_status"] == "MAYBE"
    assert found.examples[0]["times"] == "10"
    assert checked.outcome == "partial"


def test_what_checks_came_to_is_kept(loaded: Home) -> None:
    """Law: each outcome is a row of check_results, of a run of its own."""
    checked = check(loaded, bounds=Bounds(max_unknown_share=0))

    kept = rows(
        loaded,
        "select check_name, outcome from execledger.check_results where run_id = ?",
        checked.run_id,
    )
    run = rows(
        loaded,
        "select command, outcome from execledger.runs where run_id = ?",
        checked.run_id,
    )
    assert dict(kept) == outcomes(checked)
    assert run == [("check", checked.outcome)]


def test_a_check_that_cannot_run_is_an_error_and_stops_no_other(
    loaded: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: broken SQL in one check is told; the others are run."""
    files = [
        SqlFile("checks", "broken", "-- x\nselect nothing"),
        SqlFile("checks", "fine", "-- y\nselect 1 as n where 1 = 0"),
    ]
    monkeypatch.setattr(pipelines.checks, "checks", lambda: files)

    checked = check(loaded, bounds=Bounds())

    assert outcomes(checked) == {"broken": "error", "fine": "passed"}
    assert "nothing" in str(checked.checks[0].error)
    assert checked.outcome == "partial"


def test_every_table_is_among_those_whose_keys_are_checked() -> None:
    """Law: a new table cannot be forgotten by the check of keys."""
    (file,) = [file for file in checks() if file.name == "keys_are_unique"]

    assert {name.partition(".")[2] for name in file.reads()} == set(TABLES)


def test_every_check_says_what_must_hold() -> None:
    """Law: the first comment of a check is a sentence."""
    assert [file.name for file in checks() if not file.comment.endswith(".")] == []


def test_a_check_needs_a_store(home: Home) -> None:
    """Law: where nothing was loaded, it is said what to run first."""
    with pytest.raises(StoreError, match='run "execledger load" or'):
        check(home, bounds=Bounds())


# --- exit codes ---------------------------------------------------------------


def test_all_well_is_exit_0_and_a_table(sound: Home) -> None:
    """Law: each check is a line with its outcome."""
    ran = execledger("check", "--home", str(sound.path))

    assert ran.code == 0, ran.out
    assert "keys_are_unique" in ran.out
    assert "failed" not in ran.out


def test_a_failed_check_is_exit_1_and_comes_first(sound: Home) -> None:
    """Law: what somebody must look at stands on top, with an example."""
    change(sound, "delete from execledger.executions where execution_id = 'done'")

    ran = execledger("check", "--home", str(sound.path))

    first = ran.out.splitlines()[3]
    assert ran.code == 1
    assert first.split()[:2] == ["children_have_their_execution", "failed"]
    assert "t-phone:done" in first


def test_a_lost_result_is_exit_4(loaded: Home) -> None:
    """Law: what was lost since the last load began comes before any other failure."""
    change(
        loaded,
        "update execledger.executions set result_state = 'expired', "
        "observed_at = now() where execution_id = 'done'",
    )

    ran = execledger("check", "--home", str(loaded.path), "--json")

    assert ran.code == 4
    assert json.loads(ran.out)["lost"] == 1


def test_a_result_that_expires_before_the_next_load_is_exit_4(
    loaded: Home, configure: Configure
) -> None:
    """Law: what can still be saved is said, with the command that saves it."""
    started = datetime.now(UTC) - timedelta(hours=23, minutes=59)
    configure(
        config="[execledger]\nschedule_s = 3600\n",
        secrets='[sources.discuro]\napi_key = "sk_canary_1"\n',
    )
    where = ("--home", str(loaded.path))
    execledger("track", "discuro", "7", "--started-at", started.isoformat(), *where)

    ran = execledger("check", *where)

    assert ran.code == 4
    assert "1 results expire before the next load" in ran.err


def test_another_run_that_holds_the_lock_is_exit_3(loaded: Home) -> None:
    """Law: a check writes, so it does not run beside a load."""
    with locked(loaded):
        ran = execledger("check", "--home", str(loaded.path))

    assert ran.code == 3
    assert "Another run holds" in ran.err


# --- budgets ------------------------------------------------------------------


@pytest.fixture(scope="module")
def con(tmp_path_factory: pytest.TempPathFactory) -> duckdb.DuckDBPyConnection:
    """Return a store in memory with two executions of today and one of last month.

    The first is tagged, used 1,000 tokens for a dollar and succeeded; the second used
    500 tokens whose cost is not known, and failed.
    """
    opened = duckdb.connect()
    opened.execute("set timezone = 'UTC'")
    create_tables(opened)
    make_views(opened, Home(tmp_path_factory.mktemp("home")))
    day_before = TODAY.replace(day=1) - timedelta(days=1)
    for key, day, status, tokens, cost in (
        (KEY, TODAY, "succeeded", 1_000, "1.00"),
        ("unstract:default:o/a:2", TODAY, "failed", 500, None),
        (KEY + "9", day_before, "failed", 9_000, "9.00"),
    ):
        provider = key.partition(":")[0]
        opened.execute(
            "insert into execledger.executions (provider, connection, execution_key, "
            "workflow_key, day, status) values (?, 'default', ?, ?, ?, ?)",
            [provider, key, f"{provider}:default:w", day, status],
        )
        opened.execute(
            "insert into execledger.token_usage (provider, connection, execution_key, "
            "usage_key, total_tokens, provided_cost_usd, is_counted) "
            "values (?, 'default', ?, ?, ?, ?, true)",
            [provider, key, f"{key}/u", tokens, cost],
        )
    opened.execute(
        "insert into execledger.execution_tags (execution_key, tag_key, tag, tag_value)"
        f" values ('{KEY}', 'a', 'team', 'sales'), ('{KEY}', 'b', 'team', 'sales')"
    )
    opened.execute(
        "insert into execledger.workflows (workflow_key, name) "
        "values ('torale:default:w', 'Phones')"
    )
    return opened


@pytest.mark.parametrize(
    ("budget", "value", "not_known"),
    [
        (Budget(measure="cost_usd", limit=1), 1.0, 1),
        (Budget(measure="cost_usd", limit=1, per="month"), 1.0, 1),
        (Budget(measure="cost_usd", limit=1, provider="unstract"), 0.0, 1),
        (Budget(measure="cost_usd", limit=1, tag="team"), 1.0, 0),
        (Budget(measure="cost_usd", limit=1, tag="team=sales"), 1.0, 0),
        (Budget(measure="cost_usd", limit=1, tag="team=content"), 0.0, 0),
        (Budget(measure="cost_usd", limit=1, workflow="Phones"), 1.0, 0),
        (Budget(measure="cost_usd", limit=1, workflow="torale:default:w"), 1.0, 0),
        (Budget(measure="tokens", limit=1), 1500.0, 0),
        (Budget(measure="tokens", limit=1, workflow="Phones"), 1000.0, 0),
        (Budget(measure="failure_rate", limit=1), 0.5, 0),
        (Budget(measure="failure_rate", limit=1, provider="torale"), 0.0, 0),
        (Budget(measure="failure_rate", limit=1, tag="nobody"), None, 0),
        (Budget(measure="lag_hours", limit=1), None, 2),
    ],
    ids=lambda given: given.name if isinstance(given, Budget) else str(given),
)
def test_a_budget_counts_what_it_is_about(
    con: duckdb.DuckDBPyConnection, budget: Budget, value: float | None, not_known: int
) -> None:
    """Law: the day or month in UTC, of a provider, workflow or tag, each once."""
    (found,) = spent(partial(ask, con), [budget])

    assert (found.value, found.not_known) == (value, not_known)


def test_the_lag_is_that_of_the_account_that_waits_longest(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Law: one account that is fresh does not hide one that is not."""
    con.begin()
    for hours, provider in ((1, "torale"), (5, "unstract")):
        counts = json.dumps({"accounts": {f"{provider}:default": {"errors": 0}}})
        con.execute(
            "insert into execledger.runs (run_id, command, started_at, counts) "
            f"values (?, 'load', now() - interval {hours} hour, ?)",
            [provider, counts],
        )
    everyone, one = spent(
        partial(ask, con),
        [
            Budget(measure="lag_hours", limit=2),
            Budget(measure="lag_hours", limit=2, provider="torale"),
        ],
    )
    con.rollback()

    assert everyone.is_exceeded
    assert everyone.value == pytest.approx(5, abs=0.1)
    assert not one.is_exceeded


def test_a_budget_is_exceeded_beyond_its_limit_and_not_at_it() -> None:
    """Law: the limit itself is still allowed; nothing known is not too much."""
    budget = Budget(measure="cost_usd", limit=1)

    assert not Spent(budget, 1.0, 0).is_exceeded
    assert Spent(budget, 1.01, 0).is_exceeded
    assert not Spent(budget, None, 0).is_exceeded


def test_a_budget_says_what_is_not_known() -> None:
    """Law: who reads that a budget is kept sees what is not counted in it."""
    budget = Budget(measure="cost_usd", limit=50, per="month", tag="team=sales")

    assert budget.name == "cost_usd per month, tag team=sales"
    assert Spent(budget, 1.25, 3).said == "1.25 of 50 USD; 3 are not known"
    assert Spent(budget, None, 0).said == "nothing of 50 USD"


def test_an_exceeded_budget_of_the_configuration_is_exit_1(
    sound: Home, configure: Configure
) -> None:
    """Law: budgets are configured, checked beside the checks, and kept."""
    configure(
        config=(
            "[[execledger.budgets]]\nmeasure = 'lag_hours'\nlimit = 0\n"
            "[[execledger.budgets]]\nmeasure = 'tokens'\nlimit = 5\n"
        )
    )

    ran = execledger("check", "--home", str(sound.path))

    assert ran.code == 1
    assert ran.out.splitlines()[3].split()[:3] == ["budget:", "lag_hours", "failed"]
    kept = rows(
        sound,
        "select check_name, outcome from execledger.check_results "
        "where check_name like 'budget%' order by 1",
    )
    assert kept == [
        ("budget: lag_hours", "failed"),
        ("budget: tokens per day", "passed"),
    ]


# --- configuration --------------------------------------------------------------


def test_bounds_and_budgets_are_configured(configure: Configure) -> None:
    """Law: what is not said is the default."""
    configure(
        config=(
            "[execledger.checks]\nmax_lag_hours = 6\n"
            "[[execledger.budgets]]\nmeasure = 'tokens'\nlimit = 5\nper = 'month'\n"
        )
    )

    assert bounds() == Bounds(max_lag_hours=6, max_unknown_share=0.2)
    assert budgets() == (Budget(measure="tokens", limit=5, per="month"),)


def test_bounds_and_budgets_may_stand_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, configure: Configure
) -> None:
    """Law: the environment says the same by the same names, budgets as JSON."""
    configure()
    monkeypatch.setenv("EXECLEDGER__CHECKS__MAX_UNKNOWN_SHARE", "0.5")
    monkeypatch.setenv("EXECLEDGER__BUDGETS", '[{"measure": "cost_usd", "limit": 9.5}]')

    assert bounds().max_unknown_share == 0.5
    assert budgets() == (Budget(measure="cost_usd", limit=9.5),)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[execledger.checks]\nmax_lag_hours = 0\n", "execledger.checks"),
        ("[execledger.checks]\nmax_unknown_share = 2\n", "execledger.checks"),
        ("[[execledger.budgets]]\nmeasure = 'love'\nlimit = 1\n", "'love'"),
        ("[[execledger.budgets]]\nmeasure = 'tokens'\n", "limit"),
        ("[[execledger.budgets]]\nmeasure = 'tokens'\nlimit = -1\n", ">= 0"),
        ("[[execledger.budgets]]\nmeasure='tokens'\nlimit=1\nprovder='x'\n", "provder"),
    ],
)
def test_a_bound_or_budget_that_is_none_is_told(
    configure: Configure, loaded: Home, config: str, words: str
) -> None:
    """Law: exit 2 with what is wrong; nothing is checked."""
    configure(config=config)

    ran = execledger("check", "--home", str(loaded.path))

    assert ran.code == 2
    assert words in ran.err
    with pytest.raises(ConfigurationError):
        (bounds(), budgets())


def test_the_date_of_today_is_that_of_utc(con: duckdb.DuckDBPyConnection) -> None:
    """Law: the reader's time zone changes no day of a budget."""
    con.execute("set timezone = 'Pacific/Kiritimati'")
    found: list[tuple[datetime, date]] = con.execute("from staging.clock").fetchall()
    con.execute("set timezone = 'UTC'")

    assert found[0][1] == datetime.now(UTC).date()
