"""What the two envelopes of Unstract's answers about an execution say.

The POST answers ``{"message": {"execution_status", "status_api", "error", "result"}}``,
the GET ``{"status", "message"}``; the published examples have the first for both.
Which one it is, the body tells, not the request.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

import msgspec

from sources.json_text import pointer
from sources.records import Response, Status
from sources.values import text_or_none

__all__ = [
    "Answer",
    "answer_in",
    "file_status",
    "is_same_id",
    "names_id",
    "status_by",
    "unknown",
    "unreturned",
]

_BROKEN = frozenset({"transport_error", "truncated"})
_FILE_STATUS: dict[str, Status] = {"Success": "succeeded", "Failed": "failed"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An envelope: the object that says the status, and where that stands.

    ``status_name`` and ``result_name`` are what its two fields are called there.
    """

    said: dict[str, object]
    at: str
    status_name: str
    result_name: str

    @property
    def word(self) -> str | None:
        """The provider's word for the status."""
        return text_or_none(self.said.get(self.status_name))

    @property
    def result(self) -> object:
        """The result as it came: a list of files, a text, anything."""
        return self.said.get(self.result_name)

    @property
    def result_at(self) -> str:
        """The JSON Pointer of the result."""
        return self.at + pointer(self.result_name)

    @property
    def execution_id(self) -> str | None:
        """The id, which older servers say only in the address to ask at."""
        named = text_or_none(self.said.get("execution_id"))
        return named or _id_in(text_or_none(self.said.get("status_api")) or "")

    @property
    def files(self) -> Sequence[tuple[str, object]] | None:
        """JSON Pointer and value of each file; ``None`` where it shows no files."""
        if isinstance(self.result, list):
            places = enumerate(self.result)
            return [(self.result_at + pointer(i), value) for i, value in places]
        if isinstance(self.result, dict) and "file" in self.result:
            return [(self.result_at, self.result)]
        return None

    @property
    def has_report(self) -> bool:
        """Whether a result is here, or of a failed run the words why it failed."""
        if self.result is not None and self.result != "":
            return True
        return self.word != "COMPLETED" and bool(self.said.get("error"))


def answer_in(response: Response, body: object) -> Answer | None:
    """Return the envelope in a body, ``None`` where it is none or was cut."""
    if response.outcome in _BROKEN or not isinstance(body, dict):
        return None
    message = body.get("message")
    if isinstance(message, dict) and not message.keys().isdisjoint(
        ("execution_status", "status_api")
    ):
        return Answer(
            said=message,
            at=pointer("message"),
            status_name="execution_status",
            result_name="result",
        )
    if "status" in body:
        return Answer(said=body, at="", status_name="status", result_name="message")
    return None


def _id_in(address: str) -> str | None:
    try:
        return parse_qs(urlsplit(address).query).get("execution_id", [None])[0]
    except ValueError:  # such as an unclosed bracket
        return None


def file_status(value: object) -> Status:
    """Return the neutral status of a file; what is not said is unknown."""
    word = value.get("status") if isinstance(value, dict) else None
    return status_by(word) if isinstance(word, str) else "unknown"


def status_by(word: str) -> Status:
    """Return the neutral status of a file by the provider's word for it."""
    return _FILE_STATUS.get(word, "unknown")


def unreturned(answer: Answer, sent: object) -> list[tuple[int, str]]:
    """Return place and name of each file that was sent and is not in the answer.

    Files are known by name, and by hash: equal contents are answered once.
    """
    known = {known for _, value in answer.files or () for known in _known_by(value)}
    return unknown(sent, known)


def unknown(sent: object, known: set[tuple[str, str | None]]) -> list[tuple[int, str]]:
    """Return place and name of each file that was sent and is known by nothing."""
    missing = []
    for place, file in enumerate(sent if isinstance(sent, list) else ()):
        said = file if isinstance(file, dict) else {}
        name = text_or_none(said.get("name"))
        sought = {("name", name), ("hash", text_or_none(said.get("sha256")))}
        if name and known.isdisjoint(sought):
            missing.append((place, name))
    return missing


def _known_by(file: object) -> list[tuple[str, str | None]]:
    said: Mapping[str, object] = file if isinstance(file, dict) else {}
    inner = said.get("metadata")
    meta: Mapping[str, object] = inner if isinstance(inner, dict) else {}
    known = [("name", said.get("file")), ("name", meta.get("source_name"))]
    known.append(("hash", meta.get("source_hash")))
    return [(kind, value) for kind, value in known if isinstance(value, str) and value]


def is_same_id(one: str, other: str) -> bool:
    """Tell whether two ids are one: UUIDs are taken in any spelling."""
    return _bare(one) == _bare(other)


def names_id(words: str, execution_id: str) -> bool:
    """Tell whether a text names an execution."""
    return bool(execution_id) and _bare(execution_id) in _bare(words)


def _bare(words: str) -> str:
    return words.replace("-", "").casefold()
