"""Tests of the world that the demo shows."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from sources.loopback import Twin, serve
from sources.torale.twin import ToraleTwin, demo, demo_window
from sources.torale.twin_dialects import DOCUMENTED_KEYS
from sources.torale.twin_world import Columns

NOW = datetime(2026, 4, 27, 15, 18, tzinfo=UTC)


def rows_of(twin: ToraleTwin) -> list[Columns]:
    """Return all executions that the twin shows now."""
    world = twin.world
    return [
        row
        for task in world.tasks
        for row in world.window(task, offset=0, limit=1000)[0]
    ]


def statuses(twin: ToraleTwin) -> Counter[str]:
    """Return how many executions the twin shows now, by status."""
    return Counter(str(row["status"]) for row in rows_of(twin))


def test_the_demo_is_the_same_for_the_same_moment() -> None:
    """Two worlds made for one moment are equal, and remain so as time passes."""
    worlds = [demo(NOW).world, demo(NOW).world]

    assert worlds[0].tasks == worlds[1].tasks
    assert demo(NOW + timedelta(days=1)).world.tasks != worlds[0].tasks


def test_the_demo_is_a_twin() -> None:
    """What the demo and the contract tests need of a twin is there."""
    twin: Twin = demo(NOW)

    assert twin.settings("http://x") == {"base_url": "http://x", "api_key": "sk_demo"}


@pytest.mark.parametrize("made", [demo, demo_window])
def test_time_finishes_what_runs_in_the_demo(
    made: Callable[[datetime], ToraleTwin],
) -> None:
    """Three run, one was cancelled; afterwards all have ended and two are new."""
    twin = made(NOW)
    before = statuses(twin)

    twin.pass_time()

    after = statuses(twin)
    assert len(twin.world.tasks) == 6
    assert 250 <= before.total() <= 270
    assert {
        name: before[name] for name in before if name not in ("success", "failed")
    } == {
        "pending": 1,
        "running": 1,
        "retrying": 1,
        "cancelled": 1,
    }
    assert set(after) == {"success", "failed"}
    assert after - before == {"success": 5, "failed": 1}


@pytest.mark.parametrize("made", [demo, demo_window])
def test_the_demo_holds_a_late_flag_and_a_success_that_was_cancelled(
    made: Callable[[datetime], ToraleTwin],
) -> None:
    """Rows that had ended change after all, under the same id."""
    twin = made(NOW)
    twin.pass_time()
    rows = rows_of(twin)

    flagged = [row for row in rows if "notification_failed" in str(row["result"])]
    revived = [row for row in rows if "cancelled by" in str(row["error_message"])]
    failed_inside = [row for row in rows if "'success': False" in str(row["result"])]
    assert [row["status"] for row in flagged + revived + failed_inside] == [
        "success"
    ] * 3


def test_nothing_in_the_demo_lies_in_the_future_or_beyond_two_weeks() -> None:
    """All times are within two weeks before the moment, also when time has passed."""
    twin = demo(NOW)
    twin.pass_time()
    times = [
        datetime.fromisoformat(str(row[name]))
        for row in rows_of(twin)
        for name in ("created_at", "started_at", "completed_at")
    ]

    assert twin.world.now() < NOW
    assert NOW - timedelta(days=14, hours=1) < min(times)
    assert max(times) < NOW


def test_both_dialects_of_the_demo_hold_the_same_executions() -> None:
    """Ids, times and statuses are the same; only the words differ."""
    names = ("id", "status", "started_at", "completed_at", "error_message")
    worlds = [
        [[row[name] for name in names] for row in rows_of(twin)]
        for twin in (demo(NOW), demo_window(NOW))
    ]

    assert worlds[0] == worlds[1]


def test_the_demo_shows_sources_with_snippets_and_every_era() -> None:
    """The paged demo has snippets in its details, the other one all live shapes."""
    twin, window = demo(NOW), demo_window(NOW)
    bearer = {"Authorization": "Bearer sk_demo"}
    with (
        serve(twin.app) as base_url,
        httpx.Client(base_url=base_url, headers=bearer) as client,
    ):
        tasks = [task["id"] for task in client.get("/api/v1/tasks/").json()]
        url = f"/api/v1/tasks/{tasks[0]}/executions"
        done = client.get(url, params={"status": "success"}).json()["executions"][0]
        detail = client.get(f"{url}/{done['id']}").json()
    rows = window.world.window(tasks[0], offset=0, limit=1000)[0]
    shapes = {key for row in rows for key in row["result"] or ()}  # type: ignore[attr-defined] # JSON

    assert detail["result"]["sources_count"] == len(detail["grounding_sources"]) > 0
    assert all(source["snippet"] for source in detail["grounding_sources"])
    assert {"content", "answer", "summary", "evidence"} <= shapes
    assert tuple(done) == DOCUMENTED_KEYS
