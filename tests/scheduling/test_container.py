"""The Dockerfile of the page: its steps done, and what comes of them run."""

import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.scheduling.image import Image, steps
from tests.scheduling.machine import at_work, child, copied
from tests.scheduling.page import recipe

DOCKERFILE = "Dockerfile"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Image]:
    """Return what the Dockerfile makes, with the wheel beside it as its argument."""
    with copied(tmp_path_factory.mktemp("image")) as machine:
        shutil.copy(wheel, machine.given)
        made = Image(machine, {"EXECLEDGER": f"./{wheel.name}"})
        made.build(recipe(DOCKERFILE))
        yield made


def service() -> Any:
    """Return the one service of the compose file."""
    (found,) = YAML(typ="safe").load(recipe("compose.yaml"))["services"].values()
    return found


@pytest.mark.slow
def test_a_container_loads_and_stops_when_asked(
    image: Image, torale: Mapping[str, str]
) -> None:
    """Law: as user 10001, the key from a secret's file, writing to the volume alone.

    SIGTERM, which the first process of a container hears only if it asks for it,
    ends it with 0 between two loads.
    """
    (secret,) = service()["secrets"]
    image.machine.write(f"/run/secrets/{secret}", torale["SOURCES__TORALE__API_KEY"])
    url = torale["SOURCES__TORALE__BASE_URL"]

    with at_work(image.start(SOURCES__TORALE__BASE_URL=url)) as container:
        assert container.stdout
        said = ""
        while "Next load in" not in said:
            line = container.stdout.readline()
            assert line, said
            said += line
        os.kill(child(child(container.pid)), signal.SIGTERM)
        said += container.stdout.read()
        container.wait()

    assert container.returncode == 0, said
    assert "torale:default: 11 new and 0 changed executions" in said
    assert "Stopped, as was asked." in said
    owner = ("stat", "--format=%u %a", "/data/home/published.duckdb")
    assert image.machine.run(*owner) == "10001 600\n"
    assert "/data/home" in said


@pytest.mark.slow
def test_another_command_can_be_given(image: Image) -> None:
    """Law: the image is the command; what follows it is up to whoever runs it."""
    container = image.start("--version")
    said, _ = container.communicate()

    assert container.returncode == 0
    assert said.startswith("execledger")


@pytest.mark.slow
def test_nothing_but_the_volume_can_be_written_to(
    image: Image, torale: Mapping[str, str]
) -> None:
    """Law: not even a folder that everybody may write to, which an image has."""
    elsewhere = "/var/tmp/home"  # noqa: S108 - such a folder
    container = image.start("load", "torale", "--home", elsewhere, **torale)
    said, _ = container.communicate()

    assert container.returncode == 1
    assert "Read-only file system" in said


def test_the_compose_file_and_the_image_fit_together() -> None:
    """Law: the volume is the image's, and a stop waits as long as the page says."""
    volume = dict(steps(recipe(DOCKERFILE)))["VOLUME"]

    assert service()["volumes"] == [f"data:{volume}"]
    assert service()["stop_grace_period"] == "6m"
    assert service()["read_only"] is True
    assert service()["cap_drop"] == ["ALL"]
