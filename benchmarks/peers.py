"""What people would use instead, each a program: ``python -m benchmarks.peers NAME …``.

All of them read the ``pages`` of an input (see ``benchmarks.inputs``) or ask the same
server, and write to a DuckDB file of their own in the folder where they run.
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["PEERS"]

STORE = "peer.duckdb"

_JSON = {"outputs": ("value",)}


def _bodies(pages: str) -> Iterator[Any]:
    for file in sorted(Path(pages).glob("*.jsonl")):
        for line in file.read_bytes().splitlines():
            yield json.loads(line)


def _run(resource: Callable[[], Iterator[Any]], key: str) -> None:
    """Merge what a resource yields, as parquet, with dlt."""
    import dlt

    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir="pipelines",
        destination=dlt.destinations.duckdb(STORE),
        dataset_name="executions",
    )
    merged = dlt.resource(
        resource(), name="executions", primary_key=key, write_disposition="merge"
    )
    pipeline.run(merged, loader_file_format="parquet")


def dlt_torale(pages: str) -> None:
    """A dlt resource of dicts over stored pages: two tables."""
    _run(lambda: (body["executions"] for body in _bodies(pages)), "id")


def dlt_discuro(pages: str) -> None:
    """A dlt resource of dicts over stored results of Discuro."""
    _run(lambda: _bodies(pages), "id")


def dlt_unstract(pages: str) -> None:
    """A dlt resource of dicts over stored results of Unstract, which have no id."""

    def named() -> Iterator[Any]:
        for body in _bodies(pages):
            yield {"id": body["message"][0]["metadata"]["execution_id"], **body}

    _run(named, "id")


def dlt_http(url: str, *tasks: str) -> None:
    """A dlt resource over the API, with dlt's own client and paginator."""
    from dlt.sources.helpers.rest_client import RESTClient
    from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator

    client = RESTClient(
        base_url=url,
        headers={"Authorization": "Bearer k"},
        data_selector="executions",
        paginator=PageNumberPaginator(base_page=1, total_path=None),
    )

    def listed() -> Iterator[Any]:
        for task in tasks:
            path = f"/api/v1/tasks/{task}/executions"
            yield from client.paginate(path, params={"limit": 100})

    _run(listed, "id")


def duckdb_json(pages: str) -> None:
    """DuckDB's own JSON reader over stored pages: two tables."""
    import duckdb

    with duckdb.connect(STORE) as con:
        con.execute(
            "create temp table e as select unnest(executions) as e "
            f"from read_json('{pages}/*.jsonl')"
        )
        con.execute(
            "create table executions as "
            "select * exclude (grounding_sources) from (select unnest(e) from e)"
        )
        con.execute(
            "create table sources as select id, unnest(source, recursive := true) "
            "from (select e.id as id, unnest(e.grounding_sources) as source from e)"
        )
        con.execute("checkpoint")


def dlt_arrow(folder: str) -> None:
    """The merge of dlt, of rows ready as Arrow, into tables that are there."""
    import dlt
    import pyarrow.parquet as pq

    resources = [
        dlt.resource(
            [pq.read_table(file)],
            name=file.stem,
            write_disposition="merge",
            merge_key="execution_key",
            columns=[
                {"name": name, "data_type": "json"} for name in _JSON.get(file.stem, ())
            ],
        )
        for file in sorted(Path(folder).glob("*.parquet"))
    ]
    _into_copy(resources)


def dlt_nothing() -> None:
    """A run of dlt that has nothing to load, into the tables that are there."""
    import dlt

    nothing: list[Any] = []
    _into_copy([dlt.resource(nothing, name="nothing", write_disposition="merge")])


def _into_copy(resources: list[Any]) -> None:
    import dlt

    pipeline = dlt.pipeline(
        "peer",
        pipelines_dir="pipelines",
        destination=dlt.destinations.duckdb(STORE),
        dataset_name="execledger",
    )
    pipeline.run(resources, loader_file_format="parquet")


PEERS = {
    peer.__name__: peer
    for peer in (
        dlt_arrow,
        dlt_discuro,
        dlt_http,
        dlt_nothing,
        dlt_torale,
        dlt_unstract,
        duckdb_json,
    )
}

if __name__ == "__main__":
    PEERS[sys.argv[1]](*sys.argv[2:])
