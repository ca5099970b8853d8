"""What the tests of the commands share: an empty folder, homes, and no waiting."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.config import quiet_dlt
from pipelines.store import Home
from sources.loopback import serve
from sources.torale.twin import ToraleTwin
from tests.pipelines.small_torale import (
    KEY,
    account,
    changed,
    load_into,
    small_torale,
)

Configure = Callable[..., None]
"""Writes ``config`` and ``secrets``, as TOML, where the commands look for them."""

OWN = ("EXECLEDGER", "SOURCES__", "DLT_", "RUNTIME__")
"""Beginnings of the variables that would reach the commands from outside."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in an empty folder, with nothing configured; yield the folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in [name for name in os.environ if name.startswith(OWN)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    quiet_dlt()
    _read_again()
    yield folder
    monkeypatch.undo()
    _read_again()


@pytest.fixture
def configure(here: Path) -> Configure:
    """Return what writes the two files of configuration."""

    def write(*, config: str = "", secrets: str = "") -> None:
        folder = here / ".dlt"
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(config, encoding="utf-8")
        (folder / "secrets.toml").write_text(secrets, encoding="utf-8")
        (folder / "secrets.toml").chmod(0o600)
        _read_again()

    return write


def _read_again() -> None:
    """Make dlt forget the files that it has read in another folder."""
    from dlt.common.configuration.container import Container
    from dlt.common.configuration.specs import PluggableRunContext

    container = Container()
    if PluggableRunContext in container:
        del container[PluggableRunContext]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a home that is not there yet."""
    return Home(tmp_path / "home")


@pytest.fixture(scope="session")
def two_loads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a home after two loads of the small Torale."""
    home = Home(tmp_path_factory.mktemp("loaded") / "home")
    twin = small_torale()
    with serve(twin.app) as url:
        load_into(home, account(url))
        changed(twin)
        load_into(home, account(url))
    return home.path


@pytest.fixture
def loaded(two_loads: Path, home: Home) -> Home:
    """Return a home after two loads of the small Torale."""
    shutil.copytree(two_loads, home.path)
    return home


@pytest.fixture
def configured_twin(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ToraleTwin]:
    """Serve the small Torale, and configure it in the environment; yield it."""
    del here  # which forgets what is configured: first
    twin = small_torale()
    with serve(twin.app) as url:
        monkeypatch.setenv("SOURCES__TORALE__BASE_URL", url)
        monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)
        monkeypatch.setenv("SOURCES__TORALE__REQUESTS_PER_SECOND", "1000")
        yield twin


@pytest.fixture
def configured(configured_twin: ToraleTwin) -> None:
    """Let the commands read the small Torale."""
    del configured_twin


@pytest.fixture
def no_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no request wait for its next try."""
    monkeypatch.setattr("sources.retries._wait_s", lambda *_: 0.0)
