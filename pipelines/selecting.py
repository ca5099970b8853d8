"""Looking things up in an open store."""

from collections.abc import Sequence
from typing import Any

import duckdb

from sources.seen import ANY, Select

__all__ = ["select_from"]


def select_from(con: duckdb.DuckDBPyConnection) -> Select:
    """Return a ``Select`` on the tables of an open store."""

    def select(sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        try:
            return con.execute(_qualified(sql), values).fetchall()
        except duckdb.CatalogException:  # before the first load
            return []

    return select


def _qualified(sql: str) -> str:
    if sql.endswith(ANY):
        # DuckDB would read every column of every row, to keep the few that are asked
        # for: it is told to find those rows first, by their numbers.
        head, _, condition = sql.partition(" where ")
        table = head.partition(" from ")[2]
        sql = f"{head} where rowid in (select rowid from {table} where {condition})"
    return sql.replace("{", "execledger.").replace("}", "")
