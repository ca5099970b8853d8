"""Tests of the world that the demo of Unstract shows."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sources.loopback import Obtained, Twin, serve
from sources.unstract.twin import UnstractTwin, demo, demo_documented

NOW = datetime(2026, 11, 21, 18, 40, tzinfo=UTC)
ALL = "include_metadata=true&include_metrics=true&include_extracted_text=true"

Made = Callable[[datetime], UnstractTwin]
BOTH = pytest.mark.parametrize("made", [demo, demo_documented])


def read_all(twin: UnstractTwin, base_url: str) -> list[httpx.Response]:
    """Ask once for each execution that has no result yet, as its settings say."""
    settings = twin.settings(base_url)
    path = f"/deployment/api/{settings['organization_id']}/{settings['api_name']}/"
    bearer = {"Authorization": f"Bearer {settings['api_key']}"}
    held = {key[1] for key, one in twin.obtained().items() if one.outputs}
    with httpx.Client(base_url=base_url, headers=bearer) as client:
        return [
            client.get(f"{path}?execution_id={one['id']}&{ALL}")
            for one in twin.started()
            if one["id"] not in held
        ]


def states(twin: UnstractTwin) -> Counter[tuple[str | None, str]]:
    """Return how many executions there are by the server's word and result state."""
    return Counter(
        (one.provider_status, one.result_state) for one in twin.obtained().values()
    )


def test_the_demo_is_the_same_for_the_same_moment() -> None:
    """Two worlds made for one moment are equal; another moment has other ids."""
    worlds = [demo(NOW).world.executions for _ in range(2)]
    later = demo(NOW + timedelta(days=1)).world.executions

    assert worlds[0] == worlds[1]
    assert worlds[0].keys().isdisjoint(later)


@BOTH
def test_two_rounds_of_reading_get_all_that_can_be_had(made: Made) -> None:
    """One was read elsewhere, one has expired; the spoilt ones come the second time."""
    twin = made(NOW)
    before = states(twin)
    with serve(twin.app) as base_url:
        first = Counter(one.status_code for one in read_all(twin, base_url))
        between = states(twin)
        twin.pass_time()
        read_all(twin, base_url)

    lost = {
        ("COMPLETED", "acknowledged_elsewhere"): 1,
        ("COMPLETED", "expired"): 1,
    }
    assert before == lost | {(None, "pending"): 12}
    assert (first[429], first[503], first[406]) == (1, 1, 1)
    assert between == lost | {
        ("COMPLETED", "captured"): 6,
        ("ERROR", "captured"): 1,
        ("STOPPED", "captured"): 1,
        ("PENDING", "pending"): 1,
        ("EXECUTING", "pending"): 1,
        (None, "pending"): 2,
    }
    assert states(twin) == lost | {
        ("COMPLETED", "captured"): 10,
        ("ERROR", "captured"): 1,
        ("STOPPED", "captured"): 1,
    }


def test_the_demo_holds_results_of_every_shape() -> None:
    """Records, texts, a documented pair, a failure, a review, one from the history."""
    twin = demo(NOW)
    with serve(twin.app) as base_url:
        bodies = [one.json() for one in read_all(twin, base_url) if one.is_success]
    items: list[dict[str, Any]] = [
        item for body in bodies for item in body["message"] or ()
    ]
    ids = {body["message"][0]["metadata"]["execution_id"] for body in bodies[1:]}

    shapes = Counter(
        "/".join(sorted(item["result"]))
        if isinstance(item["result"], dict)
        else type(item["result"]).__name__
        for item in items
    )
    assert shapes == {
        "metadata/metrics/output": 4,
        "input_file/result": 1,
        "str": 2,
        "NoneType": 2,
    }
    assert sum("hitl" in item["metadata"] for item in items) == 1
    assert len(ids) == len(bodies[1:]) - 1  # two of the same: one from the history


@BOTH
def test_what_is_known_of_the_demos_executions_lies_within_hours(made: Made) -> None:
    """Starts are from half a second to five hours ago, and nothing ends after now."""
    twin: Twin = made(NOW)
    started = [datetime.fromisoformat(str(one["started_at"])) for one in twin.started()]
    twin.pass_time()

    assert len(started) == 14
    assert started == sorted(started)
    assert timedelta(hours=5) < NOW - started[0] < timedelta(hours=6)
    assert made(NOW).world.now() > started[-1]
    assert made(NOW).world.now() + timedelta(seconds=12) < NOW


def test_the_file_from_the_history_has_no_tokens_of_its_own() -> None:
    """Its roll-up is there, and was spent by the run that is named."""
    twin = demo(NOW)
    with serve(twin.app) as base_url:
        read_all(twin, base_url)

    captured = [one for one in twin.obtained().values() if one.outputs]
    same = [one for one in captured if "INV-2041" in str(one.outputs[0])]
    assert [type(one) for one in same] == [Obtained, Obtained]
    assert same[0].outputs == same[1].outputs
    assert same[0].total_tokens is not None
    assert same[1].total_tokens is None
