"""Retention: old bodies and texts go for good, and what they came to stays."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from pipelines.prune import REDACTED, prune
from pipelines.query import opened
from pipelines.replay import replay
from pipelines.store import Home, locked, work_copy
from sources.errors import StoreError, StoreLocked
from sources.loopback import serve
from sources.records import TABLES
from tests.pipelines.command import execledger
from tests.pipelines.small_torale import (
    account,
    contents,
    load_into,
    one,
    rows,
    small_torale,
)

DAY_S = 86_400.0
OWN = ("raw_responses", "runs")
"""What a pruning writes to, without any redaction."""

TEXT = "A canary that sings of 4,711 phones in stock."


def age(home: Home, *, days: int, first: int = 1) -> None:
    """Let the first responses of a store have come so many days earlier."""
    with locked(home), work_copy(home) as work:
        work.con.execute(
            "update execledger.raw_responses set received_at = received_at - ? where "
            "response_id in (select response_id from execledger.raw_responses where "
            "body is not null order by received_at limit ?)",
            [timedelta(days=days), first],
        )
        work.publish()


def bodies(home: Home) -> int:
    """Return how many responses have a body."""
    return int(one(home, "select count(body) from execledger.raw_responses"))


def written(home: Home) -> tuple[int, int]:
    """Return which file the store is, and when it was last written to."""
    stat = home.published.stat()
    return stat.st_ino, stat.st_mtime_ns


def others(home: Home, *also: str) -> dict[str, object]:
    """Return what stands in the tables that a pruning leaves alone."""
    names = [name for name in TABLES if name not in (*OWN, *also)]
    return dict(contents(home, names))


def test_old_bodies_go_and_young_ones_stay(loaded: Home) -> None:
    """Law: by the time a response was received, and nothing else changes."""
    age(loaded, days=100, first=2)
    count, before = bodies(loaded), others(loaded)
    facts = contents(loaded, ["raw_responses"], without=["body"])

    pruned = prune(loaded, older_than_s=90 * DAY_S)

    assert (pruned.bodies, bodies(loaded)) == (2, count - 2)
    assert contents(loaded, ["raw_responses"], without=["body"]) == facts
    assert others(loaded) == before


def test_what_went_is_in_no_byte_of_the_file(loaded: Home) -> None:
    """Law: the file is written anew; what was freed in it would still be there."""
    with locked(loaded), work_copy(loaded) as work:
        work.con.execute(
            "update execledger.raw_responses set body = cast(? as blob)", [TEXT * 9]
        )
        work.con.execute("update execledger.outputs set value_text = ?", [TEXT])
        work.con.execute("set force_compression = 'uncompressed'")
        work.publish()
    assert TEXT.encode() in loaded.published.read_bytes()
    age(loaded, days=100, first=1_000)

    pruned = prune(loaded, older_than_s=90 * DAY_S, redact=["outputs"])

    assert TEXT.encode() not in loaded.published.read_bytes()
    old, new = pruned.store_bytes
    assert new == loaded.published.stat().st_size < old


@pytest.mark.parametrize("name", sorted(REDACTED))
def test_texts_of_a_table_go_and_all_else_of_its_rows_stays(
    loaded: Home, name: str
) -> None:
    """Law: keys, hashes, counts, usage and costs are as they were."""
    age(loaded, days=100, first=1_000)
    before = others(loaded, name)
    kept = contents(loaded, [name], without=REDACTED[name])

    prune(loaded, older_than_s=90 * DAY_S, redact=[name])

    assert contents(loaded, [name], without=REDACTED[name]) == kept
    assert others(loaded, name) == before
    texts = ", ".join(f"count({column})" for column in REDACTED[name])
    (counts,) = rows(loaded, f"select {texts} from execledger.{name}")
    assert set(counts) == {0}


def test_texts_of_young_responses_stay(loaded: Home) -> None:
    """Law: a redaction reaches as far back as the pruning of bodies."""
    before = contents(loaded, ["outputs"])

    prune(loaded, older_than_s=90 * DAY_S, redact=["outputs"])

    assert contents(loaded, ["outputs"]) == before


def test_views_and_comments_are_there_as_before(loaded: Home) -> None:
    """Law: a file that was written anew answers what the old one did."""
    sql = (
        "select schema_name, view_name, comment from duckdb_views() where not internal "
        "union all select table_name, column_name, comment from duckdb_columns() "
        "where not internal order by all"
    )
    before = rows(loaded, sql)
    age(loaded, days=100)

    prune(loaded, older_than_s=90 * DAY_S)

    assert rows(loaded, sql) == before
    assert rows(loaded, "from marts.freshness")


def test_a_replay_keeps_what_was_pruned_and_says_so(loaded: Home) -> None:
    """Law: rows whose body is gone stay as they are."""
    age(loaded, days=100, first=1_000)
    prune(loaded, older_than_s=90 * DAY_S, redact=["outputs"])
    before = others(loaded)

    replayed = replay(loaded)

    assert (replayed.executions, replayed.kept > 0) == (0, True)
    assert others(loaded) == before


def test_a_load_goes_on_as_if_nothing_had_gone(loaded: Home) -> None:
    """Law: what a provider shows again unchanged is not taken for news."""
    twin = small_torale()
    with serve(twin.app) as url:
        load_into(loaded, account(url))
        age(loaded, days=100, first=1_000)
        prune(loaded, older_than_s=90 * DAY_S)
        before = others(loaded)

        report = load_into(loaded, account(url))

    assert [(each.new, each.changed) for each in report.accounts] == [(0, 0)]
    assert others(loaded) == before


def test_a_run_is_noted(loaded: Home) -> None:
    """Law: the store says when what was removed from it."""
    age(loaded, days=100, first=2)

    prune(loaded, older_than_s=90 * DAY_S, redact=["citations"])

    ((command, counts),) = rows(
        loaded,
        "select command, counts from execledger.runs order by started_at desc limit 1",
    )
    assert command == "prune"
    assert json.loads(counts)["bodies"] == 2
    assert json.loads(counts)["citations"] == 0


def test_where_nothing_is_old_nothing_is_written(loaded: Home) -> None:
    """Law: the store's file stays the very same."""
    before = written(loaded)

    pruned = prune(loaded, older_than_s=90 * DAY_S)

    assert (pruned.bodies, pruned.redacted) == (0, {})
    assert written(loaded) == before


def test_a_dry_run_says_what_would_go(loaded: Home) -> None:
    """Law: it counts, and changes nothing."""
    age(loaded, days=100, first=2)
    before = written(loaded)

    ran = execledger(
        *("prune", "--raw-older-than", "90d", "--redact", "outputs,errors"),
        *("--dry-run", "--home", str(loaded.path)),
    )

    assert ran.code == 0
    assert "2 bodies (" in ran.err
    assert "texts of" in ran.err
    assert "would go." in ran.err
    assert written(loaded) == before


def test_the_command_says_what_went_and_how_small_the_store_is(loaded: Home) -> None:
    """Law: in words, and as JSON for programs."""
    age(loaded, days=100)
    home = ("--home", str(loaded.path))

    ran = execledger("prune", "--raw-older-than", "90d", *home)
    again = execledger("prune", "--raw-older-than", "90d", "--json", *home)

    assert "1 bodies (" in ran.err
    assert "are gone." in ran.err
    assert "The store has " in ran.err
    said = json.loads(again.out)
    assert said["bodies"] == 0
    assert datetime.fromisoformat(said["older_than"]).tzinfo is not None


def test_a_table_without_texts_is_refused(loaded: Home) -> None:
    """Law: a slip is said, with the names that there are, before anything goes."""
    ran = execledger(
        *("prune", "--raw-older-than", "90d", "--redact", "outputs,token_usage"),
        *("--home", str(loaded.path)),
    )

    assert ran.code == 2
    assert "token_usage has no texts to redact; these have: citations" in ran.err


def test_a_reader_keeps_what_it_has_open(loaded: Home) -> None:
    """Law: a pruning is a rename, as a load is."""
    age(loaded, days=100)
    count = bodies(loaded)
    with opened(loaded) as con:
        prune(loaded, older_than_s=90 * DAY_S)
        sql = "select count(body) from execledger.raw_responses"
        assert con.execute(sql).fetchall() == [(count,)]
    assert bodies(loaded) == count - 1


def test_who_holds_the_home_is_not_disturbed(loaded: Home) -> None:
    """Law: one run at a time writes."""
    with locked(loaded), pytest.raises(StoreLocked):
        prune(loaded, older_than_s=0)


def test_no_store_is_said(home: Home, tmp_path: Path) -> None:
    """The error names the next step."""
    with pytest.raises(StoreError, match='run "execledger load" or'):
        prune(home, older_than_s=0)
    other = Home(tmp_path)
    with locked(other), work_copy(other) as work:
        work.con.execute("create table t (a integer)")
        work.publish()
    with pytest.raises(StoreError, match="is no store of execledger"):
        prune(other, older_than_s=0)
