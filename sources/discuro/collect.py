"""What to read from Discuro this time: the watched executions that are due."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path

from sources.discuro.client import DiscuroClient
from sources.discuro.normalize import observe
from sources.discuro.settings import Settings
from sources.discuro.tracking import result_ttl
from sources.exchange import Limits, Reply
from sources.failures import failure
from sources.http import Http
from sources.journal import Journal
from sources.lines import Line
from sources.polled import Poller, planned_polls
from sources.polling import SYSTEM_CLOCK, Clock, Pace
from sources.provider import Collected, Progress, Window, unwatched
from sources.seen import Seen
from sources.watched import Watched

__all__ = ["check", "collect", "connect", "planned"]

_NO_EXECUTION = "0"
"""An id that no execution has: asking for it shows whether the key is good."""


async def collect(
    settings: Settings,
    journal: Journal,
    seen: Seen,
    *,
    connection: str = "default",
    window: Window | None = None,
    unfinished: Mapping[str, str] | None = None,
    max_wait_s: float = 0,
    progress: Progress = unwatched,
    clock: Clock = SYSTEM_CLOCK,
) -> Collected:
    """Ask for what is due into the journal; what failed is returned, not raised.

    There is nothing to list, so ``window`` and ``unfinished`` change nothing.
    Raises what is not the provider's fault: ``ConfigurationError``, ``StoreError``.
    """
    del window, unfinished
    async with connect(settings, sleep=clock.sleep) as http:
        line = _line(settings, connection, DiscuroClient(http))
        with Poller(line, journal, seen, progress, clock) as poller:
            return await poller.run(max_wait_s)


def connect(
    settings: Settings,
    *,
    attempts: int = Limits().attempts,
    sleep: Callable[[float], Awaitable[None]] = SYSTEM_CLOCK.sleep,
) -> Http:
    """Return the HTTP client of an account, within the limits it is given."""
    limits = Limits(
        max_body_bytes=int(settings.max_body_mb * 2**20),
        requests_per_second=settings.requests_per_second,
        in_flight=settings.concurrency,
        attempts=attempts,
    )
    return Http(
        settings.base_url,
        settings.api_key,
        auth_header=settings.auth_header,
        auth_scheme=settings.auth_scheme,
        limits=limits,
        allow_http=settings.allow_http,
        ca_file=settings.ca_file,
        sleep=sleep,
    )


def _line(settings: Settings, connection: str, client: DiscuroClient) -> Line:
    async def ask(watched: Watched, _: Path | None) -> Reply:
        return await client.execution(watched.execution_id)

    model = settings.assumed_model
    return Line(
        provider="discuro",
        title="Discuro",
        connection=connection,
        ask=ask,
        observe=observe,
        pace=Pace(interval_s=settings.poll_interval_s),
        in_flight=settings.concurrency,
        ttl=result_ttl(settings),
        context={"assumed_model": model} if model else {},
    )


def planned(
    settings: Settings,
    seen: Seen,
    *,
    journal: Journal | None,
    connection: str,
    window: Window,
    unfinished: Mapping[str, str],
) -> list[str]:
    """Return in words what a collecting would ask for now."""
    del settings, seen, window, unfinished
    return planned_polls("Discuro", "discuro", connection, journal)


async def check(settings: Settings) -> str:
    """Return what the key can read; keeps nothing, and consumes nothing.

    Asks for an execution that cannot be there. Raises ``ProviderError`` with the
    next step.
    """
    async with connect(settings) as http:
        reply = await DiscuroClient(http).execution(_NO_EXECUTION)
    is_known = b"not found" in (reply.body or b"")
    if reply.http_status in {HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND} and is_known:
        return "the key is good (it knows no execution 0, as it should)"
    if error := failure(reply, "Discuro"):
        raise error
    return "the key is good"
