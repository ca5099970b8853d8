"""What each column of a view means, from one place, and the page of all tables."""

import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from pipelines.sql_files import SQL
from sources.records import TABLES
from sources.tables import columns

__all__ = ["described", "descriptions"]

SHARED = "shared"
FILE = SQL / "columns.toml"

Descriptions = Mapping[str, Mapping[str, str]]
"""By view, or ``shared``: column → what it means."""


@cache
def descriptions(file: Path = FILE) -> Descriptions:
    """Return what ``sql/columns.toml`` says."""
    found: Descriptions = tomllib.loads(file.read_text("utf-8"))
    return found


def described(view: str, names: Iterable[str], said: Descriptions) -> dict[str, str]:
    """Return what each column of a view means; empty where nothing says it.

    A column is described for its view, else as every view's, else as the column of
    that name of the tables, where all of them say the same.
    """
    own, shared = said.get(view, {}), said.get(SHARED, {})
    return {
        name: own.get(name) or shared.get(name) or _in_tables(name) for name in names
    }


@cache
def _in_tables(name: str) -> str:
    texts = {
        column.comment
        for record in TABLES.values()
        for column in columns(record)
        if column.name == name
    }
    return texts.pop() if len(texts) == 1 else ""
