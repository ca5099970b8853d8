"""execledger in Dagster: what is made of what, when it loads, what a run comes to."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.checks import checks
from pipelines.dagster import defs
from pipelines.dagster_commands import _wait, run
from pipelines.dagster_when import STEP, cron_of, load_before_expiry, load_by_schedule
from pipelines.query import opened
from pipelines.sql_files import SQL
from pipelines.store import Home
from sources import providers
from sources.records import TABLES
from tests.pipelines.polled_twins import watch_discuro
from tests.pipelines.small_torale import KEY, NOW

pytestmark = pytest.mark.usefixtures("here")
GRAPH = defs.resolve_asset_graph()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Yield an instance of Dagster that forgets."""
    with dg.DagsterInstance.ephemeral(str(tmp_path)) as forgets:
        yield forgets


@pytest.fixture
def at_home(here: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """Let Dagster find a home."""
    del here  # which forgets what is configured: first
    monkeypatch.setenv("EXECLEDGER_HOME", str(home.path))
    return home


@pytest.fixture
def after_loads(at_home: Home, two_loads: Path) -> Home:
    """Let Dagster find a home after two loads."""
    shutil.copytree(two_loads, at_home.path)
    return at_home


def ran(instance: dg.DagsterInstance, *keys: str) -> dg.ExecuteInProcessResult:
    """Materialize assets by their names, such as ``marts/failures``."""
    job = defs.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(key.split("/")) for key in keys],
        raise_on_error=False,
    )


def materialized(instance: dg.DagsterInstance) -> dict[str, int]:
    """Return the tables and views that were materialized, and their rows."""
    keys = [spec.key for spec in defs.resolve_all_asset_specs()]
    events = {key: instance.get_latest_materialization_event(key) for key in keys}
    return {
        key.to_user_string(): int(str(rows.value))
        for key, event in events.items()
        if event
        and event.asset_materialization
        and (rows := event.asset_materialization.metadata.get("dagster/row_count"))
    }


def made_of(key: str) -> set[str]:
    """Return what an asset is made of."""
    parents = GRAPH.get(dg.AssetKey(key.split("/"))).parent_keys
    return {parent.to_user_string() for parent in parents}


# --- what is there --------------------------------------------------------------


def test_each_provider_table_and_view_is_an_asset() -> None:
    """Law: what is in the store is in Dagster, and the report, and backfills."""
    views = [path.stem for path in (SQL / "marts").glob("*.sql")]

    names = {key.to_user_string() for key in GRAPH.get_all_asset_keys()}

    assert names == {
        *providers(),
        *(f"execledger/{name}" for name in TABLES),
        *(f"marts/{name}" for name in [*views, "failure_rules"]),
        "report",
        "torale_backfill",
    }


def test_each_check_is_a_check_of_an_asset() -> None:
    """Law: what ``execledger check`` looks for is looked for in Dagster."""
    keys = GRAPH.asset_check_keys

    assert {key.name for key in keys} == {
        *(check.name for check in checks()),
        "budgets_are_kept",
        "results_are_read_in_time",
    }


def test_lineage_goes_from_provider_to_table_to_view_to_report() -> None:
    """Law: what Dagster shows an asset to be made of is what it is made of."""
    assert made_of("torale") == set()
    assert made_of("execledger/executions") == set(providers())
    assert made_of("execledger/grounding_sources") == {"torale"}
    assert made_of("execledger/model_prices") == {"execledger/token_usage"}
    assert made_of("marts/cost_reconciliation") == {"marts/token_costs"}
    assert made_of("marts/answer_sources") == {
        f"execledger/{name}"
        for name in ("executions", "grounding_sources", "outputs", "workflows")
    }
    assert "execledger/runs" in made_of("marts/freshness")  # through schema staging
    assert "marts/failures" in made_of("report")


def test_a_provider_is_to_be_loaded_within_the_lag_that_is_allowed() -> None:
    """Law: what goes stale by ``max_lag_hours`` goes stale in Dagster."""
    policies = {
        str(GRAPH.get(dg.AssetKey(name)).freshness_policy) for name in providers()
    }

    assert policies == {
        str(
            dg.FreshnessPolicy.time_window(
                fail_window=timedelta(hours=24), warn_window=timedelta(hours=12)
            )
        )
    }


# --- what a run comes to ----------------------------------------------------------


@pytest.mark.usefixtures("configured")
def test_a_load_tells_of_the_tables_that_it_wrote(
    instance: dg.DagsterInstance, at_home: Home
) -> None:
    """Law: a provider's asset is a real load; without news, the run alone is new."""
    first = ran(instance, "torale")
    rows = materialized(instance)
    again = ran(instance, "torale")

    assert first.success
    assert again.success
    assert rows["execledger/executions"] == 11
    assert set(rows) == {f"execledger/{name}" for name in TABLES}
    assert materialized(instance) == {**rows, "execledger/runs": 2}
    assert [one.passed for one in first.get_asset_check_evaluations()] == [True]
    with opened(at_home) as con:
        assert con.execute("from execledger.runs").fetchall()


@pytest.mark.usefixtures("configured", "at_home")
def test_a_provider_that_fails_has_a_failed_run_which_says_why(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what could not be read is the run's failure, in words and without a key."""
    monkeypatch.setenv("SOURCES__TORALE__API_KEY", f"{KEY}x")

    result = ran(instance, "torale")

    logged = "\n".join(map(str, instance.all_logs(result.run_id)))
    assert not result.success
    assert not instance.get_latest_materialization_event(dg.AssetKey("torale"))
    assert "the key was refused" in logged
    assert KEY not in logged


@pytest.mark.usefixtures("at_home")
def test_a_command_that_answers_nothing_fails_in_its_own_words(
    instance: dg.DagsterInstance,
) -> None:
    """Law: what is configured wrongly is said with the next step."""
    result = ran(instance, "discuro")

    logged = "\n".join(map(str, instance.all_logs(result.run_id)))
    assert not result.success
    assert "SOURCES__DISCURO__API_KEY" in logged


@pytest.mark.usefixtures("configured", "at_home")
def test_a_backfill_reads_its_days_again_in_one_run(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: a range of partitions is a load with ``--since`` and ``--until``."""
    asked: list[str] = []

    def spy(answer: type[Any], *arguments: str) -> object:
        asked.extend(arguments)
        return run(answer, *arguments)

    monkeypatch.setattr("pipelines.dagster.run", spy)
    first, last = str(NOW.date() - timedelta(days=1)), str(NOW.date())

    result = dg.materialize(
        [defs.get_assets_def("torale_backfill")],
        instance=instance,
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        },
    )

    assert result.success
    assert asked[-4:] == [
        "--since",
        f"{first}T00:00:00+00:00",
        "--until",
        f"{last}T23:59:59.999999+00:00",
    ]
    made = instance.get_materialized_partitions(dg.AssetKey("torale_backfill"))
    assert made == {first, last}


def test_views_and_checks_are_looked_at_after_a_load(
    instance: dg.DagsterInstance, after_loads: Home
) -> None:
    """Law: views are counted in the store; checks are those of the command."""
    result = ran(instance, "marts/answer_sources", "marts/failures")

    checked = result.get_asset_check_evaluations()
    with opened(after_loads) as con:
        ((rows,),) = con.execute("select count(*) from marts.failures").fetchall()
    assert result.success
    assert set(materialized(instance)) == {"marts/answer_sources", "marts/failures"}
    assert materialized(instance)["marts/failures"] == rows
    assert [one.check_name for one in checked] == ["unknown_failures_are_few"]


@pytest.mark.usefixtures("after_loads")
@pytest.mark.parametrize(("limit", "is_kept"), [(100, True), (0.0001, False)])
def test_budgets_are_a_check_of_what_was_spent(
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    limit: float,
    is_kept: bool,  # noqa: FBT001 - a case
) -> None:
    """Law: a budget that is exceeded is a failed check, with its value beside it."""
    budget = [{"measure": "lag_hours", "limit": limit, "provider": "torale"}]
    monkeypatch.setenv("EXECLEDGER__BUDGETS", json.dumps(budget))

    result = ran(instance, "marts/month_to_date")

    (found,) = result.get_asset_check_evaluations()
    (said,) = (value.value for value in found.metadata.values())
    assert found.check_name == "budgets_are_kept"
    assert found.passed is is_kept
    assert str(limit) in str(said)


# --- when it loads ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "cron", "minutes"),
    [
        (1, "*/1 * * * *", 1),
        (300, "*/5 * * * *", 5),
        (1799, "*/20 * * * *", 20),
        (5340, "0 */1 * * *", 60),
        (43_199, "0 */8 * * *", 480),
        (90_000, "0 0 * * *", 1440),
    ],
)
def test_loads_come_at_even_steps(seconds: float, cron: str, minutes: int) -> None:
    """Law: the step is the longest that cron can say, and no longer than was said."""
    assert cron_of(seconds) == (cron, timedelta(minutes=minutes))


def at_noon() -> dg.ScheduleEvaluationContext:
    """Return what a tick at noon is told."""
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    return dg.build_schedule_context(scheduled_execution_time=noon)


def test_without_a_key_the_schedule_says_so() -> None:
    """Law: where nothing can be loaded, no run fails for it each half hour."""
    tick = load_by_schedule.evaluate_tick(at_noon())

    assert tick.run_requests == []
    assert "No key is set" in (tick.skip_message or "")


@pytest.mark.usefixtures("configured")
def test_each_provider_is_loaded_in_a_run_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: a run that fails is one provider's."""
    monkeypatch.setenv("SOURCES__DISCURO__API_KEY", KEY)

    tick = load_by_schedule.evaluate_tick(at_noon())

    assert [one.asset_selection for one in tick.run_requests or ()] == [
        [dg.AssetKey("discuro")],
        [dg.AssetKey("torale")],
    ]


def keys_of(instance: dg.DagsterInstance) -> list[str | None]:
    """Return the keys of the runs that the sensor asks for."""
    context = dg.build_sensor_context(instance)
    tick = load_before_expiry.evaluate_tick(context)
    return [one.run_key for one in tick.run_requests or ()]


@pytest.mark.parametrize(
    ("left", "halved"),
    [
        (2 * STEP, []),
        (0.99 * STEP, ["0"]),
        (0.6 * STEP, ["0"]),
        (0.45 * STEP, ["1"]),
        (0.2 * STEP, ["2"]),
        (-0.1 * STEP, []),
    ],
)
def test_a_load_comes_before_a_result_expires(
    instance: dg.DagsterInstance, at_home: Home, left: timedelta, halved: list[str]
) -> None:
    """Law: what would expire before the next load by schedule is asked for before.

    Once, and again when half of the time left is over: a run is asked for once for
    each key.
    """
    expires_at = datetime.now(UTC).replace(microsecond=0) + left
    watch_discuro(at_home, expires_at - timedelta(hours=24))

    assert keys_of(instance) == [
        f"discuro {expires_at.isoformat()} {times}" for times in halved
    ]


def test_nothing_is_asked_for_while_a_load_runs(
    instance: dg.DagsterInstance, at_home: Home
) -> None:
    """Law: a provider whose load runs, or waits for its turn, is not loaded again."""
    watch_discuro(
        at_home, datetime.now(UTC) + timedelta(minutes=5) - timedelta(hours=24)
    )
    instance.create_run_for_job(
        defs.resolve_job_def("load"),
        tags={"execledger/provider": "discuro"},
        status=dg.DagsterRunStatus.STARTED,
    )

    assert keys_of(instance) == []


class Daemon:
    """What the daemon would ask for, look after look."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: Any = None

    def looks(self) -> set[str]:
        """Return the groups of what is asked for."""
        found = dg.evaluate_automation_conditions(
            defs, self.instance, cursor=self.cursor
        )
        self.cursor = found.cursor
        return {
            "checks"
            if isinstance(one.key, dg.AssetCheckKey)
            else str(GRAPH.get(one.key).group_name)
            for one in found.results
            if not one.true_subset.is_empty
        }

    def sees(self, *groups: str) -> None:
        """Let all assets of these groups be made, and checked."""
        for key in GRAPH.get_all_asset_keys():
            if GRAPH.get(key).group_name in groups:
                self.instance.report_runless_asset_event(dg.AssetMaterialization(key))
        for check in GRAPH.asset_check_keys if "checks" in groups else ():
            self.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=check.asset_key, check_name=check.name, passed=True
                )
            )


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # within Dagster
def test_views_checks_and_report_follow_each_load(
    instance: dg.DagsterInstance,
) -> None:
    """Law: once; also where the load was before anybody asked; never without one."""
    daemon, rest = Daemon(instance), {"marts", "checks", "report"}
    found = [daemon.looks(), daemon.looks()]
    for made in (["tables"], [*rest], [], ["tables"], [*rest], []):
        daemon.sees(*made)
        found.append(daemon.looks())

    assert found == [set(), set(), rest, set(), set(), rest, set(), set()]


@pytest.mark.filterwarnings("ignore::dagster.BetaWarning")  # within Dagster
def test_what_was_loaded_before_the_daemon_came_is_looked_at(
    instance: dg.DagsterInstance,
) -> None:
    """Law: who turns the sensor on after a load has views, checks and report too."""
    daemon = Daemon(instance)
    daemon.sees("tables")

    found = daemon.looks() | daemon.looks()

    assert found == {"marts", "checks", "report"}


# --- when it is told to stop --------------------------------------------------------

FINISHES = """
import signal, sys, time
def finish(*_):
    time.sleep(0.3)
    print("finished", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, finish)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_load_is_told_to_stop_and_waited_for() -> None:
    """Law: who ends a run waits until what is under way is kept."""
    with subprocess.Popen(  # noqa: S603 - a script of ours
        [sys.executable, "-c", FINISHES], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout
        assert child.stdout.readline() == b"ready\n"
        threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()

        with pytest.raises(KeyboardInterrupt):
            _wait(child)

        assert child.returncode == 143
        assert child.stdout.read() == b"finished\n"
