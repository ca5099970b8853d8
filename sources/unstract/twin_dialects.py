"""How Unstract is asked, how it answers in either dialect, and what an answer says.

Live is what its server does (providers' notes, August 2026); documented is what its
pages on the execution and status API show.
"""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from email.message import Message
from email.parser import BytesParser
from typing import Literal

from sources.unstract.twin_world import (
    Asked,
    Execution,
    Form,
    Item,
    Refusal,
    refusal,
    usage_parts,
)

__all__ = [
    "NO_FILES",
    "Answer",
    "Dialect",
    "asked_by",
    "counted_tokens",
    "envelope",
    "invalid",
    "items_of",
    "outputs",
    "polled",
    "shown",
    "submitted",
    "word_of",
]

Dialect = Literal["documented", "live"]

Answer = tuple[int, Item]
"""A status and a body."""


NO_FILES = "You must provide at least one file or presigned URL."
TOO_MANY = (
    "You can upload a maximum of {} files in total (uploaded or via presigned URLs)."
)
BAD_TAG = (
    "Tag '{}' is invalid. Tags must start with a letter and can only contain "
    "letters, numbers, underscores, and hyphens."
)
MAX_FILES, MAX_TIMEOUT_S, MAX_TAGS = 32, 300, 1
FLAGS = {"true": True, "1": True, "false": False, "0": False, "": False}


def invalid(attr: str, detail: str, *, code: str = "invalid") -> Refusal:
    """Return the refusal of what a field says."""
    return refusal(400, detail, attr=attr, code=code, kind="validation_error")


def asked_by(values: Mapping[str, str]) -> Asked:
    """Return what a request asks for by its ``include_*`` flags."""
    names = ("include_metadata", "include_metrics", "include_extracted_text")
    return Asked(*(_flag(values, name) for name in names))


def submitted(content_type: str, body: bytes) -> Form:
    """Return what a POST sends, or refuse it as the server does."""
    values: dict[str, str] = {}
    files = []
    for name, filename, content in _fields(content_type, body):
        if filename is None:
            values[name] = content.decode(errors="replace")
        elif name == "files":
            files.append((filename, content))
    form = Form(
        files=tuple(files),
        asked=asked_by(values),
        timeout_s=_timeout(values.get("timeout", "-1")),
        tags=_tags(values.get("tags", "")),
        uses_history=_flag(values, "use_file_history"),
        values=values,
    )
    if not files:
        raise invalid("non_field_errors", NO_FILES)
    if len(files) > MAX_FILES:
        raise invalid("non_field_errors", TOO_MANY.format(MAX_FILES))
    return form


def _flag(values: Mapping[str, str], name: str) -> bool:
    flag = FLAGS.get(values.get(name, "").lower())
    if flag is None:
        raise invalid(name, "Must be a valid boolean.")
    return flag


def _timeout(text: str) -> int:
    try:
        timeout_s = int(text)
    except ValueError:
        raise invalid("timeout", "A valid integer is required.") from None
    if timeout_s < -1:
        fault = "Ensure this value is greater than or equal to -1."
        raise invalid("timeout", fault, code="min_value")
    if timeout_s > MAX_TIMEOUT_S:
        fault = f"Ensure this value is less than or equal to {MAX_TIMEOUT_S}."
        raise invalid("timeout", fault, code="max_value")
    return timeout_s


def _tags(text: str) -> tuple[str, ...]:
    tags = tuple(tag.strip() for tag in text.split(",") if tag.strip())
    if len(tags) > MAX_TAGS:
        fault = f"Maximum {MAX_TAGS} tags allowed. You provided {len(tags)} tags."
        raise invalid("tags", fault)
    for tag in tags:
        if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]*", tag):
            raise invalid("tags", BAD_TAG.format(tag))
    return tags


def _fields(content_type: str, body: bytes) -> Iterator[tuple[str, str | None, bytes]]:
    """Yield name, file name and content of each field of a multipart body."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1")
    whole = BytesParser().parsebytes(head + body)
    for part in whole.get_payload() if whole.is_multipart() else ():
        if not isinstance(part, Message):
            continue
        said = Message()
        for name, value in part.raw_items():  # clients send file names in UTF-8
            raw = str(value).encode("ascii", "surrogateescape")
            said[name] = raw.decode(errors="replace")
        name = str(said.get_param("name", header="content-disposition"))
        yield name, said.get_filename(), _content(part)


def _content(part: Message) -> bytes:
    """Return the bytes of a part; the parser has taken a mail apart."""
    content = part.get_payload(decode=True)
    if isinstance(content, bytes):
        return content
    inner = part.get_payload()
    return b"".join(
        mail.as_bytes()
        for mail in (inner if isinstance(inner, list) else ())
        if isinstance(mail, Message)
    )


def shown(
    dialect: Dialect, word: str, items: Sequence[Item], asked: Asked
) -> list[Item] | None:
    """Return a result with what was asked for, and no more; None where it is empty.

    The server trims only what is completed.
    """
    if word == "COMPLETED":
        items = [_trimmed(item, asked) for item in items]
    if dialect == "documented":
        items = [_documented(item) for item in items]
    return list(items) or None


def _trimmed(item: Item, asked: Asked) -> Item:
    """Return a file without what was not asked for."""
    item = copy.deepcopy(item)
    result = item["result"]
    if isinstance(result, dict):
        inner = result.get("metadata") or {}
        if "extracted_text" in inner and asked.text:
            item["extracted_text"] = inner["extracted_text"]
        elif not asked.text:
            inner.pop("extracted_text", None)
        if not asked.metadata:
            result.pop("metadata", None)
        if not asked.metrics:
            result.pop("metrics", None)
    if not (asked.metadata or asked.metrics):
        item["metadata"].pop("usage", None)
    return item


def _documented(item: Item) -> Item:
    """Return a file with the fields that the pages show of it."""
    hidden = {"file_execution_id"}
    if item["status"] == "Failed":
        hidden |= {"result", "metadata"}
    if item["error"] is None:
        hidden.add("error")
    return {name: value for name, value in item.items() if name not in hidden}


def envelope(
    path: str,
    one: Execution,
    word: str,
    items: Sequence[Item] | None,
    *,
    omits_id: bool,
) -> Item:
    """Return what a POST answers; the pages, and older servers, omit the id."""
    own_id = {} if omits_id else {"execution_id": one.execution_id}
    return {
        "message": {
            **own_id,
            "execution_status": word,
            "status_api": f"{path}?execution_id={one.execution_id}",
            "error": None,
            "result": items,
        }
    }


def polled(
    dialect: Dialect,
    path: str,
    one: Execution,
    word: str,
    items: Sequence[Item] | None,
) -> Answer:
    """Return what a GET answers; ``items`` are the result, if there is one.

    The pages show the envelope of the POST, and the short one for what is completed.
    """
    if dialect == "documented" and word != "COMPLETED":
        return 200, envelope(path, one, word, items, omits_id=True)
    status = 200 if word == "COMPLETED" else 422
    if "TOOL_IMAGE_NOT_FOUND" in json.dumps(items):
        status = 500
    return status, {"status": word, "message": items}


def word_of(body: Item) -> str:
    """Return the word for the state in an answer of either shape."""
    message = body["message"]
    is_envelope = isinstance(message, dict)
    return str(message["execution_status"] if is_envelope else body["status"])


def items_of(body: Item) -> list[Item] | None:
    """Return the files in an answer of either shape, if it has any."""
    message = body["message"]
    files: list[Item] | None = (
        message["result"] if isinstance(message, dict) else message
    )
    return files


def outputs(body: Item) -> list[object]:
    """Return what the files in an answer say: records, texts, extracted texts."""
    found: list[object] = []
    for item in items_of(body) or ():
        result, inner = item.get("result"), None
        if isinstance(result, dict):
            inner = (result.get("metadata") or {}).get("extracted_text")
            result = result.get("output", result.get("result"))
        extracted = item.get("extracted_text", inner)  # the same text in both places
        found += [value for value in (result, extracted) if value is not None]
    return found


def counted_tokens(body: Item, execution_id: str) -> int | None:
    """Return the tokens that an answer says this execution spent, each once.

    The parts of a file, else its roll-up; nothing of a file from the file history,
    whose tokens another execution spent.
    """
    counted: list[int] = []
    for item in items_of(body) or ():
        metadata = item.get("metadata") or {}
        if metadata.get("execution_id", execution_id) != execution_id:
            continue
        parts = [part for _, part in usage_parts(item)]
        for part in parts or [metadata.get("usage") or {}]:
            tokens = part.get("total_tokens", part.get("embedding_tokens"))
            if tokens is not None:
                counted.append(tokens)
    return sum(counted) if counted else None
