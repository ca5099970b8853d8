"""Who asks for what just now: leases that end with the process that holds them.

An owner holds a lock file, which the operating system frees with its process, and a
folder for the bodies that arrive. So what a dead process was about is known at once,
and no living one is robbed.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from sources.bodies import ROOM
from sources.errors import StoreError
from sources.journal import Journal

__all__ = ["Owner", "folder_of", "inherit", "is_alive", "owned", "sweep"]


class Owner(msgspec.Struct, frozen=True):
    """Who asks: a name that no other process has, and a folder for what arrives."""

    name: str
    folder: Path

    def arriving(self, *names: str) -> Path:
        """Return the file for the body of an answer while it arrives.

        Any names give one, that leads nowhere else, and no two the same.
        """
        return self.folder / hashlib.sha256(msgspec.json.encode(names)).hexdigest()

    def keep_room(self, size: int) -> None:
        """Keep so many bytes of the disk for what will arrive.

        Whoever fills the disk from now on takes no place from an answer that is handed
        out once. Raises ``StoreError`` where there is no room.
        """
        room = self.folder / ROOM
        if room.exists():
            return
        try:
            with room.open("xb") as file:
                room.chmod(0o600)
                _allocate(file.fileno(), size)
        except OSError as error:
            room.unlink(missing_ok=True)
            raise StoreError(
                f"{self.folder}: no room for {size / 2**20:,.3g} MiB "
                f"({error.strerror}). A result that is handed out once is asked for "
                "only where there is room for it, so none was. Free disk space and run "
                "it again."
            ) from error


@contextmanager
def owned(journal: Journal) -> Iterator[Owner]:
    """Be an owner of leases, or of submits, while the block runs.

    Leases that are not given back by then are taken over as those of a dead process:
    with them stays what has arrived.
    """
    folder = folder_of(journal, secrets.token_hex(8))
    with ExitStack() as stack:
        with journal.file.in_words():
            folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _guarded(journal):
                stack.enter_context(_lock(folder))
            folder.mkdir(mode=0o700)
        try:
            yield Owner(folder.name, folder)
        finally:
            with suppress(OSError):
                (folder / ROOM).unlink()
            with suppress(StoreError):
                if folder.name not in _holders(journal):
                    _remove(folder)


def folder_of(journal: Journal, name: str) -> Path:
    """Return the folder of an owner."""
    path = journal.file.path
    return path.with_name(f"{path.name}-polls") / name


def is_alive(journal: Journal, name: str) -> bool:
    """Tell whether the process of an owner is alive, and the owner in it."""
    folder = folder_of(journal, name)
    if not folder.with_suffix(".lock").exists():
        return False
    try:
        with _lock(folder, timeout_s=0):
            return False
    except Timeout:
        return True


def inherit(journal: Journal, dead: str, owner: Owner) -> None:
    """Let an owner have what arrived at a dead one, who keeps it as well.

    So it is found whichever of the two holds the lease after another kill.
    """
    folder = folder_of(journal, dead)
    with journal.file.in_words():
        (folder / ROOM).unlink(missing_ok=True)
        for file in folder.glob("*"):
            with suppress(FileExistsError):
                os.link(file, owner.folder / file.name)


def sweep(journal: Journal) -> None:
    """Remove what dead processes left of which no lease is held any more."""
    with _guarded(journal):
        held = _holders(journal)
        for lock in folder_of(journal, "").glob("*.lock"):
            name = lock.stem
            if name not in held and not is_alive(journal, name):
                _remove(folder_of(journal, name))


def _allocate(handle: int, size: int) -> None:
    """Take so many bytes of the disk, where the system can say so."""
    allocate = getattr(os, "posix_fallocate", None)
    if allocate is not None and size:
        allocate(handle, 0, size)


def _lock(folder: Path, timeout_s: float = -1) -> FileLock:
    return FileLock(folder.with_suffix(".lock"), timeout=timeout_s, mode=0o600)


def _guarded(journal: Journal) -> FileLock:
    """Return the lock under which owners begin and their leftovers are removed.

    Whoever begins has a file that nobody has locked yet: it looks like a dead one's.
    """
    return FileLock(folder_of(journal, "guard"), mode=0o600)


def _holders(journal: Journal) -> set[str]:
    """Return the owners of leases, and of submits whose answer is not kept yet."""
    sql = "select owner from watched union select owner from submits"
    return {row[0] for row in journal.file.rows(sql)}


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_suffix(".lock").unlink(missing_ok=True)
