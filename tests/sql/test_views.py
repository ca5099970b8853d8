"""What holds for views on any store: nothing is lost, doubled or invented."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import duckdb
import pytest
from hypothesis import given, settings

from pipelines.checks import run_checks
from pipelines.embedded import ask
from pipelines.limits import Bounds
from pipelines.rules import Category
from pipelines.store import Home
from pipelines.views import views
from sources.json_text import encode
from tests.sql.hostile_json import JSON

NOWHERE = Home(Path("nowhere"))
DEEPEST = 8


def count(con: duckdb.DuckDBPyConnection, sql: str) -> object:
    """Return the one value of a query."""
    ((value,),) = con.execute(sql).fetchall()
    return value


@pytest.mark.parametrize("view", [view.qualified for view in views(NOWHERE)])
def test_a_view_reads_whatever_providers_send(
    recorded_store: duckdb.DuckDBPyConnection, view: str
) -> None:
    """Law: no recording, however hostile, makes a view fail."""
    assert recorded_store.execute(f"from {view}").fetchall() is not None


@pytest.mark.parametrize("view", [view.qualified for view in views(NOWHERE)])
def test_a_view_of_an_empty_store_is_no_fault(
    store: duckdb.DuckDBPyConnection, view: str
) -> None:
    """Law: before anything was loaded, the answer is that there is nothing."""
    empty = {"staging.clock": 1}

    rows = store.execute(f"from {view}").fetchall()

    if view != "marts.failure_rules":
        assert len(rows) == empty.get(view, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "sum(total_tokens) from marts.daily_usage",
            "sum(total_tokens) from execledger.token_usage where is_counted",
        ),
        (
            "count(*) from marts.token_costs",
            "count(*) from execledger.token_usage where is_counted",
        ),
        (
            "sum(total_tokens) from marts.model_usage",
            "sum(total_tokens) from execledger.token_usage where is_counted",
        ),
        (
            "sum(provided_cost_usd) from marts.daily_usage",
            "sum(provided_cost_usd) from execledger.token_usage where is_counted",
        ),
        (
            "sum(cost_usd) from marts.workflow_usage",
            "sum(cost_usd) from marts.token_costs",
        ),
        (
            "sum(executions) from marts.failure_rates",
            "count(*) from execledger.executions",
        ),
        (
            "sum(executions) from marts.workflow_usage",
            "count(*) from execledger.executions",
        ),
        ("sum(executions) from marts.freshness", "count(*) from execledger.executions"),
        ("count(*) from marts.failures", "count(*) from execledger.errors"),
        ("sum(errors) from marts.failure_reasons", "count(*) from execledger.errors"),
        (
            "sum(sources) from marts.grounding_domains",
            "count(*) from execledger.grounding_sources",
        ),
        (
            "count(*) from marts.time_in_status",
            "count(*) from execledger.status_history",
        ),
        ("count(*) from marts.rejects", "count(*) from execledger.load_rejects"),
        (
            "count(distinct output_key) from marts.output_fields",
            "count(*) from execledger.outputs",
        ),
    ],
)
def test_views_count_everything_once(
    recorded_store: duckdb.DuckDBPyConnection, one: str, other: str
) -> None:
    """Law: what is summed up is what is in the tables: no row lost, none doubled."""
    expected = count(recorded_store, f"select {other}")

    assert count(recorded_store, f"select {one}") == expected
    assert expected


def test_a_cost_that_is_not_known_has_its_reason(
    recorded_store: duckdb.DuckDBPyConnection,
) -> None:
    """Law: unknown is NULL with a reason, never 0; each cost says what it rests on."""
    wrong = count(
        recorded_store,
        "select count(*) from marts.token_costs where basis is null "
        "or (estimated_cost_usd is null) <> (reason is not null) "
        "or (cost_usd is null and reason is null)",
    )

    assert wrong == 0


def test_every_failure_has_a_category_of_the_model(
    recorded_store: duckdb.DuckDBPyConnection,
) -> None:
    """Law: rules give no other categories than those that are documented."""
    found = recorded_store.execute("select distinct category from marts.failures")

    assert {name for (name,) in found.fetchall()} <= set(get_args(Category))


def test_every_check_runs_on_whatever_providers_send(
    recorded_store: duckdb.DuckDBPyConnection,
) -> None:
    """Law: a check finds something or nothing, and does not break."""
    outcomes = {
        one.name: one.error
        for one in run_checks(partial(ask, recorded_store), Bounds())
    }

    assert {name: error for name, error in outcomes.items() if error} == {}


# --- JSON taken apart -------------------------------------------------------------


def leaves(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, str]]:
    """Yield JSON Pointer and type of each leaf, as the view is to give them."""
    inner: list[tuple[str, object]] = []
    if isinstance(value, dict):
        inner = [(str(name), one) for name, one in value.items()]
    elif isinstance(value, list):
        inner = [(str(place), one) for place, one in enumerate(value)]
    if not inner or depth == DEEPEST:
        yield path, kind(value)
        return
    for name, one in inner:
        step = name.replace("~", "~0").replace("/", "~1")
        yield from leaves(one, f"{path}/{step}", depth + 1)


def kind(value: object) -> str:
    """Return what JSON calls a value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if isinstance(value, str):
        return "string"
    if isinstance(value, dict | list):
        return "object" if isinstance(value, dict) else "array"
    return "number"


@given(value=JSON)
@settings(deadline=None)
def test_every_leaf_of_an_output_is_a_row(
    store: duckdb.DuckDBPyConnection, value: object
) -> None:
    """Law: whatever the shape, each leaf stands once, with its pointer and type."""
    store.begin()
    try:
        store.execute(
            "insert into execledger.executions (execution_key, provider) "
            "values ('e', 'p')"
        )
        store.execute(
            "insert into execledger.outputs (output_key, execution_key, value) "
            "values ('o', 'e', ?)",
            [encode(value)],
        )
        found = store.execute("select path, type from marts.output_fields").fetchall()
    finally:
        store.rollback()

    # as it is stored: duplicate keys and odd numbers are settled by then
    assert sorted(found) == sorted(leaves(json.loads(encode(value))))
