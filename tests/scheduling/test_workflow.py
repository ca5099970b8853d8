"""The step of the workflow, run as a runner of GitHub Actions runs it."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.scheduling.machine import Machine
from tests.scheduling.page import recipe
from tests.scheduling.stands_in import ending_with, executions

WORKFLOW = ".github/workflows/execledger.yml"
STANDS_FOR = re.compile(r"\$\{\{ (?:secrets|vars)\.(\w+) \}\}")

pytestmark = pytest.mark.slow


def job() -> Any:
    """Return the one job of the workflow."""
    (found,) = YAML(typ="safe").load(recipe(WORKFLOW))["jobs"].values()
    return found


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """Return the job's environment; a secret that is not given is empty, as there."""
    return {
        name: STANDS_FOR.sub(lambda found: given.get(found[1], ""), value)
        for name, value in job()["env"].items()
    }


def step(machine: Machine, given: Mapping[str, str], *, code: int, **more: str) -> str:
    """Run the one step: ``bash -e`` with a file, as a runner does by default."""
    (only,) = job()["steps"]
    machine.write("/var/lib/execledger/step.sh", only["run"])
    return machine.run(
        *("bash", "-e", "/var/lib/execledger/step.sh"),
        code=code,
        user="execledger",
        environment={"HOME": "/var/lib/execledger", **environment(given), **more},
    )


def test_the_step_loads_with_the_secrets_that_are_set(
    machine: Machine, torale: Mapping[str, str]
) -> None:
    """Law: a provider whose secret is not set is skipped, and said so."""
    key = {"TORALE_API_KEY": torale["SOURCES__TORALE__API_KEY"]}
    url = torale["SOURCES__TORALE__BASE_URL"]

    said = step(machine, key, code=0, SOURCES__TORALE__BASE_URL=url)

    assert "Without a key, and so skipped: discuro, unstract." in said
    assert executions(machine) == 11


def test_the_step_fails_with_the_code_of_the_load(machine: Machine) -> None:
    """Law: where no secret is set, it is 2."""
    assert "No key is set" in step(machine, {}, code=2)


@pytest.mark.parametrize(("came", "code"), [(0, 0), (1, 1), (3, 0), (4, 4)])
def test_only_a_load_that_found_another_one_is_forgiven(
    machine: Machine, came: int, code: int
) -> None:
    """Law: every other code is the step's own."""
    with ending_with(machine, came):
        assert step(machine, {}, code=code) == "said\n"
