"""Tests of the server on loopback."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sources.loopback import reset, serve


async def _hello(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


APP = Starlette(routes=[Route("/", _hello)])

LEAK_CHECK = """
import httpx
from sources.loopback import serve
async def app(scope, receive, send):
    raise ValueError("a fault of the app")
with serve(app) as base_url, httpx.Client() as client:
    assert client.get(base_url).status_code == 500
"""


def test_the_app_answers_as_soon_as_the_block_begins() -> None:
    """The server is ready, on loopback, when ``serve`` yields its address."""
    with serve(APP) as base_url:
        answer = httpx.get(base_url)

    assert base_url.startswith("http://127.0.0.1:")
    assert answer.text == "hello"


def test_two_servers_run_side_by_side_on_ports_of_their_own() -> None:
    """Each server takes a free port."""
    with serve(APP) as one, serve(APP) as other:
        texts = [httpx.get(base_url).text for base_url in (one, other)]

    assert one != other
    assert texts == ["hello", "hello"]


def test_the_server_is_gone_when_the_block_ends() -> None:
    """No thread is left, and nobody listens on the port, also with a client open."""
    threads = threading.active_count()
    with httpx.Client() as client:
        with serve(APP) as base_url:
            client.get(base_url)
        port = int(base_url.rsplit(":", 1)[1])

        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    assert threading.active_count() == threads


def test_the_server_ends_although_an_answer_is_still_awaited() -> None:
    """A request that never ends does not keep the block from ending."""
    arrived = threading.Event()
    caught: list[Exception] = []

    async def never_answers(_scope: Scope, _receive: Receive, _send: Send) -> None:
        arrived.set()
        await asyncio.sleep(3600)

    def wait_for_ever(base_url: str) -> None:
        try:
            httpx.get(base_url, timeout=30)
        except httpx.TransportError as error:
            caught.append(error)

    with serve(never_answers) as base_url:
        waiting = threading.Thread(target=wait_for_ever, args=(base_url,))
        waiting.start()
        assert arrived.wait(timeout=5)
    waiting.join(timeout=5)

    assert len(caught) == 1


def test_an_error_in_the_block_stops_the_server_and_is_not_hidden() -> None:
    """The server ends with its block, however that ends."""
    threads = threading.active_count()

    with pytest.raises(KeyError), serve(APP):
        raise KeyError

    assert threading.active_count() == threads


def test_the_handlers_of_signals_stay_as_they_are() -> None:
    """Ctrl-C belongs to the command that runs the server."""
    before = signal.getsignal(signal.SIGINT)

    with serve(APP):
        during = signal.getsignal(signal.SIGINT)

    assert during is before


def test_nothing_is_logged_warned_about_or_leaked() -> None:
    """With warnings as errors, in development mode, there is no output at all."""
    done = subprocess.run(  # noqa: S603 - this Python with the text above
        [sys.executable, "-W", "error", "-X", "dev", "-c", LEAK_CHECK],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_app_can_reset_its_connection() -> None:
    """A reset reaches the client as a broken connection, and the server goes on."""

    async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/break":
            await reset(scope)
        await PlainTextResponse("hello")(scope, receive, send)

    with serve(breaks) as base_url:
        with pytest.raises(httpx.ReadError):
            httpx.get(f"{base_url}/break")
        after = httpx.get(base_url)

    assert after.text == "hello"


@pytest.mark.parametrize("absent", ["uvicorn", "starlette"])
@pytest.mark.parametrize("module", ["sources.loopback", "sources.twin_server"])
def test_without_the_extra_the_error_says_what_to_install(
    absent: str, module: str
) -> None:
    """A missing server package is a matter of configuration, with the next step."""
    code = f"import sys; sys.modules[{absent!r}] = None; import {module}"

    done = subprocess.run(  # noqa: S603 - this Python with the text above
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert done.stderr.strip().endswith(
        "sources.errors.ConfigurationError: The twins need the extra "
        '"demo": pip install "execledger[demo]"'
    )
