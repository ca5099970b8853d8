"""What every provider's collecting takes and gives: settings, ranges, results."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import pytest

from sources.errors import ConfigurationError
from sources.provider import Collected, Window, settings_from, unwatched

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings as a provider has them, each with its meaning."""

    api_key: Annotated[str, "The key"]
    names: Annotated[tuple[str, ...], "Some names"] = ()
    size: Annotated[int, "How many"] = 7
    hours: Annotated[float, "How long"] = 1.5
    is_on: Annotated[bool, "Whether"] = False


def given(**raw: object) -> Settings:
    """Return the settings that configuration values come to."""
    return settings_from(Settings, {"api_key": "k", **raw}, "sources.some")


# Settings


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("size", "50", 50),
        ("hours", "2.5", 2.5),
        ("hours", 2, 2.0),
        ("is_on", "true", True),
        ("is_on", "0", False),
        ("api_key", "12345", "12345"),
    ],
)
def test_texts_become_what_the_setting_is(
    name: str, raw: object, value: object
) -> None:
    """The environment knows only texts."""
    assert getattr(given(**{name: raw}), name) == value


@pytest.mark.parametrize(
    "raw",
    [
        ["a", "b c"],
        ("a", "b c"),
        "a,b c",
        " a , b c ,",
        '["a", "b c"]',
        ' ["a","b c"] ',
    ],
)
def test_a_list_may_be_a_list_json_or_separated_by_commas(raw: object) -> None:
    """The same setting, in a file and in the environment."""
    assert given(names=raw).names == ("a", "b c")


@pytest.mark.parametrize("raw", ["", " ", ",", "[]", []])
def test_an_empty_list_is_none(raw: object) -> None:
    """Nothing was named."""
    assert given(names=raw).names == ()


def test_what_is_not_configured_has_its_default() -> None:
    """``None`` is how configuration says that a key is absent."""
    assert given(size=None, names=None) == Settings(api_key="k")


def test_what_is_no_setting_is_left_alone() -> None:
    """A section may hold keys of other readers."""
    assert given(connection_names=["eu"]) == Settings(api_key="k")


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("size", "canary"),
        ("size", 1.5),
        ("is_on", "canary"),
        ("names", '["canary", 7]'),
        ("names", '["canary"'),
        ("names", {"canary": 1}),
        ("hours", ["canary"]),
    ],
)
def test_a_wrong_value_is_refused_by_section_and_key_and_not_repeated(
    name: str, raw: object
) -> None:
    """It may be a secret that was set at the wrong place."""
    with pytest.raises(ConfigurationError) as raised:
        given(**{name: raw})

    message = str(raised.value)
    assert message.startswith("[sources.some]: ")
    assert name in message
    assert "canary" not in message
    assert raised.value.__cause__ is None


def test_a_missing_key_is_named() -> None:
    """What has no default must be configured."""
    with pytest.raises(ConfigurationError, match=r"\[sources\.some\].*api_key"):
        settings_from(Settings, {}, "sources.some")


# Ranges and results


@pytest.mark.parametrize(
    ("since", "until", "contained"),
    [
        (None, None, []),
        (None, NOON, []),
        (NOON, None, [NOON, NOON + HOUR]),
        (NOON, NOON, [NOON]),
        (NOON - HOUR, NOON, [NOON - HOUR, NOON]),
        (NOON + HOUR, NOON, []),
    ],
)
def test_a_range_has_both_its_ends_and_no_range_is_empty(
    since: datetime | None, until: datetime | None, contained: list[datetime]
) -> None:
    """Without ``since`` nothing is read again on purpose."""
    window = Window(since, until)

    assert [at for at in (NOON - HOUR, NOON, NOON + HOUR) if at in window] == contained


def test_a_time_without_a_zone_is_utc() -> None:
    """A range from a script or a configuration may leave out the zone."""
    window = Window(NOON.replace(tzinfo=None), NOON.replace(tzinfo=None))

    assert NOON in window


def test_results_share_nothing() -> None:
    """One account's errors are not another's."""
    first, second = Collected(), Collected()
    first.errors.append(ConfigurationError("x"))
    first.counts["tasks"] = 1
    first.unfinished["t1"] = ""

    assert second == Collected(counts={}, errors=[], unfinished={})


def test_progress_need_not_be_watched() -> None:
    """The default watcher takes whatever it is told."""
    told: Any = unwatched("executions", 3)  # type: ignore[func-returns-value]

    assert told is None
