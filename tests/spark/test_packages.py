"""What is written down of pyspark's packages, so that nobody need fetch it to know."""

import tomllib
from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement

from tests.conftest import ROOT
from tests.spark.servers import need

pytestmark = pytest.mark.slow


def test_what_pyspark_needs_is_as_it_says_itself() -> None:
    """Law: of pyspark as it is here, with the extra that ours asks for."""
    need("pyspark")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    (told,) = project["tool"]["uv"]["dependency-metadata"]
    said = {Requirement(one) for one in requires("pyspark") or ()}
    wanted = {
        one
        for one in said
        if one.marker is None or one.marker.evaluate({"extra": "connect"})
    }

    assert told["name"] == "pyspark"
    assert {Requirement(one) for one in told["requires-dist"]} == wanted
