"""What the page says beside its recipes: intervals, exit codes, where keys stand."""

import re
from datetime import timedelta

import pytest

from pipelines import cli
from pipelines.config import Account
from pipelines.outlook import _safe_interval_s, duration
from sources import part, providers
from sources.provider import settings_from
from tests.scheduling.page import PAGE, ROOT, recipe, recipes, table

NEEDED = {"api_key": "k", "organization_id": "o", "api_name": "a"}
A_KEY = re.compile(r'(?i)api_key(?:: *| *= *| +)"?\w')


def with_defaults(provider: str) -> Account:
    """Return an account of which only what has no default is set."""
    kind = part(provider, "settings").Settings
    given = {name: to for name, to in NEEDED.items() if name in kind.__struct_fields__}
    return Account(provider, "default", settings_from(kind, given, provider))


def test_the_longest_safe_intervals_are_those_of_the_code() -> None:
    """Law: each provider has a row, with what a short load of its own would say."""
    expected = []
    for provider in providers():
        seconds = _safe_interval_s(
            [with_defaults(provider)], lambda *_: [], timedelta(seconds=30)
        )
        said = "none" if seconds is None else duration(seconds)
        expected.append((provider, said))

    rows = table("provider")
    assert [(row[0].lower(), row[-1]) for row in rows] == expected


def test_the_page_says_how_long_a_result_is_kept() -> None:
    """Law: that too is the default of the code, where something is deleted."""
    kept = {row[0].lower(): row[1] for row in table("provider")}

    for provider in ("discuro", "unstract"):
        hours = with_defaults(provider).settings.result_ttl_hours
        assert kept[provider].startswith(f"{hours:g} h from the ")


def test_the_exit_codes_are_those_of_the_readme_and_the_signals() -> None:
    """Law: both pages give a code the same meaning, and none is left out."""
    readme = dict(row[:2] for row in table("exit code", ROOT / "README.md"))
    page = dict(row[:2] for row in table("exit code"))

    assert list(page) == [*readme, "130", "143"]
    assert [code for code in readme if not readme[code].startswith(page[code])] == []
    assert "130 interrupted, 143 by SIGTERM" in (cli.__doc__ or "")


@pytest.mark.parametrize("name", recipes())
def test_no_recipe_holds_a_key(name: str) -> None:
    """Law: keys stand in files of mode 0600 or in a store of secrets."""
    assert A_KEY.findall(recipe(name)) == []


def test_a_key_in_a_recipe_is_seen() -> None:
    """Law: the search above finds a key, and takes no name of a secret for one."""
    given = "SOURCES__TORALE__API_KEY: sk_1\nENV X_API_KEY=sk_2\n--api_key sk_3\n"
    free = "X__API_KEY: ${{ secrets.TORALE_API_KEY }}\nfile: torale.key\n"

    assert len(A_KEY.findall(given)) == 3
    assert A_KEY.findall(free) == []


def test_every_way_of_the_first_table_has_its_section() -> None:
    """Law: what a reader may choose is on the page, and reached by its link."""
    text = PAGE.read_text("utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    anchors = {heading.lower().replace(" ", "-") for heading in headings}

    links = re.findall(r"\]\(#(.+?)\)", text)
    assert len(table("you have")) == 5
    assert set(links) <= anchors
