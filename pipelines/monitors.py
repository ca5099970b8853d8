"""The files that monitors read: put in their place in one step, after each load."""

import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pipelines.ended import Ended
from pipelines.health import health
from pipelines.log import as_ascii
from pipelines.store import sync
from sources.errors import StoreError

__all__ = ["Monitors"]

_MODE = 0o644
"""For every user: a monitor is another one than who loads."""


class Monitors(NamedTuple):
    """The files that are to be written after each load."""

    health: Path | None = None

    def write(self, ended: Ended) -> list[str]:
        """Write them; return in words what could not be."""
        if self.health is None:
            return []
        found = health(ended)
        try:
            _put(self.health, f"{as_ascii(found, indent=2)}\n".encode())
        except StoreError as error:
            return [str(error)]
        return []


def _put(path: Path, data: bytes) -> None:
    """Put data in a file's place; a reader sees all of the old or all of the new."""
    made: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            made = Path(file.name)
            file.write(data)
        made.chmod(_MODE)
        sync(made)
        made.replace(path)
        sync(path.parent)
    except OSError as error:
        with suppress(OSError):
            if made:
                made.unlink(missing_ok=True)
        raise StoreError(
            f"{path}: {error.strerror}. Let this user write to its folder, or say "
            "another file."
        ) from error
