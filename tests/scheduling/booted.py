"""A copy of this machine in which systemd runs, with the units that are put there."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.scheduling.machine import Machine, copied

__all__ = ["booted"]

_JOIN = 'mkdir "$1" && echo $$ >"$1/cgroup.procs" && shift && exec "$@"'
"""Runs a command in a control group of its own, of which systemd then is the root."""

_BOOT = """
set -e
: >/etc/fstab
for folder in /etc/systemd/system /lib/systemd/system; do
    find "$folder/" -path "*.wants/*" ! -name "systemd-journald*" -delete
done
if [ "$1" = unified ]; then mount -t cgroup2 cgroup /sys/fs/cgroup; else
    mount -t tmpfs cgroup /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
fi
exec env -i container=copy PATH="$PATH" /lib/systemd/systemd --unit=basic.target
"""
"""Starts systemd, and of all that this machine would start only its journal."""


@contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """Make a copy of this machine, and wait until systemd is up in it."""
    kind, parent = _groups()
    group = parent / f"execledger-{os.getpid()}"
    first = ("sh", "-c", _BOOT, "sh", kind)
    within = ("sh", "-c", _JOIN, "sh", str(group))
    try:
        with copied(folder, first, within) as machine:
            _wait_for_systemd(machine)
            yield machine
    finally:
        _remove(group)


def _groups() -> tuple[str, Path]:
    """Return the kind of control groups that this machine has, and ours."""
    root = Path("/sys/fs/cgroup")
    is_unified = (root / "cgroup.controllers").exists()
    named = "" if is_unified else "name=systemd"
    lines = Path("/proc/self/cgroup").read_text("utf-8").splitlines()
    of = {name: path for _, name, path in (line.split(":", 2) for line in lines)}
    root = root if is_unified else root / "systemd"
    return "unified" if is_unified else "named", root / of[named].lstrip("/")


def _wait_for_systemd(machine: Machine) -> None:
    for _ in range(300):
        asked = machine.start("systemctl", "is-active", "basic.target")
        said, _ = asked.communicate()
        if said == "active\n":
            return
        time.sleep(0.1)
    raise AssertionError(said)


def _remove(group: Path) -> None:
    """Remove the control groups, once the last process in them is gone."""
    for _ in range(100):
        for folder, _, _ in os.walk(group, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()
        if not group.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{group} is still in use")
