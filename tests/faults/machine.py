"""A machine that fails: a small disk, a home nobody may write to."""

import subprocess
from contextlib import suppress
from pathlib import Path

from pipelines.store import Home
from tests.faults.command import load
from tests.pipelines.polled_twins import Polled

__all__ = ["fill", "read_only_load", "small_disk_load"]

_ALONE = ("unshare", "--map-root-user", "--mount", "sh", "-c")
"""What runs a script with mounts of its own, which end with it; needs no root."""

_SMALL_DISK = """
    mount -t tmpfs -o size=$1 disk "$2" && cp -a "$3/." "$2" || exit 99
    disk=$2 kept=$3
    shift 3
    "$@"
    code=$?
    rm -f "$disk/full"
    find "$kept" -mindepth 1 -delete && cp -a "$disk/." "$kept" || exit 99
    exit $code
"""
_READ_ONLY = """
    mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 99
    shift
    exec "$@"
"""


def small_disk_load(home: Home, twins: Polled, size: int) -> "subprocess.Popen[str]":
    """Start a load on a disk of so many bytes, where the home is copied to before.

    What it left there is copied back: the home lies on a larger disk again.
    """
    disk = disk_of(home)
    disk.path.mkdir()
    within = (*_ALONE, _SMALL_DISK, "sh", str(size), str(disk.path), str(home.path))
    return load(disk, twins, within=within)


def disk_of(home: Home) -> Home:
    """Return where the home lies on its small disk, for the command alone."""
    return Home(home.path.with_name(f"{home.path.name}-disk"))


def read_only_load(home: Home, twins: Polled) -> "subprocess.Popen[str]":
    """Start a load of a home that is mounted for reading only."""
    return load(home, twins, within=(*_ALONE, _READ_ONLY, "sh", str(home.path)))


def fill(home: Home, process: "subprocess.Popen[str]") -> None:
    """Leave no byte of a command's small disk, as another program may."""
    seen_by_it = Path(f"/proc/{process.pid}/root{disk_of(home).path}")
    with suppress(OSError), (seen_by_it / "full").open("wb", 0) as full:
        while True:
            full.write(bytes(4096))


def used(home: Home) -> int:
    """Return the bytes that the files of a home take on a disk, whole pages."""
    return sum(-file.stat().st_size // 4096 * -4096 for file in home.path.rglob("*"))
