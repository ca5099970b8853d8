"""Gathers what each fault came to; says it at the end, and writes it where asked."""

from collections.abc import Callable, Iterator

import pytest

from tests.faults.tally import PAGE, Tally, may_write, measured, told, written
from tests.pipelines.conftest import here, home

__all__ = ["here", "home"]

_TALLIES = pytest.StashKey[dict[str, Tally]]()
_SOAKED = pytest.StashKey[dict[str, str]]()


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Callable[[str], Tally]:
    """Return what gives the tally of a fault by its words."""
    tallies = request.config.stash.setdefault(_TALLIES, {})
    return lambda fault: tallies.setdefault(fault, Tally(fault=fault))


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return where to put what the soak measured, in words."""
    return request.config.stash.setdefault(_SOAKED, {})


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> Iterator[None]:
    """Say what the faults came to."""
    yield
    tallies = list(config.stash.get(_TALLIES, {}).values())
    soaked = config.stash.get(_SOAKED, {})
    tables = {
        "tried": list(told(tallies)) if tallies else [],
        "soak": list(measured(soaked)) if soaked else [],
    }
    for name, table in tables.items():
        if not table:
            continue
        terminalreporter.section(name)
        for line in table:
            terminalreporter.line(line)
        if may_write():
            PAGE.write_text(written(PAGE.read_text("utf-8"), name, table), "utf-8")
