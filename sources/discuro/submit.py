"""Starting an execution of Discuro: its id is durable before it is asked for."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sources.discuro.client import DiscuroClient, Kind
from sources.discuro.collect import connect
from sources.discuro.settings import Settings
from sources.discuro.tracking import scope_of
from sources.exchange import Reply
from sources.journal import Journal
from sources.leases import owned
from sources.polling import SYSTEM_CLOCK, Clock
from sources.sending import Desk, send
from sources.submits import Draft, Submit, begin
from sources.watched import Tag

__all__ = ["submit"]


async def submit(
    settings: Settings,
    journal: Journal,
    kind: Kind,
    uuid: str,
    *,
    inputs: Mapping[str, str],
    tags: Sequence[Tag] = (),
    connection: str = "default",
    told: Callable[[str], object],
    max_wait_s: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> Submit:
    """Start an execution of an orchestrator or a prompt template; return the submit.

    The values of ``inputs`` are sent and noted nowhere. Never raises for what the
    network or the server does. Raises ``ConfigurationError``, ``StoreError``.
    """
    desk = Desk(journal, settings, told, max_wait_s=max_wait_s, clock=clock)
    # each try is told and noted: the client makes one
    async with connect(settings, attempts=1) as http:
        client = DiscuroClient(http)

        async def post(_: Path) -> Reply:
            return await client.start(kind, uuid, inputs, tags)

        with owned(journal) as owner:
            draft = _draft(
                settings, kind, uuid, inputs=inputs, tags=tags, connection=connection
            )
            begun = begin(journal, owner, draft, clock.now())
            return await send(desk, begun, post)


def _draft(
    settings: Settings,
    kind: Kind,
    uuid: str,
    *,
    inputs: Mapping[str, str],
    tags: Sequence[Tag],
    connection: str,
) -> Draft:
    workflow = {"id": uuid, "kind": kind.replace("-", "_")}
    model = settings.assumed_model
    return Draft(
        provider="discuro",
        connection=connection,
        scope=scope_of(settings),
        what={"said": f"{kind} {uuid}", "inputs": list(inputs), "workflow": workflow},
        tags=tuple(tags),
        context={"workflow": workflow, **({"assumed_model": model} if model else {})},
    )
