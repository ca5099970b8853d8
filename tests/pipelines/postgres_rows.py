"""What PostgreSQL holds, brought into a DuckDB in memory to be compared."""

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from pipelines.tables import create_tables
from sources.records import TABLES, Json
from sources.tables import columns
from tests.plain_store import PlainStore

__all__ = ["brought", "canonical", "differences"]

NOT_OF_RESPONSES = {"runs", "check_results", "model_prices"}


@contextmanager
def brought(
    url: str, file: Path | str = ":memory:"
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a new store with all rows of the tables in PostgreSQL."""
    import adbc_driver_postgresql.dbapi as postgres  # type: ignore[import-untyped]

    with closing(duckdb.connect(str(file))) as con, postgres.connect(url) as source:
        con.execute("set timezone = 'UTC'")
        create_tables(con)
        with source.cursor() as cursor:
            for name, record in TABLES.items():
                names = [column.name for column in columns(record)]
                plain = ", ".join(
                    f"{one.name}::text" if one.name.endswith("usd") else one.name
                    for one in columns(record)
                )
                cursor.execute(f"select {plain} from execledger.{name}")
                con.register("rows", cursor.fetch_arrow_table())
                con.execute(
                    f"insert into execledger.{name} ({', '.join(names)}) from rows"
                )
                con.unregister("rows")
        yield con


def canonical(con: duckdb.DuckDBPyConnection, table: str) -> list[tuple[Any, ...]]:
    """Return a table's rows in an order of their own, JSON by what it says.

    A NUL character is U+FFFD: PostgreSQL holds none.
    """
    kinds = [column.type for column in columns(TABLES[table])]
    names = ", ".join(column.name for column in columns(TABLES[table]))
    rows = con.execute(f"select {names} from execledger.{table}").fetchall()
    said = [tuple(map(_canonical, row, kinds)) for row in rows]
    return sorted(said, key=repr)


def _canonical(value: object, kind: object) -> object:
    if not isinstance(value, str):
        return value
    if kind is not Json:
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
    text = value.replace(r"\u0000", r"\ufffd")
    return json.dumps(json.loads(text, parse_float=_number), sort_keys=True)


def _number(text: str) -> int | float:
    exact = Decimal(text)
    return int(exact) if exact == exact.to_integral_value() else float(text)


def differences(url: str, *stores: PlainStore) -> Iterator[str]:
    """Yield the tables in which PostgreSQL has other rows than these stores have.

    But for its own word that it holds no NUL characters.
    """
    with brought(url) as con:
        for name in TABLES.keys() - NOT_OF_RESPONSES:
            held = [
                row for row in canonical(con, name) if "PostgreSQL" not in repr(row)
            ]
            wanted = [row for store in stores for row in canonical(store.con, name)]
            if held != sorted(wanted, key=repr):
                more = [row for row in held if row not in wanted]
                less = [row for row in wanted if row not in held]
                yield f"{name} has {more[:2]} instead of {less[:2]}"
