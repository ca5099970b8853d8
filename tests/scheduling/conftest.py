"""A machine that is set up as the page says, a provider to load from, and no state."""

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from sources.loopback import serve
from tests.pipelines.small_torale import KEY, small_torale
from tests.scheduling.booted import booted
from tests.scheduling.machine import GIVEN, Machine
from tests.scheduling.page import recipe
from tests.scheduling.stands_in import SENDS_MAIL, install_settings

STATE = "/var/lib/execledger"


@pytest.fixture(scope="session")
def set_up(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Machine]:
    """Return a copy of this machine, set up as the page says, in which systemd runs.

    What pip installs by the name of execledger is the wheel of this checkout.
    """
    folder = tmp_path_factory.mktemp("set-up")
    with booted(folder) as machine:
        shutil.copy(wheel, machine.given)
        only = f"execledger @ file://{GIVEN}/{wheel.name}\n"
        (machine.given / "constraints").write_text(only, "utf-8")
        for path, text in SENDS_MAIL.items():
            machine.write(path, text, 0o755)
        machine.run(
            *("sh", "-ec", recipe("as root, for a start")),
            environment={
                **install_settings(os.environ),
                "PIP_CONSTRAINT": f"{GIVEN}/constraints",
            },
        )
        yield machine


@pytest.fixture
def machine(set_up: Machine) -> Iterator[Machine]:
    """Return that machine, with no home, no keys and no mail; units are gone after."""
    box = set_up.given / "mail"
    box.touch()
    box.chmod(0o666)
    yield set_up
    left = (f"{STATE}/home", f"{STATE}/.dlt", "/etc/execledger.env", f"{GIVEN}/mail")
    set_up.run("rm", "-rf", *left)


@pytest.fixture
def torale() -> Iterator[Mapping[str, str]]:
    """Serve the small Torale; yield the settings that reach it."""
    with serve(small_torale().app) as url:
        yield {"SOURCES__TORALE__BASE_URL": url, "SOURCES__TORALE__API_KEY": KEY}
