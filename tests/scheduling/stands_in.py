"""What the tests put in the place of what a copied machine lacks."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.pipelines.small_torale import KEY
from tests.scheduling.machine import GIVEN, Machine

__all__ = [
    "PROGRAM",
    "SENDS_MAIL",
    "as_user",
    "ending_with",
    "executions",
    "install_settings",
    "mail",
    "with_secrets",
]

PROGRAM = "/opt/execledger/bin/execledger"
"""The command, where the page has it installed."""

_MAIL = f"""\
#!/bin/sh
{{ echo "$@"; cat; }} >>{GIVEN}/mail
"""
SENDS_MAIL = {"/usr/local/bin/mail": _MAIL, "/usr/sbin/sendmail": _MAIL}
"""Programs that send mail: what they were told ends in a file that all can write."""

_HOME = "/var/lib/execledger"


def install_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what says where this machine installs packages from."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith("PIP_") or name.lower().endswith("_proxy")
    }


def mail(machine: Machine) -> str:
    """Return the mail that was sent so far."""
    return (machine.given / "mail").read_text("utf-8")


def as_user(machine: Machine, *command: str, code: int = 0) -> str:
    """Return what a command prints for the user that the page makes."""
    return machine.run(
        *command,
        code=code,
        user="execledger",
        folder=_HOME,
        environment={"HOME": _HOME, "EXECLEDGER_HOME": f"{_HOME}/home"},
    )


def executions(machine: Machine) -> int:
    """Return how many executions the store holds."""
    sql = "select count(*) from execledger.executions"
    query = (PROGRAM, "query", "--format", "csv", sql)
    return int(as_user(machine, *query).splitlines()[-1])


def with_secrets(machine: Machine, base_url: str) -> None:
    """Configure Torale as a person does: by ``init``, and then in the two files."""
    said = as_user(machine, PROGRAM, "init")
    assert "wrote .dlt/secrets.toml" in said
    filled = {"config": f'base_url = "{base_url}"', "secrets": f'api_key = "{KEY}"'}
    for name, line in filled.items():
        put = rf"/^\[sources.torale\]$/a {line}"
        as_user(machine, "sed", "--in-place", put, f".dlt/{name}.toml")


@contextmanager
def ending_with(machine: Machine, code: int) -> Iterator[None]:
    """Put a program in the place of the command that says so and ends with a code."""
    machine.run("mv", PROGRAM, f"{PROGRAM}.real")
    try:
        machine.write(PROGRAM, f"#!/bin/sh\necho said\nexit {code}\n", 0o755)
        yield
    finally:
        machine.run("mv", f"{PROGRAM}.real", PROGRAM)
