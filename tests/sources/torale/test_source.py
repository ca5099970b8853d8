"""The source by itself, in a dlt user's own pipeline: it loads, and loses nothing."""

import asyncio
import signal
import subprocess
import sys
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from pipelines.selecting import select_from
from sources.fold import fold
from sources.journal import Journal
from sources.loopback import serve
from sources.records import TABLES, Response
from sources.seen import Seen
from sources.source import drain_source
from sources.tables import every_table, tables_of, with_hints
from sources.torale import normalize, torale_source
from sources.torale.twin_world import Task
from tests.plain_store import PlainStore, Rows, shown
from tests.responses import response
from tests.sources.torale.account import HOUR, KEY, NOW, add, twin_of
from tests.sources.torale.own_pipeline import (
    journal_in,
    pipeline_in,
    query,
    run,
    source,
)

ROOT = Path(__file__).resolve().parents[3]

EXECUTIONS = """
    select connection, scope, execution_id, status
    from execledger.executions order by all
"""


def waiting(folder: Path, connection: str = "default") -> list[str]:
    """Return the ids of what the pipeline's journal holds."""
    with Journal(journal_in(folder)) as journal:
        return journal.ids("torale", connection)


def loaded(folder: Path) -> set[str]:
    """Return the ids of the responses in the store."""
    return {
        row[0]
        for row in query(folder, "select response_id from execledger.raw_responses")
    }


def test_a_pipeline_of_ones_own_loads_every_table_and_keeps_them_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Configured by the environment; the second run is made in an event loop."""
    twin = twin_of({"t1": 4, "t2": 1})
    columns = {"id": "open", "started_at": NOW, "status": "running"}
    ended = (NOW + HOUR, {"status": "success", "result": {"answer": "at last"}})
    twin.world.add_execution("t1", columns, life=[ended])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)
    with serve(twin.app) as url:
        monkeypatch.setenv("SOURCES__TORALE__BASE_URL", url)
        run(tmp_path, torale_source())
        tables = query(tmp_path, "select table_name from duckdb_tables()")
        first = query(tmp_path, EXECUTIONS)
        kept = Path(".execledger/ledger.sqlite")
        with Journal(kept) as journal:
            after_first = journal.ids("torale", "default")
        twin.pass_time()

        async def in_a_notebook() -> None:
            run(tmp_path, torale_source())

        asyncio.run(in_a_notebook())
    with Journal(kept) as journal:
        after_second = journal.ids("torale", "default")

    assert set(TABLES) <= {name for (name,) in tables}
    assert [row[2:] for row in first if row[1] == "t1"] == [
        *((f"e{number}", "succeeded") for number in range(4)),
        ("open", "running"),
    ]
    assert query(tmp_path, EXECUTIONS)[4] == ("default", "t1", "open", "succeeded")
    assert set(after_first).isdisjoint(after_second)
    assert loaded(tmp_path) == {*after_first, *after_second}
    assert query(
        tmp_path,
        "select h.status from execledger.status_history h "
        "join execledger.executions using (execution_key) "
        "where execution_id = 'open' order by h.observed_at",
    ) == [("running",), ("succeeded",)]


def test_what_could_not_be_read_is_raised_at_the_end_and_loaded_by_the_next_run(
    tmp_path: Path,
) -> None:
    """A resource that raises loads nothing: the journal has it all."""
    twin = twin_of({"t1": 3, "t2": 3, "t3": 1}, has_details=False)
    twin.fail_next("t1/executions?", 403)
    twin.fail_next("t2/executions?", 403)
    both = r"(?s)Task t\d: Torale: the key was refused.*\nTask t\d: Torale: the key"
    with serve(twin.app) as url:
        with pytest.raises(PipelineStepFailed, match=both):
            run(tmp_path, source(tmp_path, url, api_key=KEY))
        after_first = waiting(tmp_path)
        run(tmp_path, source(tmp_path, url, api_key=KEY))

    assert [row[1:3] for row in query(tmp_path, EXECUTIONS)] == [
        *((task, f"e{number}") for task in ("t1", "t2") for number in range(3)),
        ("t3", "e0"),
    ]
    assert len(after_first) == 5
    assert set(after_first) < loaded(tmp_path)


def test_connections_load_in_one_run_and_an_unfinished_one_is_finished_by_the_next(
    tmp_path: Path,
) -> None:
    """Without ``raises`` there is no exception; each has its rows and its depth."""
    twin = twin_of({"t1": 60}, every=24 * HOUR, has_details=False)
    twin.fail_next("page=3", 418)
    twin.world.add_task(Task(task_id="t2"))
    add(twin, "e0", NOW, "t2")

    def both(url: str) -> None:
        how: dict[str, Any] = {"api_key": KEY, "page_size": 10, "raises": False}
        eu = source(tmp_path, url, connection="eu", task_ids=["t1"], **how)
        us = source(tmp_path, url, connection="us", task_ids=["t2"], **how)
        run(tmp_path, eu, us)

    with serve(twin.app) as url:
        both(url)
        first = query(tmp_path, EXECUTIONS)
        both(url)

    assert len([row for row in first if row[0] == "eu"]) == 50
    assert [row for row in first if row[0] == "us"] == [("us", "t2", "e0", "succeeded")]
    assert len(query(tmp_path, EXECUTIONS)) == 61


def test_what_a_killed_run_had_collected_is_loaded_by_the_next(tmp_path: Path) -> None:
    """Each response is on disk before anything parses it."""
    twin = twin_of({"t1": 3})
    with serve(twin.app) as url:
        killed = subprocess.run(  # noqa: S603 - this very module's neighbour
            [
                *(sys.executable, "-m", "tests.sources.torale.killed_source"),
                *(url, KEY, str(tmp_path)),
            ],
            cwd=ROOT,
            check=False,
            capture_output=True,
        )
        left = waiting(tmp_path)
        twin.world.delete_execution("t1", "e2")
        run(tmp_path, source(tmp_path, url, api_key=KEY))

    assert killed.returncode == -signal.SIGKILL
    assert [row[2] for row in query(tmp_path, EXECUTIONS)] == ["e0", "e1", "e2"]
    assert len(left) == 5
    assert set(left) < loaded(tmp_path)
    assert query(
        tmp_path,
        "select count(*) from execledger.executions where content_sha256 = list_sha256",
    ) == [(0,)]


def test_half_a_package_in_the_store_is_made_whole_by_the_next_run(
    tmp_path: Path,
) -> None:
    """A run killed while dlt loads leaves some tables without the others' rows."""
    twin = twin_of({"t1": 2})
    outputs = "select output_key from execledger.outputs order by all"
    with serve(twin.app) as url:
        run(tmp_path, source(tmp_path, url, api_key=KEY))
        whole = query(tmp_path, outputs)
        for table in ("outputs", "raw_responses"):
            query(tmp_path, f"delete from execledger.{table}")
        run(tmp_path, source(tmp_path, url, api_key=KEY))

    assert len(whole) == 4
    assert query(tmp_path, outputs) == whole


# The same tables by dlt and by plain SQL


def item(name: str, **changes: object) -> dict[str, Any]:
    """Return an execution that has rows in every table it can fill."""
    whole = {
        "id": name,
        "task_id": "t1",
        "status": "failed",
        "error_message": "no luck",
        "started_at": "2026-02-01T00:00:00Z",
        "result": {"answer": "yes", "activity": ["a", "b"], "big": 2**70},
        "grounding_sources": ["https://a.example/", {"uri": 5, "title": "é"}],
        "extra": {"nested": [1.5, None]},
        "completed_at": "never",
    }
    return {key: value for key, value in {**whole, **changes}.items() if value != ...}


FEWER = {"grounding_sources": ["https://a.example/"], "result": {"answer": "no"}}
NONE = {
    "status": "success",
    "error_message": None,
    "result": None,
    "grounding_sources": None,
    "extra": ...,
    "completed_at": None,
}
LOADS: list[list[Response]] = [
    [
        response("torale", [item("e1"), item("e2"), {"no": "id"}], second=0),
        response("torale", {"detail": "gone"}, status=404, second=1),
        response(
            "torale", [{"id": "t1", "name": "A"}], endpoint="tasks", params={}, second=2
        ),
    ],
    [
        response("torale", [item("e1", **FEWER), item("e2", **NONE)], second=3),
        response("torale", [item("e1", **FEWER), item("e3")], second=4),
        response(
            "torale", [{"id": "t1", "name": "B"}], endpoint="tasks", params={}, second=5
        ),
    ],
]
"""Executions that come, shrink to fewer rows and to none; errors, rejects, tasks."""


def by_plain_sql() -> Rows:
    """Return all tables as the store of the other tests has them."""
    with closing(PlainStore(normalize)) as store:
        return store.after(*LOADS).tables(only=TABLES)


def by_dlt(folder: Path) -> Rows:
    """Return all tables as dlt loads them into DuckDB."""
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        seen = Seen(select_from(con), "torale", "default")
        pipeline = pipeline_in(folder, con)
        pipeline.run(dlt.resource(with_hints(every_table()), name="tables"))
        for responses in LOADS:
            folded = fold(partial(iter, responses), normalize, seen)
            pipeline.run(
                drain_source("torale", tables_of(folded)), loader_file_format="parquet"
            )
        return {name: shown(con, name) for name in TABLES}


def test_dlt_loads_the_same_tables_as_plain_sql(tmp_path: Path) -> None:
    """Replaced by fewer rows and by none: what the quick tests show holds for dlt."""
    expected = by_plain_sql()

    assert by_dlt(tmp_path) == expected
    assert len(expected["grounding_sources"]) == 3
    assert len(expected["outputs"]) == 4
