"""Responses for the tests: from recordings, and made up around them."""

import hashlib
import json
from collections.abc import Container, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from sources import providers
from sources.journal import uuid7
from sources.json_text import encode
from sources.records import Response

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
SOURCES = Path(__file__).resolve().parent.parent / "sources"


class Recording(msgspec.Struct):
    """A response as it was documented or observed, from a provider's folder."""

    origin: str
    endpoint: str
    params: dict[str, object]
    status: int
    headers: dict[str, str] = {}
    body: object = msgspec.UNSET
    body_text: str | None = None

    @property
    def content(self) -> bytes:
        """The body as it came over the wire."""
        if self.body_text is not None:
            return self.body_text.encode()
        return json.dumps(self.body, ensure_ascii=False).encode()


def recordings(provider: str) -> dict[str, Recording]:
    """Return all recordings of a provider by their file's name."""
    folder = SOURCES / provider / "recordings"
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=Recording)
        for path in sorted(folder.glob("*.json"))
    }


def all_recordings() -> Iterator[tuple[str, str]]:
    """Yield provider and name of every recording: the contract tests run over them."""
    for provider in providers():
        for name in recordings(provider):
            yield provider, name


def response(
    provider: str,
    body: bytes | object,
    *,
    endpoint: str = "executions",
    params: Mapping[str, object] | None = None,
    status: int = 200,
    second: int = 0,
) -> Response:
    """Return a response as the journal gives it, received so many seconds in."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    received = BEGIN + timedelta(seconds=second)
    return Response(
        provider=provider,
        connection="default",
        response_id=uuid7(received),
        endpoint=endpoint,
        method="GET",
        url="http://127.0.0.1/",
        params=encode({"task_id": "t1"} if params is None else dict(params)),
        http_status=status,
        headers=encode({}),
        received_at=received,
        elapsed_ms=1,
        attempts=1,
        outcome="ok" if status < 300 else "http_error",
        body=content,
        body_sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
    )


def recorded(provider: str, name: str, *, second: int = 0) -> Response:
    """Return a recording as a response."""
    found = recordings(provider)[name]
    return response(
        provider,
        found.content,
        endpoint=found.endpoint,
        params=found.params,
        status=found.status,
        second=second,
    )


def every_recording(provider: str, but: Container[str] = ()) -> list[Response]:
    """Return all recordings of a provider but some, one a second."""
    return [
        recorded(provider, name, second=second)
        for second, name in enumerate(recordings(provider))
        if name not in but
    ]
