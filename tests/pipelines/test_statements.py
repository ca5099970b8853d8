"""All views as statements: what is printed makes them, and says what is not tested."""

import re
from pathlib import Path

import duckdb
import pytest
import sqlglot

from pipelines.descriptions import descriptions
from pipelines.dialects import ENGINES
from pipelines.sql_files import SQL
from pipelines.statements import statements
from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.views import views
from tests.pipelines.command import execledger

NOWHERE = Home(Path("nowhere"))
STAGING = sorted(path.stem for path in (SQL / "staging" / "duckdb").glob("*.sql"))
MADE = re.compile(r"^create or replace view (\S+) as", re.IGNORECASE | re.MULTILINE)

pytestmark = pytest.mark.usefixtures("here")


def printed(dialect: str) -> str:
    """Return what the command prints."""
    ran = execledger("views", "--dialect", dialect)
    assert ran.code == 0, ran.err
    return ran.out


def test_what_is_printed_makes_every_view() -> None:
    """Law: on an engine that has the tables, nothing else is needed, also twice."""
    with duckdb.connect() as con:
        create_tables(con)
        con.execute(printed("duckdb"))
        con.execute(printed("duckdb"))

        rows = con.execute(
            "select schema_name || '.' || view_name from duckdb_views() "
            "where schema_name in ('staging', 'marts')"
        ).fetchall()

    assert {name for (name,) in rows} == {view.qualified for view in views(NOWHERE)}


@pytest.mark.parametrize("dialect", ENGINES)
def test_an_engine_that_is_tested_is_told_all(dialect: str) -> None:
    """Law: its own staging views as they are, all others in their order."""
    text = printed(dialect)

    assert "Tests run them on this engine." in text
    assert MADE.findall(text) == [view.qualified for view in views(NOWHERE)]
    for path in (SQL / "staging" / dialect).glob("*.sql"):
        assert path.read_text("utf-8").rstrip() in text
    assert all(sqlglot.parse(text, read=dialect))


def test_another_engine_is_told_what_has_to_be_written() -> None:
    """Law: each staging view is named, with each of its columns; so is what is tested.

    Nothing but comments stands for it: no broken statement is printed.
    """
    text = printed("snowflake")

    marts = [view.qualified for view in views(NOWHERE) if view.schema == "marts"]
    head, *_ = text.split("\n\n")
    assert "Tests run them on duckdb, postgres, spark" in head
    assert "run by no test" in head
    assert MADE.findall(text) == marts
    for name in STAGING:
        (said,) = re.findall(
            rf"^-- staging\.{name} has to be .*(?:\n--.*)*", text, re.MULTILINE
        )
        assert all(f"--     {column} " in said for column in descriptions()[name])


def test_what_a_dialect_cannot_say_is_said_above_it() -> None:
    """Law: sqlglot's doubts are comments in the output, not lines of a log."""
    ran = execledger("views", "--dialect", "mysql")

    assert ran.err == ""
    assert re.search(
        r"^-- sqlglot: AT TIME ZONE is not supported by MySQL\n"
        r"CREATE OR REPLACE VIEW marts\.failures AS",
        ran.out,
        re.MULTILINE,
    )


@pytest.mark.parametrize("dialect", ["nope", "", "prql", "Snowflake; drop table x"])
def test_a_dialect_that_is_none_is_refused_with_the_list(dialect: str) -> None:
    """Law: wrong usage is exit code 2, and says what would be right."""
    ran = execledger("views", "--dialect", dialect)

    assert ran.code == 2
    assert ran.out == ""
    assert "clickhouse, databricks, " in ran.err


def test_rules_of_a_home_are_in_its_statements(tmp_path: Path) -> None:
    """Law: own rules are translated too, whatever quotes and backslashes they hold."""
    home = Home(tmp_path)
    home.rules.mkdir()
    (home.rules / "failure_rules.csv").write_text(
        "message,category,is_retryable,who_acts\n"
        '%it\'s \\ ""odd""; --%,server,true,provider\n',
        encoding="utf-8",
    )

    (made,) = [one for one in statements(home, "bigquery") if "failure_rules AS" in one]

    (tree,) = sqlglot.parse(made, read="bigquery")
    assert tree is not None
    literals = [one.name for one in tree.find_all(sqlglot.exp.Literal)]
    assert '%it\'s \\ ""odd""; --%' in literals
