"""Dagster for real: its web server and daemon run loads on loopback."""

import time
from collections.abc import Iterator

import pytest

from pipelines.query import opened
from pipelines.status import status
from pipelines.store import Home
from sources.loopback import serve
from tests.pipelines.dagster_server import Dagster, dagster_dev, patiently
from tests.pipelines.polled_twins import Polled, polled, unlike
from tests.pipelines.small_torale import KEY, small_torale

pytestmark = pytest.mark.slow

QUEUE_S = 12
"""Longer than the daemon takes to look at its queue, twice."""


@pytest.fixture(scope="module")
def twins() -> Iterator[Polled]:
    """Serve Unstract and Discuro as in the demo."""
    with polled() as served:
        yield served


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, twins: Polled) -> Home:
    """Return a home that watches what the twins run."""
    home = Home(tmp_path_factory.mktemp("dagster") / "home")
    twins.track(home)
    return home


@pytest.fixture(scope="module")
def dagster(twins: Polled, home: Home) -> Iterator[Dagster]:
    """Run Dagster with all providers, of which Torale refuses the key."""
    with serve(small_torale().app) as torale_url:
        environment = {
            **twins.environment,
            "EXECLEDGER_HOME": str(home.path),
            "EXECLEDGER__SCHEDULE_S": "60",
            "SOURCES__TORALE__BASE_URL": torale_url,
            "SOURCES__TORALE__API_KEY": f"{KEY}_that_is_wrong",
        }
        with dagster_dev(home.path.parent, environment) as server:
            yield server


def test_of_two_loads_at_once_the_second_waits(dagster: Dagster, twins: Polled) -> None:
    """Law: the pool lets one write the store; the other waits in the queue."""
    hold = twins.unstract.hold_next_body()
    first = dagster.launch("unstract")
    assert hold.half_sent.wait(60)
    second = dagster.launch("discuro")
    time.sleep(QUEUE_S)
    meanwhile = [dagster.run(one)["status"] for one in (first, second)]
    hold.release()

    ran, waited = dagster.ended(first), dagster.ended(second)

    assert meanwhile == ["STARTED", "QUEUED"]
    assert waited["startTime"] >= ran["endTime"]


def test_a_load_that_is_terminated_keeps_the_answer_that_is_under_way(
    dagster: Dagster, twins: Polled, home: Home
) -> None:
    """Law: a run ends when its load has; a result that is handed out once is kept."""
    twins.pass_time()
    hold = twins.unstract.hold_next_body()
    run_id = dagster.launch("unstract")
    assert hold.half_sent.wait(60)
    handed_out = twins.handed_out()

    dagster.terminate(run_id)
    time.sleep(3)
    meanwhile = dagster.run(run_id)["status"]
    hold.release()

    assert meanwhile == "CANCELING"
    assert dagster.ended(run_id)["status"] == "CANCELED"
    assert twins.handed_out() > handed_out
    assert status(home).waiting["unstract:default"] >= 1


def test_a_tick_of_the_schedule_runs_a_load_to_success(
    dagster: Dagster, twins: Polled, home: Home
) -> None:
    """Law: the daemon loads each provider; one that fails is red, and no other."""
    dagster.start("schedule", "load_by_schedule")

    def ticked() -> dict[str, str] | None:
        runs = {
            run["tags"]["execledger/provider"]: run["runId"]
            for run in dagster.runs()
            if run["tags"].get("dagster/schedule_name") == "load_by_schedule"
        }
        return runs if len(runs) == 3 else None

    runs = patiently(ticked)
    ended = {name: dagster.ended(run)["status"] for name, run in runs.items()}
    assets = dagster.assets()

    assert ended == {"discuro": "SUCCESS", "torale": "FAILURE", "unstract": "SUCCESS"}
    assert assets["torale"]["latestRun"]["status"] == "FAILURE"
    assert not assets["torale"]["latestMaterialization"]
    assert assets["unstract"]["latestMaterialization"]
    assert assets["execledger/executions"]["latestMaterialization"]
    assert unlike(home, twins.twins) == []
    with opened(home) as con:
        read = con.execute("select distinct provider from execledger.executions")
        assert set(read.fetchall()) == {("discuro",), ("unstract",)}


def test_views_checks_and_report_come_after_a_load(dagster: Dagster) -> None:
    """Law: the daemon runs what rests on a load, with nothing more to be said."""
    dagster.start("sensor", "default_automation_condition_sensor")

    def reported() -> bool:
        assets = dagster.assets()
        names = ("report", "marts/answer_sources", "marts/token_costs")
        return all(assets[name]["latestMaterialization"] for name in names)

    def checked() -> bool:
        return dagster.checks().get("keys_are_unique") == "SUCCEEDED"

    assert patiently(reported, 240)
    assert patiently(checked)
