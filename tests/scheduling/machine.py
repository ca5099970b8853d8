"""A disposable copy of this machine: as it is, and what changes in it ends with it.

Changes go to memory (overlayfs on a tmpfs), in namespaces of their own; what runs in
the copy is ended with it. ``/proc/sys`` and ``/sys`` are for reading, ``/dev`` holds
what containers have. The network is this machine's: a twin on loopback can be reached.
"""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["GIVEN", "PATH", "Machine", "at_work", "child", "copied"]

GIVEN = "/mnt/given"
"""Where the copy has the folder that is given to it."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SLEEP = ("sleep", "infinity")
_COPY = f"""
set -e
copy=$1 given=$2
shift 2
mount -t tmpfs -o mode=755 copy "$copy"
mkdir "$copy/changes" "$copy/work" "$copy/root"
overlay="lowerdir=/,upperdir=$copy/changes,workdir=$copy/work"
mount -t overlay -o "$overlay" copy "$copy/root"
cd "$copy/root"
cp --remove-destination /etc/resolv.conf /etc/hosts etc
for one in tmp run; do mount -t tmpfs "$one" "$one"; done
chmod 1777 tmp
mount -t proc proc proc
mount --bind proc/sys proc/sys && mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sys sys
mount -t tmpfs -o mode=755 dev dev
for one in null zero full random urandom tty; do
    touch "dev/$one" && mount --bind "/dev/$one" "dev/$one"
done
ln -s /proc/self/fd dev/fd
mkdir -m 1777 dev/shm
mkdir dev/pts && mount -t devpts -o newinstance,ptmxmode=0666 pts dev/pts
ln -s pts/ptmx dev/ptmx
mkdir -p .{GIVEN} mnt/before && mount --bind "$given" .{GIVEN}
pivot_root . mnt/before
umount -l /mnt/before
cd /
echo ready
exec "$@"
"""


class Machine:
    """The copy, by the process that keeps it: its first."""

    def __init__(self, pid: int, given: Path) -> None:
        self.pid = pid
        self.given = given

    def start(
        self,
        *command: str,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        folder: str = "/",
    ) -> "subprocess.Popen[str]":
        """Start a command with this environment alone; both streams are one."""
        as_user = ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups")
        given = {"PATH": PATH, "LANG": "C.UTF-8", **(environment or {})}
        return subprocess.Popen(  # noqa: S603 - commands of the tests
            [
                *("nsenter", f"--target={self.pid}", "--mount", "--pid"),
                *(f"--wdns={folder}", "env", "-i"),
                *(f"{name}={value}" for name, value in given.items()),
                *(as_user if user else ()),
                *command,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(
        self,
        *command: str,
        code: int = 0,
        user: str | None = None,
        environment: Mapping[str, str] | None = None,
        folder: str = "/",
    ) -> str:
        """Return what a command printed; it must end with this code."""
        process = self.start(
            *command, user=user, environment=environment, folder=folder
        )
        printed, _ = process.communicate()
        assert process.returncode == code, printed
        return printed

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the copy, as root."""
        (self.given / "written").write_text(text, "utf-8")
        install = ("install", "-D", f"--mode={mode:o}", f"{GIVEN}/written", path)
        self.run(*install)


@contextmanager
def at_work(
    process: "subprocess.Popen[str]",
) -> Iterator["subprocess.Popen[str]"]:
    """Wait for a process no longer than the block: the machine ends what is left."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def child(pid: int) -> int:
    """Return the one process that a process has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return int(children.read_text("utf-8"))


@contextmanager
def copied(
    folder: Path, first: Sequence[str] = _SLEEP, within: Sequence[str] = ()
) -> Iterator[Machine]:
    """Make a copy of this machine, which is given ``folder / "given"``.

    ``first`` is its first process; ``within`` a command that runs the rest of its line.
    """
    assert os.geteuid() == 0, "only root can make a copy of the machine"
    copy, given = folder / "copy", folder / "given"
    copy.mkdir()
    given.mkdir()
    given.chmod(0o755)  # users of the copy read there, whatever the umask
    unshare = ("unshare", "--mount", "--pid", "--ipc", "--uts", "--cgroup", "--fork")
    with subprocess.Popen(  # noqa: S603 - what stands here
        [
            *(*within, *unshare, "--kill-child", "sh", "-c", _COPY, "sh"),
            *(str(copy), str(given), *first),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as keeper:
        try:
            assert keeper.stdout
            assert keeper.stdout.readline() == "ready\n"
            yield Machine(child(keeper.pid), given)
        finally:
            keeper.kill()
