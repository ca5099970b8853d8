"""Charts of the notebooks: what all of them look alike in.

Charts are Altair's, drawn by Vega as SVG in the reader's browser. Their data comes
from providers, so it is kept as JSON beside the chart, and only ever becomes text.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from types import MappingProxyType
from typing import Any

import altair as alt
import pandas as pd

from pipelines.fragments import Html, escaped, nothing
from pipelines.period import Period

__all__ = [
    "BASES",
    "PROVIDERS",
    "RESTS",
    "STATUSES",
    "TOKENS",
    "coloured",
    "counted",
    "every_day",
    "figure",
    "key_of",
    "named",
    "on_days",
]

STATUSES = {
    "succeeded": "#009e73",
    "partially_succeeded": "#56b4e9",
    "failed": "#d55e00",
    "cancelled": "#8a8a8a",
    "expired": "#cc79a7",
    "unknown": "#e69f00",
    "still_open": "#0072b2",
}
"""A colour for each status, alike everywhere; those of Okabe and Ito, which people
with any kind of colour blindness tell apart."""

PROVIDERS = {"discuro": "#8c6bb1", "torale": "#1b9aaa", "unstract": "#c49a00"}
"""A colour for each provider, none of them a status's; others take _OTHERS in turn."""

_OTHERS = ("#7f8fa6", "#a0522d", "#5b8c5a")
BASES = {"provided": "#4c78a8", "listed": "#9ecae9", "assumed_model": "#b8a14a"}
"""What a cost rests on."""

TOKENS = {"input": "#4c78a8", "cached input": "#9ecae9", "output": "#b8a14a"}
RESTS = {"the only domain": "#b8a14a", "beside others": "#4c78a8"}

_GRID = "#80808040"
_WORDS = "replace(datum.label, /_/g, ' ')"


alt.data_transformers.disable_max_rows()  # what marts sum up is never much


@alt.theme.register("execledger", enable=True)
def _theme() -> alt.theme.ThemeConfig:
    """Return what charts look like; text has the colour of the page's text."""
    return alt.theme.ThemeConfig(
        {
            "width": "container",
            "height": 240,
            "autosize": {"type": "fit-x", "contains": "padding"},
            "config": {
                "background": "transparent",
                "font": "system-ui, sans-serif",
                "view": {"stroke": None},
                "axis": {
                    "labelColor": "currentColor",
                    "titleColor": "currentColor",
                    "gridColor": _GRID,
                    "domainColor": "#808080",
                    "tickColor": "#808080",
                    "labelFontSize": 12,
                    "titleFontSize": 12,
                    "titleFontWeight": "normal",
                },
                "axisX": {"grid": False},
                "mark": {"invalid": "break-paths-show-path-domains"},
                "line": {"strokeWidth": 2.5},
            },
        }
    )


def on_days(period: Period) -> alt.X:
    """Return the x of a chart by day: each day of the period has its place."""
    days = [day.isoformat()[:10] for day in _days(period)]
    return (
        alt.X("day:O")
        .title("Day (UTC)")
        .scale(domain=days)
        .axis(labelAngle=0, labelOverlap=True, labelExpr="slice(datum.value, 5)")
    )


def counted(field: str, title: str) -> alt.X:
    """Return the x of bars that lie: a count, from 0, in whole numbers."""
    return alt.X(f"{field}:Q").title(title).axis(format="~s", tickMinStep=1)


def named(field: str) -> alt.Y:
    """Return the y of bars that lie: names, the longest bar first."""
    return (
        alt.Y(f"{field}:N")
        .title(None)
        .sort("-x")
        .axis(labelExpr=_WORDS, labelLimit=200)
    )


def _days(period: Period) -> pd.DatetimeIndex:
    return pd.date_range(period.since, period.until, freq="D")


def every_day(
    frame: pd.DataFrame, period: Period, by: Sequence[str] = ()
) -> pd.DataFrame:
    """Return a frame with a row for each day and each of ``by``, days as texts.

    A day without rows has none but its name: a line breaks there.
    """
    days = pd.DataFrame({"day": _days(period)})
    known = frame[list(by)].drop_duplicates()
    spine = days.merge(known, how="cross") if len(by) else days
    filled = spine.merge(frame, on=["day", *by], how="left")
    return filled.assign(day=filled["day"].dt.strftime("%Y-%m-%d"))


def key_of(meaning: Mapping[str, str], values: Iterable[str]) -> dict[str, str]:
    """Return the colours of those values that are there; of others, some of _OTHERS."""
    there = list(dict.fromkeys(values))
    known = {name: colour for name, colour in meaning.items() if name in there}
    others = [name for name in there if name not in meaning]
    return {**known, **dict(zip(others, cycle(_OTHERS), strict=False))}


def coloured(field: str, key: Mapping[str, str]) -> alt.Color:
    """Return the colour of a field by its key, which stands above the chart."""
    scale = alt.Scale(domain=list(key), range=list(key.values()))
    return alt.Color(f"{field}:N", scale=scale, legend=None)


def figure(
    title: str,
    note: str,
    chart: alt.TopLevelMixin,
    frame: pd.DataFrame,
    key: Mapping[str, str] = MappingProxyType({}),
) -> Html:
    """Return a chart with its title, what is seen in it, and what its colours mean.

    Where the frame is empty, a note that there is nothing.
    """
    if frame.empty:
        return nothing(title)
    colours = "".join(
        f'<span><i style="background:{colour}"></i>{escaped(_words(name))}</span>'
        for name, colour in key.items()
    )
    return Html(
        f'<figure class="ledger-chart"><figcaption><b>{escaped(title)}</b> '
        f'{escaped(note)}<div class="key">{colours}</div></figcaption>'
        f'<div class="plot"></div><script type="application/json">'
        f"{_as_json(chart.to_dict())}</script></figure>"
    )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _as_json(spec: dict[str, Any]) -> str:
    """Return a chart as JSON that ends no element and opens none."""
    text = json.dumps(spec, default=str, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
