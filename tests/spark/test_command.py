"""``execledger spark``: what is asked comes out, or what to do next."""

import csv
import io
import json
import os
import socket
import subprocess
import sys
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from pipelines.lake import DATASET, Lake
from pipelines.lake_rows import lake_schema
from pipelines.query import tables
from pipelines.spark import register
from pipelines.spark_session import session
from pipelines.spark_tables import FILES
from pipelines.store import Home
from sources.errors import StoreError
from sources.records import Run
from tests.pipelines.command import Ran, execledger
from tests.pipelines.lake_loads import load
from tests.responses import recorded

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]
NOWHERE = Home(Path("nowhere"))
COMMAND = (sys.executable, "-m", "pipelines", "spark")
RUN = dict.fromkeys(lake_schema(Run).names) | {"run_id": "r1"}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake of plain files that has one load."""
    folder = tmp_path_factory.mktemp("lake")
    said = [recorded("torale", "documented_condition_met")]
    load(Lake("parquet", str(folder)), "torale", said)
    return folder


def ask(remote: str, lake: Path, *words: str, stdin: str = "") -> Ran:
    """Run ``execledger spark`` on a server of Spark Connect."""
    where = ("--remote", remote, "--lake", str(lake), "--table-format", "parquet")
    return execledger("spark", *where, *words, stdin=stdin)


# --- what is asked ------------------------------------------------------------


def test_rows_come_as_in_query(connect: str, lake: Path) -> None:
    """Law: CSV runs nothing in a spreadsheet, JSON has numbers, Parquet has types."""
    sql = (
        "select '=1+1' as text, cast(1.5 as decimal(18, 12)) as usd, "
        "timestamp '2026-01-31 12:00:00' as at, cast(null as string) as text"
    )

    as_csv, as_json, as_parquet = (
        ask(connect, lake, sql, "--format", form) for form in ("csv", "json", "parquet")
    )

    assert [ran.err for ran in (as_csv, as_json, as_parquet)] == ["", "", ""]
    assert [*csv.reader(io.StringIO(as_csv.out))] == [
        ["text", "usd", "at", "text"],
        ["'=1+1", "1.500000000000", "2026-01-31T12:00:00+00:00", ""],
    ]
    (row,) = json.loads(as_json.out)
    assert row == {
        "text": "=1+1",
        "usd": 1.5,
        "at": "2026-01-31T12:00:00Z",
        "text_1": None,
    }
    table = pq.read_table(pa.BufferReader(as_parquet.bytes_out))
    assert table["usd"].to_pylist() == [Decimal("1.5")]


def test_a_view_can_be_asked_by_the_name_that_it_has_in_a_store(
    connect: str, lake: Path
) -> None:
    """Law: tables and views are there, also for a query from standard input."""
    sql = "select count(*) as n from marts.daily_usage -- all of it"

    ran = ask(connect, lake, "-", "--format", "csv", stdin=f"{sql}\n;\n")

    assert (ran.code, ran.err) == (0, "")
    assert int(ran.out.split()[1]) > 0


def test_spark_connect_needs_no_java_wherever_it_is_said(
    connect: str, lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: the variable of Spark's that says where is read as the option is."""
    monkeypatch.setenv("SPARK_REMOTE", connect)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))

    ran = execledger("spark", "select 1 as n", "--lake", str(lake), "--format", "csv")

    assert (ran.code, ran.out, ran.err) == (0, "n\n1\n", "")


def test_a_query_reads_and_does_nothing_else(connect: str, lake: Path) -> None:
    """Law: no file of the lake is written, whatever the statement."""
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*")}

    for sql in (
        f"insert into {FILES}.runs select * from {FILES}.runs",
        f"insert overwrite {FILES}.executions select * from {FILES}.executions",
        "drop table execledger.runs",
        "select 1) union all (insert into execledger.runs select 1",
    ):
        ran = ask(connect, lake, sql)
        assert ran.code == 2, sql
        assert ran.err.startswith("execledger: The query fails: ")

    assert {path: path.stat().st_mtime_ns for path in lake.rglob("*")} == before


def test_without_sql_it_says_what_there_is(
    connect: str, lake: Path, demo_home: Home
) -> None:
    """Law: the same tables and views as ``tables`` has of a store, in its order."""
    ran = ask(connect, lake, "--format", "json")

    found = {row["name"]: row for row in json.loads(ran.out)}
    assert [*found] == [info.name for info in tables(demo_home)]
    assert found["execledger.executions"]["rows"] > 0
    assert found["marts.daily_usage"]["what one row is"].startswith("One row per UTC")
    assert ran.err == ""


def test_a_lake_that_is_not_there_is_said(connect: str, tmp_path: Path) -> None:
    """Law: an empty answer does not pass for a lake without failures."""
    ran = ask(connect, tmp_path)

    assert ran.code == 0
    assert f"There are no rows in file://{tmp_path}" in ran.err


def test_a_person_sees_what_is_waited_for(connect: str, lake: Path) -> None:
    """Law: on a terminal, and not among the rows."""
    ours, theirs = os.openpty()
    where = ("--remote", connect, "--lake", str(lake), "--table-format", "parquet")
    ran = subprocess.run(  # noqa: S603 - this Python, and what stands here
        [*COMMAND, "select 1 as one", *where, "--format", "csv"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        check=False,
    )
    os.close(theirs)
    seen = ""
    with os.fdopen(ours, "rb", buffering=0) as terminal, suppress(OSError):
        while chunk := terminal.read(10_000):  # its end is an error
            seen += chunk.decode()

    assert (ran.returncode, ran.stdout) == (0, "one\n1\n")
    for words in ("Spark begins", "Tables and views are made"):  # the rest is too short
        assert words in seen


# --- what to do next ----------------------------------------------------------


@pytest.mark.parametrize("option", ["--master=spark", "--remote=sc"])
def test_nobody_there_is_said_at_once(option: str, lake: Path) -> None:
    """Law: exit 2, with the address and what to look at."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

    ran = execledger(
        "spark", "select 1", f"{option}://127.0.0.1:{port}", "--lake", str(lake)
    )

    assert ran.code == 2
    assert f"127.0.0.1:{port} cannot be reached: Connection refused." in ran.err


def test_a_server_that_says_nothing_is_not_waited_for(
    lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what answers and is no Spark Connect is known in bounded time."""
    monkeypatch.setattr("pipelines.spark_reach._REACH_S", 0.5)
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]

        ran = ask(f"sc://127.0.0.1:{port}", lake, "select 1")

    assert ran.code == 2
    assert "does not answer as a server of Spark Connect does" in ran.err


def test_without_java_it_says_what_to_install(
    lake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: whether Java is nowhere, or not where it is said to be."""
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    misplaced = execledger("spark", "select 1", "--lake", str(lake))
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    missing = execledger("spark", "select 1", "--lake", str(lake))

    assert (misplaced.code, missing.code) == (2, 2)
    assert f"JAVA_HOME, {tmp_path}, has no bin/java: install it" in misplaced.err
    assert "there is no Java: install it" in missing.err


# --- what lies in the lake ----------------------------------------------------


@pytest.mark.parametrize("table_format", ["delta", "parquet"])
def test_older_files_lack_columns(
    table_format: str, connect: str, tmp_path: Path
) -> None:
    """Law: what is not there is NULL, and a table that is not there is empty."""
    folder = tmp_path / DATASET / "runs"
    rows = pa.Table.from_pylist([RUN], lake_schema(Run)).drop_columns(["error"])
    if table_format == "delta":
        write_deltalake(str(folder), rows)
    else:
        folder.mkdir(parents=True)
        pq.write_table(rows, folder / "a.parquet")

    with session(master=None, remote=connect, settings={}) as spark:
        for _ in range(2):
            register(
                spark,
                NOWHERE,
                f"file://{tmp_path}",
                table_format=table_format,  # type: ignore[arg-type]
                only=["execledger.runs", "execledger.outputs"],
            )
        runs = spark.sql("select run_id, error from execledger.runs").toArrow()
        outputs = spark.table("execledger.outputs").toArrow()

    assert runs.to_pylist() == [{"run_id": "r1", "error": None}]
    assert outputs.num_rows == 0
    assert {path.name for path in (tmp_path / DATASET).iterdir()} == {"runs"}


def test_a_table_of_somebody_else_is_never_dropped(
    connect: str, tmp_path: Path
) -> None:
    """Law: where its rows would go with it, nothing is made."""
    with session(master=None, remote=connect, settings={}) as spark:
        spark.sql(f"create database {FILES}")
        spark.sql(f"create table {FILES}.runs (run_id string) using parquet")

        with pytest.raises(StoreError, match=f"{FILES}.runs is in the catalog"):
            register(spark, NOWHERE, f"file://{tmp_path}", table_format="parquet")

        kinds = [one.tableType for one in spark.catalog.listTables(FILES)]
    assert kinds == ["MANAGED"]
