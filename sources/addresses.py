"""Where a key may be sent, and how it travels."""

import ipaddress
import re
from urllib.parse import quote

import httpx

from sources.errors import ConfigurationError
from sources.masking import mask_secrets

__all__ = ["auth_value", "checked_base", "is_loopback", "origin", "quote_segment"]


def quote_segment(text: str) -> str:
    """Return text as one segment of a path: all but unreserved characters quoted.

    ``.`` and ``..`` are quoted twice, because servers resolve ``%2E%2E`` as well:
    they then name something that does not exist, and nothing else.

    >>> quote_segment("a/b?c"), quote_segment("..")
    ('a%2Fb%3Fc', '%252E%252E')
    """
    if text in {".", ".."}:
        return text.replace(".", "%252E")
    return quote(text, safe="", errors="replace")


def checked_base(base_url: str, key: str, *, allow_http: bool) -> httpx.URL:
    """Return the base address.

    Raises:
        ConfigurationError: it cannot be asked, or not without giving the key away.
    """
    shown = mask_secrets(base_url, [key])
    try:
        url = httpx.URL(base_url)
        url.host.encode("idna")  # what the resolver will do, and raise from there
    except (httpx.InvalidURL, UnicodeError):
        message = "base_url is no address. Set it like https://api.example.com."
        raise ConfigurationError(message) from None
    if url.userinfo or any(mark in base_url for mark in "?#@"):
        message = "base_url must hold no user, password, '?' or '#'. Remove them."
    elif url.scheme not in {"http", "https"} or not url.host:
        message = f"base_url {shown!r} must begin with https:// and name a host."
    elif shown != base_url:
        message = f"base_url {shown!r} holds a key. Set it as api_key, nowhere else."
    elif url.scheme == "http" and not (allow_http or is_loopback(url.host)):
        message = (
            f"base_url {shown!r} would send the key unencrypted. Use https://, or set "
            "execledger.allow_http=true where the network is trusted."
        )
    else:
        return url
    raise ConfigurationError(message)


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def auth_value(key: str, header: str, scheme: str) -> str:
    """Return the value of the header that carries the key.

    Raises:
        ConfigurationError: it cannot stand in a header; says so without the key.
    """
    if not key:
        raise ConfigurationError("The API key is empty. Set api_key.")
    if not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ConfigurationError(
            "The API key holds a blank, a line break or a character beyond ASCII. "
            "Copy it again."
        )
    if not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", header, re.ASCII):
        raise ConfigurationError("auth_header is no name of a header.")
    if not re.fullmatch(r"[\x21-\x7e]*", scheme):
        raise ConfigurationError("auth_scheme must be one word, or empty.")
    return f"{scheme} {key}" if scheme else key


def origin(url: httpx.URL) -> tuple[str, str, int | None]:
    """Return scheme, host and port: what a key was given for."""
    return url.scheme, url.host, url.port  # httpx leaves out a scheme's default port
