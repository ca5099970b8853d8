"""The tables in PostgreSQL: made, brought up to date, described."""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from functools import cache

from pipelines.draining import cause
from pipelines.postgres_session import Session, named
from pipelines.store import LAYOUT
from pipelines.tables import comments
from sources.errors import StoreError
from sources.json_text import canonical_sha256
from sources.records import TABLES, Json, Record, Response, Run
from sources.tables import columns, comment, schema

__all__ = ["create_tables"]

_TYPES: dict[object, str] = {
    str: 'text collate "C"',  # in the order that DuckDB has
    Json: "jsonb",
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    bytes: "bytea",
    date: "date",
    datetime: "timestamptz",
    Decimal: "numeric(18, 12)",
}

_ORDERED = "rowid bigint generated always as identity"
"""In which order runs were written, whatever the clocks of their machines said."""

_HASHED = ("execution_key", "workflow_key", "reject_key")
"""Keys that are looked up. By their hash: a long one fits into no ordered index."""

_SORTED = {
    "executions": ["response_id"],
    Response.TABLE: ["response_id", "received_at"],
}


def create_tables(session: Session) -> None:
    """Make every table and column of the model that is not there yet, and dlt's own.

    What is there is left as it is. Raises ``StoreError``, also for tables that a newer
    execledger made.
    """
    if _is_made(session):
        return
    with session.transaction("tables"):
        if not _is_made(session):
            _create_ours(session)
    with session.transaction("tables"):  # dlt's own connection sees ours now
        if not _is_made(session):
            _create_dlts(session)
            session.execute(f"comment on schema execledger is '{_made_of()}'")


def _create_ours(session: Session) -> None:
    if session.comment_of("execledger") is None:
        session.execute("create schema execledger")
    there = _there(session)
    for name, record in TABLES.items():
        for statement in _statements(name, record, there[name]):
            session.execute(statement)


def _create_dlts(session: Session) -> None:
    """Have dlt make its own tables, one session at a time.

    In a load it looks whether they are there and makes them later: of loaders that do
    so at the same time, one would fail.
    """
    import dlt

    schema = dlt.Schema.from_dict({**dlt.Schema("execledger").to_dict()})
    destination = dlt.destinations.postgres(session.credentials)
    try:
        with destination.client(schema, named()) as client:
            client.update_stored_schema()
    except Exception as failed:
        raise cause(failed, "Nothing was loaded.") from failed


def _is_made(session: Session) -> bool:
    """Tell whether the tables are as they are to be; raises for newer ones."""
    said = session.comment_of("execledger")
    layout = re.fullmatch(r"layout (\d+), .*", said or "")
    if layout and int(layout[1]) > LAYOUT:
        raise StoreError(
            f"{session.where} was written by a newer execledger (layout {layout[1]}; "
            f"this one knows {LAYOUT}). Install that one or a later."
        )
    return said == _made_of()


@cache
def _made_of() -> str:
    """Return what is written to the schema once all tables are made."""
    tables = {
        name: [
            comment(record),
            [(one.name, _TYPES[one.type], one.comment) for one in columns(record)],
        ]
        for name, record in TABLES.items()
    }
    return f"layout {LAYOUT}, {canonical_sha256(tables)}"


def _there(session: Session) -> dict[str, set[str]]:
    rows = session.execute(
        "select table_name, column_name from information_schema.columns "
        "where table_schema = 'execledger'"
    )
    there = defaultdict(set)
    for name, column in rows:
        there[name].add(column)
    return there


def _statements(name: str, record: type[Record], there: set[str]) -> Iterator[str]:
    """Yield what makes a table, or the columns that it lacks, and describes it."""
    required = {field.name for field in schema(record) if not field.nullable}
    kinds = {
        one.name: _TYPES[one.type] + " not null" * (one.name in required)
        for one in columns(record)
    }
    if there:
        for column in kinds.keys() - there:
            kind = kinds[column]
            yield f"alter table execledger.{name} add column {column} {kind}"
    else:
        listed = [f"{column} {kind}" for column, kind in kinds.items()]
        if record is Run:
            listed.append(_ORDERED)
        yield f"create table execledger.{name} ({', '.join(listed)})"
        for column in kinds.keys() & set(_HASHED):
            yield f"create index on execledger.{name} using hash ({column})"
        for column in _SORTED.get(name, ()):
            yield f"create index on execledger.{name} ({column})"
    said = {one.name: one.comment for one in columns(record)}
    yield from comments("table", f"execledger.{name}", comment(record), said)
