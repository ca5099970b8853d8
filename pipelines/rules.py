"""The ordered rules that say what a failure is, and the user's own before them.

A rule is a row of ``failure_rules.csv``: which errors it fits, and what it says of
them. A cell that is empty fits everything; a text is a LIKE pattern for the error's
field in lower case. The first rule that fits decides.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from pipelines.sql_files import SQL, SqlFile, literal
from pipelines.store import Home
from sources.errors import ConfigurationError

__all__ = [
    "Category",
    "FailureRule",
    "failure_rules",
    "own_rows",
    "read_csv",
    "rules_view",
]

Category = Literal[
    "auth",
    "permission",
    "not_found",
    "expired",
    "acknowledged",
    "validation",
    "rate_limit",
    "quota",
    "timeout",
    "content",
    "model",
    "server",
    "network",
    "unknown",
]
"""What kind of failure it is."""

WhoActs = Literal["account_owner", "workflow_owner", "operator", "provider", "nobody"]
"""Who must do something: the owner of the key or of the workflow, whoever runs
execledger, the provider; or nobody, since it passes."""

FILE = "failure_rules.csv"

_TYPES = {
    "position": "integer",
    "http_status": "integer",
    "is_retryable": "boolean",
}
"""Columns of the view that are no text."""


class FailureRule(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Which errors a rule fits, and what it says of them."""

    provider: str | None = None
    level: Literal["request", "execution", "file", "step"] | None = None
    http_status: int | None = None
    error_type: str | None = None
    error_code: str | None = None
    message: str | None = None
    category: Category
    is_retryable: bool
    who_acts: WhoActs


Row = TypeVar("Row", bound=msgspec.Struct)


def read_csv(file: Path, kind: type[Row]) -> list[Row]:
    """Return the rows of a CSV file; empty cells are ``None``.

    Raises ``ConfigurationError`` with the line that is wrong.
    """
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from None
    return list(_rows(file, text, kind))


def _rows(file: Path, text: str, kind: type[Row]) -> Iterator[Row]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            said = {name: cell for name, cell in cells.items() if cell}
            yield msgspec.convert(said, kind, strict=False)
    except (csv.Error, msgspec.ValidationError, TypeError) as error:
        raise ConfigurationError(f"{file}, line {reader.line_num}: {error}") from None


def own_rows(home: Home, name: str, kind: type[Row]) -> list[Row]:
    """Return the rows of a file of the user's own, none where there is no such file.

    Raises ``ConfigurationError``, also where the configured folder is not there.
    """
    if home.own_rules and not home.own_rules.is_dir():
        raise ConfigurationError(
            f"There is no folder {home.own_rules}, which rules in [execledger] names."
        )
    file = home.rules / name
    return read_csv(file, kind) if file.exists() else []


def failure_rules(home: Home) -> list[FailureRule]:
    """Return the rules in their order: the user's own come first."""
    ours = read_csv(SQL / "rules" / FILE, FailureRule)
    return [*own_rows(home, FILE, FailureRule), *ours]


def rules_view(rules: Sequence[FailureRule]) -> SqlFile:
    """Return the view ``marts.failure_rules``, one row per rule in its place."""
    names = ["position", *FailureRule.__struct_fields__]
    rows = [
        ", ".join(map(literal, (place, *msgspec.structs.astuple(rule))))
        for place, rule in enumerate(rules, 1)
    ]
    typed = ",\n    ".join(
        f"cast({name} as {_TYPES.get(name, 'varchar')}) as {name}" for name in names
    )
    values = ",\n    ".join(f"({row})" for row in rows)
    return SqlFile(
        "marts",
        "failure_rules",
        "-- One row per failure rule, in the order in which they are tried: which "
        f"errors it fits, and what it says of them.\nselect\n    {typed}\nfrom (\n"
        f"    values\n    {values}\n) as rules ({', '.join(names)})\n",
    )
