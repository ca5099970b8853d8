"""What goes out to a server and what comes back, as values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from sources.records import Outcome

__all__ = ["Content", "Limits", "Reply"]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much is asked of a host, and how long is waited for it."""

    max_body_bytes: int = 64 * 1024 * 1024
    """Bytes of one body after content-decoding; reading stops there."""
    requests_per_second: float = 20
    """Requests started per second and origin, evenly spaced; may be below 1."""
    in_flight: int = 8
    """Requests under way at once per origin."""
    connect_timeout_s: float = 10.0
    """Seconds for a connection, TLS included."""
    read_timeout_s: float = 120.0
    """Seconds without a byte, either way; not of the whole answer."""
    answer_timeout_s: float = 3_600.0
    """Seconds for a whole answer, however slowly it comes; at least the above."""
    attempts: int = 5
    """Tries of one request, the first included."""
    wait_floor_s: float = 0.5
    """Least seconds between two tries, whatever ``Retry-After`` says."""
    wait_ceiling_s: float = 60.0
    """Most seconds between two tries, whatever ``Retry-After`` says."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a request: a JSON document, or the fields and files of a form.

    ``files`` has, for the form's field ``files``, the names to send and the files,
    which are opened anew for each try.
    """

    json: Any = None
    fields: dict[str, str] | None = None
    files: Sequence[tuple[str, Path]] = ()


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """What one request came to, whatever it came to."""

    method: str
    """HTTP method, upper case."""
    url: str
    """The address that was asked last (redirects are followed), masked."""
    http_status: int | None = None
    """HTTP status; none where no answer came."""
    headers: dict[str, str] = {}
    """Headers of the answer that may be kept, names in lower case, masked."""
    elapsed_ms: int
    """From the start of the last try to its end, milliseconds."""
    attempts: int = 1
    """Tries that were made."""
    waited_s: float = 0.0
    """Seconds waited between the tries, in all."""
    outcome: Outcome
    """ok for 2xx, http_error for another status, transport_error, or truncated."""
    body: bytes | None = None
    """The decoded body, masked; what came of it where cut; none where none came."""
    body_sha256: str | None = None
    """Hash (hex) of the decoded body before masking."""
    size_bytes: int = 0
    """Length of the decoded body before masking, as far as it was read."""
    error: str | None = None
    """What went wrong in transport, in words, masked."""
    too_large: bool = False
    """Whether the body is beyond ``max_body_bytes``."""
    redirect_refused: bool = False
    """Whether the answer is a redirect that was not followed."""
    was_sent: bool = True
    """Whether the request may have reached the server: a connection was made."""

    @property
    def is_distrusted(self) -> bool:
        """Whether the server's certificate was refused: nothing was sent to it."""
        return "CERTIFICATE_VERIFY_FAILED" in (self.error or "")
