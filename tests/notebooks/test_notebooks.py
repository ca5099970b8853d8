"""The notebooks as code, and the figures that they show of the demo."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from pipelines.amounts import money, number, percent, seconds
from pipelines.fragments import NOTEBOOKS
from pipelines.query import opened
from pipelines.report import CHAPTERS
from pipelines.store import Home
from pipelines.tables import create_tables
from pipelines.views import make_views
from tests.notebooks.conftest import Shown, read, run

SCREEN = 45
TILE = re.compile(r"<li><span>(.*?)</span><strong>(.*?)</strong>")
EXECUTIONS, COST, ANSWERS = CHAPTERS
COST_EACH = (
    "select sum(cost_usd) / count(distinct execution_key) from marts.token_costs"
)
SOURCES_EACH = (
    "select sum(sources) / sum(executions_with_sources) from marts.daily_answers"
)


def tiles(page: str) -> dict[str, str]:
    """Return the figures that a page begins with."""
    return {html.unescape(name): html.unescape(at) for name, at in TILE.findall(page)}


def data(page: str) -> list[dict[str, object]]:
    """Return the rows behind all charts of a page."""
    found = re.findall(r'<script type="application/json">(.*?)</script>', page)
    return [
        row
        for chart in found
        for rows in json.loads(chart)["datasets"].values()
        for row in rows
    ]


def one(home: Home, sql: str) -> float:
    """Return a figure of a store."""
    with opened(home) as con:
        ((value,),) = con.execute(sql).fetchall()
    return float(value)


# --- as code ----------------------------------------------------------------------


def test_every_notebook_is_a_chapter() -> None:
    """Law: a notebook that is there is in the report, and the other way round."""
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == set(CHAPTERS)


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_is_stored_without_outputs(name: str) -> None:
    """Law: what a store holds is in no repository."""
    cells = [cell for cell in read(name).cells if cell.cell_type == "code"]

    assert [cell for cell in cells if cell.outputs or cell.execution_count] == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_cell_is_no_longer_than_a_screen(name: str) -> None:
    """Law: each cell can be read at one look."""
    long = [cell for cell in read(name).cells if cell.source.count("\n") >= SCREEN]

    assert long == []


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_reads_views_alone(name: str) -> None:
    """Law: meaning is in the views: a notebook selects from nothing else."""
    code = "\n".join(cell.source for cell in read(name).cells)

    read_from = re.findall(r"\b(?:from|join)\s+([a-z_]+)\.[a-z_]+", code)
    assert set(read_from) - {"pipelines"} == {"marts"}
    assert "execledger." not in code


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_notebook_says_its_parameters(name: str) -> None:
    """Law: period, provider and workflow are one cell, tagged as papermill has it."""
    (cell,) = [
        c for c in read(name).cells if "parameters" in c.metadata.get("tags", ())
    ]

    names = re.findall(r"^(\w+) = ", cell.source, re.MULTILINE)
    assert names == ["home", "days", "until", "provider", "workflow"]


# --- what they show -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("chapter", "label", "text", "sql"),
    [
        (
            EXECUTIONS,
            "Executions",
            number,
            "select count(*) from execledger.executions",
        ),
        (
            EXECUTIONS,
            "Failed",
            number,
            "select count(*) from execledger.executions where status = 'failed'",
        ),
        (
            EXECUTIONS,
            "Failure rate",
            percent,
            "select sum(failed) / sum(finished) from marts.failure_rates",
        ),
        (
            EXECUTIONS,
            "95 % took at most",
            seconds,
            "select quantile_disc(duration_ms, 0.95) from execledger.executions",
        ),
        (
            EXECUTIONS,
            "Results lost",
            number,
            "select count(*) from marts.lost_results",
        ),
        (COST, "Cost", money, "select sum(cost_usd) from marts.token_costs"),
        (
            COST,
            "Of it as the provider says",
            money,
            "select sum(provided_cost_usd) from marts.token_costs",
        ),
        (
            COST,
            "Tokens",
            number,
            "select sum(total_tokens) from execledger.token_usage where is_counted",
        ),
        (COST, "Cost per execution", money, COST_EACH),
        (
            ANSWERS,
            "Condition met",
            percent,
            "select avg(cast(condition_met as integer)) from execledger.executions",
        ),
        (
            ANSWERS,
            "Domains",
            number,
            "select count(distinct domain) from execledger.grounding_sources",
        ),
        (ANSWERS, "Sources per answer", number, SOURCES_EACH),
    ],
)
def test_a_figure_is_that_of_the_store(
    of_demo: Shown,
    demo_home: Home,
    *,
    chapter: str,
    label: str,
    text: Callable[[float], str],
    sql: str,
) -> None:
    """Law: what a page begins with is what SQL says."""
    assert tiles(of_demo[chapter])[label] == text(one(demo_home, sql))


def test_the_bars_of_a_chart_sum_up_to_the_figure_above(
    of_demo: Shown, demo_home: Home
) -> None:
    """Law: no execution is missing from the picture."""
    rows = [row for row in data(of_demo[EXECUTIONS]) if "status" in row]

    shown = sum(float(str(row["executions"])) for row in rows)
    assert shown == one(demo_home, "select count(*) from execledger.executions")


def test_the_costs_of_a_chart_sum_up_to_the_figure_above(
    of_demo: Shown, demo_home: Home
) -> None:
    """Law: each cost is in the picture once, by what it rests on."""
    rows = [row for row in data(of_demo[COST]) if "basis" in row]

    shown = sum(float(str(row["cost"])) for row in rows)
    expected = one(demo_home, "select sum(cost_usd) from marts.token_costs")
    assert shown == pytest.approx(expected)


def test_a_failure_is_shown_with_its_example(of_demo: Shown) -> None:
    """Law: who must act sees what happened, in the provider's words."""
    page = html.unescape(of_demo[EXECUTIONS])

    assert "Search API error: 503 Service Unavailable" in page
    assert "workflow owner" in page


def test_a_notebook_shows_what_was_asked_for(demo_home: Home) -> None:
    """Law: provider and workflow select what is shown, by name too."""
    of_one = run(demo_home, days=30, provider="unstract", workflow="invoices")

    count = "select count(*) from execledger.executions where provider = 'unstract'"
    shown = tiles(of_one[EXECUTIONS])["Executions"]
    assert shown == number(one(demo_home, count))
    assert "torale" not in of_one[EXECUTIONS]


def test_an_empty_store_gives_pages_that_say_so(tmp_path: Path) -> None:
    """Law: before anything ran, the pages say that there is nothing, and no fault."""
    home = Home(tmp_path)
    with duckdb.connect(str(home.published)) as con:
        con.execute("set timezone = 'UTC'")
        create_tables(con)
        make_views(con, home)

    pages = run(home)

    assert tiles(pages[EXECUTIONS])["Executions"] == "\N{EN DASH}"
    assert all("nothing in this period" in page for page in pages.values())
    assert not any("ledger-chart" in page for page in pages.values())
