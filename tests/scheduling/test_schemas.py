"""The files that are configuration of others: held to the schemas of those."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scheduling.page import recipe

WORKFLOW = (".github/workflows/execledger.yml", "vendor.github-workflows")
COMPOSE = ("compose.yaml", "vendor.compose-spec")


def faults(text: str, schema: str, folder: Path) -> str:
    """Return what a YAML file breaks of a schema; empty where it breaks nothing."""
    file = folder / "file.yaml"
    file.write_text(text, "utf-8")
    check = Path(sys.executable).with_name("check-jsonschema")
    ran = subprocess.run(  # noqa: S603 - reads a file; the schemas come with it
        [check, "--no-cache", "--builtin-schema", schema, file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode in {0, 1}, ran.stderr
    return ran.stdout if ran.returncode else ""


@pytest.mark.parametrize(("name", "schema"), [WORKFLOW, COMPOSE])
def test_a_file_of_yaml_is_what_its_schema_allows(
    name: str, schema: str, tmp_path: Path
) -> None:
    """Law: no key is misspelt, none stands where it means nothing."""
    assert faults(recipe(name), schema, tmp_path) == ""


@pytest.mark.parametrize(
    ("file", "right", "wrong"),
    [
        (WORKFLOW, "runs-on:", "run-on:"),
        (WORKFLOW, "cancel-in-progress: false", "cancel-in-progress: [no]"),
        (WORKFLOW, "steps:", "step:"),
        (COMPOSE, "cap_drop: [ALL]", "cap_drop: ALL"),
        (COMPOSE, "    read_only:", "    readonly:"),
    ],
)
def test_a_broken_file_is_told(
    file: tuple[str, str], right: str, wrong: str, tmp_path: Path
) -> None:
    """Law: the check above sees what it is there for."""
    name, schema = file
    text = recipe(name)
    assert right in text

    assert "Schema validation errors" in faults(
        text.replace(right, wrong), schema, tmp_path
    )


def test_no_two_runs_of_the_workflow_load_at_once() -> None:
    """Law: a run waits for the one before it, and cuts it off never."""
    text = recipe(WORKFLOW[0])

    assert re.search(
        r"^concurrency:\n  group: execledger\n  cancel-in-progress: false$",
        text,
        re.MULTILINE,
    )
