"""Keys go only where they may, and travel only as headers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.addresses import quote_segment
from sources.errors import (
    ConfigurationError,
)
from sources.http import Http

KEY = "sk_canary-0123+456/789="
URL = "https://a.io/x"


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.example.com",
        "https://api.example.com:8443/prefix/",
        "http://localhost:8000",
        "http://127.0.0.1",
        "http://127.8.9.10:1",
        "http://[::1]:8000/api",
        "HTTPS://API.example.com",
    ],
)
def test_https_and_loopback_are_good_addresses(base_url: str) -> None:
    """The key may travel encrypted, or not leave the machine."""
    assert KEY not in repr(Http(base_url, KEY))


@pytest.mark.parametrize(
    "base_url",
    [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "http://0.0.0.0",
    ],
)
def test_plain_http_needs_to_be_allowed(base_url: str) -> None:
    """Beyond loopback plain http shows the key to the network: only on purpose."""
    with pytest.raises(ConfigurationError, match="allow_http"):
        Http(base_url, KEY)

    Http(base_url, KEY, allow_http=True)


@pytest.mark.parametrize(
    ("base_url", "words"),
    [
        ("", "https://"),
        ("api.example.com", "https://"),
        ("https://", "host"),
        ("https:///path", "host"),
        ("ftp://api.example.com", "https://"),
        ("https://me:canary@api.example.com", "password"),
        ("https://me:canary@", "password"),
        ("me:canary@api.example.com", "password"),
        ("ftp://me:canary@api.example.com", "password"),
        ("api.example.com/?session=canary", "'?'"),
        ("https://api.example.com/?token=canary", "'?'"),
        ("https://api.example.com?", "'?'"),
        ("https://api.example.com/#canary", "'#'"),
        (f"https://api.example.com/{KEY}", "api_key"),
        ("https://api.example.com:port", "no address"),
        ("https://a\nb", "no address"),
        (f"https://{'a' * 64}.example", "no address"),
        ("https://a..example", "no address"),
        (KEY, "https://"),
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(base_url: str, words: str) -> None:
    """The message says what is wrong, and repeats no key."""
    with pytest.raises(ConfigurationError) as refused:
        Http(base_url, KEY, allow_http=True)

    assert words in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("", "empty"),
        (" ", "blank"),
        ("canary\n", "line break"),
        ("canary 1", "blank"),
        ("canary\x00", "blank"),
        ("canaryé", "ASCII"),
    ],
)
def test_a_key_that_cannot_stand_in_a_header_is_refused(key: str, words: str) -> None:
    """The message says what is wrong with the key, and not the key."""
    with pytest.raises(ConfigurationError) as refused:
        Http(URL, key)

    assert words in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    "configured",
    [{"auth_header": "a b"}, {"auth_header": ""}, {"auth_scheme": "Bearer\r\nX: y"}],
)
def test_a_header_that_cannot_be_sent_is_refused(configured: dict[str, str]) -> None:
    """Name and scheme of the header are configured, so they are checked."""
    with pytest.raises(ConfigurationError, match="auth_"):
        Http(URL, KEY, **configured)  # type: ignore[arg-type] # texts, as configured


@given(st.text())
def test_a_segment_stays_one_segment(text: str) -> None:
    """Whatever an id holds, it names nothing outside its place in the path."""
    segment = quote_segment(text)

    assert segment.isascii()
    assert not set(segment) & set("/?#\\ ")
    assert segment.lower().replace("%2e", ".") not in {".", ".."}
