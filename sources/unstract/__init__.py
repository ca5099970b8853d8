"""Unstract: executions asked for by their ids, each result read once."""

from pathlib import Path
from typing import Any

import dlt
from dlt.extract import DltResource

from sources.provider import settings_from
from sources.source import watched_resource
from sources.unstract.settings import Settings

__all__ = ["unstract_source"]


@dlt.source(name="execledger", section="unstract")
def unstract_source(
    *,
    execution_ids: Any = None,  # noqa: ANN401 (a list, JSON or comma-separated)
    api_key: str = dlt.secrets.value,
    platform_key: str = "",
    organization_id: str = dlt.config.value,
    api_name: str = dlt.config.value,
    base_url: str = "https://us-central.unstract.com",
    include_metadata: bool = True,
    include_metrics: bool = True,
    include_extracted_text: bool = True,
    poll_interval_s: float = 5.0,
    result_ttl_hours: float = 3.0,
    settle_hours: float = 48.0,
    concurrency: int = 8,
    requests_per_second: float = 20.0,
    read_timeout_s: float = 300.0,
    max_body_mb: float = 64.0,
    ca_file: str = "",
    allow_http: bool = False,
    connection: str = "default",
    journal: str | Path | None = None,
    max_wait_s: float = 0.0,
    raises: bool = True,
) -> DltResource:
    """Return the watched executions of Unstract, for a pipeline of one's own.

    Args:
        execution_ids: Ids to put on the watch-list first: a list, JSON or
            comma-separated. What is on it already need not be said again.
        api_key: The deployment's key, from ``SOURCES__UNSTRACT__API_KEY`` or
            secrets.toml.
        platform_key: A platform key: finds executions, and what they used.
        organization_id: The organization, such as ``org_HJqNgodUQsA9``.
        api_name: The name of the API deployment.
        base_url: Where Unstract answers.
        include_metadata: Whether results come with metadata.
        include_metrics: Whether results come with metrics.
        include_extracted_text: Whether results come with the text of the files.
        poll_interval_s: Seconds between two polls, at first.
        result_ttl_hours: How long Unstract keeps a finished result.
        settle_hours: With a platform key: how far back executions are listed again.
        concurrency: Requests in flight.
        requests_per_second: Most requests a second.
        read_timeout_s: Seconds without a byte until a poll is given up.
        max_body_mb: Largest answer to read, MiB.
        ca_file: A PEM file with the certificate of your own authority.
        allow_http: Whether plain http beyond loopback is allowed.
        connection: The deployment's name in all keys, where there are several.
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
        "unstract",
        settings_from(Settings, given, "sources.unstract"),
        execution_ids=execution_ids,
        connection=connection,
        journal=journal,
        max_wait_s=max_wait_s,
        raises=raises,
    )
