"""A million of something in one answer: it is all kept, and the rest is loaded."""

import json
from typing import Any

import pytest

from pipelines.store import Home
from sources import providers
from tests.pipelines.hostile_twin import hostile
from tests.pipelines.small_torale import one

LISTS = {"grounding_sources", "data", "message", "result"}
"""What each provider lists of an execution: sources, outputs or files."""

MILLION = 1_000_000
TABLES = ("grounding_sources", "outputs", "load_rejects")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


def swell(value: Any) -> bool:
    """Let the first such list in a value have a million more; tell whether there is."""
    if not isinstance(value, dict | list):
        return False
    children = list(value.items() if isinstance(value, dict) else enumerate(value))
    for name, child in children:
        if name in LISTS and isinstance(child, list) and child:
            child.extend(f"https://shop{n}.example/" for n in range(MILLION))
            return True
    return any(swell(child) for _, child in children)


def lists_executions(said: Any) -> bool:
    """Tell whether an answer is about many, and details of each may follow."""
    return isinstance(said, list) or "executions" in said


@pytest.mark.parametrize("provider", providers())
def test_a_million_elements_are_kept_and_the_rest_is_loaded(
    home: Home, provider: str
) -> None:
    """Law: no list is too long, and it costs no other execution."""
    is_swollen = False

    def spoil(body: bytes) -> bytes:
        nonlocal is_swollen
        said = json.loads(body)
        if is_swollen or lists_executions(said) or not swell(said):
            return body
        is_swollen = True
        return json.dumps(said).encode()

    with hostile(provider, spoil=spoil) as (twin, url):
        reports = [twin.load(home, url)]
        twin.twin.pass_time()
        reports.append(twin.load(home, url))

    counts = [one(home, f"select count(*) from execledger.{name}") for name in TABLES]
    assert max(counts) >= MILLION
    assert "broke off" not in str(reports)
    different = {said.partition(":")[0] for said in twin.differences(home)}
    assert len(different) <= 1  # the one that has a million more than it had
