"""Queries on the store: every format, every kind of value, and nothing but reading."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

import pipelines.query
from pipelines.query import Result, as_text, rows_of, tables
from pipelines.readers import read_only
from pipelines.store import Home
from sources.errors import ConfigurationError
from sources.records import TABLES
from tests.pipelines.command import Ran, execledger

ROOT = Path(__file__).resolve().parent.parent.parent
pytestmark = pytest.mark.usefixtures("here")

VALUES = (
    "select null as none, '' as empty, true as yes, 'a,\"b\"\n\r' as quoted, "
    "'\\x00\\xFF'::blob as bytes, 1.50::decimal(5, 2) as price, 'nan'::double as nan, "
    "170141183460469231731687303715884105727::hugeint as huge, "
    "timestamptz '2026-01-31 12:00:00.5+00' as at, date '2026-01-31' as day, "
    "'{\"a\": 1}'::json as json, "
    "[{'n': 1, 'b': '\\x01'::blob}] as nested, map {1.5: null} as map, "
    "array[1, 2]::int[2] as pair, 'e' || chr(27) || '[31m' || chr(0) as odd"
)
"""One value of every kind that is awkward in some format."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Return a home whose store is next to nothing; these tests only read it."""
    home = Home(tmp_path_factory.mktemp("small"))
    with duckdb.connect(str(home.published)) as con:
        con.execute("create schema execledger; create schema marts")
        con.execute("create table execledger.executions as select 'e1' as id")
        con.execute("comment on table execledger.executions is 'One row [per] thing'")
        con.execute("create view marts.ones as from execledger.executions")
    home.published.chmod(0o600)
    return home


def query(home: Home, sql: str, form: str = "table", *, stdin: str = "") -> Ran:
    """Run ``execledger query``."""
    where = ("--home", str(home.path), "--format", form)
    return execledger("query", *where, "--", sql, stdin=stdin)


# --- formats ------------------------------------------------------------------


def test_csv_has_every_kind_of_value(small: Home) -> None:
    """Law: NULL is nothing, bytes are hexadecimal, times ISO 8601, the rest is JSON."""
    ran = query(small, VALUES, "csv")

    (row,) = csv.DictReader(io.StringIO(ran.out, newline=""))
    assert ran.code == 0
    assert row == {
        "none": "",
        "empty": "",
        "yes": "true",
        "quoted": 'a,"b"\n\r',
        "bytes": "00ff",
        "price": "1.50",
        "nan": "nan",
        "huge": "170141183460469231731687303715884105727",
        "at": "2026-01-31T12:00:00.500000+00:00",
        "day": "2026-01-31",
        "json": '{"a": 1}',
        "nested": '[{"n":1,"b":"01"}]',
        "map": '{"1.5":null}',
        "pair": "[1,2]",
        "odd": "e\x1b[31m\x00",
    }


def test_json_has_every_kind_of_value(small: Home) -> None:
    """Law: numbers are numbers however large, NaN is null, and nothing is lost."""
    ran = query(small, VALUES, "json")

    (row,) = json.loads(ran.out, parse_float=Decimal)
    assert ran.code == 0
    assert row == {
        "none": None,
        "empty": "",
        "yes": True,
        "quoted": 'a,"b"\n\r',
        "bytes": "00ff",
        "price": Decimal("1.50"),
        "nan": None,
        "huge": 170141183460469231731687303715884105727,
        "at": "2026-01-31T12:00:00.500000Z",
        "day": "2026-01-31",
        "json": '{"a": 1}',
        "nested": [{"n": 1, "b": "01"}],
        "map": {"1.5": None},
        "pair": [1, 2],
        "odd": "e\x1b[31m\x00",
    }
    assert "\x1b" not in ran.out


def test_parquet_has_every_kind_of_value_with_its_type(small: Home) -> None:
    """Law: Parquet keeps types, so a program reads what the store has."""
    ran = query(small, VALUES, "parquet")

    (row,) = pq.read_table(io.BytesIO(ran.bytes_out)).to_pylist()
    assert ran.code == 0
    assert ran.err == ""
    assert (row["none"], row["bytes"], row["price"]) == (
        None,
        b"\x00\xff",
        Decimal("1.50"),
    )
    assert row["at"].isoformat() == "2026-01-31T12:00:00.500000+00:00"
    assert row["nested"] == [{"n": 1, "b": b"\x01"}]
    assert row["odd"] == "e\x1b[31m\x00"


def test_a_table_cannot_steer_the_terminal(small: Home) -> None:
    """Law: control characters are replaced, and nothing is taken for markup."""
    ran = query(small, "select 'a' || chr(27) || '[2J' || chr(0) || '[red]b' as x")

    assert ran.code == 0
    assert "a\ufffd[2J\ufffd[red]b" in ran.out
    assert "\x1b" not in ran.out


def test_a_table_in_a_pipe_is_not_cut(small: Home) -> None:
    """Law: what is no terminal has no width, so whole values come out."""
    long = "x" * 3000

    assert long in query(small, f"select '{long}' as long").out


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\n=1", "'\n=1"),
        ("\uff1dSUM(A1)", "'\uff1dSUM(A1)"),
        ("-5", "-5"),
        ("+49.5", "+49.5"),
        ("a=b", "a=b"),
        ("", ""),
    ],
)
def test_a_csv_cell_runs_nothing_in_a_spreadsheet(
    small: Home, text: str, cell: str
) -> None:
    """Law: a text of a provider or a web page is no formula where a CSV is opened."""
    quoted = text.replace("'", "''")

    ran = query(small, f"select '{quoted}' as said, -5 as number", "csv")

    (row,) = csv.DictReader(io.StringIO(ran.out, newline=""))
    assert row == {"said": cell, "number": "-5"}


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_name_that_comes_twice_drops_no_column(small: Home, form: str) -> None:
    """Law: what was selected comes out, also under a name that is taken."""
    ran = query(small, "select 1 as a, 2 as a, 3 as a_1", form)

    if form == "parquet":
        found = pq.read_table(io.BytesIO(ran.bytes_out)).to_pylist()
    elif form == "json":
        found = json.loads(ran.out)
    else:
        assert ran.out == "a,a,a_1\n1,2,3\n"
        return
    assert [sorted(row.values()) for row in found] == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("form", "expected"), [("csv", "range\n"), ("json", "[]\n"), ("table", "range")]
)
def test_no_rows_are_a_result_too(small: Home, form: str, expected: str) -> None:
    """Law: a query that finds nothing is not a fault."""
    ran = query(small, "from range(0)", form)

    assert ran.code == 0
    assert expected in ran.out


def test_times_are_in_utc_wherever_one_reads_them(
    small: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: the reader's time zone changes no day."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    sql = "select cast(timestamptz '2026-01-31 23:59:00+00' as date) as day"

    assert query(small, sql, "csv").out == "day\n2026-01-31\n"


def test_a_query_may_come_from_standard_input(small: Home) -> None:
    """Law: "-" is what comes in, several lines and comments included."""
    ran = query(small, "-", "csv", stdin="-- two\nselect id\nfrom marts.ones;\n")

    assert (ran.code, ran.out) == (0, "id\ne1\n")


@pytest.mark.parametrize("value", [None, True, b"\x01", [1, b"\x02"], {"a": (1,)}])
def test_every_value_has_a_text(value: object) -> None:
    """Law: as_text never fails, and never has Python's own spelling."""
    text = as_text(value)

    assert text in {"", "true", "01", '[1,"02"]', '{"a":[1]}'}


# --- what is refused ----------------------------------------------------------


@pytest.mark.parametrize("form", ["table", "csv", "json", "parquet"])
@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("select nothing from execledger.executions", "nothing"),
        ("selec 1", "syntax"),
        ("select cast('x' as int)", "Could not convert"),
        ("", "result set|no rows"),
        ("create table t (x int)", "read-only|read only"),
        ("delete from execledger.executions", "read-only|read only"),
        ("attach '{home}/other.duckdb' as other", "disabled|permission"),
        ("copy execledger.executions to '{home}/rows.csv'", "disabled|permission"),
        ("from read_csv('{home}/published.duckdb')", "disabled|permission"),
        ("install httpfs", "disabled|permission"),
        ("set enable_external_access = true", "locked|Cannot"),
    ],
)
def test_a_query_that_fails_is_told_and_changes_nothing(
    small: Home, sql: str, word: str, form: str
) -> None:
    """Law: exit 2, DuckDB's words, nothing on stdout, and no file anywhere."""
    before = small.published.read_bytes()

    ran = query(small, sql.replace("{home}", str(small.path)), form)

    assert ran.code == 2, ran.out
    assert ran.err.startswith("execledger: The query ")
    assert any(each.lower() in ran.err.lower() for each in word.split("|")), ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert small.published.read_bytes() == before
    assert [file.name for file in small.path.iterdir()] == ["published.duckdb"]


def test_a_type_that_parquet_lacks_is_told(small: Home) -> None:
    """Law: exit 2 and what to do, not a traceback of a library."""
    ran = query(small, "select interval 1 month as i", "parquet")

    assert ran.code == 2
    assert "Cast that column to varchar" in ran.err


def test_parquet_is_not_poured_over_a_terminal(small: Home) -> None:
    """Law: bytes go to a file or a pipe."""
    where = ("--home", str(small.path))

    ran = execledger(
        "query", *where, "--format", "parquet", "select 1", is_terminal=True
    )

    assert (ran.code, ran.bytes_out) == (2, b"")
    assert "> rows.parquet" in ran.err


@pytest.mark.parametrize("command", [("query", "select 1"), ("tables",)])
def test_where_no_store_is_it_is_said_how_to_get_one(
    home: Home, command: tuple[str, ...]
) -> None:
    """Law: exit 1, the place, and the commands that make a store."""
    ran = execledger(*command, "--home", str(home.path))

    assert ran.code == 1
    assert str(home.path) in ran.err
    assert "execledger load" in ran.err
    assert "execledger demo" in ran.err
    assert not home.path.exists()


def test_who_reads_no_further_ends_a_query_in_silence(small: Home) -> None:
    """Law: "query | head" shows no traceback."""
    read, write = os.pipe()
    os.close(read)

    with os.fdopen(write, "w") as out:
        ran = subprocess.run(  # noqa: S603 - the command itself
            [
                *(sys.executable, "-m", "pipelines", "query", "--format", "csv"),
                *("--home", str(small.path), "from range(1000)"),
            ],
            stdout=out,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
        )

    assert (ran.returncode, ran.stderr) == (1, "")


@pytest.mark.parametrize("form", ["table", "csv"])
def test_ctrl_c_ends_a_query_at_once(
    small: Home, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: while a query runs, the signal ends the process, and only then.

    Python's own handler would wait for DuckDB, and that often for the query's end.
    """
    heard: list[object] = []
    execute = pipelines.query.rows_of

    def rows_of(home: Home, sql: str) -> Result:
        heard.append(signal.getsignal(signal.SIGINT))
        return execute(home, sql)

    monkeypatch.setattr("pipelines.query.rows_of", rows_of)

    ran = query(small, "select 1", form)

    assert ran.code == 0
    assert heard == [signal.SIG_DFL]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# --- tables -------------------------------------------------------------------


def test_tables_lists_everything_with_comment_and_count(loaded: Home) -> None:
    """Law: each table of the model in its order, then the views; dlt's own are not."""
    found = tables(loaded)

    names = [info.name for info in found]
    assert names[: len(TABLES)] == [f"execledger.{name}" for name in TABLES]
    assert all(name.startswith("marts.") for name in names[len(TABLES) :])
    assert found[0].rows == 12
    assert found[0].comment == "One row per execution, as last observed."


def test_tables_speaks_to_people_and_to_programs(small: Home) -> None:
    """Law: the same in a table and in JSON; nothing in a comment is markup."""
    where = ("tables", "--home", str(small.path))

    shown, said = execledger(*where), execledger(*where, "--json")

    assert (shown.code, said.code) == (0, 0)
    assert "One row [per] thing" in shown.out
    assert json.loads(said.out) == [
        {
            "name": "execledger.executions",
            "rows": 1,
            "comment": "One row [per] thing",
        },
        {"name": "marts.ones", "rows": 1, "comment": ""},
    ]


# --- reaching beyond the store ------------------------------------------------


@pytest.fixture
def secret(small: Home, tmp_path: Path) -> Path:
    """Return a file that holds a canary, beside the store of a home of its own."""
    del small
    file = tmp_path / "folder" / "secret.csv"
    file.parent.mkdir()
    file.write_text("canary\nof-a-file\n", "utf-8")
    return file


def reached(home: Home, sql: str) -> str:
    """Return the rows of a query as text; nothing where it is refused."""
    try:
        return repr(rows_of(home, sql).rows)
    except ConfigurationError:
        return ""


@pytest.mark.parametrize(
    "call",
    [
        "from {}('@')",
        "from {}(['@'])",
        "from {}('@', '@')",
        "pragma {}('@')",
        "select {}('@')",
    ],
)
def test_no_function_of_duckdb_reads_or_writes_a_file(
    small: Home, secret: Path, call: str
) -> None:
    """Law: whichever function is given a path, what is in that file stays there."""
    before = sorted(secret.parent.iterdir())
    kind = {"f": "table", "p": "pragma", "s": "scalar"}[call[0]]
    with read_only(small) as con:
        names = con.execute(
            "select distinct function_name from duckdb_functions() where "
            "function_type = ? and regexp_full_match(function_name, '[a-z_0-9]+') and "
            "(function_type <> 'scalar' or parameter_types[1] = 'VARCHAR')",
            [kind],
        ).fetchall()
        said = []
        for (name,) in names:
            try:
                sql = call.format(name).replace("@", str(secret))
                said.append(f"{name}: {con.execute(sql).fetchmany(99)!r}")
            except duckdb.Error as error:
                said.append(f"{name}: {error}")

    assert len(names) > 3
    assert [each for each in said if "of-a-file" in each] == []
    assert sorted(secret.parent.iterdir()) == before
    assert [file.name for file in small.path.iterdir()] == ["published.duckdb"]


@pytest.mark.parametrize(
    "sql",
    [
        "from '{file}'",
        "from query_table('{file}')",
        "from query('from ''{file}''')",
        "copy (select 1) to '{file}'",
        "copy (select 1) to '{file}.new' (format parquet)",
        "copy execledger.executions from '{file}'",
        "copy execledger.executions to '{store}'",
        "export database '{file}.new'",
        "import database '{folder}'",
        "attach '{store}' as again",
        "attach '{file}.new' as another (type sqlite)",
        "attach 'http://127.0.0.1:9/x.duckdb' as far",
        "from 'http://127.0.0.1:9/x.csv'",
        "from read_parquet('s3://bucket/x.parquet')",
        "from read_text('/dev/stdin')",
        "from read_text('/proc/self/environ')",
        "load httpfs",
        "load '{file}'",
        "install httpfs from 'http://127.0.0.1:9'",
        "update extensions",
        "create persistent secret s (type http, bearer_token 'x')",
        "select getenv('CANARY')",
        "from reachable",
        "from reachable_too",
        "set threads = 1",
        "set lock_configuration = false",
        "reset lock_configuration",
        "set disabled_filesystems = ''",
        "set home_directory = '{folder}'",
        "set temp_directory = '{folder}'",
        "set secret_directory = '{folder}'",
        "set extension_directory = '{folder}'",
        "set log_query_path = '{file}.new'",
        "pragma enable_profiling",
        "set profiling_output = '{file}.new'",
        "call enable_logging(storage => 'file', storage_path => '{folder}')",
        "use memory; copy (select 1) to '{file}'",
        "detach published",
        "insert into execledger.executions values ('e2')",
        "begin; drop table execledger.executions; commit",
        "create view marts.more as select 1",
    ],
)
def test_a_query_reaches_nothing_but_the_store(
    small: Home, secret: Path, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: no file, network, extension, setting, secret, variable or environment."""
    import pandas as pd

    reachable = pd.DataFrame({"canary": ["of-a-frame"]})
    monkeypatch.setitem(globals(), "reachable_too", reachable)
    monkeypatch.setenv("CANARY", "of-the-environment")
    before = secret.read_bytes(), small.published.read_bytes()
    names = {"file": secret, "store": small.published, "folder": secret.parent}

    with pytest.raises(ConfigurationError, match="The query fails"):
        rows_of(small, sql.format(**names))

    assert (secret.read_bytes(), small.published.read_bytes()) == before
    assert list(secret.parent.iterdir()) == [secret]
    assert [file.name for file in small.path.iterdir()] == ["published.duckdb"]


def test_what_a_query_makes_in_memory_ends_with_it(small: Home, secret: Path) -> None:
    """Law: temporary tables and variables are allowed, and nothing keeps them."""
    sql = "create temp table t as select 'canary' as x; from t"

    assert reached(small, sql) == "[('canary',)]"
    assert reached(small, "from t") == ""
    assert reached(small, "from duckdb_secrets()") == "[]"
    assert list(secret.parent.iterdir()) == [secret]
