"""Building the rows of one piece of an answer: a file, a listed item, an envelope."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

from sources.json_text import encode
from sources.records import ErrorRecord, ExecutionTag
from sources.rows import Rows
from sources.values import Fields

__all__ = ["Piece"]

N = TypeVar("N", float, Decimal)


@dataclass(frozen=True)
class Piece:
    """Rows of one execution that belong to one of its files, or to no file."""

    rows: Rows
    file_key: str | None = None

    def keep(self, path: str, value: object) -> None:
        """Keep a field that no other table models, its whole subtree."""
        self.rows.metadata(path, value, self.file_key)

    def keep_rest(self, fields: Fields) -> None:
        """Keep each field of an object that was not taken."""
        self.rows.keep_rest(fields, self.file_key)

    def inner(self, fields: Fields, name: str) -> Fields:
        """Return a reader of an object below; what is none becomes a reject."""
        value = fields.raw(name)
        if value is not None and not isinstance(value, dict):
            fields.misfit(name, "not_an_object")
        known = value if isinstance(value, dict) else {}
        return self.rows.fields(known, fields.where(name))

    def exact(
        self, fields: Fields, name: str, convert: Callable[[object], N]
    ) -> N | None:
        """Take a number; its digits that no column holds are kept beside it."""
        value, said = fields.take(name, convert), fields.raw(name)
        if value is not None and Decimal(str(said).strip()) != Decimal(str(value)):
            self.keep(fields.where(name), said)
        return value

    def same(self, fields: Fields, name: str, known: str | None) -> None:
        """Take a field that says again what is known; keep it where it does not."""
        value = fields.raw(name)
        if value is not None and value != known:
            self.keep(fields.where(name), value)

    def output(self, path: str, position: int, name: str, value: object) -> None:
        """Add an output: a text as text, anything else as JSON."""
        self.rows.output(path, position, name, value, self.file_key)

    def error(self, path: str, level: str, value: object) -> str | None:
        """Add an error that the provider words; return its text, if it is one."""
        message = value if isinstance(value, str) else None
        self.rows.add(
            ErrorRecord,
            error_key=self.rows.key_of(path),
            file_key=self.file_key,
            level=level,
            http_status=self.rows.response.http_status,
            message=message,
            provider_message=None if isinstance(value, str) else encode(value),
        )
        return message

    def tags(self, fields: Fields, name: str) -> None:
        """Add the tags in a field: a list of texts, or one text."""
        value = fields.raw(name)
        if isinstance(value, str):
            self.tag(fields.where(name), value)
        elif value is not None and not isinstance(value, list):
            fields.misfit(name, "not_a_list")
        for place, tag in enumerate(value if isinstance(value, list) else ()):
            self.tag(f"{fields.where(name)}/{place}", tag)

    def tag(self, path: str, tag: object, value: str | None = None) -> None:
        """Add one tag; what is no text becomes a reject."""
        if not isinstance(tag, str):
            if tag is not None:
                self.rows.misfit(path, "not_a_text", tag)
            return
        self.rows.add(
            ExecutionTag,
            tag_key=self.rows.key_of(path),
            file_key=self.file_key,
            tag=tag,
            tag_value=value,
        )
