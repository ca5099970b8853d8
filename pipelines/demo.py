"""The whole path on this machine: twins on loopback, two loads, and what came of it."""

import json
import shlex
import shutil
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
from pipelines.readers import read_only
from pipelines.runs import Report
from pipelines.store import Home, locked
from pipelines.terminal import as_table, summary
from sources import part, providers
from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.json_text import canonical_sha256
from sources.loopback import Obtained, Twin, serve
from sources.provider import Window, settings_from
from sources.tracking import read_started, track

__all__ = ["Demo", "differences", "run_demo", "show"]

_MARK = "this-is-a-demo"
"""A file by which a home is known to be a demo's, and may be started anew."""

_SHOWN = 10
"""Differences that are printed."""

_WORDS = 300
"""Longest words of one difference."""

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
            _track(home, accounts[-1], twins[name])
        before = load(home, accounts, window=Window(), watch=watch)
        for twin in twins.values():
            twin.pass_time()
        after = load(home, accounts, window=Window(), watch=watch)
    with read_only(home) as con:
        found = [
            difference
            for name, twin in twins.items()
            for difference in differences(con, name, twin.obtained())
        ]
    return Demo(home=home, before=before, after=after, differences=found)


def _account(provider: str, given: Mapping[str, object]) -> Account:
    kind = part(provider, "settings").Settings
    quick = {"requests_per_second": 1_000, **given}
    return Account(provider, "default", settings_from(kind, quick, provider))


def _track(home: Home, account: Account, twin: Twin) -> None:
    """Put on the watch-list what the user of a twin started, as JSON lines."""
    lines = "\n".join(json.dumps(one) for one in twin.started())
    if lines:
        started = read_started(lines, account.provider)
        with Journal(home.journal) as journal:
            track(journal, *account.of, account.settings, started)


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
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def differences(
    con: duckdb.DuckDBPyConnection,
    provider: str,
    obtained: Mapping[tuple[str, str], Obtained],
) -> Iterator[str]:
    """Yield in words where the store is not what could be had of the twin."""
    held = {
        (scope, execution_id): Obtained(status, state, json.loads(out), *counts)
        for scope, execution_id, status, state, out, *counts in con.execute(
            _HELD, [provider]
        ).fetchall()
    }
    for key in sorted(held.keys() ^ obtained.keys()):
        where = "the store" if key in held else "the twin"
        yield f"{provider} {'/'.join(key)} is only in {where}"
    for key in sorted(held.keys() & obtained.keys()):
        for name, mine, theirs in zip(
            Obtained._fields, held[key], obtained[key], strict=True
        ):
            if _comparable(mine) != _comparable(theirs):
                words = f"{name} {mine!r}, the twin has {theirs!r}"
                yield f"{provider} {'/'.join(key)}: {words[:_WORDS]}"


def _comparable(value: object) -> object:
    """Return a value by which two are alike: outputs, and their keys, in any order."""
    return sorted(map(canonical_sha256, value)) if isinstance(value, list) else value


_HELD = """
    select e.scope, e.execution_id, e.provider_status, e.result_state,
        (select coalesce(
                to_json(list(coalesce(o.value, to_json(o.value_text)))), '[]')
            from execledger.outputs o
            where o.execution_key = e.execution_key and o.name <> 'answer'),
        (select count(*) from execledger.grounding_sources s
            where s.execution_key = e.execution_key),
        (select cast(sum(u.total_tokens) as bigint) from execledger.token_usage u
            where u.execution_key = e.execution_key and u.is_counted)
    from execledger.executions e where e.provider = ?
"""

_SECTIONS = {
    "Executions by status": """
        select provider, status, count(*) as executions,
            count(*) filter (where condition_met) as condition_met
        from execledger.executions
        group by provider, status order by provider, executions desc, status
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
    "Why executions failed, and who must act": """
        select provider, category, left(reason, 60) as reason, errors,
            replace(who_acts, '_', ' ') as 'who acts'
        from marts.failure_reasons
        where category not in ('expired', 'acknowledged')
        order by errors desc, provider, reason limit 12
    """,
    "Tokens and cost by model": """
        select provider, coalesce(model, '(not said)') as model, model_basis as basis,
            input_tokens as input, output_tokens as output,
            round(provided_cost_usd, 6) as 'provided (USD)',
            round(estimated_cost_usd, 6) as 'estimated (USD)'
        from marts.model_usage order by input desc
    """,
    "Results that could not be had, and why": """
        select e.provider, e.execution_id as execution,
            replace(e.result_state, '_', ' ') as state, f.message as reason
        from execledger.executions e
        left join execledger.errors f on f.execution_key = e.execution_key
            and f.error_type = e.result_state
        where e.is_terminal and e.result_state <> 'captured'
        order by e.provider, e.execution_id
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
  execledger query {where} "from marts.daily_usage order by day desc limit 5"
  execledger query {where} --format csv "from marts.grounding_domains"
  execledger check {where}
  execledger init        then fill in a real key, and: execledger load
"""
