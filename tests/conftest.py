"""What tests of several parts share."""

import signal
from pathlib import Path

import pytest

from pipelines.config import quiet_dlt
from pipelines.store import Home
from tests.packages import UV, run

ROOT = Path(__file__).resolve().parent.parent

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a script begins what it puts behind with "&"; commands would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def demo_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return the home of the demo, as it is after both loads; tests only read it."""
    quiet_dlt()
    from pipelines.demo import run_demo

    home = Home(tmp_path_factory.mktemp("demo") / "home")
    assert run_demo(home, lambda *_: None).differences == []
    return home


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the wheel, built as for a release."""
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--wheel", "--quiet", "--out-dir", folder, folder=ROOT)
    (built,) = folder.glob("*.whl")
    return built
