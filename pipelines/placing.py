"""Putting a file in its place, such that a crash leaves the old one or the new one."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["put", "sync"]


def put(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Put data in a file's place: a reader sees all of the old or all of the new.

    Raises ``OSError``; what was there is then as it was.
    """
    made: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            made = Path(file.name)
            file.write(data)
        made.chmod(mode)
        sync(made)
        made.replace(path)
        sync(path.parent)
    except OSError:
        with suppress(OSError):
            if made:
                made.unlink(missing_ok=True)
        raise


def sync(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
