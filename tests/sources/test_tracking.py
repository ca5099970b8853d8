"""Tracking: what people and programs give becomes entries, or is named as wrong."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources import providers
from sources.discuro.settings import Settings
from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.tracking import (
    Started,
    read_started,
    tag_of,
    track,
    trackable,
    untrack,
)
from sources.watched import Watched
from sources.watchlist import WatchList

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OF = ("discuro", "default")
SETTINGS = Settings(api_key="key")
UUID = "bb9ac9bb-3f0c-4e8a-a6b8-6d4cf3d2a8f1"


def ids(text: str, provider: str = "discuro") -> list[str]:
    """Return the ids that a text names."""
    return [one.execution_id for one in read_started(text, provider)]


# --- what a text names --------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("98", ["98"]),
        ("98\n99\n", ["98", "99"]),
        ("  98 \r\n\r\n\t99\r\n", ["98", "99"]),
        ("\ufeff98\n99", ["98", "99"]),
        (f"{UUID}\n", [UUID]),
        ('"98"\n"99"', ["98", "99"]),
        ("[98, 99]", ["98", "99"]),
        ('["98", {"id": 99}]', ["98", "99"]),
        ('[\n  98,\n  "99"\n]\n', ["98", "99"]),
        ('{"id": 98}', ["98"]),
        ('{"id": 98}\n{"id": "99"}\n', ["98", "99"]),
        ('98\n{"id": 99}\n"100"', ["98", "99", "100"]),
        ('{\n  "id": 142\n}', ["142"]),
        ("", []),
        ("\n \n", []),
        ("[]", []),
        ("0", ["0"]),
        ("a/b:c ".strip(), ["a/b:c"]),
    ],
)
def test_ids_are_found_in_every_form(text: str, named: list[str]) -> None:
    """Law: one a line, JSON lines, a list, or one answer over several lines."""
    assert ids(text) == named


def test_a_json_line_says_start_and_tags() -> None:
    """Law: what stands beside the id goes on the watch-list with it."""
    line = {"id": 98, "started_at": "2026-03-01T13:00:00+01:00", "tags": ["run=7"]}

    (one,) = read_started(json.dumps(line), "discuro")

    assert one == Started(execution_id="98", started_at=NOON, tags=(("run", "7"),))


@pytest.mark.parametrize(
    ("tags", "read"),
    [
        (None, ()),
        ([], ()),
        ("nightly", (("nightly", None),)),
        ("run=7", (("run", "7"),)),
        (["run=7", "nightly", "a=b=c", "empty="], "four"),
        ([{"key": "run", "value": 7}, {"key": "x"}], (("run", "7"), ("x", None))),
        ({"run": 7, "x": None}, (("run", "7"), ("x", None))),
        ({"key": "run", "value": "7"}, (("key", "run"), ("value", "7"))),
    ],
)
def test_tags_are_read_in_every_form(tags: object, read: Any) -> None:
    """Law: texts, objects of key and value, or one object of all."""
    four = (("run", "7"), ("nightly", None), ("a", "b=c"), ("empty", ""))

    (one,) = read_started(json.dumps({"id": 1, "tags": tags}), "discuro")

    assert one.tags == (four if read == "four" else read)


def test_a_tag_is_a_name_with_or_without_a_value() -> None:
    """Law: only the first sign of equality parts them."""
    assert [tag_of("a"), tag_of("a="), tag_of("a=b=c")] == [
        ("a", None),
        ("a", ""),
        ("a", "b=c"),
    ]


STATUS_API = f"/deployment/api/org_1/invoices/?execution_id={UUID}"
STARTED = {"execution_status": "PENDING", "status_api": STATUS_API, "result": None}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    ("answer", "scope"),
    [
        ({"message": STARTED | {"execution_id": UUID}}, "org_1/invoices"),
        ({"message": STARTED}, "org_1/invoices"),
        (STARTED, "org_1/invoices"),
        ({"message": {"execution_id": UUID, "status_api": None}}, None),
        ({"execution_id": UUID}, None),
        (
            {"message": STARTED | {"status_api": f"https://x.example{STATUS_API}"}},
            "org_1/invoices",
        ),
    ],
)
def test_the_whole_answer_to_a_start_names_the_execution(
    answer: Any, scope: str | None, indent: int | None
) -> None:
    """Law: the id is in the answer or in its ``status_api``, which has the scope."""
    (one,) = read_started(json.dumps(answer, indent=indent), "unstract")

    assert (one.execution_id, one.scope) == (UUID, scope)


def test_answers_may_stand_one_a_line() -> None:
    """Law: whole answers are JSON lines like any other."""
    text = "\n".join(json.dumps({"message": STARTED}) for _ in range(2))

    assert ids(text, "unstract") == [UUID, UUID]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("98\n9 9", "line 2"),
        ('98\n\n{"id": 1', "Line 3 is no JSON"),
        ('98\n{"no": "id"}', "line 2 stands no execution id"),
        ('{"id": 1}\n{"id": 2, "started_at": "yesterday"}', "In line 2, started_at"),
        ('{"id": 1}\n{"id": 2, "tags": [7]}', "line 2 stands a tag"),
        ('1\n["2"', "Line 2 is no JSON"),
        ('1\n["2"]', "line 2 stands neither"),
        ("[1, null]", "what was given stands neither"),
        ("[true]", "what was given stands neither"),
        ('{"id": true}', "no execution id"),
        ('{"id": null}', "no execution id"),
        ("[1.5]", "neither"),
        ("x" * 501, "line 1"),
        ('{"id": "a\\u0000b"}', "no execution id"),
        ('{"id": ""}', "no execution id"),
        ("\udcff", "line 1"),
        ("<html>no</html> 1", "line 1"),
    ],
)
def test_a_line_that_names_nothing_is_told_by_its_number(text: str, said: str) -> None:
    """Law: what is wrong is said with where it stands, and nothing is guessed."""
    with pytest.raises(ConfigurationError, match=said):
        read_started(text, "discuro")


@given(
    text=st.text()
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["id", "message", "status_api", "tags", "started_at"]),
                inner,
            )
        ),
        max_leaves=6,
    ).map(json.dumps),
    provider=st.sampled_from(["discuro", "unstract"]),
)
def test_any_text_is_read_or_refused_in_words(text: str, provider: str) -> None:
    """Law: nothing that is given ends in anything but ids or a configuration error."""
    try:
        started = read_started(text, provider)
    except ConfigurationError:
        return
    assert all(one.execution_id.strip() for one in started)


def test_a_text_of_any_depth_is_refused_in_words() -> None:
    """Law: no nesting breaks the reading."""
    with pytest.raises(ConfigurationError):
        read_started("[" * 100_000, "discuro")


# --- putting them on the list -------------------------------------------------


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """Yield a journal."""
    with Journal(tmp_path / "journal.sqlite") as opened:
        yield opened


def only(journal: Journal) -> Watched:
    """Return the one execution on the list."""
    (entry,) = WatchList(journal, *OF).entries()
    return entry.watched


def test_what_was_started_is_watched_by_the_providers_rules(journal: Journal) -> None:
    """Law: scope, first poll and expiry are the provider's own."""
    begun = datetime.now(UTC) - HOUR
    one = Started(execution_id="98", started_at=begun, tags=(("run", "7"),))

    new = track(journal, *OF, SETTINGS, [one])

    (entry,) = WatchList(journal, *OF).entries()
    assert new == 1
    assert (entry.watched.started_at, entry.watched.tags) == (begun, one.tags)
    assert entry.watched.expires_at == begun + 24 * HOUR
    assert entry.due_at == begun + timedelta(seconds=10)


def test_a_start_in_the_future_is_now(journal: Journal) -> None:
    """Law: a clock that is ahead lets nothing seem to live longer than it does."""
    ahead = Started(execution_id="98", started_at=datetime.now(UTC) + 5 * HOUR)

    track(journal, *OF, SETTINGS, [ahead])

    watched = only(journal)
    assert watched.started_at == watched.tracked_at
    assert watched.expires_at == watched.tracked_at + 24 * HOUR


def test_a_start_without_a_zone_is_in_utc(journal: Journal) -> None:
    """Law: as everywhere, a time without a zone is taken as UTC."""
    naive = datetime(2026, 3, 1, 12)  # noqa: DTZ001 - that is what is tested

    track(journal, *OF, SETTINGS, [Started(execution_id="1", started_at=naive)])

    assert only(journal).started_at == NOON


def test_a_bad_id_among_good_ones_puts_nothing_on_the_list(journal: Journal) -> None:
    """Law: all or nothing."""
    started = [Started(execution_id="1"), Started(execution_id="2 3")]

    with pytest.raises(ConfigurationError, match="'2 3', which is no execution id"):
        track(journal, *OF, SETTINGS, started)

    assert WatchList(journal, *OF).entries() == []


def test_untracking_takes_off_what_is_there(journal: Journal) -> None:
    """Law: the number of those that were on the list is told."""
    track(journal, *OF, SETTINGS, [Started(execution_id=one) for one in "12"])

    assert untrack(journal, *OF, ["1", "9"]) == 1
    assert only(journal).execution_id == "2"


def test_providers_that_list_have_no_watch_list() -> None:
    """Law: a provider is tracked if its folder has a module ``tracking``."""
    assert {"discuro", "unstract"} <= set(trackable()) <= set(providers())
    assert "torale" not in trackable()


def test_a_module_that_cannot_be_imported_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Law: only a ``tracking`` that is not there means that there is none."""

    def lacking(provider: str, name: str) -> None:
        raise ModuleNotFoundError(f"of {provider}.{name}", name="somewhere.else")

    monkeypatch.setattr("sources.tracking.part", lacking)

    with pytest.raises(ModuleNotFoundError):
        trackable()
