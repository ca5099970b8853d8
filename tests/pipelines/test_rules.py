"""The rules of failures: ours, the user's own before them, and what is wrong in one."""

import re
from pathlib import Path

import duckdb
import pytest

from pipelines.rules import FailureRule, failure_rules, rules_view
from pipelines.store import Home
from sources.errors import ConfigurationError

OWN = "message,category,is_retryable,who_acts\n%moon is full%,network,true,nobody\n"


def own(home: Home, text: str) -> None:
    """Write the user's own rules into the home."""
    home.rules.mkdir(parents=True)
    (home.rules / "failure_rules.csv").write_text(text, encoding="utf-8")


def test_the_users_own_rules_come_before_ours(home: Home) -> None:
    """Law: who extends the rules touches no code, and is heard first."""
    ours = failure_rules(home)
    own(home, OWN)

    first, *others = failure_rules(home)

    assert (first.message, first.category) == ("%moon is full%", "network")
    assert (first.is_retryable, first.who_acts, first.level) == (True, "nobody", None)
    assert others == ours
    assert len(ours) > 100


def test_rules_may_stand_in_a_folder_that_is_configured(
    home: Home, tmp_path: Path
) -> None:
    """Law: rules can be kept with the configuration, under version control."""
    folder = tmp_path / "my-rules"
    folder.mkdir()
    (folder / "failure_rules.csv").write_text(OWN, encoding="utf-8")

    assert failure_rules(Home(home.path, folder))[0].message == "%moon is full%"


def test_a_configured_folder_that_is_not_there_is_told(
    home: Home, tmp_path: Path
) -> None:
    """Law: a slip in the name of the folder does not switch rules off in silence."""
    with pytest.raises(ConfigurationError, match=r"no folder .*my-rules, which rules"):
        failure_rules(Home(home.path, tmp_path / "my-rules"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("category,is_retryable,who_acts\nauth,perhaps,nobody\n", "line 2: .*bool"),
        ("category,is_retryable,who_acts\n\nangst,true,nobody\n", "line 3: .*'angst'"),
        ("category,is_retryable,who_acts\nauth,true,me\n", "line 2: .*'me'"),
        ("category,is_retryable\nauth,true\n", "line 2: .*who_acts"),
        ("kategory,is_retryable,who_acts\nauth,true,nobody\n", "line 2: .*kategory"),
        ("category,is_retryable,who_acts\nauth,true,nobody,x\n", "line 2"),
        ('category,is_retryable,who_acts\n"auth,true,nobody\n', "line 1"),
        ("http_status,category,is_retryable,who_acts\nx,auth,true,nobody\n", "line 2"),
    ],
)
def test_a_rule_that_is_none_is_told_with_its_line(
    home: Home, text: str, words: str
) -> None:
    """Law: a slip names the file, the line, and what is wrong there."""
    own(home, text)

    with pytest.raises(ConfigurationError, match=f"failure_rules.csv, {words}"):
        failure_rules(home)


def test_rules_that_are_no_text_are_told(home: Home) -> None:
    """Law: a file of another encoding is no traceback."""
    own(home, "")
    (home.rules / "failure_rules.csv").write_bytes(b"\xff\xfe")

    with pytest.raises(ConfigurationError, match="cannot be read"):
        failure_rules(home)


def test_the_rules_are_a_view_with_their_order() -> None:
    """Law: what decides can be looked at; quotes in a pattern break nothing."""
    rules = [
        FailureRule(
            message="%it''s broken%",
            category="content",
            is_retryable=False,
            who_acts="provider",
        ),
        FailureRule(
            http_status=401,
            level="request",
            category="auth",
            is_retryable=True,
            who_acts="operator",
        ),
    ]

    with duckdb.connect() as con:
        rows = con.execute(
            "select position, message, http_status, level, category, is_retryable, "
            f"who_acts from ({rules_view(rules).sql}) order by position"
        ).fetchall()

    assert rows == [
        (1, "%it''s broken%", None, None, "content", False, "provider"),
        (2, None, 401, "request", "auth", True, "operator"),
    ]


def test_no_rule_of_ours_is_hidden_by_one_before_it(home: Home) -> None:
    """Law: each of our rules can decide: no earlier one fits all that it fits."""
    rules = failure_rules(home)

    hidden = [
        (rule, earlier)
        for place, rule in enumerate(rules)
        for earlier in rules[:place]
        if _fits_all_of(earlier, rule)
    ]

    assert hidden == []


def _fits_all_of(earlier: FailureRule, rule: FailureRule) -> bool:
    pairs = [
        (getattr(earlier, name), getattr(rule, name))
        for name in (
            "provider",
            "level",
            "http_status",
            "error_type",
            "error_code",
            "message",
        )
    ]
    return all(mine is None or _covers(mine, theirs) for mine, theirs in pairs)


def _covers(pattern: object, other: object) -> bool:
    if isinstance(pattern, str) and isinstance(other, str):
        anything = re.escape(pattern).replace("%", ".*")
        return re.fullmatch(anything, other) is not None
    return pattern == other
