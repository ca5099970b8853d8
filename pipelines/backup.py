"""Safety copies: store and journal together in one file, also while a load runs.

The journal is copied first. A response leaves it only after the load that carries it
is published: so each is in the copy of the journal, or of the store, or of both, which
the next load sorts out as after a crash.

A backup is a tar file of a manifest, with lengths and hashes, and the files it names.
"""

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

import msgspec

from pipelines.placing import sync
from pipelines.readers import try_store
from pipelines.store import LOGS, Home, copy_store, in_words, locked
from sources.errors import StoreError
from sources.journal_file import JournalFile

__all__ = ["Manifest", "backup", "restore"]

_FORMAT = 1
_MANIFEST = "manifest.json"
_MOST_BYTES = 1 << 20
"""A manifest is a few hundred bytes; of a file that is none, no more is read."""

_STORE, _JOURNAL = Home(Path()).published.name, Home(Path()).journal.name
_NAMES = frozenset({_STORE, *(_STORE + log for log in LOGS), _JOURNAL})
"""What a backup may hold: no other name is written to the disk."""

_CHUNK = 1 << 20


class Part(msgspec.Struct, frozen=True):
    """A file of a backup."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds, and by which execledger and when it was made."""

    format: int
    execledger: str
    taken_at: datetime
    files: list[Part]

    @property
    def size_bytes(self) -> int:
        """The length of all files."""
        return sum(part.bytes for part in self.files)


def backup(home: Home, file: Path) -> Manifest:
    """Write store and journal of a home into a new file, for its owner alone.

    They are as they were together at one time; loads and readers go on. Raises
    ``StoreError`` where there is nothing to copy, or the file is there.
    """
    file = file.absolute()
    if file.exists():
        raise StoreError(f"{file} is there already. Choose another name.")
    if not file.parent.is_dir():
        raise StoreError(f"{file.parent} is no folder. Make it, or choose another.")
    taken_at = datetime.now(UTC)
    prefix = f".{file.name}-"
    with (
        in_words(file),
        tempfile.TemporaryDirectory(dir=file.parent, prefix=prefix) as name,
    ):
        folder = Path(name)
        if home.journal.exists():
            with closing(JournalFile(home.journal)) as journal:
                journal.copy_to(folder / _JOURNAL)
        if home.published.exists():
            copy_store(home.published, folder)
        parts = [_part(path) for path in sorted(folder.iterdir())]
        if not parts:
            raise StoreError(f"There is neither a store nor a journal in {home.path}.")
        manifest = Manifest(
            format=_FORMAT,
            execledger=version("execledger"),
            taken_at=taken_at,
            files=parts,
        )
        whole = folder / "whole.tar"
        _write(whole, manifest, folder)
        try:
            os.link(whole, file)  # not over a file that came meanwhile
        except FileExistsError:
            raise StoreError(f"{file} is there already. Choose another name.") from None
        sync(file.parent)
    return manifest


def _part(path: Path) -> Part:
    with path.open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    return Part(path.name, path.stat().st_size, sha256)


def _write(whole: Path, manifest: Manifest, folder: Path) -> None:
    index = folder / _MANIFEST
    index.write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
    with whole.open("xb") as opened:
        whole.chmod(0o600)
        with tarfile.open(fileobj=opened, mode="w") as archive:
            for path in (index, *(folder / part.name for part in manifest.files)):
                info = tarfile.TarInfo(path.name)
                info.size, info.mode = path.stat().st_size, 0o600
                info.mtime = int(manifest.taken_at.timestamp())
                with path.open("rb") as content:
                    archive.addfile(info, content)
        opened.flush()
        os.fsync(opened.fileno())


def restore(
    home: Home, file: Path, *, replaces: bool = False, wait_s: float = 0
) -> Manifest:
    """Put store and journal of a backup into a home.

    With ``replaces``, what is there goes aside, into a folder that is a home of its
    own. All of the backup is read and tried first: raises ``StoreError``, with the
    home as it was, where it is damaged, is none, or is of a newer execledger. After a
    crash in between, nothing loads into the home until this was done once more.
    """
    with locked(home, wait_s=wait_s, is_restore=True), in_words(file):
        present = _present(home)
        if present and not (replaces or home.restoring.exists()):
            raise StoreError(
                f"{home.path} holds data already. Restore into another folder with "
                "--home, or say --replace: what is there is kept, in a folder beside."
            )
        shutil.rmtree(home.work, ignore_errors=True)
        home.work.mkdir(mode=0o700)
        try:
            manifest = _extracted(file, home.work)
            _try(home.work)
            home.restoring.touch(mode=0o600)
            if present:
                aside = (
                    home.path / f"before-restore-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
                )
                aside.mkdir(mode=0o700)
                for path in present:
                    path.replace(aside / path.name)
            for part in manifest.files:
                (home.work / part.name).replace(home.path / part.name)
            sync(home.path)
            home.restoring.unlink()
        finally:
            shutil.rmtree(home.work, ignore_errors=True)
    return manifest


def _present(home: Home) -> Sequence[Path]:
    """Return what a home holds of store and journal, with all that belongs to them."""
    names = (_STORE, _JOURNAL)
    return [path for path in home.path.iterdir() if path.name.startswith(names)]


def _extracted(file: Path, folder: Path) -> Manifest:
    """Write the files of a backup into a folder; raises unless all are as they were."""
    try:
        with tarfile.open(file, mode="r:") as archive:
            manifest = _manifest(archive)
            for part in manifest.files:
                _extract(archive, part, folder)
    except (tarfile.TarError, msgspec.MsgspecError, LookupError, ValueError) as error:
        raise _damaged(file, error) from error
    return manifest


def _manifest(archive: tarfile.TarFile) -> Manifest:
    opened = archive.extractfile(_MANIFEST)
    if opened is None:
        raise ValueError(f"{_MANIFEST} is no file")
    said = msgspec.json.decode(opened.read(_MOST_BYTES))
    if isinstance(said, dict) and said.get("format") != _FORMAT:
        raise StoreError(
            f"The backup is of format {said.get('format')!r}, by execledger "
            f"{said.get('execledger')!r}; this one knows {_FORMAT}. Install that one."
        )
    return msgspec.convert(said, Manifest)


def _extract(archive: tarfile.TarFile, part: Part, folder: Path) -> None:
    if part.name not in _NAMES:
        raise ValueError(f"{part.name!r} is no file of a backup")
    member = archive.getmember(part.name)
    content = archive.extractfile(member) if member.isreg() else None
    if content is None or member.size != part.bytes:
        raise ValueError(f"{part.name} is not as long as it was")
    target = folder / part.name
    with content, target.open("xb") as written:
        target.chmod(0o600)
        if _copied(content, written) != part.sha256:
            raise ValueError(f"{part.name} is not what was written")
        written.flush()
        os.fsync(written.fileno())


def _copied(content: IO[bytes], target: IO[bytes]) -> str:
    """Copy a file and return the hash of what was copied."""
    sha256 = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        sha256.update(chunk)
        target.write(chunk)
    return sha256.hexdigest()


def _try(folder: Path) -> None:
    """Open what was extracted; raises ``StoreError`` where one cannot be used here."""
    if (folder / _STORE).exists():
        try_store(folder / _STORE)
    if (folder / _JOURNAL).exists():
        JournalFile(folder / _JOURNAL).close()


def _damaged(file: Path, error: Exception) -> StoreError:
    return StoreError(
        f"{file} is no backup, or is damaged: {error}. The home is as it was; take "
        "another backup."
    )
