"""The units of the page, run by systemd itself, in a copy of this machine."""

import time
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.scheduling.machine import Machine
from tests.scheduling.page import recipe
from tests.scheduling.stands_in import ending_with, executions, mail

FOLDER = "/etc/systemd/system"
SERVICE = f"{FOLDER}/execledger.service"
TIMER = f"{FOLDER}/execledger.timer"
ALERT = f"{FOLDER}/execledger-alert.service"
EVERY = f"{FOLDER}/execledger.service.d/every.conf"
EACH_SECOND = """\
[Timer]
OnCalendar=
OnCalendar=*:*:*
AccuracySec=1ms
RandomizedDelaySec=0
"""
"""What the timer has beside it here: nobody waits a quarter of an hour."""

pytestmark = pytest.mark.slow


@pytest.fixture
def units(machine: Machine) -> Iterator[Machine]:
    """Return the machine with the service, its timer and its alert; gone after."""
    for path in (SERVICE, TIMER, ALERT):
        machine.write(path, recipe(path))
    machine.run("systemctl", "daemon-reload")
    machine.run("journalctl", "--rotate", "--vacuum-size=1")
    yield machine
    machine.run("systemctl", "stop", "execledger*.timer", "execledger*.service")
    machine.run("sh", "-c", f"rm -rf {FOLDER}/execledger* {FOLDER}/*.wants/execledger*")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "reset-failed")


def with_keys(machine: Machine, settings: Mapping[str, str]) -> None:
    """Write the file of the keys, as the page says."""
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    machine.write("/etc/execledger.env", "".join(lines), 0o600)


def journal(machine: Machine) -> str:
    """Return what the service said, and systemd of it."""
    return machine.run("journalctl", "--unit=execledger.service", "--no-pager")


def wait_for(is_so: Callable[[], bool], machine: Machine) -> None:
    """Wait until something is so, a minute at the most."""
    for _ in range(300):
        if is_so():
            return
        time.sleep(0.2)
    raise AssertionError(journal(machine))


def test_systemd_finds_nothing_to_say_of_the_units(units: Machine) -> None:
    """Law: each line of them is known, and every program that they name is there."""
    verify = ("systemd-analyze", "verify", SERVICE, TIMER, ALERT)

    assert units.run(*verify) == ""
    units.write(EVERY, recipe(EVERY))
    assert units.run(*verify) == ""


def test_a_broken_unit_is_told(units: Machine) -> None:
    """Law: the check above sees what it is there for."""
    units.write(SERVICE, recipe(SERVICE).replace("ProtectSystem=", "ProtectSytem="))
    units.write(TIMER, recipe(TIMER).replace("*:0/15", "*:0/quarter"))

    said = units.run("systemd-analyze", "verify", SERVICE, TIMER, code=1)

    assert "'ProtectSytem'" in said
    assert "Failed to parse calendar specification" in said


def test_the_timer_starts_a_load_that_reaches_the_store(
    units: Machine, torale: Mapping[str, str]
) -> None:
    """Law: with every restriction of the unit, and keys that only root can read."""
    with_keys(units, torale)
    units.write(f"{TIMER}.d/quick.conf", EACH_SECOND)

    units.run("sh", "-ec", recipe("as root, once these files are there"))

    wait_for(lambda: "Loaded in" in journal(units), units)
    units.run("systemctl", "stop", "execledger.timer")
    said = journal(units)
    assert "torale:default: 11 new and 0 changed executions" in said
    wait_for(lambda: not is_active(units), units)
    assert executions(units) == 11
    units.run("cat", "/etc/execledger.env", user="execledger", code=1)


def is_active(machine: Machine) -> bool:
    """Tell whether the service is at work."""
    asked = machine.start("systemctl", "is-active", "execledger.service")
    said, _ = asked.communicate()
    return said.strip() in {"active", "activating", "deactivating"}


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 143])
def test_somebody_is_told_of_1_2_and_4(units: Machine, code: int) -> None:
    """Law: a load that another run or a stop kept from its end wakes nobody."""
    with_keys(units, {})
    is_bad = code in {1, 2, 4}

    with ending_with(units, code):
        units.run("systemctl", "start", "execledger.service", code=int(is_bad))

    if is_bad:
        wait_for(lambda: "said" in mail(units), units)
    head = f"-s execledger load: exit code {code} ops@example.com\n"
    assert mail(units).startswith(head) == is_bad
    assert bool(mail(units)) == is_bad


def test_the_service_that_stays_loads_and_stops_when_asked(
    units: Machine, torale: Mapping[str, str]
) -> None:
    """Law: with the file beside it, the same unit is one process that stays."""
    with_keys(units, torale)
    units.write(EVERY, recipe(EVERY))

    units.run("sh", "-ec", recipe("as root, instead of the timer"))

    wait_for(lambda: "Next load in" in journal(units), units)
    link = f"{FOLDER}/multi-user.target.wants/execledger.service"
    units.run("test", "-L", link)
    units.run("systemctl", "stop", "execledger.service")
    assert "Stopped, as was asked." in journal(units)
    shown = units.run("systemctl", "show", "--property=Result,ExecMainStatus", SERVICE)
    assert "Result=success" in shown
    assert executions(units) == 11
    assert mail(units) == ""


def test_a_configuration_that_is_none_is_not_tried_again(units: Machine) -> None:
    """Law: exit 2 ends the service that stays, and somebody is told."""
    with_keys(units, {})
    units.write(EVERY, recipe(EVERY))

    units.run("sh", "-ec", recipe("as root, instead of the timer"))

    wait_for(lambda: "No key is set" in mail(units), units)
    assert "execledger load: exit code 2" in mail(units)
    units.run("systemctl", "is-failed", "execledger.service")
