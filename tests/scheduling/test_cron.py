"""The crontab of the page, run by Debian's cron and by the shell that cron starts."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scheduling.machine import Machine, at_work
from tests.scheduling.page import recipe
from tests.scheduling.stands_in import as_user, executions, mail, with_secrets

CRONTAB = "/etc/cron.d/execledger"
EACH_MINUTE = ("*/15 * * * * execledger", "* * * * * execledger")
"""What is put in the place of the quarter of an hour, which nobody waits here."""


@contextmanager
def cron(machine: Machine, crontab: str) -> Iterator[None]:
    """Have the machine's cron do what a crontab says, and nothing else.

    It is written first: cron does not notice what changes in the second of its start.
    """
    machine.run("sh", "-c", "rm -f /etc/cron.d/* /var/spool/cron/crontabs/*")
    machine.write(CRONTAB, crontab)
    with at_work(machine.start("cron", "-f")):
        try:
            yield
        finally:
            machine.run("sh", "-c", "kill $(cat /run/crond.pid)")
    machine.run("rm", CRONTAB)


@pytest.mark.slow
def test_cron_starts_a_load_that_reaches_the_store(
    machine: Machine, torale: Mapping[str, str]
) -> None:
    """Law: with keys in the user's own file, and no mail of what goes well.

    Another job, which says something, shows that cron sends mail here.
    """
    with_secrets(machine, torale["SOURCES__TORALE__BASE_URL"])
    text = recipe(CRONTAB)
    assert EACH_MINUTE[0] in text
    told = "* * * * * execledger echo somebody should know\n"

    with cron(machine, text.replace(*EACH_MINUTE) + told):
        loaded = "until [ -e home/published.duckdb ]; do sleep 0.2; done"
        as_user(machine, "timeout", "100", "sh", "-c", loaded)
    over = "while pgrep -u execledger >/dev/null; do sleep 0.2; done"
    machine.run("timeout", "100", "sh", "-c", over)

    assert executions(machine) == 11
    sent = mail(machine)
    assert "To: ops@example.com\n" in sent
    assert sent.endswith("\n\nsomebody should know\n")
    assert "execledger load" not in sent


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 143])
def test_a_job_prints_only_what_somebody_should_know(code: int, tmp_path: Path) -> None:
    """Law: what cron would send by mail is the code and the words, for 1, 2 and 4."""
    (job,) = [line for line in recipe(CRONTAB).splitlines() if line.startswith("*")]
    command = job.split(" execledger ", 1)[1]
    program = tmp_path / "execledger"
    program.write_text(f"#!/bin/sh\necho said; echo why >&2\nexit {code}\n", "utf-8")
    program.chmod(0o755)

    ran = subprocess.run(  # noqa: S603 - the line of the page, as cron starts it
        ["/bin/sh", "-c", command],
        env={"PATH": f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    expected = f"execledger load: exit code {code}\nsaid\nwhy\n"
    assert ran.stdout == (expected if code in {1, 2, 4} else "")
    assert ran.stderr == ""
    assert "%" not in command


def test_a_crontab_says_its_interval_twice_alike() -> None:
    """Law: ``schedule_s`` is what the first field of the line comes to."""
    text = recipe(CRONTAB)

    assert "\n*/15 * * * * " in text
    assert f"\nEXECLEDGER__SCHEDULE_S={15 * 60}\n" in text
