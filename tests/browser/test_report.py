"""The report in a real browser: what it asks for, how it looks, what it lets in."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import ADDRESSES, EVIL, HOSTILE, Seen

pytestmark = pytest.mark.slow
Show = Callable[..., Seen]

DRAWN = "document.querySelectorAll('figure.ledger-chart svg').length"
CHARTS = "document.querySelectorAll('figure.ledger-chart').length"
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LUMINANCE = """
    selector => {
        const style = getComputedStyle(document.querySelector(selector));
        return ['color', 'backgroundColor'].map(name => {
            const [r, g, b] = style[name].match(/[0-9.]+/g).map(Number);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        });
    }
"""


@pytest.fixture
def show(browser: Browser) -> Iterator[Show]:
    """Return what opens a page, by default on a desk and in light colours."""
    contexts = []

    def opened(
        page: Path, *, width: int = 1200, scheme: str = "light", media: str = "screen"
    ) -> Seen:
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme="dark" if scheme == "dark" else "light",
        )
        contexts.append(context)
        seen = Seen(context.new_page())
        seen.page.emulate_media(media="print" if media == "print" else "screen")
        seen.page.goto(page.as_uri())
        seen.page.wait_for_function(f"{DRAWN} === {CHARTS}")
        return seen

    yield opened
    for context in contexts:
        context.close()


def test_a_report_draws_everything_and_asks_for_nothing(
    show: Show, demo_report: Path
) -> None:
    """Law: one file is all there is: the log of the network holds nothing else."""
    seen = show(demo_report)

    assert seen.page.evaluate(CHARTS) > 8
    assert seen.requests == [demo_report.as_uri()]
    assert seen.complaints == []


@pytest.mark.parametrize("width", [320, 390, 768, 1200, 2400])
def test_a_report_can_be_read_on_any_screen(
    show: Show, demo_report: Path, width: int
) -> None:
    """Law: nothing is wider than the screen, from a phone on."""
    seen = show(demo_report, width=width)

    assert seen.page.evaluate(TOO_WIDE) <= 0
    charts = seen.page.locator("figure.ledger-chart svg")
    for number in range(charts.count()):
        box = charts.nth(number).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


@pytest.mark.parametrize(
    ("scheme", "media", "is_light"),
    [("light", "screen", True), ("dark", "screen", False), ("dark", "print", True)],
)
def test_a_report_is_light_dark_and_white_on_paper(
    show: Show,
    demo_report: Path,
    *,
    scheme: str,
    media: str,
    is_light: bool,
) -> None:
    """Law: it follows the reader's scheme; paper is always white."""
    seen = show(demo_report, scheme=scheme, media=media)

    text, ground = seen.page.evaluate(LUMINANCE, "body")
    (label, _) = seen.page.evaluate(LUMINANCE, "figure.ledger-chart")
    assert (ground > text) is is_light
    assert (ground > label) is is_light
    assert abs(ground - text) > 150


def test_a_report_can_be_printed(show: Show, demo_report: Path) -> None:
    """Law: it makes a PDF of several pages, with all charts."""
    seen = show(demo_report)

    printed = seen.page.pdf(format="A4")

    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") > 3


def test_a_chart_answers_to_the_pointer(show: Show, demo_report: Path) -> None:
    """Law: a bar says its day, its meaning and its number."""
    seen = show(demo_report)

    seen.page.locator("figure.ledger-chart .mark-rect path").first.hover()

    shown = seen.page.locator("#vg-tooltip-element.visible")
    shown.wait_for()
    assert "executions" in shown.inner_text()


def test_hostile_texts_are_text(show: Show, hostile_report: Path) -> None:
    """Law: whatever providers send is shown as such: no dialog, no request."""
    seen = show(hostile_report)
    seen.page.mouse.wheel(0, 20_000)
    for link in seen.page.locator("section.ledger-table a").all():
        link.hover()
    seen.page.wait_for_timeout(300)

    assert seen.dialogs == []
    assert seen.requests == [hostile_report.as_uri()]
    assert not any("Refused" in said or "violates" in said for said in seen.complaints)
    text = seen.page.locator("main").inner_text()
    assert all(one in text for one in HOSTILE[:8])
    assert (
        seen.page.locator("main iframe, main img, main meta, main style").count() == 0
    )


def test_no_hostile_address_is_a_link(show: Show, hostile_report: Path) -> None:
    """Law: javascript: and data: lead nowhere; quotes end no attribute."""
    seen = show(hostile_report)

    links = seen.page.locator("main section a")
    found = {links.nth(n).get_attribute("href") for n in range(links.count())}
    attributes = {
        name
        for n in range(links.count())
        for name in links.nth(n).evaluate("link => link.getAttributeNames()")
    }
    assert found == {ADDRESSES[3], ADDRESSES[4]}
    assert attributes == {"href", "rel"}
    assert EVIL in ADDRESSES[3]


def test_the_policy_of_the_page_would_stop_what_slips_through(
    show: Show, demo_report: Path, tmp_path: Path
) -> None:
    """Law: even a script that got into the page is neither run nor able to ask."""
    inside = (
        "<main><script>alert('in')</script><img src=x onerror=alert('img')>"
        f"<img src=https://{EVIL}/x><link rel=stylesheet href=https://{EVIL}/y>"
    )
    page = tmp_path / "slipped.html"
    text = demo_report.read_text("utf-8").replace("<main>", inside, 1)
    page.write_text(text, encoding="utf-8")

    seen = show(page)
    seen.page.wait_for_timeout(300)

    assert seen.dialogs == []
    assert [url for url in seen.requests if url not in seen.refused] == [page.as_uri()]
    assert any("Content Security Policy" in said for said in seen.complaints)
