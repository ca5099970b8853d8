"""Which files go into which run: found, known by their content, never two of a name."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from sources.errors import ConfigurationError

__all__ = ["MAX_FILES", "File", "Skip", "batches", "files_in", "once", "read"]

MAX_FILES = 32
"""How many files the server takes in one run."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file, the name that it is sent by, and its content when it was read."""

    path: Path
    name: str
    sha256: str
    size_bytes: int
    mtime_ns: int

    @property
    def has_changed(self) -> bool:
        """Whether the file is no longer what was read."""
        try:
            stat = self.path.stat()
        except OSError:
            return True
        return (stat.st_size, stat.st_mtime_ns) != (self.size_bytes, self.mtime_ns)


class Skip(msgspec.Struct, frozen=True):
    """A file that is not sent, and why not."""

    path: str
    reason: str


def files_in(paths: Iterable[Path], *, recursive: bool = False) -> list[Path]:
    """Return the files that are named, and those in the named folders, each once.

    In folders, what is hidden is left out, and so are subfolders unless ``recursive``.
    Raises ``ConfigurationError`` for a path that is neither file nor folder.
    """
    found: dict[Path, Path] = {}
    for path in paths:
        if not path.is_file() and not path.is_dir():
            raise ConfigurationError(f"{path} is neither a file nor a folder.")
        for file in _inside(path, recursive=recursive) if path.is_dir() else [path]:
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _inside(folder: Path, *, recursive: bool) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ConfigurationError(f"{folder}: {error.strerror}") from None
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_file():
            yield entry
        elif recursive and entry.is_dir() and not entry.is_symlink():
            yield from _inside(entry, recursive=True)


def read(path: Path) -> File:
    """Return a file with the hash of its content, read piece by piece.

    Raises ``ConfigurationError`` where it cannot be read.
    """
    try:
        with path.open("rb") as content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
            stat = path.stat()
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    return File(
        path=path,
        name=path.name.encode("utf-8", "replace").decode(),  # any bytes on disk
        sha256=sha256,
        size_bytes=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
    )


def once(files: Iterable[File]) -> tuple[list[File], list[Skip]]:
    """Return each content once, and what is left out: the same again, and nothing."""
    first: dict[str, File] = {}
    skipped = []
    for file in files:
        if not file.size_bytes:
            skipped.append(Skip(str(file.path), "it is empty"))
        elif (same := first.setdefault(file.sha256, file)) is not file:
            skipped.append(Skip(str(file.path), f"its content is that of {same.path}"))
    return list(first.values()), skipped


def batches(files: Sequence[File], per_run: int) -> list[list[File]]:
    """Return the files of each run, at most ``per_run``, in the order they came.

    The server joins two files of one name into one, so they go into different runs.
    """
    made: list[list[File]] = []
    with_room: list[tuple[list[File], set[str]]] = []
    for file in files:
        name = file.name.casefold()
        batch = next((one for one in with_room if name not in one[1]), None)
        if batch is None:
            batch = ([], set())
            made.append(batch[0])
            with_room.append(batch)
        batch[0].append(file)
        batch[1].add(name)
        if len(batch[0]) >= per_run:
            with_room.remove(batch)
    return made
