"""Keys and signatures are masked wherever they stand, and nothing else is."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.addresses import quote_segment
from sources.masking import mask_secrets, mask_signatures, masked_body

KEY = "sk_canary-0123+456/789="
URL = "https://a.io/x"


@pytest.mark.parametrize(
    "spelled",
    [
        KEY,
        "sk_canary-0123%2B456%2F789%3D",
        "sk_canary-0123%2b456%2f789%3d",
        r"sk_canary-0123+456\/789=",
        r"sk_canary-0123\u002b456\u002F789\u003d",
        r"\u0073\u006b_canary-\u0030123+456/789=",
        r"sk_can\\u0061ry-0123\\\\u002b456\\/789=",
        "%73k_c%61nary-0123+456/789=",
        "sk_canary-0123%252B456%252f789%253D",
        f"x{KEY}x",
    ],
)
def test_a_key_is_masked_however_it_is_spelled(spelled: str) -> None:
    """As it is, percent-encoded, as JSON may escape it, and within a word."""
    masked = mask_secrets(f"before {spelled} after", [KEY])

    assert "canary" not in masked
    assert "789" not in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")


@pytest.mark.parametrize("before", ["", "u:", "user:", "me and "])
@pytest.mark.parametrize("after", ["", ":", ":password"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_a_key_is_masked_in_base64_wherever_it_begins(
    before: str, after: str, encode: Callable[[bytes], bytes]
) -> None:
    """As Basic auth has it, alone, as a user or as a password."""
    encoded = encode(f"{before}{KEY}{after}".encode()).decode()

    masked = mask_secrets(f"got {encoded}", [KEY])
    body = masked_body(f'{{"got": "{encoded}"}}'.encode(), [KEY])

    assert masked.startswith("got ")
    for said in (masked, body.decode()):
        assert "***" in said
        assert encoded[4:-4] not in said


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({KEY: KEY}).encode(),
        b'{"a": "sk_canar\\u0079-0123+456/789="}',
        b"%73k_canary-0123+456/789=",
        json.dumps(KEY).encode("utf-16-le"),
        json.dumps(KEY).encode("utf-16-be"),
        b"sk_canary-0123+456/789=, other_canary, sk_canary-0123+456/789=",
    ],
)
def test_keys_are_masked_in_a_body_however_they_are_spelled(body: bytes) -> None:
    """All keys of the account, and each time that they stand there."""
    masked = masked_body(body, [KEY, "other_canary"])

    assert b"***" in masked
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        text = masked.decode(encoding, "replace")
        assert "789=" not in text
        assert "other_canary" not in text


def test_of_two_secrets_the_longer_is_masked_whole() -> None:
    """A secret that begins another leaves nothing of it, and none is passed over."""
    masked = mask_secrets("canary-1-long canary-1", ["", "canary-1", "canary-1-long"])

    assert masked == "*** ***"


def test_a_short_key_is_masked_as_a_word_only() -> None:
    """The key of a test server does not make holes in other words."""
    assert mask_secrets("key=demo demonstrates demo", ["demo"]) == (
        "key=*** demonstrates ***"
    )


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Authorization: Bearer abc123def456", "Authorization: Bearer ***"),
        ("https://me:canary@host/p@q", "https://***@host/p@q"),
        ("/x?api_key=canary&page=1", "/x?api_key=***&page=1"),
        ("/x?a=1&access_token=canary", "/x?a=1&access_token=***"),
        ("key sk_live_0123456789", "key ***"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.SflKxw-RJ_", "jwt ***"),
        ("/x?X-Amz-Signature=0f1e&a=1", "/x?X-Amz-Signature=***&a=1"),
    ],
)
def test_what_looks_like_a_key_is_masked(text: str, masked: str) -> None:
    """Also keys that are not ours stay out of addresses, headers and messages."""
    assert mask_secrets(text, []) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Bearer authentication required",
        "Invalid API key",
        "/api/v1/tasks?limit=100&page=2",
        "task-1234567890 was not found",
        "disk_space1234567",
        "\ud800 is a lone surrogate",
    ],
)
def test_other_text_is_left_alone(text: str) -> None:
    """Masking changes nothing where there is nothing to hide."""
    assert mask_secrets(text, [KEY]) == text


SIGNED = [
    (
        (
            "https://b.s3.amazonaws.com/f?X-Amz-Credential=AK%2F20240101%2Fs3"
            "&X-Amz-Date=20240101T000000Z&X-Amz-Security-Token=Fwo%2B%3D&X-Amz-Signature=0f1e"
        ),
        (
            "https://b.s3.amazonaws.com/f?X-Amz-Credential=***"
            "&X-Amz-Date=20240101T000000Z&X-Amz-Security-Token=***&X-Amz-Signature=***"
        ),
    ),
    (
        "https://storage.googleapis.com/f?X-Goog-Credential=a%40b&X-Goog-Signature=0f",
        "https://storage.googleapis.com/f?X-Goog-Credential=***&X-Goog-Signature=***",
    ),
    (
        "https://b/f?AWSAccessKeyId=AKIA1&Expires=9&Signature=a%2Bb%3D",
        "https://b/f?AWSAccessKeyId=***&Expires=9&Signature=***",
    ),
    (
        "https://b/f?Signature=a+b/c=&Expires=9&AWSAccessKeyId=AKIA1",
        "https://b/f?Signature=***&Expires=9&AWSAccessKeyId=***",
    ),
    (
        "https://b.blob.core.windows.net/f?sv=2024-01-01&se=2024-01-01T00:00:00Z&sig=a%2B",
        "https://b.blob.core.windows.net/f?sv=2024-01-01&se=2024-01-01T00:00:00Z&sig=***",
    ),
    (
        "https://b.oss.example.com/f?x-oss-credential=AK%2F2024&x-oss-expires=9&x-oss-signature=0f",
        "https://b.oss.example.com/f?x-oss-credential=***&x-oss-expires=9&x-oss-signature=***",
    ),
    (
        "https://b/f?OSSAccessKeyId=LTAI1&Expires=9&Signature=a%2Bb%3D",
        "https://b/f?OSSAccessKeyId=***&Expires=9&Signature=***",
    ),
    (
        "https://obs/f?AccessKeyId=HW1&Expires=9&Signature=a%2Bb%3D",
        "https://obs/f?AccessKeyId=***&Expires=9&Signature=***",
    ),
    (
        "https://fire/v0/b/x/o/f?alt=media&token=0f1e-2d",
        "https://fire/v0/b/x/o/f?alt=media&token=***",
    ),
    ("/f?sig=a%2B&se=9#page=2", "/f?sig=***&se=9#page=2"),
    (
        "https://c/f?Expires=9&Signature=a-b_~&Key-Pair-Id=K1",
        "https://c/f?Expires=9&Signature=***&Key-Pair-Id=***",
    ),
    (
        "/f?GoogleAccessId=a@b&Expires=9&Signature=ab",
        "/f?GoogleAccessId=***&Expires=9&Signature=***",
    ),
]


@pytest.mark.parametrize("ampersand", ["&", r"\u0026", "&amp;", r"\\u0026"])
@pytest.mark.parametrize(("signed", "masked"), SIGNED)
def test_signatures_are_masked_and_nothing_else(
    signed: str, masked: str, ampersand: str
) -> None:
    """Only the values that open the file go, however ``&`` is written."""
    frame = '{{"detail": "could not read <{}>, sorry", "a": "Signature=x"}}'

    body = frame.format(signed.replace("&", ampersand))

    expected = frame.format(masked.replace("&", ampersand))
    assert mask_signatures(body.encode()).decode() == expected


@pytest.mark.parametrize(("signed", "masked"), SIGNED[:5])
def test_signatures_within_a_quoted_address_are_masked(
    signed: str, masked: str
) -> None:
    """An address that is itself a parameter is percent-encoded once more."""

    def quoted(address: str) -> str:
        return f"/proxy?url={quote_segment(address)}&page=1"

    body = mask_signatures(quoted(signed).encode()).decode()

    assert body == quoted(masked).replace("%2A%2A%2A", "***")


@pytest.mark.parametrize(
    "text",
    [
        "/f?sig=abc&page=1",
        "/f?Signature=abc&page=1",
        "/f?se=9&sv=2&design=abc",
        "/f?token=abc&page=1",
        "token=7, total_tokens=9",
        "/f?AWSAccessKeyId=AKIA1&a=1 Signature=abc",
        "the X-Amz-Signature header",
        "X-Amz-Signature=",
        '{"sig": "abc", "se": 1, "Signature": "=", "AWSAccessKeyId": "="}',
    ],
)
def test_what_is_no_signature_stays(text: str) -> None:
    """A name alone, or one that is common elsewhere, is no presigned address."""
    assert mask_signatures(text.encode()) == text.encode()


FRAGMENTS = st.sampled_from(
    [
        "sig",
        "se",
        "=",
        "&",
        "&amp;",
        r"\u0026",
        "?",
        "%26",
        "%3D",
        "%3F",
        "Signature",
        "AWSAccessKeyId",
        "X-Amz-Signature",
        "x",
        "***",
        "\\",
        "%",
        '"',
        " ",
        "é",
    ]
)


@given(st.lists(FRAGMENTS).map("".join))
def test_masking_twice_is_masking_once(text: str) -> None:
    """What is masked has nothing left to mask."""
    once = mask_signatures(text.encode())

    assert mask_signatures(once) == once


@given(st.binary())
def test_masking_takes_any_bytes(body: bytes) -> None:
    """Bodies are bytes of any kind, and without a parameter they stay as they are."""
    assert mask_signatures(body) == body or b"=" in body or b"%3" in body


@given(
    before=st.text(),
    key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8),
    after=st.text(),
)
def test_no_key_survives_masking(before: str, key: str, after: str) -> None:
    """Any key that can stand in a header is found in any text, raw and as JSON."""
    echoes = f"{before}{key}{after}", json.dumps(f"{before}{key}{after}")

    masked = [mask_secrets(echo, [key]) for echo in echoes]

    assert all(key not in text.replace("***", "\n") for text in masked)


@given(
    key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8),
    escaped=st.sets(st.integers(0, 7)),
    form=st.sampled_from(
        [r"\u{:04x}", r"\u{:04X}", r"\\u{:04x}", "%{:02x}", "%{:02X}"]
    ),
)
def test_no_key_survives_in_a_body_with_letters_escaped(
    key: str, escaped: set[int], form: str
) -> None:
    """Any letters of a key may be escaped, in JSON, JSON within JSON or an address."""
    said = "".join(
        form.format(ord(char)) if place in escaped else char
        for place, char in enumerate(key)
    )

    assert said.encode() not in masked_body(b"<" + said.encode() + b">", [key])
