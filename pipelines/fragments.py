"""Pieces of a report as HTML: figures that matter, tables, and what draws charts.

Whatever a provider sent becomes text here: markup is shown, never followed. Only an
absolute http(s) address is a link.
"""

import html
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import msgspec
import pandas as pd

from pipelines.amounts import UNKNOWN, is_known, number, percent
from sources.values import host

__all__ = [
    "Html",
    "Tile",
    "assets",
    "escaped",
    "nothing",
    "page_scripts",
    "page_style",
    "table",
    "tiles",
]

NOTEBOOKS = Path(__file__).resolve().parent.parent / "notebooks"
IN_REPORT = "EXECLEDGER_REPORT"
"""Set where a page is made that brings style and scripts itself."""

_LONGEST = 400
"""Characters of a text in a table, beyond which it is cut."""


class Html:
    """A piece of HTML, shown as such by Jupyter."""

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_html_(self) -> str:
        draw = "<script>window.ledgerDraw && window.ledgerDraw()</script>"
        has_chart = "ledger-chart" in self.text and IN_REPORT not in os.environ
        return self.text + (draw if has_chart else "")

    def __repr__(self) -> str:
        return f"<HTML, {len(self.text):,} characters>"


def escaped(value: object) -> str:
    """Return a text of which nothing is markup, and without control characters."""
    text = "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in str(value))
    return html.escape(text, quote=True)


def nothing(title: str) -> Html:
    """Return what stands where there is nothing to show."""
    said = f"<b>{escaped(title)}</b>: nothing in this period."
    return Html(f'<p class="ledger-nothing">{said}</p>')


# --- figures that matter --------------------------------------------------------


class Tile(msgspec.Struct, kw_only=True):
    """A figure, now and in the period before; ``better`` says which way is good.

    ``text`` makes a text of a figure.
    """

    label: str
    now: float | None
    before: float | None = None
    text: Callable[[float | None], str] = number
    better: Literal["up", "down"] | None = None
    note: str = ""


def tiles(*shown: Tile) -> Html:
    """Return figures side by side, each with how it changed."""
    items = "".join(
        f"<li><span>{escaped(tile.label)}</span>"
        f"<strong>{escaped(tile.text(tile.now))}</strong>{_change(tile)}"
        f"<small>{escaped(tile.note)}</small></li>"
        for tile in shown
    )
    return Html(f'<ul class="ledger-tiles">{items}</ul>')


def _change(tile: Tile) -> str:
    """Return how a figure changed, in words; colour only where a way is better."""
    now, before = tile.now, tile.before
    if not (is_known(now) and is_known(before)) or now is None or before is None:
        return f"<em>before: {UNKNOWN}</em>"
    sign = "▲" if now > before else "▼" if now < before else "="
    if tile.text is percent:
        by = f"{abs(now - before) * 100:.1f} points"
    elif before:
        by = f"{abs(now - before) / abs(before) * 100:,.0f} %"
    else:
        by = tile.text(abs(now - before))
    way = "up" if now > before else "down"
    kind = ""
    if tile.better and now != before:
        kind = "good" if tile.better == way else "bad"
    said = f"{sign} {by}".strip()
    return f'<em class="{kind}">{said}, before: {escaped(tile.text(before))}</em>'


# --- tables -----------------------------------------------------------------------


def table(
    frame: pd.DataFrame,
    title: str,
    columns: Mapping[str, str],
    *,
    texts: Mapping[str, Callable[[float | None], str]] = MappingProxyType({}),
    links: Mapping[str, str] = MappingProxyType({}),
    limit: int = 12,
) -> Html:
    """Return the first rows of a frame as a table: ``columns`` are name → heading.

    ``texts`` makes texts of numbers, by column; ``links`` names the column with the
    address to which another one leads.
    """
    if frame.empty:
        return nothing(title)
    shown = frame.head(limit)
    kinds = {name: _kind(frame[name], name in texts) for name in columns}
    head = "".join(
        f'<th class="{kinds[name]}">{escaped(heading)}</th>'
        for name, heading in columns.items()
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="{kinds[name]}" data-name="{escaped(heading)}">'
            f"{_cell(row, name, texts, links)}</td>"
            for name, heading in columns.items()
        )
        + "</tr>"
        for row in shown.to_dict("records")
    )
    more = len(frame) - len(shown)
    foot = f'<p class="ledger-more">and {more:,} more</p>' if more else ""
    return Html(
        f'<section class="ledger-table"><h4>{escaped(title)}</h4><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{foot}</section>"
    )


def _kind(column: "pd.Series[Any]", has_texts: bool) -> str:  # noqa: FBT001 (of a column)
    """Return how a column is set: numbers to the right, times without a break."""
    if has_texts or (_are_numbers(column)):
        return "number"
    return "time" if pd.api.types.is_datetime64_any_dtype(column) else "text"


def _are_numbers(column: "pd.Series[Any]") -> bool:
    return pd.api.types.is_numeric_dtype(column) and column.dtype != bool


def _cell(
    row: Mapping[Any, Any],
    name: str,
    texts: Mapping[str, Callable[[float | None], str]],
    links: Mapping[str, str],
) -> str:
    text = escaped(_text(row[name], texts.get(name)))
    address = row[links[name]] if name in links else None
    if isinstance(address, str) and host(address) is not None:
        href = escaped(address)
        return f'<a href="{href}" rel="noopener noreferrer nofollow">{text}</a>'
    return text


def _text(value: Any, as_text: Callable[[float | None], str] | None) -> str:  # noqa: ANN401 (any value of a frame)
    if as_text is not None:
        return as_text(float(value) if is_known(value) else None)
    if not is_known(value):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        at = value.astimezone(UTC) if value.tzinfo else value
        is_day = not (at.hour or at.minute or at.second)
        return f"{at:%Y-%m-%d}" if is_day else f"{at:%Y-%m-%d %H:%M}"
    if isinstance(value, int | float):
        return number(value)
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


# --- style and scripts --------------------------------------------------------------


@cache
def page_style() -> str:
    """Return the style of a report."""
    return (NOTEBOOKS / "report.css").read_text("utf-8")


@cache
def page_scripts() -> Sequence[str]:
    """Return the scripts of a report: what draws charts, and when."""
    import vl_convert

    drawing: str = vl_convert.javascript_bundle(snippet=None)  # type: ignore[arg-type]  # as its documentation has it
    return drawing, (NOTEBOOKS / "report.js").read_text("utf-8")


def assets() -> Html:
    """Return style and scripts for a notebook that is read in Jupyter."""
    if IN_REPORT in os.environ:
        return Html("")
    scripts = "".join(f"<script>{script}</script>" for script in page_scripts())
    return Html(f"<style>{page_style()}</style>{scripts}")
