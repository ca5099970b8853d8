"""How far back to read each task this time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property

from sources.provider import Window
from sources.seen import Seen
from sources.torale.settings import Settings

__all__ = ["Horizons"]

_OPEN_FOR = timedelta(days=30)
"""How long an execution that never ends is waited for; servers end a stuck one
within hours, so an older one was deleted."""


class Horizons:
    """How far back to read each task, from what the store holds."""

    def __init__(
        self,
        seen: Seen,
        settings: Settings,
        window: Window,
        unfinished: Mapping[str, str],
        *,
        now: datetime,
    ) -> None:
        self._seen = seen
        self._held = seen.horizons(open_since=now - _OPEN_FOR)
        self._settle = timedelta(hours=settings.settle_hours)
        self.unfinished = unfinished
        self.window = window

    @cached_property
    def has_details(self) -> bool:
        """Whether the server was seen to have details."""
        return self._seen.has_details()

    def scopes(self) -> list[str]:
        """Return the tasks of which the store has executions."""
        return sorted(self._held)

    def until(self, task_id: str) -> datetime | None:
        """Return the start down to which to read, or ``None`` for everything."""
        held = self._held.get(task_id)
        bounds = [held.until(self._settle) if held else None]
        if task_id in self.unfinished:
            due = self.unfinished[task_id]
            bounds.append(datetime.fromisoformat(due) if due else None)
        if self.window.since is not None:
            bounds.append(self.window.since)
        known = [bound for bound in bounds if bound is not None]
        return min(known) if len(known) == len(bounds) else None
