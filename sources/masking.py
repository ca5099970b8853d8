"""Keys and signatures, taken out of whatever is logged, stored or shown."""

import base64
import logging
import re
from collections.abc import Callable, Collection, Iterable
from functools import lru_cache
from typing import Final

__all__ = [
    "KeyFilter",
    "blanked",
    "mask_secrets",
    "mask_signatures",
    "masked_body",
    "spelled",
]

MASK: Final = "***"
_SHORT_KEY: Final = 8
"""Shorter keys (of test servers) are masked as whole words, not within words."""

_BACKSLASH = r"\\{1,4}"  # JSON within JSON within JSON
_SEPARATOR = rf"(?:&amp;|&|{_BACKSLASH}u0026|%26)"
_EQUALS = rf"(?:=|{_BACKSLASH}u003[dD]|%3[dD])"
_ESCAPED = rf"%(?!26|3[fF])|{_BACKSLASH}(?:/|u00(?:2[bBfF]|3[dD]))"
_SIGNED_VALUE = rf"(?:[A-Za-z0-9+/=._~:@-]++|{_ESCAPED})++"
_ANY_VALUE = rf"(?:[^&\s\"'<>\\?%#]++|{_ESCAPED})*+"

_SIGNATURE = re.compile(
    rf"((?i:X-(?:Amz|Oss)-(?:Signature|Credential|Security-Token)|"
    rf"X-Goog-(?:Signature|Credential))"
    rf"{_EQUALS}){_SIGNED_VALUE}".encode()
)
_QUERY = re.compile(
    rf"(?:(?<![\w%-])|(?<=%3[fF]))[\w-]++{_EQUALS}{_ANY_VALUE}"
    rf"(?:{_SEPARATOR}[\w-]++{_EQUALS}{_ANY_VALUE})*+".encode()
)
_PARAMETER = re.compile(
    rf"((?:\A|{_SEPARATOR})([\w-]+){_EQUALS})({_SIGNED_VALUE})?".encode()
)
_SIGNED_TOGETHER: Final = (
    # Parameter that gives the scheme away, parameters that are secret beside it.
    (b"awsaccesskeyid", {b"awsaccesskeyid", b"signature"}),  # S3, version 2
    (b"ossaccesskeyid", {b"ossaccesskeyid", b"signature"}),  # Alibaba, version 1
    (b"accesskeyid", {b"accesskeyid", b"signature"}),  # Huawei
    (b"alt", {b"token"}),  # Firebase
    (b"googleaccessid", {b"googleaccessid", b"signature"}),  # GCS, version 2
    (b"key-pair-id", {b"key-pair-id", b"signature"}),  # CloudFront
    (b"se", {b"sig"}),  # Azure: expiry
    (b"sv", {b"sig"}),  # Azure: version
)
_ALONE_MARKS: Final = (b"X-Amz-", b"x-amz-", b"X-Goog-", b"x-goog-", b"oss-signature")
_ALONE_MARKS_HAVE: Final = (b"mz-", b"oog-", b"oss-signature")
_TOGETHER_MARKS: Final = tuple(
    name + equals
    for name in (b"sig", b"ignature", b"token")
    for equals in (b"=", b"%3D", b"%3d", b"\\u003d", b"\\u003D")
)
_TOGETHER_MARKS_HAVE: Final = (b"sig", b"ignature", b"ken=", b"ken%3", b"ken\\u003")

_LOOKS_LIKE_A_KEY: Final = (
    (re.compile(r"(?i)\b(bearer|basic)\s+(?=\S*\d)[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"(?<=://)[^/?#\s@]+@"), f"{MASK}@"),
    (re.compile(r"(?<![\w-])[spr]k[_-](?=[\w-]*\d)[\w-]{8,}"), MASK),
    (re.compile(r"(?<![\w-])eyJ[\w-]+\.[\w-]+\.[\w-]+"), MASK),
    (
        re.compile(
            r"(?i)([?&](?:api[_-]?key|key|(?:access_|auth_)?token|password|"
            r"(?:client_)?secret)=)[^&#\s\"']+"
        ),
        rf"\1{MASK}",
    ),
)


_ESCAPED_ALNUM = re.compile(
    rb"(?:%(?:25)*|\\u00)(?:3[0-9]|[46][1-9a-fA-F]|[57][0-9aA])"
)


def _letter(char: str) -> str:
    """Return a pattern for a character as URLs, JSON and ``repr`` may write it."""
    plain, code = re.escape(char), _any_case(f"{ord(char):02x}")
    escaped = rf"%(?:25)*{code}|{_BACKSLASH}u00{code}"
    if not char.isalnum():
        escaped += rf"|{_BACKSLASH}{plain}"
    return rf"(?:{plain}|{escaped})"


def _any_case(code: str) -> str:
    return re.sub("[a-f]", lambda digit: f"[{digit[0]}{digit[0].upper()}]", code)


@lru_cache(maxsize=64)
def spelled(secret: str) -> str:
    """Return a pattern for a secret in whatever way URLs, JSON or repr spell it."""
    pattern = "".join(map(_letter, secret))
    return pattern if len(secret) >= _SHORT_KEY else rf"(?<![\w-]){pattern}(?![\w-])"


@lru_cache(maxsize=64)
def _in_base64(secret: str) -> tuple[str, ...]:
    """Return what is in any text in base64 that holds a secret, as Basic auth has it.

    Three letters stand for four: what it looks like depends on where it begins.
    """
    if len(secret) < _SHORT_KEY:
        return ()
    found: dict[str, None] = {}
    for before in range(3):
        shifted = bytes(before) + secret.encode()
        whole = slice(-(-before * 8 // 6), len(shifted) * 8 // 6)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found[encode(shifted).decode()[whole]] = None
    return tuple(found)


def mask_secrets(text: str, secrets: Iterable[str]) -> str:
    """Return text without the secrets, and without what looks like one.

    That is: presigned URLs' signatures, bearer tokens, passwords in addresses,
    ``?token=…`` and the like. A secret is found percent-encoded, as JSON and in base64,
    too.

    >>> mask_secrets("https://me:pw@host/?token=a&page=2 for k-1234567", ["k-1234567"])
    'https://***@host/?token=***&page=2 for ***'
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        for encoded in _in_base64(secret):
            text = text.replace(encoded, MASK)
        text = re.sub(spelled(secret), MASK, text)
    for pattern, mask in _LOOKS_LIKE_A_KEY:
        text = pattern.sub(mask, text)
    signed = mask_signatures(text.encode(errors="surrogatepass"))
    return signed.decode(errors="surrogatepass")


def mask_signatures(body: bytes) -> bytes:
    r"""Return a body without the signatures of presigned URLs.

    Of S3, GCS, Azure, CloudFront, Firebase, Alibaba and Huawei.

    The rest stays as it is, byte for byte. ``&`` may be written ``\u0026``,
    ``&amp;`` or ``%26``.

    >>> mask_signatures(b"https://b/f?X-Amz-Expires=9&X-Amz-Signature=0f1e")
    b'https://b/f?X-Amz-Expires=9&X-Amz-Signature=***'
    """
    if _has_any(body, _ALONE_MARKS_HAVE) and _has_any(body, _ALONE_MARKS):
        body = _SIGNATURE.sub(rb"\1***", body)
    if _has_any(body, _TOGETHER_MARKS_HAVE) and _has_any(body, _TOGETHER_MARKS):
        body = _QUERY.sub(_masked_query, body)
    return body


def _has_any(body: bytes, marks: Iterable[bytes]) -> bool:
    return any(mark in body for mark in marks)


def _masked_query(query: re.Match[bytes]) -> bytes:
    names = {name.lower() for _, name, _ in _PARAMETER.findall(query[0])}
    secret = {
        name
        for sign, together in _SIGNED_TOGETHER
        if sign in names and together <= names | {sign}
        for name in together
    }

    def masked(parameter: re.Match[bytes]) -> bytes:
        is_secret = parameter[3] and parameter[2].lower() in secret
        return parameter[1] + MASK.encode() if is_secret else parameter[0]

    return _PARAMETER.sub(masked, query[0]) if secret else query[0]


def masked_body(body: bytes, keys: Iterable[str]) -> bytes:
    """Return a body without signatures and without the keys, however spelled."""
    return _without(mask_signatures(body), keys, lambda _: MASK.encode())


def blanked(body: bytes, keys: Iterable[str]) -> bytes:
    """Return a body of the same length, with the keys in it as asterisks."""
    return _without(body, keys, lambda length: b"*" * length)


def _without(body: bytes, keys: Iterable[str], mask: Callable[[int], bytes]) -> bytes:
    """Return a body with a mask for each key; it is told the length of what was."""
    for key in keys:
        wide = key.encode("utf-16-le")[:-1]
        for encoded in (wide, *map(str.encode, _in_base64(key))):
            if encoded in body:
                body = body.replace(encoded, mask(len(encoded)))
        if _may_hold(body, key):
            pattern = spelled(key).encode()
            body = re.sub(pattern, lambda found: mask(len(found[0])), body)
    return body


def _may_hold(body: bytes, key: str) -> bool:
    """Tell whether a body may hold a key; quick, as most bodies do not."""
    longest = max(re.findall(r"[A-Za-z0-9]*", key), key=len)
    # Letters and digits are mostly spelled as they are.
    if longest.encode() in body:
        return True
    has_escapes = b"%" in body or b"\\u00" in body
    return has_escapes and _ESCAPED_ALNUM.search(body) is not None


class KeyFilter(logging.Filter):
    """Keeps keys out of what httpx and httpcore log: an answer may echo it."""

    LOGGERS: Final = (
        "httpx",
        "httpcore.connection",
        "httpcore.http11",
        "httpcore.http2",
        "httpcore.proxy",
        "httpcore.socks",
    )

    def __init__(self, keys: Collection[str]) -> None:
        super().__init__()
        self._keys = keys

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record through, its keys masked."""
        record.msg, record.args = mask_secrets(record.getMessage(), self._keys), ()
        return True
