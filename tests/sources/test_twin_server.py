"""Tests of what the twins of all providers have in common."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from typing import ClassVar

import httpx
import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from sources.loopback import serve
from sources.twin_server import Noted, Refusal, TwinServer

GOOD = {"Authorization": "Bearer canary"}
WHOLE = {"items": list(range(100))}


class SmallTwin(TwinServer):
    """A twin with one endpoint that answers and one that refuses."""

    ERRORS: ClassVar[Mapping[int, object]] = {429: {"error": "slow down"}, 500: "Oops"}

    def __init__(self, latency_s: float = 0.0) -> None:
        routes = [Route("/items", self._items), Route("/refused", self._refuses)]
        super().__init__(routes, latency_s=latency_s)

    def is_authorised(self, headers: Headers) -> bool:
        """Return whether the canary came along."""
        return headers.get("authorization") == "Bearer canary"

    async def _items(self, _request: Request) -> JSONResponse:
        return JSONResponse(WHOLE)

    async def _refuses(self, _request: Request) -> JSONResponse:
        raise Refusal(418, {"detail": "a teapot"})


@pytest.fixture
def twin() -> SmallTwin:
    """Return a twin of no provider."""
    return SmallTwin()


@pytest.fixture
def client(twin: SmallTwin) -> Iterator[httpx.Client]:
    """Yield a client of the twin, over real sockets."""
    with (
        serve(twin.app) as base_url,
        httpx.Client(base_url=base_url, headers=GOOD, timeout=5) as client,
    ):
        yield client


def test_each_request_is_noted_without_its_key(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """Method, path, query and whether the key was right are noted, in order."""
    client.get("/items?page=2&limit=5")
    client.get("/items", headers={"Authorization": "Bearer wrong"})

    assert twin.requests == [
        Noted("GET", "/items", "page=2&limit=5", is_authorised=True),
        Noted("GET", "/items", "", is_authorised=False),
    ]
    assert "canary" not in repr(twin.requests)


def test_requests_are_counted_by_a_part_of_path_and_query(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """``count`` looks for its fragment in path and query."""
    for url in ("/items?page=1", "/items?page=2", "/refused"):
        client.get(url)

    counts = [twin.count(part) for part in ("", "/items", "page=2", "none")]
    assert counts == [3, 2, 1, 0]


def test_unknown_paths_and_methods_are_refused_in_json(client: httpx.Client) -> None:
    """A missing route answers as FastAPI does."""
    answers = [client.get("/nowhere"), client.post("/items"), client.get("/refused")]

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (404, {"detail": "Not Found"}),
        (405, {"detail": "Method Not Allowed"}),
        (418, {"detail": "a teapot"}),
    ]


def test_a_status_comes_with_the_providers_own_body(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """Known errors have the provider's body, others the name of the status."""
    for status in (429, 500, 503):
        twin.fail_next("/items", status)

    answers = [client.get("/items") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [429, 500, 503, 200]
    assert [answer.text for answer in answers[:3]] == [
        '{"error":"slow down"}',
        "Oops",
        '{"detail":"Service Unavailable"}',
    ]


def test_a_fault_may_bring_any_body_and_headers(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """Bodies are sent byte by byte as given, also those that are no JSON."""
    twin.fail_next("/items", 200, body=b'{"n":NaN,"s":"\xff"}')
    twin.fail_next("/items", 429, headers={"Retry-After": "7"})

    odd, throttled = client.get("/items"), client.get("/items")

    assert (odd.status_code, odd.content) == (200, b'{"n":NaN,"s":"\xff"}')
    assert odd.headers["content-type"] == "application/json"
    assert (throttled.headers["retry-after"], throttled.json()) == (
        "7",
        {"error": "slow down"},
    )


def test_a_fault_spoils_only_what_it_fits_and_as_often_as_told(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """``times`` counts the requests that hold the fragment, no others."""
    twin.fail_next("page=2", 500, times=2)

    statuses = [client.get(f"/items?page={n}").status_code for n in (1, 2, 2, 2)]

    assert statuses == [200, 500, 500, 200]


def test_a_page_of_html_comes_with_status_200(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """A proxy's page looks like success."""
    twin.fail_next("/items", "html")

    answer = client.get("/items")

    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("trouble", "seen_as"),
    [("cut", httpx.RemoteProtocolError), ("reset", httpx.ReadError)],
)
def test_a_broken_answer_reaches_the_client_as_such(
    twin: SmallTwin,
    client: httpx.Client,
    trouble: str,
    seen_as: type[httpx.TransportError],
) -> None:
    """A cut body and a reset connection are seen, and the next request is served."""
    twin.fail_next("/items", "cut" if trouble == "cut" else "reset")

    with pytest.raises(seen_as):
        client.get("/items")

    assert client.get("/items").json() == WHOLE


def test_a_cut_body_is_half_of_the_true_one(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """The headers promise the whole body, and half of it arrives."""
    whole = client.get("/items").content
    twin.fail_next("/items", "cut")
    parts = []

    with (
        contextlib.suppress(httpx.RemoteProtocolError),
        client.stream("GET", "/items") as answer,
    ):
        for part in answer.iter_raw():
            parts.append(part)  # noqa: PERF402 - what came before the cut is kept
        parts.append(b"the end")

    assert int(answer.headers["content-length"]) == len(whole)
    assert b"".join(parts) == whole[: len(whole) // 2]


def test_a_hanging_answer_lasts_until_the_client_gives_up(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """Nothing is answered; the connection is free again after the time-out."""
    twin.fail_next("/items", "hang")

    with pytest.raises(httpx.ReadTimeout):
        client.get("/items", timeout=0.05)

    assert client.get("/items").json() == WHOLE


def test_a_callback_sees_each_request_before_it_is_answered(
    twin: SmallTwin, client: httpx.Client
) -> None:
    """What a callback does holds for the very request that called it."""
    twin.on_request(
        lambda seen: twin.fail_next("", 500) if "page=2" in seen.query else None
    )

    statuses = [client.get(f"/items?page={n}").status_code for n in (1, 2, 3)]

    assert statuses == [200, 500, 200]


def test_the_most_requests_in_flight_are_known() -> None:
    """Requests that wait for their answer together are counted together."""
    twin = SmallTwin(latency_s=0.2)

    async def ask_side_by_side(base_url: str) -> None:
        async with httpx.AsyncClient(base_url=base_url) as client:
            await asyncio.gather(*(client.get("/items") for _ in range(4)))

    with serve(twin.app) as base_url:
        asyncio.run(ask_side_by_side(base_url))
        httpx.get(f"{base_url}/items")

    assert (twin.max_in_flight, len(twin.requests)) == (4, 5)


def test_latency_comes_to_order(twin: SmallTwin, client: httpx.Client) -> None:
    """An answer takes at least the latency."""
    twin.latency_s = 0.1

    answer = client.get("/items")

    assert answer.elapsed.total_seconds() >= 0.1
