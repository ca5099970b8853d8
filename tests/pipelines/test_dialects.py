"""Our selects in the words of other engines: what is said, and that nothing breaks."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest
import sqlglot

from pipelines.dialects import DIALECTS, ENGINES, bound, engine_views, translated
from pipelines.limits import Bounds
from pipelines.sql_files import SQL, SqlFile, sql_files
from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.views import make_views, views

NOWHERE = Home(Path("nowhere"))
OTHERS = [engine for engine in ENGINES if engine != "duckdb"]
ASKED = [file for kind in ("checks", "budgets") for file in sql_files(SQL / kind, kind)]
QUICK = {"bigquery", "clickhouse", "postgres", "snowflake", "spark"}
HOSTILE = "x' or 'a' = 'a\\' -- $tag /* "
GIVEN = {
    "max_lag_hours": 1.5,
    "max_unknown_share": 1e-9,
    "since": date(2026, 1, 1),
    "provider": None,
    "workflow": HOSTILE,
    "tag": HOSTILE,
    "tag_value": "",
}


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a store in memory with one execution of a hostile tag."""
    with duckdb.connect() as opened:
        create_tables(opened)
        make_views(opened, NOWHERE)
        opened.execute(
            "insert into execledger.executions (execution_key, workflow_key, status, "
            "day) values ('e', ?, 'failed', '2026-01-02')",
            [HOSTILE],
        )
        opened.execute(
            "insert into execledger.execution_tags (execution_key, tag, tag_value) "
            "values ('e', ?, '')",
            [HOSTILE],
        )
        yield opened


@pytest.mark.parametrize("engine", OTHERS)
def test_an_engine_has_every_staging_view(engine: str) -> None:
    """Law: a new staging view is written for each engine, under the same name."""
    ours = {path.name for path in (SQL / "staging" / "duckdb").glob("*.sql")}

    assert {path.name for path in (SQL / "staging" / engine).glob("*.sql")} == ours


@pytest.mark.parametrize("engine", ENGINES)
def test_views_of_an_engine_come_in_the_order_of_need(engine: str) -> None:
    """Law: the same views in the same order, whichever the engine."""
    names = [view.qualified for view in engine_views(NOWHERE, engine)]

    assert names == [view.qualified for view in views(NOWHERE)]


@pytest.mark.parametrize("engine", OTHERS)
def test_what_an_engine_is_told_is_sql_with_the_same_columns(engine: str) -> None:
    """Law: each view parses in the engine's dialect, and has DuckDB's columns."""
    for ours, told in zip(views(NOWHERE), engine_views(NOWHERE, engine), strict=True):
        assert named(told.sql, engine) == named(ours.sql, "duckdb")


def named(sql: str, dialect: str) -> list[str]:
    """Return the names of the columns of a select."""
    tree = sqlglot.parse_one(sql, read=dialect)
    assert isinstance(tree, sqlglot.exp.Query)
    return tree.named_selects


@pytest.mark.parametrize(
    "dialect",
    [
        one if one in QUICK else pytest.param(one, marks=pytest.mark.slow)
        for one in DIALECTS
    ],
)
def test_every_dialect_can_be_told_every_mart(dialect: str) -> None:
    """Law: no mart, check or budget is beyond what sqlglot can write."""
    for file in [*sql_files(SQL / "marts", "marts"), *ASKED]:
        assert bound(file, GIVEN, dialect)


@pytest.mark.parametrize("file", ASKED, ids=lambda file: file.name)
def test_bounds_as_literals_mean_what_bound_ones_do(
    con: duckdb.DuckDBPyConnection, file: SqlFile
) -> None:
    """Law: whatever a bound says, it stays one value, also where it looks like SQL."""
    names = {name for name in GIVEN if f"${name}" in file.sql}

    expected = con.execute(file.sql, {name: GIVEN[name] for name in names}).fetchall()

    assert con.execute(bound(file, GIVEN, "duckdb")).fetchall() == expected


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_hostile_bound_is_one_text_in_every_dialect(dialect: str) -> None:
    """Law: no quote or backslash ends a literal where it is not to end."""
    file = SqlFile("checks", "one", "select 1 as x where $tag = 'a'")

    said = bound(file, {"tag": HOSTILE}, dialect)

    (condition,) = sqlglot.parse(said, read=dialect)
    assert condition is not None
    texts = {one.name for one in condition.find_all(sqlglot.exp.Literal)}
    assert texts == {"1", HOSTILE, "a"}


def test_a_bound_that_is_missing_is_an_error() -> None:
    """Law: a check without its bound is not run as if it had none."""
    file = SqlFile("checks", "one", "select 1 as x where 1 > $max_lag_hours")

    with pytest.raises(KeyError, match="max_lag_hours"):
        bound(file, {}, "postgres")


@pytest.mark.parametrize(
    ("sql", "dialect", "said"),
    [
        (
            "select date_diff('second', a, b) as x",
            "postgres",
            "CAST(FLOOR(EXTRACT(EPOCH FROM b) * 1) AS BIGINT)",
        ),
        (
            "select date_diff('millisecond', a, b) as x",
            "spark",
            "UNIX_MILLIS(b) - UNIX_MILLIS(a)",
        ),
        ("select a like b as x", "postgres", "a LIKE b ESCAPE ''"),
        ("select a like b as x", "spark", r"a LIKE REPLACE(b, '\\', '\\\\')"),
        ("select a like 'b%' as x", "spark", "a LIKE 'b%'"),
        (
            "select a at time zone 'UTC' as x",
            "spark",
            "TO_UTC_TIMESTAMP(a, CURRENT_TIMEZONE())",
        ),
        (
            "select regexp_replace(a, 'b', 'c', 'g') as x",
            "snowflake",
            "REGEXP_REPLACE(a, 'b', 'c')",
        ),
    ],
)
def test_what_sqlglot_does_not_know_is_said_by_hand(
    sql: str, dialect: str, said: str
) -> None:
    """Law: what would count or match otherwise than on DuckDB, does not."""
    assert said in " ".join(translated(sql, dialect).split())


def test_the_comment_of_a_view_goes_along() -> None:
    """Law: who reads the statement reads what a row is."""
    assert "/* One row per x. */" in translated("-- One row per x.\nselect 1", "spark")


def test_the_bounds_of_the_configuration_are_enough() -> None:
    """Law: each check gets its bounds from the configuration."""
    known = {*Bounds.__struct_fields__, *GIVEN}

    for file in ASKED:
        assert bound(file, dict.fromkeys(known, 1), "postgres")
