"""The DAG of the page, in an environment of Airflow's own."""

import json
import shutil
from collections.abc import Iterator, Mapping
from textwrap import dedent

import pytest

from tests.packages import UV, run
from tests.scheduling.machine import GIVEN, Machine
from tests.scheduling.page import recipe
from tests.scheduling.stands_in import ending_with, executions, with_secrets

AIRFLOW = "apache-airflow>=3.3,<3.4"
"""The one place that says which Airflow the DAG is tried with."""

READ = """
import json
from airflow.dag_processing.dagbag import DagBag

bag = DagBag()
dags = {
    dag.dag_id: {
        "tasks": dag.task_ids,
        "schedule_s": dag.schedule.total_seconds(),
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
    }
    for dag in bag.dags.values()
}
print(json.dumps([bag.import_errors, dags]))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def airflow(set_up: Machine) -> Iterator[Machine]:
    """Return the machine with an environment of Airflow's own, and the DAG in it.

    The environment is large: it is not kept for a look at it later.
    """
    venv = (UV, "venv", "--quiet", "--python", "/usr/bin/python3", "airflow")
    run(*venv, folder=set_up.given)
    python = set_up.given / "airflow" / "bin" / "python"
    install = (UV, "pip", "install", "--quiet", "--python", python)
    run(*install, AIRFLOW, folder=set_up.given)
    set_up.write(f"{GIVEN}/dags/execledger.py", recipe("dags/execledger.py"))
    in_airflow(set_up, "-m", "airflow", "db", "migrate")
    yield set_up
    shutil.rmtree(python.parents[1])


def in_airflow(machine: Machine, *arguments: str, code: int = 0) -> str:
    """Return what a Python of Airflow's environment prints, as the page's user."""
    return machine.run(
        f"{GIVEN}/airflow/bin/python",
        *arguments,
        code=code,
        user="execledger",
        environment={
            "HOME": "/var/lib/execledger",
            "AIRFLOW_HOME": "/tmp/airflow",  # noqa: S108 - the machine's own, in memory
            "AIRFLOW__CORE__DAGS_FOLDER": f"{GIVEN}/dags",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        },
    )


def tried(machine: Machine, *, code: int = 0) -> str:
    """Return what Airflow says of a run of the DAG, which needs no scheduler."""
    command = ("-m", "airflow", "dags", "test", "execledger")
    return in_airflow(machine, *command, code=code)


def test_airflow_reads_the_dag(airflow: Machine) -> None:
    """Law: one DAG without an error: its task, its schedule, one run at a time."""
    read = in_airflow(airflow, "-c", dedent(READ))

    errors, dags = json.loads(read.splitlines()[-1])
    assert errors == {}
    assert dags == {
        "execledger": {
            "tasks": ["load"],
            "schedule_s": 900,
            "catchup": False,
            "max_active_runs": 1,
        }
    }


@pytest.mark.usefixtures("machine")
def test_a_run_of_the_dag_reaches_the_store(
    airflow: Machine, torale: Mapping[str, str]
) -> None:
    """Law: with keys that Airflow never sees, in the file of the home's owner."""
    with_secrets(airflow, torale["SOURCES__TORALE__BASE_URL"])

    said = tried(airflow)

    assert "new_state=success " in said
    assert executions(airflow) == 11


@pytest.mark.parametrize(("code", "state"), [(3, "skipped"), (4, "failed")])
def test_a_run_that_finds_another_one_is_skipped_and_no_failure(
    airflow: Machine, code: int, state: str
) -> None:
    """Law: 3 alone is forgiven; a result that was lost fails the task."""
    with ending_with(airflow, code):
        said = tried(airflow, code=int(state == "failed"))

    assert f"new_state={state} " in said
