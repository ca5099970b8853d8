"""The files of ``sql/``: what each says, what it reads, in which order they are made.

One ``select`` per file; the file's name is the view's or the check's, its first
comment says what one row is.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from sources.errors import StoreError

__all__ = [
    "PARAMETER",
    "SQL",
    "SqlFile",
    "in_order",
    "literal",
    "parameters",
    "sql_files",
]

SQL = Path(__file__).resolve().parent.parent / "sql"
"""The folder of all SQL, beside the packages in a checkout and in the wheel."""

PARAMETER = re.compile(r"\$([a-z_]+)")
"""A bound of a check, where it stands in the select."""


class SqlFile(msgspec.Struct, frozen=True):
    """A view, or a check: one ``select``, in the dialect of DuckDB."""

    schema: str
    name: str
    sql: str

    @property
    def qualified(self) -> str:
        """The name by which others select from it."""
        return f"{self.schema}.{self.name}"

    @property
    def comment(self) -> str:
        """What one row is: the first comment, its lines joined."""
        lines = re.match(r"(?:--[^\n]*\n)*", self.sql)
        text = lines[0] if lines else ""
        return " ".join(line.removeprefix("--").strip() for line in text.splitlines())

    def reads(self) -> set[str]:
        """Return the qualified names that the select reads; raises ``StoreError``."""
        try:
            sql = PARAMETER.sub("null", self.sql)
            names = duckdb.get_table_names(sql, qualified=True)
        except duckdb.ParserException as error:
            raise StoreError(f"{self.qualified} is no SQL: {error}") from None
        except duckdb.Error as error:
            raise StoreError(f"The view {self.qualified} fails: {error}") from None
        # DuckDB 2.0 says "schema.name AS alias" where there is one
        return {name.partition(" AS ")[0] for name in names if "." in name}


def sql_files(folder: Path, schema: str) -> list[SqlFile]:
    """Return the files of a folder by name; those that end in .sql."""
    return [
        SqlFile(schema, path.stem, path.read_text("utf-8"))
        for path in sorted(folder.glob("*.sql"))
    ]


def in_order(files: Iterable[SqlFile]) -> list[SqlFile]:
    """Return views such that each comes after those of them that it reads.

    Raises ``StoreError`` for a circle, with its path.
    """
    by_name = {file.qualified: file for file in files}
    needs = {name: file.reads() & by_name.keys() for name, file in by_name.items()}
    order: list[SqlFile] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join([*path[path.index(name) :], name])
            raise StoreError(f"Views select from one another in a circle: {circle}")
        if by_name[name] not in order:
            for other in sorted(needs[name]):
                visit(other, (*path, name))
            order.append(by_name[name])

    for name in sorted(needs):
        visit(name, ())
    return order


def parameters(file: SqlFile, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the values that a select asks for, as ``$name``."""
    names = set(PARAMETER.findall(file.sql))
    return {name: given[name] for name in names}


def literal(value: str | int | bool | None) -> str:  # noqa: FBT001 (a value as data)
    """Return a value as every engine reads it in SQL."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return "null" if value is None else str(value).lower()
