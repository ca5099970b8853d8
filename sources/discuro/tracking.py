"""How executions of Discuro come on the watch-list."""

from datetime import datetime, timedelta

from sources.discuro.settings import Settings
from sources.polled import added
from sources.watched import Watched

__all__ = ["result_ttl", "scope_of", "started_in", "watch"]


def scope_of(settings: Settings) -> str:
    """Return the scope of an account's executions: ids are unique within it."""
    del settings
    return ""


def result_ttl(settings: Settings) -> timedelta:
    """Return how long a result is kept, from the start of the execution."""
    return timedelta(hours=settings.result_ttl_hours)


def watch(settings: Settings, watched: Watched) -> tuple[Watched, datetime]:
    """Return an execution as it is watched, and when to ask for it first."""
    first_poll = timedelta(seconds=settings.first_poll_s)
    return added(watched, result_ttl(settings), first_poll)


def started_in(document: object) -> tuple[str, str | None] | None:
    """Return id and scope that the answer to a start holds: ``{"id": 142}``."""
    found = document.get("id") if isinstance(document, dict) else None
    if isinstance(found, str | int) and not isinstance(found, bool) and found != "":
        return str(found), None
    return None
