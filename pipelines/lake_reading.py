"""Reading a lake with DuckDB, as if it were the store."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from pipelines.lake import Lake, in_words
from pipelines.lake_rows import lake_schema, partitioned_by
from pipelines.newest import OBSERVATIONS, newest_views
from pipelines.store import OFFLINE, Home
from pipelines.views import create_views, views
from sources.records import LOST, TABLES, Json, Record, Run
from sources.tables import columns

if TYPE_CHECKING:
    import pyarrow.dataset as ds
    from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

__all__ = ["known", "opened"]

_LOOKED_UP = {
    "executions": (
        "provider, connection, execution_key, response_id, execution_id, scope, "
        "workflow_key, status, provider_status, is_terminal, result_state, "
        "created_at, started_at, first_seen_at, observed_at, content_sha256, "
        "list_sha256"
    ),
    "workflows": "*",
    "execution_tags": "provider, connection, execution_key, tag, tag_value",
    "errors": "provider, connection, execution_key, error_type, message",
    "raw_responses": "provider, connection, response_id, received_at",
    "load_rejects": "provider, connection, reject_key",
    "runs": "*",
}
"""The columns that loads ask for, of whatever they look up."""


def opened(lake: Lake, home: Home) -> duckdb.DuckDBPyConnection:
    """Return a database in memory with the tables and views of a store, over a lake.

    What is shown is what was in the lake when it was opened, and whole. Use the
    connection itself: a cursor of it does not see the lake. Raises ``StoreError``,
    and ``ConfigurationError`` for a broken rule of the home.
    """
    con = _connected(lake)
    con.execute("create schema execledger")
    for view in newest_views():
        if view.name == Run.TABLE:  # the last is asked for by its place in the table
            order = "order by run_id"
            con.execute(f"create table {view.qualified} as {view.sql} {order}")
        else:
            con.execute(f"create view {view.qualified} as {view.sql}")
    create_views(con, views(home))
    return con


def known(lake: Lake, accounts: Sequence[tuple[str, str]]) -> duckdb.DuckDBPyConnection:
    """Return a database in memory with what loads of these accounts look up.

    As tables of schema ``execledger``: a page of a list asks for a hundred keys, and
    a view would look through the whole lake for them. They have few columns, and of
    errors those alone that say why a result was lost. Raises ``StoreError``.
    """
    con = _connected(lake)
    con.execute("create schema newest; create schema execledger")
    for view in newest_views():
        if view.name in _LOOKED_UP:
            con.execute(f"create view newest.{view.name} as {view.sql}")
            _keep(con, view.name, accounts)
    con.execute("drop schema newest cascade")
    return con


def _keep(
    con: duckdb.DuckDBPyConnection, name: str, accounts: Sequence[tuple[str, str]]
) -> None:
    """Make a table of what a view shows of some accounts."""
    sql = f"create table execledger.{name} as select {_LOOKED_UP[name]} from newest."
    if not partitioned_by(TABLES[name]):
        # a load asks for the last by its place in the table
        con.execute(f"{sql}{name} order by run_id")
        return
    of = " or ".join(["provider = ? and connection = ?" for _ in accounts] or ["false"])
    # said by itself, files of other providers are not read
    names = ", ".join(["?" for _ in accounts] or ["null"])
    losses = ", ".join(f"'{state}'" for state in LOST)
    more = f"and error_type in ({losses})" if name == "errors" else ""
    values = [provider for provider, _ in accounts]
    values += [one for account in accounts for one in account]
    con.execute(f"{sql}{name} where provider in ({names}) and ({of}) {more}", values)


def _connected(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Return a database with schema ``observations``: the files as tables."""
    con = duckdb.connect(config={**OFFLINE, "temp_directory": ""})
    con.execute("set timezone = 'UTC'")
    con.execute(f"create schema {OBSERVATIONS}")
    with in_words("Nothing was read."):
        client = lake.client()
        found = {name: _rows(lake, client, one) for name, one in TABLES.items()}
    for name, record in TABLES.items():
        con.register(f"lake_{name}", found[name])
        json = [one.name for one in columns(record) if one.type is Json]
        casts = ", ".join(f"cast({one} as json) as {one}" for one in json)
        replaced = f"replace ({casts})" if casts else ""
        con.execute(
            f"create view {OBSERVATIONS}.{name} as select * {replaced} from lake_{name}"
        )
    return con


def _rows(
    lake: Lake, client: "FilesystemClient", record: type[Record]
) -> "ds.Dataset | pa.Table":
    """Return the rows of a table, not read yet; none where it is not there."""
    make = _delta if lake.table_format == "delta" else _parquet
    return make(client, record) or lake_schema(record).empty_table()


def _delta(client: "FilesystemClient", record: type[Record]) -> "ds.Dataset | None":
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError
    from dlt.common.libs.deltalake import deltalake_storage_options

    where = client.get_open_table_location("delta", record.TABLE)
    config = client.config
    options = deltalake_storage_options(
        config.credentials, config.deltalake_storage_options
    )
    try:
        table = DeltaTable(where, storage_options=options)
    except TableNotFoundError:
        return None
    return table.to_pyarrow_dataset(schema=lake_schema(record))


def _parquet(client: "FilesystemClient", record: type[Record]) -> "ds.Dataset | None":
    import pyarrow.dataset as ds

    where = client.get_table_dir(record.TABLE)
    if not client.fs_client.isdir(where):
        return None
    full = lake_schema(record)
    by = [full.field(name) for name in partitioned_by(record)]
    found: Any = ds.dataset(
        where,
        schema=full,
        format="parquet",
        filesystem=client.fs_client,
        partitioning=ds.partitioning(pa.schema(by), flavor="hive"),
        # one that is being written has no end yet
        exclude_invalid_files=client.is_local_filesystem,
    )
    return found  # type: ignore[no-any-return]
