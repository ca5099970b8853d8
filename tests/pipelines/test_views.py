"""Views over the tables: their order, their comments, and what is wrong with one."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from pipelines.descriptions import descriptions
from pipelines.sql_files import SQL, SqlFile, in_order, sql_files
from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.tables_page import page
from pipelines.views import create_views, make_views, views
from sources.errors import StoreError

NOWHERE = Home(Path("nowhere"))
MARTS = sql_files(SQL / "marts", "marts")
PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "tables.md"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a store in memory with one table."""
    with duckdb.connect() as opened:
        opened.execute("create schema execledger")
        opened.execute("create table execledger.numbers as select 1 as number")
        yield opened


@pytest.fixture(scope="module")
def made() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield an empty store in memory with all its views."""
    with duckdb.connect() as opened:
        create_tables(opened)
        make_views(opened, NOWHERE)
        yield opened


def marts(**files: str) -> list[SqlFile]:
    """Return a view of ``marts`` for each."""
    return [SqlFile("marts", name, sql) for name, sql in files.items()]


def create(con: duckdb.DuckDBPyConnection, **files: str) -> None:
    """Make these views, as a load does."""
    create_views(con, in_order(marts(**files)))


# --- order --------------------------------------------------------------------


def test_a_view_may_read_views_that_come_later_by_name(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Law: the order is that of need; names, quotes and depth do not matter."""
    create(
        con,
        a='with x as (select * from "marts"."b") select number + 1 as number from x',
        b="select (select max(number) from marts.c) as number",
        c="select number from execledger.numbers",
    )

    assert con.execute("select number from marts.a").fetchall() == [(2,)]


def test_a_view_of_one_schema_may_read_one_of_another(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Law: staging and marts are ordered together; equal names do not mix."""
    files = [
        SqlFile("marts", "a", "select * from staging.a"),
        SqlFile("staging", "a", "select 7 as number"),
    ]

    create_views(con, in_order(files))

    assert con.execute("from marts.a").fetchall() == [(7,)]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {
                "a": "from marts.b",
                "b": "select * from marts.c",
                "c": "from marts.b",
            },
            r"in a circle: marts\.b -> marts\.c -> marts\.b",
        ),
        ({"a": "from marts.a"}, r"in a circle: marts\.a -> marts\.a"),
        ({"a": "select x from execledger.numbers"}, r"marts\.a fails: .*\"?x\"?"),
        ({"a": "select from ("}, r"marts\.a is no SQL"),
    ],
)
def test_a_view_that_cannot_be_is_named(
    con: duckdb.DuckDBPyConnection, files: dict[str, str], message: str
) -> None:
    """Law: a circle, a fault and broken SQL name the view."""
    with pytest.raises(StoreError, match=message):
        create(con, **files)


# --- all or none --------------------------------------------------------------


def test_views_are_made_anew_with_each_load(con: duckdb.DuckDBPyConnection) -> None:
    """Law: a changed file changes its view and comment; one that is gone, goes."""
    create(con, one="-- Old.\nselect 1 as x", gone="select 1 as x")

    create(con, one="-- New.\nselect 2 as x, 3 as y")

    shown = "select view_name, comment from duckdb_views() where schema_name = 'marts'"
    assert con.execute("from marts.one").fetchall() == [(2, 3)]
    assert con.execute(shown).fetchall() == [("one", "New.")]


def test_the_last_good_views_stay_when_one_fails(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Law: of the new views all come, or none; the old ones keep their comments."""
    create(con, a="-- Old.\nselect 1 as x")

    with pytest.raises(StoreError, match=r"marts\.b fails"):
        create(con, a="-- New.\nselect 2 as x", b="select nothing from marts.a")

    shown = "select view_name, comment from duckdb_views() where schema_name = 'marts'"
    assert con.execute("from marts.a").fetchall() == [(1,)]
    assert con.execute(shown).fetchall() == [("a", "Old.")]


# --- comments -----------------------------------------------------------------


def test_the_first_comment_is_the_views(con: duckdb.DuckDBPyConnection) -> None:
    """Law: its lines are joined; a later comment is none of it; no comment is fine."""
    create(
        con,
        said="-- One row per number: the user's\n-- own.\n\n-- not this\nselect 1 as x",
        silent="select 1 as x",
    )

    comments = con.execute(
        "select view_name, comment from duckdb_views() where schema_name = 'marts' "
        "order by all"
    ).fetchall()
    assert comments == [
        ("said", "One row per number: the user's own."),
        ("silent", ""),
    ]


def test_every_view_and_column_is_described(made: duckdb.DuckDBPyConnection) -> None:
    """Law: whoever opens the store in a tool reads what each thing means."""
    silent = made.execute(
        "select schema_name || '.' || view_name from duckdb_views() "
        "where schema_name in ('marts', 'staging') and coalesce(comment, '') = '' "
        "union all "
        "select schema_name || '.' || table_name || '.' || column_name "
        "from duckdb_columns() where schema_name in ('marts', 'staging') "
        "and coalesce(comment, '') = ''"
    ).fetchall()

    assert silent == []


def test_nothing_is_described_that_is_not_there(
    made: duckdb.DuckDBPyConnection,
) -> None:
    """Law: columns.toml has no line that no column needs."""
    rows = made.execute(
        "select table_name, column_name from duckdb_columns() "
        "where schema_name in ('marts', 'staging')"
    ).fetchall()
    said = descriptions()

    own = {(view, name) for view, names in said.items() for name in names}
    shared = {("shared", name) for view, name in rows if (view, name) not in own}
    assert own - {*rows, *shared} == set()


def test_the_page_of_tables_is_current() -> None:
    """Law: docs/tables.md says what the store says.

    Make it anew with ``uv run python -m pipelines.tables_page > docs/tables.md``.
    """
    assert PAGE.read_text("utf-8") == page()


# --- the portable subset --------------------------------------------------------


NOT_PORTABLE = (
    exp.Median,
    exp.PercentileCont,
    exp.PercentileDisc,
    exp.Quantile,
    exp.ArgMax,
    exp.ArgMin,
    exp.AnyValue,
    exp.JSONExtract,
    exp.JSONExtractScalar,
    exp.ParseJSON,
    exp.Lambda,
    exp.Unnest,
    exp.TryCast,
    exp.Qualify,
)


@pytest.mark.parametrize("file", MARTS, ids=lambda file: file.name)
@pytest.mark.parametrize("dialect", ["postgres", "spark"])
def test_a_mart_can_be_said_to_other_engines(file: SqlFile, dialect: str) -> None:
    """Law: the same file runs elsewhere: what only DuckDB can say is in staging."""
    tree = sqlglot.parse_one(file.sql, dialect="duckdb")

    assert [*tree.find_all(*NOT_PORTABLE)] == []
    assert [one for one in tree.find_all(exp.Group) if one.args.get("all")] == []
    frames = [spec.args.get("kind") for spec in tree.find_all(exp.WindowSpec)]
    assert "RANGE" not in frames
    assert tree.sql(dialect=dialect, unsupported_level=sqlglot.ErrorLevel.RAISE)


@pytest.mark.parametrize("file", MARTS, ids=lambda file: file.name)
def test_a_mart_qualifies_each_table_and_no_cte(file: SqlFile) -> None:
    """Law: tables are qualified; what is not is a common table expression."""
    tree = sqlglot.parse_one(file.sql, dialect="duckdb")

    ctes = {cte.alias for cte in tree.find_all(exp.CTE)}
    tables = [*tree.find_all(exp.Table)]
    assert {table.name for table in tables if not table.db} <= ctes
    assert {table.db for table in tables if table.db} <= {
        "execledger",
        "marts",
        "staging",
    }


def test_the_views_are_those_of_the_folder_and_the_rules() -> None:
    """Law: a file is a view of its name, and no other is there but the rules."""
    made = {view.qualified for view in views(NOWHERE)}

    assert {f"marts.{file.name}" for file in MARTS} <= made
    assert {name for name in made if name.startswith("marts.")} - {
        f"marts.{file.name}" for file in MARTS
    } == {"marts.failure_rules"}


def test_views_that_are_there_are_not_made_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: only where one is gone, or a text that they are made of has changed."""
    with duckdb.connect() as con:
        create_tables(con)
        make_views(con, NOWHERE)
        monkeypatch.setattr("pipelines.views.create_views", None)
        make_views(con, NOWHERE)
        monkeypatch.undo()

        con.execute("drop view marts.run_history; create view marts.own as select 1")
        make_views(con, NOWHERE)

        sql = "select view_name from duckdb_views() where schema_name = 'marts'"
        names = {row[0] for row in con.execute(sql).fetchall()}
        assert "run_history" in names
        assert "own" not in names
        monkeypatch.setattr("pipelines.views.descriptions", lambda: {"shared": {}})
        monkeypatch.setattr("pipelines.views.create_views", None)
        with pytest.raises(TypeError):
            make_views(con, NOWHERE)
