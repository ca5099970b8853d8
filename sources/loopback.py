"""A server on loopback for the twins, and what is asked of every twin.

A twin is a small server that behaves as a provider does. It runs here, on
127.0.0.1 and a free port, for the demo, for the tests and for trying out a cron.
"""

import asyncio
import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from sources.errors import ConfigurationError

try:
    import uvicorn
    from starlette.types import ASGIApp, Scope
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as absent:
    raise ConfigurationError(
        'The twins need the extra "demo": pip install "execledger[demo]"'
    ) from absent

__all__ = ["Obtained", "Twin", "reset", "serve"]


class Obtained(NamedTuple):
    """What a store that lost nothing holds of one execution.

    ``outputs`` are the values of its outputs, as JSON values in any order.
    """

    provider_status: str | None
    result_state: str
    outputs: Sequence[object] = []
    sources: int = 0
    total_tokens: int | None = None


class Twin(Protocol):
    """What the demo and the contract tests need of every provider's twin.

    Each provider's ``twin`` module has ``demo(now) -> Twin``: a rich world that
    is the same for the same ``now``.
    """

    @property
    def app(self) -> ASGIApp:
        """The twin itself, for ``serve``."""

    def settings(self, base_url: str) -> dict[str, str]:
        """Return the keys of ``[sources.<provider>]`` that read this twin."""

    def pass_time(self) -> None:
        """Let time go on until what runs now has finished."""

    def started(self) -> Iterable[Mapping[str, object]]:
        """Return what a user who started the executions would track, one each.

        ``id``, ``started_at`` (ISO 8601), ``tags``. A provider that lists its
        executions has none.
        """

    def obtained(self) -> Mapping[tuple[str, str], Obtained]:
        """Return (scope, execution_id) → what a store that lost nothing has of it.

        Of everything that was handed out, or was to be known, by now.
        """


class _Connection(H11Protocol):
    """A connection that ``reset`` can break: its transport is in the scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


async def reset(scope: Scope) -> None:
    """Break the connection of a request with a TCP reset, at once."""
    transport: asyncio.Transport = scope["state"]["transport"]
    no_linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, no_linger
    )
    transport.abort()
    await asyncio.sleep(0)  # uvicorn learns of it in the next turn of the loop


class _Server(uvicorn.Server):
    """A server that cuts its connections when it stops: nobody waits any more."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # the connections learn of it in the next turn
        await super().shutdown(sockets)


def _configuration(app: ASGIApp, certificate: Path | None) -> uvicorn.Config:
    """Return what makes uvicorn silent, and quick to end."""
    return uvicorn.Config(
        app,
        ssl_certfile=certificate,
        interface="asgi3",  # uvicorn takes a bound method for the older interface
        http=_Connection,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
    )


def _listener() -> socket.socket:
    """Return a socket that listens on a free port of loopback.

    It names its protocol: asyncio turns Nagle's delay off only where it is named,
    and each answer would take 40 ms otherwise.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener


@contextlib.contextmanager
def serve(app: ASGIApp, certificate: Path | None = None) -> Iterator[str]:
    """Run an ASGI app on loopback and a free port; yield its base URL.

    It speaks TLS where it is given a PEM file with a certificate and its key. It runs
    in a thread, is ready when the block begins and gone when it ends, logs nothing and
    installs no signal handlers.
    """
    with _listener() as listener:
        server = _Server(_configuration(app, certificate))
        thread = threading.Thread(
            target=server.run, args=([listener],), name="twin", daemon=True
        )
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        try:
            scheme = "https" if certificate else "http"
            yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
