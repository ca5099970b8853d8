"""Pieces of a report: what a provider sent becomes text, and nothing else."""

import json
import math
import re
from datetime import datetime
from itertools import combinations

import altair as alt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.amounts import money, number, percent, seconds
from pipelines.charts import PROVIDERS, STATUSES, figure, key_of
from pipelines.fragments import IN_REPORT, Tile, assets, escaped, table, tiles

NAN = float("nan")
HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[2J\u202e"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234.0, "1,234"),
        (2.5, "2.5"),
        (2_345_678, "2.35 M"),
        (3_000_000_000, "3.00 G"),
        (NAN, "\N{EN DASH}"),
        (None, "\N{EN DASH}"),
    ],
)
def test_a_count_is_said_as_people_do(value: float | None, text: str) -> None:
    """Law: thousands are set apart, large ones have a unit, unknown is a dash."""
    assert number(value) == text


def test_sums_shares_and_durations_are_said_as_people_do() -> None:
    """Law: small sums have the digits that they need; the sign stands first."""
    assert [money(v) for v in (0, 12, -33.7, 0.0123, 0.000437)] == [
        "$0.00",
        "$12.00",
        "-$33.70",
        "$0.0123",
        "$0.000437",
    ]
    assert percent(0.0714) == "7.1 %"
    assert [seconds(v) for v in (850, 12_300, 270_000)] == [
        "850 ms",
        "12.3 s",
        "4.5 min",
    ]
    assert {text(NAN) for text in (money, percent, seconds)} == {"\N{EN DASH}"}


def test_markup_in_a_table_is_text() -> None:
    """Law: in a cell, a heading or a title, nothing opens an element or ends one."""
    frame = pd.DataFrame({"a": [HOSTILE], "b": [HOSTILE]})

    page = table(frame, HOSTILE, {"a": HOSTILE, "b": "B"}, links={"a": "b"}).text

    assert "<img" not in page
    assert "</script" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


@pytest.mark.parametrize(
    ("address", "is_link"),
    [
        ("https://example.com/a?b=1&c=2", True),
        ("http://example.com", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt:alert(1)", False),
        ("data:text/html,<script>alert(1)</script>", False),
        ("//example.com", False),
        ("/etc/passwd", False),
        (" javascript:alert(1)", False),
        ("vbscript:x", False),
        ("", False),
        (None, False),
        ('https://example.com/"onmouseover="alert(1)', True),
    ],
)
def test_only_an_absolute_web_address_is_a_link(
    address: str | None,
    is_link: bool,  # noqa: FBT001 - a case
) -> None:
    """Law: no other scheme is ever followed; quotes end no attribute."""
    frame = pd.DataFrame({"title": ["A page"], "uri": [address]})

    page = table(frame, "t", {"title": "Source"}, links={"title": "uri"}).text

    assert ("<a " in page) is is_link
    assert '"onmouseover' not in page
    if is_link:
        assert 'rel="noopener noreferrer nofollow"' in page


def test_a_chart_keeps_its_data_apart_from_the_page() -> None:
    """Law: data ends no script, and comes out as it went in."""
    frame = pd.DataFrame({"name": [HOSTILE], "n": [1]})
    chart = alt.Chart(frame).mark_bar().encode(x="n:Q", y="name:N")

    page = figure("t", "n", chart, frame).text

    (spec,) = re.findall(r'<script type="application/json">(.*?)</script>', page)
    assert "<" not in spec
    (rows,) = json.loads(spec)["datasets"].values()
    assert rows == [{"name": HOSTILE, "n": 1}]


@given(st.text())
def test_no_text_opens_markup(text: str) -> None:
    """Law: whatever stands in it, escaped text has no sign that opens anything."""
    assert set(escaped(text)).isdisjoint("<>\"'\x00\x1b")


def test_kinds_of_values_have_their_texts() -> None:
    """Law: unknown is empty, times are UTC, long texts are cut, rows are bounded."""
    at = pd.Timestamp("2026-01-31T23:59:00+02:00")
    frame = pd.DataFrame(
        {
            "at": [at, pd.NaT, at],
            "day": [datetime(2026, 1, 31), None, None],  # noqa: DTZ001 - a date
            "yes": [True, False, None],
            "text": ["x" * 500, None, ""],
            "n": [1.5, NAN, 2.0],
        }
    )

    names = {name: name for name in frame.columns}
    page = table(frame, "t", names, texts={"n": money}, limit=2).text

    assert "2026-01-31 21:59" in page
    assert ">2026-01-31<" in page
    assert ">yes<" in page
    assert "x" * 400 + "…" in page
    assert "x" * 401 not in page
    assert "$1.50" in page
    assert "and 1 more" in page
    assert "nan" not in page.lower()
    assert "nat" not in page.lower().replace("data-name", "")


def test_a_tile_says_how_it_changed() -> None:
    """Law: the way is said in words and signs; colour only where one is better."""
    page = tiles(
        Tile(label="Up", now=3, before=2, better="up"),
        Tile(label="Rate", now=0.5, before=0.4, text=percent, better="down"),
        Tile(label="Same", now=2, before=2, better="up"),
        Tile(label="New", now=3, before=0, better="down"),
        Tile(label="Unknown", now=NAN, before=2),
    ).text

    assert '<em class="good">▲ 50 %, before: 2</em>' in page
    assert '<em class="bad">▲ 10.0 points, before: 40.0 %</em>' in page
    assert '<em class="">= 0 %, before: 2</em>' in page
    assert '<em class="bad">▲ 3, before: 0</em>' in page
    assert "<em>before: \N{EN DASH}</em>" in page


def test_each_status_and_provider_has_a_colour_of_its_own() -> None:
    """Law: a colour means one thing on all pages."""
    colours = [*STATUSES.values(), *PROVIDERS.values()]

    assert len(set(colours)) == len(colours)
    assert key_of(PROVIDERS, ["unstract", "acme", "discuro"]).keys() == {
        "discuro",
        "unstract",
        "acme",
    }


def _seen(colour: str, kind: str) -> tuple[float, float, float]:
    """Return a colour in linear light as people with a colour blindness see it.

    The matrices are those of Viénot, Brettel and Mollon, 1999.
    """
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (channel**2.2 for channel in channels)
    share, rest = (0.112, 0.004) if kind == "protan" else (0.293, -0.021)
    yellow = share * red + (1 - share) * green
    return yellow, yellow, max(rest * red - rest * green + blue, 0)


@pytest.mark.parametrize("kind", ["protan", "deutan"])
@pytest.mark.parametrize("meaning", [STATUSES, PROVIDERS], ids=["status", "provider"])
def test_colours_are_told_apart_by_colour_blind_readers(
    meaning: dict[str, str], kind: str
) -> None:
    """Law: no two colours of a chart look the same without red or green."""
    seen = [_seen(colour, kind) for colour in meaning.values()]

    screen = [[channel ** (1 / 2.2) for channel in colour] for colour in seen]
    nearest = min(math.dist(a, b) for a, b in combinations(screen, 2))
    assert nearest > 0.08


def test_in_jupyter_the_style_and_scripts_come_with_the_notebook(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: a notebook draws without a network; in a report the page has them once."""
    monkeypatch.delenv(IN_REPORT, raising=False)
    alone = assets().text
    monkeypatch.setenv(IN_REPORT, "1")

    assert "window.vegaEmbed" in alone
    assert "ledger-tiles" in alone
    assert assets().text == ""
