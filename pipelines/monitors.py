"""The files that monitors read: put in their place in one step, after each load."""

from pathlib import Path
from typing import NamedTuple

from pipelines.ended import Ended
from pipelines.health import Health, health
from pipelines.log import as_ascii
from pipelines.placing import put
from sources.errors import StoreError

__all__ = ["Monitors"]

_MODE = 0o644
"""For every user: a monitor is another one than who loads."""


class Monitors(NamedTuple):
    """The files that are to be written after each load."""

    health: Path | None = None
    prometheus: Path | None = None

    def write(self, ended: Ended) -> list[str]:
        """Write them; return in words what could not be."""
        if not any(self):
            return []
        found = health(ended)
        problems = []
        for path, write in ((self.health, _as_json), (self.prometheus, _as_metrics)):
            try:
                if path:
                    _put(path, write(found))
            except StoreError as error:
                problems.append(str(error))
        return problems


def _as_json(found: Health) -> bytes:
    return f"{as_ascii(found, indent=2)}\n".encode()


def _as_metrics(found: Health) -> bytes:
    from pipelines.metrics import exposition  # the library of an extra

    return exposition(found)


def _put(path: Path, data: bytes) -> None:
    """Put data in a file's place; raises ``StoreError``."""
    try:
        put(path, data, _MODE)
    except OSError as error:
        raise StoreError(
            f"{path}: {error.strerror}. Let this user write to its folder, or say "
            "another file."
        ) from error
