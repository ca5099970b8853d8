"""A small Torale for the tests of the commands, and what a load makes of it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb

from pipelines.config import Account
from pipelines.load import load
from pipelines.query import opened
from pipelines.runs import Report
from pipelines.store import Home
from sources.provider import Window, settings_from
from sources.records import TABLES
from sources.tables import columns
from sources.torale.settings import Settings
from sources.torale.twin import ToraleTwin
from sources.torale.twin_world import Task

KEY = "sk_canary_90af3be1c4"
NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
PHONE, NEWS = "t-phone", "t-news"
AT_OUR_TIME = ("response_id", "observed_at", "first_seen_at")
"""Columns that say when something was received, or in which response."""

Rows = list[tuple[Any, ...]]


def source(number: int) -> dict[str, object]:
    """Return a grounding source as Torale gives it."""
    uri = f"https://shop{number}.example.co.uk/item?n={number}"
    return {"uri": uri, "title": f"Shop {number}", "snippet": f"{number} in stock"}


def small_torale(key: str = KEY) -> ToraleTwin:
    """Return a twin of two tasks: 11 executions, of which one runs and one failed.

    ``done`` has three sources, ``odd`` a time that is none; ``pass_time`` ends
    ``runs``.
    """
    twin = ToraleTwin(key=key, clock=lambda: NOW, max_limit=4)
    for task_id, name in ((PHONE, "Phone below 500"), (NEWS, "News of the phone")):
        twin.world.add_task(Task(task_id=task_id, name=name))
    met = {"answer": "In stock.", "reasoning": "Three shops say so."}
    put(
        twin,
        "done",
        1,
        result=met,
        condition_met=True,
        notification="**In stock**",
        grounding_sources=[source(n) for n in range(3)],
    )
    put(twin, "odd", 2, completed_at="yesterday", result="just a text")
    put(twin, "fails", 3, status="failed", error_message="Search timed out")
    ended = {"status": "success", "completed_at": NOW, "result": {"answer": "Sold."}}
    ended["grounding_sources"] = [source(7)]
    put(twin, "runs", 0, status="running", life=[(NOW + timedelta(seconds=5), ended)])
    for number in range(7):
        put(twin, f"n{number}", number, NEWS, grounding_sources=[source(number)])
    return twin


def put(
    twin: ToraleTwin,
    execution_id: str,
    hours_ago: int,
    task_id: str = PHONE,
    *,
    life: Sequence[tuple[datetime, Mapping[str, object]]] = (),
    **given: object,
) -> None:
    """Add an execution to the twin; a success unless what is given says else."""
    started_at = NOW - timedelta(hours=hours_ago, seconds=1)
    known = {"id": execution_id, "started_at": started_at}
    twin.world.add_execution(task_id, {**known, **given}, life=life)


def changed(twin: ToraleTwin) -> None:
    """Let time pass: one ends, two have fewer sources and none, one is new."""
    twin.pass_time()
    world = twin.world
    world.change_execution(PHONE, "done", {"grounding_sources": [source(1)]})
    world.change_execution(NEWS, "n1", {"grounding_sources": []})
    put(twin, "new", 0, NEWS, grounding_sources=[source(8), source(9)])


def account(
    url: str, connection: str = "default", *, key: str = KEY, **settings: object
) -> Account:
    """Return an account at a twin that is served at ``url``."""
    quick = {"requests_per_second": 1_000, "page_size": 4}
    given = {**quick, "base_url": url, "api_key": key, **settings}
    return Account("torale", connection, settings_from(Settings, given, "test"))


def load_into(home: Home, *accounts: Account, window: Window | None = None) -> Report:
    """Load what is due of these accounts."""
    return load(
        home, accounts, window=window or Window(), watch=lambda *_: None, wait_s=0
    )


def rows(home: Home, sql: str, *values: object) -> Rows:
    """Return the rows of a query on the store."""
    with opened(home) as con:
        return con.execute(sql, values).fetchall()


def one(home: Home, sql: str, *values: object) -> Any:
    """Return the one value of a query on the store."""
    ((value,),) = rows(home, sql, *values)
    return value


def contents(
    home: Home,
    names: Sequence[str] = tuple(TABLES),
    *,
    without: Sequence[str] = (),
) -> dict[str, Rows]:
    """Return the rows of tables, in an order of their own, without some columns."""
    with opened(home) as con:
        return {name: _contents(con, name, without) for name in names}


def _contents(
    con: duckdb.DuckDBPyConnection, name: str, without: Sequence[str]
) -> Rows:
    kept = [c.name for c in columns(TABLES[name]) if c.name not in without]
    sql = f"select {', '.join(kept)} from execledger.{name} order by all"
    return con.execute(sql).fetchall()


def doubled(home: Home) -> list[str]:
    """Return the tables in which a key stands more than once."""
    found = []
    for name, record in TABLES.items():
        key = ", ".join(record.KEY)
        sql = f"select count(*) - count(distinct ({key})) from execledger.{name}"
        if one(home, sql):
            found.append(name)
    return found
