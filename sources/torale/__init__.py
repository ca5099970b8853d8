"""Torale: every execution of every task, listed page by page."""

from collections.abc import Coroutine, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource

from sources.journal import Journal
from sources.provider import Collected, Window, settings_from
from sources.seen import Seen
from sources.source import collect_and_drain
from sources.torale import normalize
from sources.torale.collect import collect
from sources.torale.settings import Settings

__all__ = ["torale_source"]


@dlt.source(name="execledger", section="torale")
def torale_source(
    *,
    api_key: str = dlt.secrets.value,
    base_url: str = "https://api.torale.ai",
    task_ids: Any = None,  # noqa: ANN401 (a list, JSON or comma-separated)
    settle_hours: float = 48.0,
    page_size: int = 100,
    concurrency: int = 8,
    requests_per_second: float = 50.0,
    max_body_mb: float = 64.0,
    ca_file: str = "",
    allow_http: bool = False,
    connection: str = "default",
    journal: str | Path | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    raises: bool = True,
) -> DltResource:
    """Return Torale's executions, for a pipeline of one's own.

    Args:
        api_key: The API key, from ``SOURCES__TORALE__API_KEY`` or secrets.toml.
        base_url: Where Torale answers.
        task_ids: Tasks to read: a list, JSON or comma-separated; absent: every task
            that the key can list.
        settle_hours: How long after its start a finished execution is read again.
        page_size: Executions to ask for at once.
        concurrency: Requests in flight.
        requests_per_second: Most requests a second.
        max_body_mb: Largest answer to read, MiB.
        ca_file: A PEM file with the certificate of your own authority.
        allow_http: Whether plain http beyond loopback is allowed.
        connection: The account's name in all keys, where there are several.
        journal: SQLite file that holds the responses until they are loaded; by
            default ``.execledger/<pipeline>.sqlite``. Keep it: it is what makes a
            crash lose nothing.
        since: Read executions that started from then on again, on purpose.
        until: With ``since``, only those that started until then.
        raises: Whether what could not be read is raised after everything else was
            yielded, as a dlt user expects. dlt then loads nothing in this run; the
            journal has it all for the next. False loads what there is.

    The tables and their keys are those of ``sources.records``.
    """
    given = {
        name: value
        for name, value in locals().items()
        if name in Settings.__struct_fields__
    }
    settings = settings_from(Settings, given, "sources.torale")
    window = Window(since, until)

    def reading(
        kept: Journal, seen: Seen, due: Mapping[str, str]
    ) -> Coroutine[Any, Any, Collected]:
        return collect(
            settings,
            kept,
            seen,
            connection=connection,
            window=window,
            unfinished=due,
        )

    def torale() -> Iterator[Any]:
        path = Path(journal) if journal else None
        yield from collect_and_drain(
            "torale", connection, reading, normalize, path, raises=raises
        )

    return dlt.resource(torale, name="torale")
