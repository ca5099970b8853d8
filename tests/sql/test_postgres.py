"""The same views on PostgreSQL: rows are DuckDB's, whatever providers send."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import adbc_driver_postgresql.dbapi as postgres  # type: ignore[import-untyped]
import duckdb
import pyarrow as pa
import pytest
from adbc_driver_manager.dbapi import Connection

from pipelines.dialects import engine_views
from pipelines.readers import read_only
from pipelines.store import Home
from sources.records import TABLES
from sources.tables import to_arrow
from tests.packages import run
from tests.postgres_server import postgres_server
from tests.sql.elsewhere import (
    VIEWS,
    Facts,
    facts,
    given,
    json_columns,
    rows,
    views_at,
    without_nul,
)
from tests.sql.hostile_json import hostile

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Yield the URL of a server."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def con(server: str) -> Iterator[Connection]:
    """Yield a connection; its reader lives where it is tomorrow already."""
    with postgres.connect(server) as opened:
        with opened.cursor() as cursor:
            cursor.execute("set timezone = 'Pacific/Kiritimati'")
            for schema in ("execledger", *VIEWS):
                cursor.execute(f"drop schema if exists {schema} cascade")
                cursor.execute(f"create schema {schema}")
        yield opened
        opened.rollback()


def filled(con: Connection, tables: Facts, home: Home) -> None:
    """Bring tables and views into a database."""
    with con.cursor() as cursor:
        for name, table in tables.items():
            cursor.adbc_ingest(name, table, "create", db_schema_name="execledger")
            for column in json_columns(name):
                cursor.execute(
                    f"alter table execledger.{name} alter column {column} "
                    f"type jsonb using cast({column} as jsonb)"
                )
        for view in views_at("postgres", home):
            cursor.execute(f"create view {view.qualified} as {view.sql}")


def read(con: Connection, view: str) -> pa.Table:
    """Return what a view gives."""
    with con.cursor() as cursor:
        cursor.execute(f"select * from {view}")
        table: pa.Table = cursor.fetch_arrow_table()
        return table


def differing(con: Connection, tables: Facts, home: Home) -> dict[str, object]:
    """Return by view the rows that are here alone, and those that are not here."""
    tables = without_nul(tables)
    filled(con, tables, home)
    found: dict[str, object] = {}
    for view, like in given(tables, home).items():
        here, there = rows(view, read(con, view), like), rows(view, like, like)
        if here != there:
            found[view] = (list(here - there)[:3], list(there - here)[:3])
    return found


def test_views_of_the_demo_are_the_same(
    con: Connection, demo_home: Home, odd_rules: Home
) -> None:
    """Law: PostgreSQL gives the rows that DuckDB gives, of each view."""
    with read_only(demo_home) as store:
        tables = facts(store)

    assert differing(con, tables, odd_rules) == {}


def test_views_of_all_recordings_are_the_same(
    con: Connection, recorded_store: duckdb.DuckDBPyConnection, odd_rules: Home
) -> None:
    """Law: whatever a provider was seen to send, the rows are DuckDB's."""
    assert differing(con, facts(recorded_store), odd_rules) == {}


def test_views_of_hostile_json_are_the_same(con: Connection, odd_rules: Home) -> None:
    """Law: no name, depth, number or text makes another leaf, or breaks a view."""
    assert differing(con, hostile(), odd_rules) == {}


def test_staging_views_have_the_types_of_duckdbs(
    con: Connection, odd_rules: Home
) -> None:
    """Law: what reads a staging view need not know on which engine."""
    tables = hostile()
    filled(con, without_nul(tables), odd_rules)

    for view, like in given(tables, odd_rules).items():
        if view.startswith("staging."):
            assert read(con, view).schema.types == like.schema.types, view


def test_the_clock_is_that_of_utc(con: Connection, odd_rules: Home) -> None:
    """Law: today is the day in UTC, wherever the reader is."""
    clock = {view.name: view for view in engine_views(odd_rules, "postgres")}["clock"]

    with con.cursor() as cursor:
        cursor.execute(clock.sql)
        ((now, today),) = cursor.fetchall()

    assert abs(now - datetime.now(UTC)) < timedelta(minutes=1)
    assert today == now.astimezone(UTC).date()


def test_what_is_printed_makes_every_view(
    con: Connection, server: str, odd_rules: Home
) -> None:
    """Law: the statements of the command make all views, also once more."""
    filled(con, {name: to_arrow(TABLES[name], []) for name in TABLES}, odd_rules)
    with con.cursor() as cursor:
        cursor.execute("drop schema marts, staging, asked cascade")
    con.commit()
    program = Path(sys.executable).with_name("execledger")
    printed = (program, "views", "--dialect", "postgres", "--home", odd_rules.path)
    text = run(*printed, folder=odd_rules.path)

    for _ in range(2):
        psql = ("psql", "--quiet", "--set", "ON_ERROR_STOP=1", server)
        run(*psql, folder=odd_rules.path, stdin=text)

    with con.cursor() as cursor:
        cursor.execute(
            "select schemaname || '.' || viewname from pg_views "
            "where schemaname in ('marts', 'staging')"
        )
        made = {name for (name,) in cursor.fetchall()}
    assert made == {view.qualified for view in engine_views(odd_rules, "postgres")}
