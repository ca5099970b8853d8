"""What to read from Unstract this time: what is due, found by id or by the platform."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from uuid import uuid4

from sources.errors import ExecledgerError, KeyRefused
from sources.exchange import Limits, Reply
from sources.failures import failure
from sources.http import Http
from sources.journal import Journal
from sources.lines import Line
from sources.polled import Poller, planned_polls
from sources.polling import SYSTEM_CLOCK, Clock, Pace
from sources.provider import Collected, Progress, Window, unwatched
from sources.seen import Seen
from sources.unstract.client import DeploymentClient, PlatformClient
from sources.unstract.discovery import Discovery
from sources.unstract.normalize import observe
from sources.unstract.settings import Settings
from sources.unstract.tracking import result_ttl
from sources.watched import Watched

__all__ = ["check", "collect", "connect", "line_of", "planned"]

_PLATFORM_KEY = "SOURCES__UNSTRACT__PLATFORM_KEY"
_LIST_AGAIN_S = 30.0


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

    With a platform key, what is finished is found first. ``window`` changes nothing:
    a result is there once, or not any more. Raises what is not the provider's fault:
    ``ConfigurationError``, ``StoreError``.
    """
    del window
    async with AsyncExitStack() as stack:
        own = connect(settings, settings.api_key, sleep=clock.sleep)
        http = await stack.enter_async_context(own)
        line = line_of(settings, connection, DeploymentClient(http, settings))
        poller = stack.enter_context(Poller(line, journal, seen, progress, clock))
        if not settings.platform_key:
            return await poller.run(max_wait_s)
        platform = connect(settings, settings.platform_key, sleep=clock.sleep)
        client = PlatformClient(await stack.enter_async_context(platform), settings)
        discovery = Discovery(
            settings,
            client,
            journal,
            seen,
            connection=connection,
            progress=progress,
            clock=clock,
        )
        await _both(discovery, poller, unfinished or {}, max_wait_s, clock)
        return _joined(discovery.result, poller.result())


async def _both(
    discovery: Discovery,
    poller: Poller,
    unfinished: Mapping[str, str],
    max_wait_s: float,
    clock: Clock,
) -> None:
    """Find and read by turns, until nothing runs any more or time is up."""
    until = clock.now() + timedelta(seconds=max_wait_s)
    while True:
        await discovery.run(unfinished)
        await poller.run()
        left_s = (until - clock.now()).total_seconds()
        if left_s <= 0 or discovery.result.errors or not discovery.is_open:
            break
        await clock.sleep(min(left_s, _LIST_AGAIN_S))
    if left_s > 0:
        await poller.run(left_s)
    await discovery.rest()


def _joined(found: Collected, read: Collected) -> Collected:
    return Collected(
        counts={name: n for name, n in found.counts.items() if n} | read.counts,
        errors=[_of_platform(error) for error in found.errors] + read.errors,
        unfinished=found.unfinished,
    )


def _of_platform(error: ExecledgerError) -> ExecledgerError:
    """Return an error of the platform API with the name of the key that it takes."""
    if isinstance(error, KeyRefused):
        said = str(error).replace("SOURCES__UNSTRACT__API_KEY", _PLATFORM_KEY)
        return KeyRefused(said)
    return error


def connect(
    settings: Settings,
    key: str,
    *,
    beside: int = 0,
    attempts: int = Limits().attempts,
    sleep: Callable[[float], Awaitable[None]] = SYSTEM_CLOCK.sleep,
) -> Http:
    """Return an HTTP client with one of the keys, within the limits it is given.

    ``beside`` is how many more requests than those of the settings may be in flight.
    """
    limits = Limits(
        max_body_bytes=_max_body_bytes(settings),
        requests_per_second=settings.requests_per_second,
        in_flight=settings.concurrency + beside,
        read_timeout_s=settings.read_timeout_s,
        attempts=attempts,
    )
    return Http(
        settings.base_url,
        key,
        limits=limits,
        allow_http=settings.allow_http,
        ca_file=settings.ca_file,
        also_masked=(settings.api_key, settings.platform_key),
        sleep=sleep,
    )


def _max_body_bytes(settings: Settings) -> int:
    return int(settings.max_body_mb * 2**20)


def line_of(settings: Settings, connection: str, client: DeploymentClient) -> Line:
    """Return how the executions of a deployment are asked for."""

    async def ask(watched: Watched, arriving: Path | None) -> Reply:
        return await client.execution(watched.execution_id, arriving)

    def recovered(watched: Watched, arriving: Path) -> Reply:
        return client.recovered(watched.execution_id, arriving)

    return Line(
        provider="unstract",
        title="Unstract",
        connection=connection,
        ask=ask,
        recovered=recovered,
        observe=observe,
        pace=Pace(interval_s=settings.poll_interval_s),
        in_flight=settings.concurrency,
        room_bytes=_max_body_bytes(settings),
        ttl=result_ttl(settings),
        keeps_from_end=True,
        context={
            "organization_id": settings.organization_id,
            "api_name": settings.api_name,
        },
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
    del seen, window, unfinished
    lines = planned_polls("Unstract", "unstract", connection, journal)
    if settings.platform_key:
        lines.append("Unstract: executions are listed by the platform key first")
    return lines


async def check(settings: Settings) -> str:
    """Return what the keys can read; keeps nothing, and consumes nothing.

    Asks for an execution that cannot be there: the key is good if that is all that
    is wrong. Raises ``ProviderError`` with the next step.
    """
    unknown = str(uuid4())
    async with connect(settings, settings.api_key) as http:
        reply = await DeploymentClient(http, settings).execution(unknown)
    is_unknown = unknown.encode() in (reply.body or b"")
    error = failure(reply, "Unstract")
    if error and not (reply.http_status == HTTPStatus.NOT_FOUND and is_unknown):
        raise error
    if not settings.platform_key:
        return f"the key of {settings.api_name} is good"
    async with connect(settings, settings.platform_key) as http:
        reply = await PlatformClient(http, settings).executions(1, 1)
    if error := failure(reply, "Unstract"):
        raise _of_platform(error)
    return f"the key of {settings.api_name} and the platform key are good"
