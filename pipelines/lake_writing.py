"""Appending to a lake: a load's rows count when the last of them are there."""

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from pipelines.lake import DATASET, FLAT, Lake, in_words, is_misconfigured
from pipelines.lake_rows import LAST, in_two_steps, partitioned_by, without_gone
from pipelines.store import causes
from sources.errors import ExecledgerError
from sources.fold import Batch
from sources.records import TABLES
from sources.tables import Tables, tables_of

if TYPE_CHECKING:
    from dlt.destinations.impl.filesystem.filesystem import FilesystemClient

__all__ = ["append", "append_tables"]

_IN_FOLDERS = (
    "{table_name}/provider={provider}/loaded_day={loaded_day}/{load_id}.{file_id}.{ext}"
)
_TRIES = 6
_LONGEST_PAUSE_S = 5
_NEXT_STEP = "Nothing of this load counts yet: run it again."


def append(
    to: Lake,
    provider: str | None,
    batches: Callable[[], Iterable[Batch]],
    *,
    folder: Path,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Append what was folded; see ``append_tables``."""
    append_tables(
        to,
        provider,
        lambda: tables_of(without_gone(batches())),
        folder=folder,
        now=now,
    )


def append_tables(
    to: Lake,
    provider: str | None,
    tables: Callable[[], Tables],
    *,
    folder: Path,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Append the rows of one load of one account, as if at once.

    ``provider`` is the account's, ``None`` for rows of no account. ``tables`` gives the
    rows, each time it is called. ``folder`` takes what is on its way.

    Where another writer makes the same table just then, or the network fails, all of
    it is done again. Raises ``StoreError``: the load can be repeated then.
    """
    with in_words(_NEXT_STEP):
        client = to.client()
        tries = Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=wait_random_exponential(0.2, max=_LONGEST_PAUSE_S),
            retry=retry_if_exception(_may_pass),
            before_sleep=lambda _: _mend(client),
            reraise=True,
        )
        tries(_append, to, client, provider, tables, folder=folder, now=now)


def _may_pass(failed: BaseException) -> bool:
    ours = (KeyboardInterrupt, ExecledgerError)
    return not (
        is_misconfigured(failed) or any(isinstance(one, ours) for one in causes(failed))
    )


def _append(
    to: Lake,
    client: "FilesystemClient",
    provider: str | None,
    tables: Callable[[], Tables],
    *,
    folder: Path,
    now: Callable[[], datetime],
) -> None:
    _begin(client)
    loaded_at = now()
    rows = in_two_steps(tables(), loaded_at)
    for _, step in groupby(rows, key=lambda one: one[0] in LAST):
        _run(to, provider, loaded_at, step, folder)


def _begin(client: "FilesystemClient") -> None:
    """Make the folder and dlt's file in it that says its version, if it is not there.

    dlt never comes past a folder without that file, which a kill of its own way of
    making the two leaves behind.
    """
    from dlt.destinations.impl.filesystem.filesystem import CURRENT_VERSION

    files = client.fs_client
    if files.exists(client.init_file_path):
        return
    files.makedirs(client.dataset_path, exist_ok=True)
    kept = {"initial_version": CURRENT_VERSION, "current_version": CURRENT_VERSION}
    with files.transaction, files.open(client.init_file_path, "w") as file:
        file.write(json.dumps(kept))


def _mend(client: "FilesystemClient") -> None:
    """Remove what dlt noted of its schemas and did not come to an end with.

    Who loads the same tables would read it, and fail each time.
    """
    files = client.fs_client
    noted = client.get_table_dir(client.schema.version_table_name)
    with suppress(OSError):
        for path in files.ls(noted, detail=False):
            try:
                json.loads(files.read_text(path, encoding="utf-8"))
            except ValueError:
                files.rm_file(path)


def _run(
    to: Lake,
    provider: str | None,
    loaded_at: datetime,
    rows: Iterable[tuple[str, pa.Table]],
    folder: Path,
) -> None:
    """Have dlt append rows; with a folder of its own, it knows of no other load."""
    day = loaded_at.astimezone(UTC).date().isoformat()
    if to.table_format == "parquet" and provider is not None:
        destination = to.destination(_IN_FOLDERS, provider=provider, loaded_day=day)
    else:
        destination = to.destination(FLAT)
    import dlt

    resource = dlt.resource(_marked(to, rows), name=provider or DATASET)
    with tempfile.TemporaryDirectory(dir=folder) as own, _no_second_try():
        pipeline = dlt.pipeline(
            DATASET,
            pipelines_dir=own,
            destination=destination,
            dataset_name=DATASET,
        )
        pipeline.config.restore_from_destination = False
        pipeline.run(resource, loader_file_format="parquet")


def _marked(to: Lake, rows: Iterable[tuple[str, pa.Table]]) -> Iterator[Any]:
    """Yield rows as dlt takes them.

    What the folders of plain files say is not in these files again.
    """
    import dlt

    for name, table in rows:
        by = partitioned_by(TABLES[name])
        hints: dict[str, Any] = {"table_name": name, "write_disposition": "append"}
        if to.table_format == "delta":
            hints["table_format"] = "delta"
            hints["columns"] = {one: {"name": one, "partition": True} for one in by}
        own = table if to.table_format == "delta" else table.drop_columns([*by])
        made = dlt.mark.make_hints(**hints)
        yield dlt.mark.with_hints(own, made, create_table_variant=True)


@contextmanager
def _no_second_try() -> Iterator[None]:
    """Keep dlt from writing a file again whose first try may have come through.

    Its rows would be there twice, of the same load.
    """
    name = "LOAD__RAISE_ON_MAX_RETRIES"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before
