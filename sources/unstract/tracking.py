"""How executions of Unstract come on the watch-list."""

from datetime import datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

from sources.polled import added
from sources.unstract.settings import Settings
from sources.watched import Watched

__all__ = ["result_ttl", "scope_of", "started_in", "watch"]

_DEPLOYMENT = ["deployment", "api"]


def scope_of(settings: Settings) -> str:
    """Return the scope of a deployment's executions."""
    return settings.scope


def result_ttl(settings: Settings) -> timedelta:
    """Return how long a result is kept, from the end of the execution."""
    return timedelta(hours=settings.result_ttl_hours)


def watch(settings: Settings, watched: Watched) -> tuple[Watched, datetime]:
    """Return an execution as it is watched, and when to ask for it first."""
    return added(watched, result_ttl(settings))


def started_in(document: object) -> tuple[str, str | None] | None:
    """Return id and scope that the answer to a start holds.

    The scope stands in ``status_api`` alone, and so does the id in the answers of
    older servers.
    """
    answer = document.get("message", document) if isinstance(document, dict) else None
    if not isinstance(answer, dict):
        return None
    execution_id, scope = _status_api(answer.get("status_api"))
    named = answer.get("execution_id")
    if isinstance(named, str) and named:
        execution_id = named
    return (execution_id, scope) if execution_id else None


def _status_api(address: object) -> tuple[str | None, str | None]:
    """Return id and scope of ``/deployment/api/<org>/<api>/?execution_id=<id>``."""
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
        ids = parse_qs(parts.query).get("execution_id", [])
    except ValueError:
        return None, None
    steps = [unquote(step) for step in parts.path.split("/") if step]
    scope = "/".join(steps[2:4]) if steps[:2] == _DEPLOYMENT and steps[3:] else None
    return (ids[0] if ids else None), scope
