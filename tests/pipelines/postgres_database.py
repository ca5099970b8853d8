"""A database for each test, and loads of given responses into it."""

from collections.abc import Iterator, Sequence
from itertools import count
from urllib.parse import urlsplit

import psycopg2

from pipelines.draining import Inflow
from pipelines.postgres import Postgres, opened
from pipelines.runs import run_of
from pipelines.store import Home
from sources import part
from sources.journal import utc_now
from sources.records import Response
from sources.seen import Seen

__all__ = ["execute", "load_responses", "new_database"]

_numbers = count()


def new_database(server: str) -> str:
    """Make an empty database, and return its URL."""
    name = f"test_{next(_numbers)}"
    execute(server, f"create database {name}")
    return urlsplit(server)._replace(path=f"/{name}").geturl()


def execute(url: str, sql: str) -> list[tuple[object, ...]]:
    """Run a statement in a connection of its own, and return its rows."""
    con = psycopg2.connect(url)
    try:
        con.autocommit = True
        with con.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else []
    finally:
        con.close()


def load_responses(
    home: Home, *loads: Sequence[Response], trusts_store: bool = True
) -> None:
    """Load responses of one provider, each sequence as a load of its own."""
    for responses in loads:
        account = (responses[0].provider, "default")
        with opened(home, [account], 0) as target:
            target.drain([_inflow(target, responses, trusts_store=trusts_store)], None)
            assert target.give_meaning() == []
            target.finish(run_of("load", utc_now(), {}), {account: ""})


def _inflow(
    target: Postgres, responses: Sequence[Response], *, trusts_store: bool
) -> Inflow:
    provider = responses[0].provider

    def waiting(only: set[str] | None) -> Iterator[Response]:
        return (one for one in responses if only is None or one.response_id in only)

    return Inflow(
        provider=provider,
        seen=Seen(target.select, provider, "default"),
        waiting=waiting,
        normalizer=part(provider, "normalize"),
        trusts_store=trusts_store,
    )
