"""The source by itself, in a dlt pipeline of somebody's own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dlt
import pytest

from sources.loopback import serve
from sources.unstract import unstract_source
from sources.unstract.twin import UnstractTwin, demo


@pytest.fixture
def twin() -> UnstractTwin:
    """Return an Unstract with a dozen executions."""
    return demo(datetime.now(UTC))


@pytest.fixture
def url(twin: UnstractTwin, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Serve it, and configure what a script does not say."""
    with serve(twin.app) as address:
        for name, value in twin.settings(address).items():
            monkeypatch.setenv(f"SOURCES__UNSTRACT__{name.upper()}", value)
        monkeypatch.setenv("SOURCES__UNSTRACT__REQUESTS_PER_SECOND", "1000")
        yield address


@pytest.mark.usefixtures("url")
def test_a_script_gets_each_result_once(tmp_path: Path, twin: UnstractTwin) -> None:
    """Law: ids in, tables out; a second run asks for nothing that is captured."""
    ids = [str(one["id"]) for one in twin.started()]
    pipeline = dlt.pipeline(
        "own",
        destination=dlt.destinations.duckdb(str(tmp_path / "own_store.duckdb")),
        dataset_name="llm",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    twin.pass_time()

    def run() -> None:
        source = unstract_source(
            execution_ids=ids,
            journal=tmp_path / "own.sqlite",
            max_wait_s=20,
            raises=False,
        )
        pipeline.run(source, loader_file_format="parquet")

    run()
    asked = len(twin.requests)
    run()
    with pipeline.sql_client() as client:
        sql = "select execution_id, result_state from executions"
        states = {row[0]: row[1] for row in client.execute_sql(sql) or []}
    had = twin.obtained().items()
    assert states == {name: one.result_state for (_, name), one in had}
    assert len(twin.requests) == asked
