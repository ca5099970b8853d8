"""A lake in Apache Spark itself: a master and two workers, asked by a person."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pipelines.lake import Lake
from pipelines.lake_reading import opened
from pipelines.store import Home
from tests.spark.beside import by_duckdb, by_spark, differences, made
from tests.spark.servers import DRIVER, cluster

pytestmark = pytest.mark.slow

COMMAND = (Path(sys.executable).with_name("execledger"), "spark")
SETTINGS = [f"--conf={name}={value}" for name, value in DRIVER.items()]


@pytest.fixture(scope="module")
def lake(demo_home: Home, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Return a lake of plain files, and one that is being written."""
    found = made(tmp_path_factory.mktemp("lake"), demo_home, "parquet")
    (file, *_) = Path(found.bucket_url or "").rglob("execledger/runs/*.parquet")
    file.with_name("begun.parquet").write_bytes(file.read_bytes()[:100])
    return found


def ask(
    folder: Path, lake: Lake, *words: str, program: tuple[str | Path, ...] = COMMAND
) -> "subprocess.CompletedProcess[str]":
    """Run the command as a person does, in an empty folder."""
    where = ("--lake", lake.bucket_url or "", "--table-format", lake.table_format)
    return subprocess.run(  # noqa: S603 - our own command
        [*program, *words, *where, *SETTINGS],
        cwd=folder,
        env={**os.environ, "SPARK_LOCAL_IP": "127.0.0.1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_cluster_gives_what_duckdb_gives(
    master: str, lake: Lake, demo_home: Home, tmp_path: Path
) -> None:
    """Law: every table and view; of a later load, once it is registered again."""
    wanted = by_duckdb(lake, demo_home)

    seen = by_spark(tmp_path, lake, demo_home, master=master, settings=DRIVER)

    assert differences(tmp_path, wanted) == {}
    assert seen["unregistered"] == seen["before"]
    assert seen["registered"] == seen["before"] + 1


def test_a_person_asks_a_cluster(
    master: str, lake: Lake, demo_home: Home, tmp_path: Path
) -> None:
    """Law: the rows alone come out, nothing of Spark's, and no file is left."""
    sql = "select day, provider, executions from marts.daily_usage"
    with closing(opened(lake, demo_home)) as con:
        rows = con.execute(sql).fetchall()
    wanted = sorted(",".join(map(str, row)) for row in rows)

    ran = ask(tmp_path, lake, sql, "--master", master, "--format", "csv")

    header, *found = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (header, sorted(found)) == ("day,provider,executions", wanted)
    assert [*tmp_path.iterdir()] == []


def test_a_slip_in_a_query_is_one_line(lake: Lake, tmp_path: Path) -> None:
    """Law: also of Spark in the command's own process, whose log is a flood."""
    ran = ask(tmp_path, lake, "select 1 / 0", "--master", "local[1]")

    assert ran.returncode == 2
    assert ran.stderr.startswith("execledger: The query fails: [DIVIDE_BY_ZERO] ")
    assert len(ran.stderr.splitlines()) == 1


def test_delta_without_its_package_is_said(lake: Lake, tmp_path: Path) -> None:
    """Law: exit 2, and what to give Spark."""
    delta = Lake("delta", lake.bucket_url)

    ran = ask(tmp_path, delta, "table execledger.runs", "--master", "local[1]")

    assert ran.returncode == 2
    assert "--conf spark.jars.packages=io.delta:delta-spark" in ran.stderr


def test_a_cluster_without_a_free_worker_is_not_waited_for(
    lake: Lake, tmp_path: Path
) -> None:
    """Law: Spark would wait for ever; exit 2, and what may be wrong."""
    hurry = "import pipelines.spark_session as s; s._EXECUTOR_S = 1"
    main = f"{hurry}; from pipelines.cli import main; main()"
    program = (sys.executable, "-c", main, "spark")

    with cluster(workers=0) as url:
        ran = ask(tmp_path, lake, "select 1", "--master", url, program=program)

    assert ran.returncode == 2
    assert f"{url} gave no executor within 1 s" in ran.stderr
