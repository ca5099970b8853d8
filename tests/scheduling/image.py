"""A Dockerfile, carried out step by step in a copy of this machine."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping

from tests.scheduling.machine import GIVEN, PATH, Machine
from tests.scheduling.stands_in import install_settings

__all__ = ["Image", "steps"]

_BASE = "/opt/python"
"""The Python that stands in for the one of the base image."""

_BOUND = re.compile(r"--mount=type=bind,target=(\S+) +(.*)")
_WITH_CONTEXT = f"""
mkdir -p "$1" && mount --bind {GIVEN} "$1" && mount -o remount,bind,ro "$1"
sh -ec "$2"
"""
_READ_ONLY = """
mount --bind "$1" "$1" && mount -o remount,bind,ro /
cd "$2"
shift 2
exec "$@"
"""
"""Starts a program that can write to one folder, and to what is in memory."""


def steps(dockerfile: str) -> Iterator[tuple[str, str]]:
    """Yield each instruction of a Dockerfile and what follows it."""
    for line in dockerfile.replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.strip()


class Image:
    """What a Dockerfile makes of a machine.

    ``arguments`` are those of the build; the folder that is given to the machine is
    the context of the build.
    """

    def __init__(self, machine: Machine, arguments: Mapping[str, str]) -> None:
        self.machine = machine
        self.arguments = dict(arguments)
        self.environment = {"PATH": f"{_BASE}/bin:{PATH}"}
        self.user, self.folder, self.volume = "root", "/", ""
        self.entrypoint: list[str] = []
        self.default: list[str] = []
        machine.run("python3", "-m", "venv", _BASE)

    def build(self, dockerfile: str) -> None:
        """Do what each instruction says, in order."""
        for instruction, rest in steps(dockerfile):
            self._do(instruction, rest)

    def _do(self, instruction: str, rest: str) -> None:
        match instruction:
            case "FROM" | "STOPSIGNAL":
                pass
            case "ARG":
                name, _, default = rest.partition("=")
                self.arguments.setdefault(name, default)
            case "ENV":
                self.environment |= dict(one.split("=", 1) for one in shlex.split(rest))
            case "RUN":
                self._run(rest)
            case "USER":
                self.user = rest
            case "WORKDIR":
                self.folder = rest
                self.machine.run("mkdir", "-p", rest)
            case "VOLUME":
                self.volume = rest
            case "ENTRYPOINT":
                self.entrypoint = json.loads(rest)
            case "CMD":
                self.default = json.loads(rest)
            case _:
                raise AssertionError(f"{instruction} is not understood here")

    def _run(self, rest: str) -> None:
        """Run a step as root, with the context of the build where it asks for that."""
        bound = _BOUND.fullmatch(rest)
        command: tuple[str, ...] = ("sh", "-ec", rest)
        if bound:
            script = ("sh", "-ec", _WITH_CONTEXT, "sh")
            command = ("unshare", "--mount", *script, *bound.groups())
        installs = install_settings(os.environ)
        given = {**installs, **self.arguments, **self.environment}
        self.machine.run(*command, environment=given, folder=self.folder)

    def start(self, *arguments: str, **more: str) -> "subprocess.Popen[str]":
        """Start the image's command, maybe with other arguments, as a container does.

        It is the first process, the image's user's, with no capability, and can write
        to the volume and to memory alone.
        """
        entry = self.machine.run("getent", "passwd", self.user)
        given = {"HOME": entry.split(":")[5], **self.environment, **more}
        return self.machine.start(
            *("unshare", "--pid", "--mount-proc", "--fork", "--kill-child"),
            *("sh", "-ec", _READ_ONLY, "sh", self.volume, self.folder),
            *("setpriv", f"--reuid={self.user}", f"--regid={self.user}"),
            *("--init-groups", "--bounding-set=-all", "--no-new-privs"),
            *self.entrypoint,
            *(arguments or self.default),
            environment=given,
        )
