"""Gathers what each fault came to; says it at the end, and writes it where asked."""

from collections.abc import Callable, Iterator

import pytest

from tests.faults.tally import PAGE, Tally, may_write, told, written
from tests.pipelines.conftest import here, home

__all__ = ["here", "home"]

_TALLIES = pytest.StashKey[dict[str, Tally]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str], Tally]:
    """Return what gives the tally of a fault by its words."""
    tallies = request.config.stash.setdefault(_TALLIES, {})
    return lambda fault: tallies.setdefault(fault, Tally(fault=fault))


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    """Say what the faults came to."""
    yield
    tallies = list(config.stash.get(_TALLIES, {}).values())
    if not tallies:
        return
    terminalreporter.section("faults")
    for line in told(tallies):
        terminalreporter.line(line)
    if may_write():
        PAGE.write_text(written(PAGE.read_text("utf-8"), tallies), "utf-8")
