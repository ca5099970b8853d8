"""The whole path on this machine: twins on loopback, two loads, and what came of it."""

import json
import shlex
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import duckdb
import msgspec
from rich.console import Console

from pipelines.collect import Watch
from pipelines.config import Account
from pipelines.load import load
from pipelines.query import Result
from pipelines.runs import Report
from pipelines.store import Home, locked, read_only
from pipelines.terminal import as_table, summary
from sources import part, providers
from sources.errors import ConfigurationError
from sources.loopback import Twin, serve
from sources.provider import Window, settings_from

__all__ = ["Demo", "run_demo", "show"]

_MARK = "this-is-a-demo"
"""A file by which a home is known to be a demo's, and may be started anew."""

_SHOWN = 10
"""Differences that are printed."""

_PLAIN: Any = {"markup": False, "highlight": False, "soft_wrap": True}
"""How a line is printed: nothing in it is taken for markup, none is broken."""


class Demo(msgspec.Struct, kw_only=True):
    """What a demo came to; ``differences`` between store and twins are in words."""

    home: Home
    before: Report
    after: Report
    differences: list[str]


def run_demo(home: Home, watch: Watch) -> Demo:
    """Load twice from the twins of all providers; time passes in between."""
    _start_anew(home)
    with ExitStack() as stack:
        twins: dict[str, Twin] = {}
        accounts: list[Account] = []
        for name in providers():
            twins[name] = part(name, "twin").demo(datetime.now(UTC))
            url = stack.enter_context(serve(twins[name].app))
            accounts.append(_account(name, twins[name].settings(url)))
        before = load(home, accounts, window=Window(), watch=watch)
        for twin in twins.values():
            twin.pass_time()
        after = load(home, accounts, window=Window(), watch=watch)
    with read_only(home) as con:
        differences = [
            difference
            for name, twin in twins.items()
            for difference in _differences(con, name, twin.ledger())
        ]
    return Demo(home=home, before=before, after=after, differences=differences)


def _account(provider: str, given: Mapping[str, object]) -> Account:
    kind = part(provider, "settings").Settings
    quick = {"requests_per_second": 1_000, **given}
    return Account(provider, "default", settings_from(kind, quick, provider))


def _start_anew(home: Home) -> None:
    """Remove what an earlier demo left; refuse a home that holds anything else."""
    mark = home.path / _MARK
    files = (home.published, home.journal)
    if any(file.exists() for file in files) and not mark.exists():
        raise ConfigurationError(
            f"{home.path} holds data that is no demo's. Say another --home."
        )
    with locked(home):
        mark.touch(mode=0o600)
        for file in files:
            for path in home.path.glob(f"{file.name}*"):
                path.unlink()


def _differences(
    con: duckdb.DuckDBPyConnection,
    provider: str,
    ledger: Mapping[tuple[str, str], Mapping[str, object]],
) -> Iterator[str]:
    """Yield in words where the store is not what the twin handed out last."""
    held = {
        (scope, execution_id): (status, sources, result)
        for scope, execution_id, status, sources, result in con.execute(
            _HELD, [provider]
        ).fetchall()
    }
    for key in sorted(held.keys() ^ ledger.keys()):
        where = "the store" if key in held else "the twin"
        yield f"{provider} {'/'.join(key)} is only in {where}"
    for key in sorted(held.keys() & ledger.keys()):
        status, sources, result = held[key]
        handed = ledger[key]
        if status != handed.get("status"):
            yield f"{provider} {'/'.join(key)}: status {status}"
        if sources != len(_list(handed.get("grounding_sources"))):
            yield f"{provider} {'/'.join(key)}: {sources} sources"
        if (json.loads(result) if result else None) != handed.get("result"):
            yield f"{provider} {'/'.join(key)}: another result"


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


_HELD = """
    select e.scope, e.execution_id, e.provider_status,
        (select count(*) from execledger.grounding_sources s
            where s.execution_key = e.execution_key),
        (select coalesce(cast(o.value as varchar), to_json(o.value_text))
            from execledger.outputs o
            where o.execution_key = e.execution_key and o.name = 'result')
    from execledger.executions e where e.provider = ?
"""

_SECTIONS = {
    "Executions by status": """
        select provider, status, count(*) as executions,
            count(*) filter (where condition_met) as condition_met
        from execledger.executions
        group by provider, status order by provider, executions desc
    """,
    "The newest answer of each workflow, and what it rests on": """
        select strftime(e.started_at, '%m-%d %H:%M') as 'at (UTC)',
            w.name as workflow, e.condition_met as met, o.value_text as answer,
            (select count(*) from execledger.grounding_sources s
                where s.execution_key = e.execution_key) as sources,
            (select min(s.domain) from execledger.grounding_sources s
                where s.execution_key = e.execution_key) as 'one of them'
        from execledger.executions e
        inner join execledger.outputs o
            on e.execution_key = o.execution_key and o.name = 'answer'
        left join execledger.workflows w on e.workflow_key = w.workflow_key
        qualify row_number() over (
            partition by e.workflow_key order by e.started_at desc, e.execution_key
        ) = 1
        order by e.started_at desc limit 6
    """,
    "The slowest": """
        select strftime(started_at, '%m-%d %H:%M') as 'at (UTC)',
            workflow_name as workflow, status,
            round(duration_ms / 1000, 1) as seconds
        from marts.slowest_executions
        order by duration_ms desc, execution_key limit 5
    """,
    "Why executions failed": """
        select left(message, 70) as error, count(*) as times, max(day) as 'last on'
        from execledger.errors inner join execledger.executions using (execution_key)
        group by message order by times desc limit 5
    """,
    "What changed between the two loads": """
        with history as (
            select *, lag(provider_status) over (
                partition by execution_key order by observed_at
            ) as earlier
            from execledger.status_history
        )

        select coalesce(earlier, '(new)') as before, provider_status as now,
            count(*) as executions
        from history where observed_at >= ?
        group by earlier, provider_status
        order by executions desc, earlier, provider_status
    """,
}
"""What the demo shows of the store; ``?`` is when the second load began."""


def show(demo: Demo, console: Console) -> None:
    """Print what a person wants to see of a demo."""
    for name, report in (("first", demo.before), ("second", demo.after)):
        console.print(f"The {name} load\n{summary(report)}\n", **_PLAIN)
    with read_only(demo.home) as con:
        for title, sql in _SECTIONS.items():
            values = [demo.after.started_at] if "?" in sql else []
            cursor = con.execute(sql, values)
            names = [column[0] for column in cursor.description or ()]
            console.print(as_table(Result(names, cursor.fetchall()), title))
    for line, style in _verdict(demo.differences):
        console.print(line, style=style, **_PLAIN)
    console.print(_next_steps(demo.home), **_PLAIN)


def _verdict(differences: list[str]) -> Iterator[tuple[str, str]]:
    """Yield what to say of the differences, and in which colour."""
    for difference in differences[:_SHOWN]:
        yield f"The store differs: {difference}", "red"
    if more := len(differences[_SHOWN:]):
        yield f"... and {more:,} more differences", "red"
    if not differences:
        yield "The store equals what the twins handed out.", "green"


def _next_steps(home: Home) -> str:
    where = f"--home {shlex.quote(str(home.path))}"
    return f"""
The store is {home.published}. Try next:
  execledger tables {where}
  execledger query {where} "from marts.answer_sources limit 5"
  execledger query {where} --format csv "from marts.slowest_executions limit 5"
  execledger init        then fill in a real key, and: execledger load
"""
