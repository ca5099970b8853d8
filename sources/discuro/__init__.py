"""Discuro: executions asked for by their ids, before they are deleted."""

from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource

from sources.discuro.settings import Settings
from sources.provider import settings_from
from sources.source import watched_resource

__all__ = ["discuro_source"]


@dlt.source(name="execledger", section="discuro")
def discuro_source(
    *,
    execution_ids: Any = None,  # noqa: ANN401 (a list, JSON or comma-separated)
    api_key: str = dlt.secrets.value,
    base_url: str = "https://api.discuro.com",
    auth_header: str = "Authorization",
    auth_scheme: str = "Bearer",
    assumed_model: str = "",
    first_poll_s: float = 10.0,
    poll_interval_s: float = 5.0,
    result_ttl_hours: float = 24.0,
    concurrency: int = 8,
    requests_per_second: float = 20.0,
    max_body_mb: float = 64.0,
    ca_file: str = "",
    allow_http: bool = False,
    connection: str = "default",
    journal: str | Path | None = None,
    max_wait_s: float = 0.0,
    raises: bool = True,
) -> DltResource:
    """Return the watched executions of Discuro, for a pipeline of one's own.

    Args:
        execution_ids: Ids to put on the watch-list first: a list, JSON or
            comma-separated. What is on it already need not be said again.
        api_key: The API key, from ``SOURCES__DISCURO__API_KEY`` or secrets.toml.
        base_url: Where Discuro answers.
        auth_header: The header that carries the key.
        auth_scheme: The word before the key; empty for none.
        assumed_model: The model to assume, such as ``openai/gpt-4o``.
        first_poll_s: Seconds from the start of an execution to its first poll.
        poll_interval_s: Seconds between two polls, at first.
        result_ttl_hours: How long after the start Discuro keeps a result.
        concurrency: Requests in flight.
        requests_per_second: Most requests a second.
        max_body_mb: Largest answer to read, MiB.
        ca_file: A PEM file with the certificate of your own authority.
        allow_http: Whether plain http beyond loopback is allowed.
        connection: The account's name in all keys, where there are several.
        journal: SQLite file with the watch-list and the responses that are not
            loaded yet; by default ``.execledger/<pipeline>.sqlite``. Keep it.
        max_wait_s: Seconds to go on polling until everything is done.
        raises: Whether what could not be read is raised after everything else was
            yielded. dlt then loads nothing in this run; the journal has it all for
            the next. False loads what there is.

    The tables and their keys are those of ``sources.records``.
    """
    given = {
        name: value
        for name, value in locals().items()
        if name in Settings.__struct_fields__
    }
    return watched_resource(
        "discuro",
        settings_from(Settings, given, "sources.discuro"),
        execution_ids=execution_ids,
        connection=connection,
        journal=journal,
        max_wait_s=max_wait_s,
        raises=raises,
    )
