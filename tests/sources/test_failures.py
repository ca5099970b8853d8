"""A reply becomes the error it is, with the next step."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from sources.failures import failure, is_html
from tests.sources.test_masking import SIGNED

KEY = "sk_canary-0123+456/789="
URL = "https://a.io/x"


def reply(status: int | None = 200, body: bytes | None = b"", **fields: Any) -> Reply:
    """Return a reply of this status and body."""
    good = status is not None and 200 <= status < 300
    return Reply(
        **{
            "method": "GET",
            "url": URL,
            "http_status": status,
            "elapsed_ms": 1,
            "outcome": "ok" if good else "http_error",
            "body": body,
        }
        | fields
    )


def cut(status: int | None, **fields: Any) -> Reply:
    """Return a reply that did not come whole."""
    outcome = "truncated" if status else "transport_error"
    return reply(status, outcome=outcome, error="ReadError", **fields)


@pytest.mark.parametrize(
    ("given_", "kind", "message"),
    [
        (
            reply(401, b'{"detail": "Invalid API key"}'),
            KeyRefused,
            (
                "Torale: the key was refused (401: Invalid API key). Set "
                'SOURCES__TORALE__API_KEY or run "execledger doctor".'
            ),
        ),
        (
            reply(403, b""),
            KeyRefused,
            (
                "Torale: the key was refused (403). Set SOURCES__TORALE__API_KEY "
                'or run "execledger doctor".'
            ),
        ),
        (
            reply(404, b'{"detail": "Task not found"}'),
            NotFound,
            (
                "Torale: GET https://a.io/x was not found (404: Task not found). "
                'Check base_url and the configured ids, or run "execledger doctor".'
            ),
        ),
        (
            reply(
                422,
                b'{"detail": [{"loc": ["query"], "msg": "Bad input"}, {"msg": "b"}]}',
            ),
            RequestRefused,
            (
                "Torale: GET https://a.io/x was refused (422: Bad input; b). "
                'Check the settings, or run "execledger doctor".'
            ),
        ),
        (
            reply(
                429,
                b'{"error": "Rate limit exceeded: 10 per 1 minute"}',
                attempts=5,
                waited_s=61.2,
            ),
            Throttled,
            (
                "Torale: still throttled (429: Rate limit exceeded: 10 per 1 minute) "
                "after 5 tries and 61 s of waiting. Run it again later, or less often."
            ),
        ),
        (
            reply(500, b"Internal Server Error"),
            ServerFault,
            (
                "Torale: the server failed at GET https://a.io/x (500) in 1 try. "
                "Run it again later; the fault is on their side."
            ),
        ),
        (
            cut(None, attempts=5, waited_s=9),
            TransportFault,
            (
                "Torale: no whole answer to GET https://a.io/x in 5 tries and 9 s of "
                "waiting (ReadError). Check base_url and the network, then run it "
                "again."
            ),
        ),
        (
            reply(
                None,
                outcome="transport_error",
                error="ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] unknown",
            ),
            TransportFault,
            (
                "Torale: GET https://a.io/x was not sent, as the server's certificate "
                "cannot be trusted (ConnectError: [SSL: CERTIFICATE_VERIFY_FAILED] "
                "unknown). If an authority of your own signed it, set "
                "SOURCES__TORALE__CA_FILE to that authority's PEM file; else check "
                "base_url, and who answers there."
            ),
        ),
        (
            cut(200),
            TransportFault,
            (
                "Torale: no whole answer to GET https://a.io/x in 1 try (ReadError). "
                "Check base_url and the network, then run it again."
            ),
        ),
        (
            reply(200, outcome="truncated", too_large=True),
            BodyTooLarge,
            (
                "Torale: the answer to GET https://a.io/x is larger than "
                "execledger.max_body_mb allows. Raise it, or ask for less at once."
            ),
        ),
        (
            reply(
                307,
                redirect_refused=True,
                error="the redirect leads to another origin",
                headers={"location": "http://a.io/x/?token=canary"},
            ),
            RedirectRefused,
            (
                "Torale: GET https://a.io/x was not followed to "
                "http://a.io/x/?token=*** (307: the redirect leads to another origin)."
                " Check base_url: https, and the final host."
            ),
        ),
        (
            reply(200, b"<html>"),
            UnexpectedAnswer,
            ("Torale: GET https://a.io/x answered HTML, not JSON: is base_url right?"),
        ),
        (
            reply(304),
            UnexpectedAnswer,
            (
                "Torale: GET https://a.io/x answered 304, which nothing here asks "
                "for: is base_url right?"
            ),
        ),
    ],
)
def test_each_kind_of_reply_has_its_error_and_next_step(
    given_: Reply, kind: type[ProviderError], message: str
) -> None:
    """The message names the thing, the provider's own words, and what to do."""
    error = failure(given_, "Torale")

    assert type(error) is kind
    assert str(error) == message


@pytest.mark.parametrize("status", [200, 202, 204])
def test_a_good_answer_is_no_failure(status: int) -> None:
    """A whole 2xx that is no page for people is good."""
    assert failure(reply(status, b"[]"), "Torale") is None


@pytest.mark.parametrize(
    ("status", "kind"), [(401, KeyRefused), (404, NotFound), (500, ServerFault)]
)
def test_a_status_that_says_enough_needs_no_whole_body(
    status: int, kind: type[ProviderError]
) -> None:
    """A refused key is a refused key, also where its explanation was cut."""
    assert type(failure(cut(status, body=b'{"det'), "Torale")) is kind


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errors": [{"code": "error", "detail": "Unauthorized"}]}', "Unauthorized"),
        (b'{"error": {"message": "no"}}', "no"),
        (b'{"error": "a\\u001b[31m\\nb\\u0000\\u202ec"}', "a[31m bc"),
        (b'{"error": "\\ud800lone"}', "lone"),
        (json.dumps({"detail": "x" * 300}).encode(), "x" * 200),
        (b'{"detail": "GET /f?X-Amz-Signature=0f1e"}', "GET /f?X-Amz-Signature=***"),
        (b'{"detail": "token eyJhbGci.eyJzdWIi.SflKxw-R is bad"}', "token *** is bad"),
    ],
)
def test_the_words_of_the_provider_are_fit_to_be_shown(body: bytes, words: str) -> None:
    """One printable line of at most 200 characters, masked."""
    error = failure(reply(400, body), "Torale")

    assert f"(400: {words})" in str(error)


@pytest.mark.parametrize(("signed", "masked"), SIGNED)
def test_no_signature_stands_in_the_words_of_an_error(signed: str, masked: str) -> None:
    """Law: a presigned address that a provider could not read is said without it."""
    body = json.dumps({"errors": [{"detail": f"no {signed}"}]}).encode()

    error = failure(reply(400, body), "Torale")

    assert f"(400: no {masked})" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        None,
        b"[[[",
        b"[" * 100_000,
        b'{"detail":' * 5_000 + b"1" + b"}" * 5_000,
        b"\xff\xfe\x00",
        b"1" * 5_000,
        b'{"detail": null, "error": 5}',
        '{"detail": "nobody masks this"}'.encode("utf-16"),
        b"<html>Not here</html>",
    ],
)
def test_a_body_without_words_leaves_the_status(body: bytes | None) -> None:
    """An error page that cannot be read is no second error."""
    assert "(400)" in str(failure(reply(400, body), "Torale"))


@given(st.one_of(st.none(), st.integers(100, 999)), st.one_of(st.none(), st.binary()))
def test_every_reply_has_a_verdict(status: int | None, body: bytes | None) -> None:
    """Judging never raises; none but a good 2xx goes without an error."""
    error = failure(reply(status, body), "Torale")

    assert (error is None) == (
        status is not None and 200 <= status < 300 and not is_html(reply(200, body))
    )


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/html; charset=utf-8", b"", True),
        ("Application/XHTML+xml", b"", True),
        ("application/json", b"\xef\xbb\xbf \r\n<!doctype html>", True),
        ("application/json", b'{"a": "<"}', False),
        ("", None, False),
    ],
)
def test_html_is_known_by_its_type_or_its_first_character(
    content_type: str, body: bytes | None, *, expected: bool
) -> None:
    """A page for people, whatever it calls itself."""
    page = reply(200, body, headers={"content-type": content_type})

    assert is_html(page) is expected
