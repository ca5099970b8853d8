"""What a reply amounts to: no error, or one with its next step."""

import json
from typing import Final

import httpx

from sources.errors import (
    BodyTooLarge,
    KeyRefused,
    NotFound,
    ProviderError,
    RedirectRefused,
    RequestRefused,
    ServerFault,
    Throttled,
    TransportFault,
    UnexpectedAnswer,
)
from sources.exchange import Reply
from sources.masking import mask_secrets

__all__ = ["failure", "is_html"]

_WORDS_LENGTH: Final = 200
_READABLE_ERROR: Final = 64 * 1024


def is_html(reply: Reply) -> bool:
    """Return whether the answer is a page for people: by its type, or a ``<``."""
    content_type = reply.headers.get("content-type", "").lower()
    if content_type.startswith(("text/html", "application/xhtml")):
        return True
    return (reply.body or b"")[:256].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"<"


def failure(reply: Reply, provider: str) -> ProviderError | None:
    """Return the error that a reply amounts to; none for a good 2xx.

    ``provider`` is the name to show, such as Torale. Its upper case stands in the
    name of the environment variable.
    """
    at, status = f"{reply.method} {reply.url}", reply.http_status
    if reply.too_large:
        return BodyTooLarge(
            f"{provider}: the answer to {at} is larger than execledger.max_body_mb "
            "allows. Raise it, or ask for less at once."
        )
    if reply.redirect_refused:
        return RedirectRefused(
            f"{provider}: {at} was not followed to {_location(reply)} "
            f"({status}: {reply.error}). Check base_url: https, and the final host."
        )
    is_cut = reply.outcome == "truncated"
    if status is None or (is_cut and not httpx.codes.is_error(status)):
        return _no_whole_answer(reply, provider, at)
    if reply.outcome != "ok":
        return _refusal(reply, provider, status)
    if is_html(reply):
        return UnexpectedAnswer(
            f"{provider}: {at} answered HTML, not JSON: is base_url right?"
        )
    return None


def _no_whole_answer(reply: Reply, provider: str, at: str) -> TransportFault:
    if reply.is_distrusted:
        return TransportFault(
            f"{provider}: {at} was not sent, as the server's certificate cannot be "
            f"trusted ({reply.error}). If an authority of your own signed it, set "
            f"SOURCES__{provider.upper()}__CA_FILE to that authority's PEM file; else "
            "check base_url, and who answers there."
        )
    return TransportFault(
        f"{provider}: no whole answer to {at} in {_tries(reply)} ({reply.error}). "
        "Check base_url and the network, then run it again."
    )


def _refusal(reply: Reply, provider: str, status: int) -> ProviderError:
    """Return the error that another status than 2xx stands for."""
    said, at = _said(reply), f"{reply.method} {reply.url}"
    codes, doctor = httpx.codes, 'run "execledger doctor"'
    if status in {codes.UNAUTHORIZED, codes.FORBIDDEN}:
        variable = f"SOURCES__{provider.upper()}__API_KEY"
        return KeyRefused(
            f"{provider}: the key was refused ({said}). Set {variable} or {doctor}."
        )
    if status == codes.NOT_FOUND:
        return NotFound(
            f"{provider}: {at} was not found ({said}). "
            f"Check base_url and the configured ids, or {doctor}."
        )
    if status == codes.TOO_MANY_REQUESTS:
        return Throttled(
            f"{provider}: still throttled ({said}) after {_tries(reply)}. "
            "Run it again later, or less often."
        )
    if codes.is_client_error(status):
        return RequestRefused(
            f"{provider}: {at} was refused ({said}). Check the settings, or {doctor}."
        )
    if codes.is_server_error(status):
        return ServerFault(
            f"{provider}: the server failed at {at} ({said}) in {_tries(reply)}. "
            "Run it again later; the fault is on their side."
        )
    return UnexpectedAnswer(
        f"{provider}: {at} answered {said}, which nothing here asks for: "
        "is base_url right?"
    )


def _location(reply: Reply) -> str:
    return _shown(reply.headers.get("location", ""))


def _tries(reply: Reply) -> str:
    """Return how often it was tried, and how long waited, in words."""
    if reply.attempts == 1:
        return "1 try"
    return f"{reply.attempts} tries and {reply.waited_s:.0f} s of waiting"


def _said(reply: Reply) -> str:
    """Return the status, and the provider's own words if it gave any."""
    try:
        # as text: json would read bytes in UTF-16 as well, which nothing has masked
        start = (reply.body or b"")[:_READABLE_ERROR]
        document = json.loads(start.decode("utf-8-sig", "replace"))
        words = _shown(_words(document))
    except (ValueError, RecursionError):
        words = ""
    return f"{reply.http_status}: {words}" if words else str(reply.http_status)


def _words(document: object) -> str:
    """Return the text of an error document, by the shapes that providers use."""
    if isinstance(document, str):
        return document
    if isinstance(document, list):
        return "; ".join(filter(None, map(_words, document)))
    if isinstance(document, dict):
        fields = ("detail", "error", "errors", "message", "msg")
        return next(filter(None, (_words(document.get(name)) for name in fields)), "")
    return ""


def _shown(text: str) -> str:
    """Return foreign text fit for a terminal: one line, printable, short, masked."""
    line = " ".join(mask_secrets(text, ()).split())
    printable = "".join(char for char in line if char.isprintable())
    return printable[:_WORDS_LENGTH].rstrip()
