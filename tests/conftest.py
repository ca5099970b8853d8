"""What tests of several parts share."""

import signal

import pytest

from pipelines.config import quiet_dlt
from pipelines.store import Home

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
