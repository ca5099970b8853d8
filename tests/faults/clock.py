"""A clock that is wrong, for one command alone: Debian's ``faketime`` is preloaded."""

from pathlib import Path

__all__ = ["FakeClock"]

_LIBRARY = "*/faketime/libfaketimeMT.so.1"


class FakeClock:
    """A clock that is so much ahead or behind, such as ``+5h`` or ``-5h``.

    Only the time of day is wrong: what measures durations goes on as it does when
    somebody sets a real clock.
    """

    def __init__(self, file: Path, offset: str) -> None:
        self._file = file
        self.set(offset)

    def set(self, offset: str) -> None:
        """Set it, also while the command runs."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n", "utf-8")
        new.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a command that is to have this clock."""
        (library,) = Path("/usr/lib").glob(_LIBRARY)
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }
