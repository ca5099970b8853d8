"""Providers whose servers speak one dialect now and the other then."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.demo import differences
from pipelines.query import opened
from pipelines.store import Home
from sources.discuro.twin import DiscuroTwin
from sources.loopback import serve
from sources.torale.twin import demo
from sources.unstract.twin import UnstractTwin
from tests.faults.command import load, settle
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import QUICK, account_at, polled
from tests.pipelines.small_torale import doubled, load_into

TRIES = 3
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("here")]


def of_either_dialect(
    chance: random.Random,
) -> Callable[[UnstractTwin | DiscuroTwin], ASGIApp]:
    """Return what lets a twin answer each request in a dialect of its own."""

    def app_of(twin: UnstractTwin | DiscuroTwin) -> ASGIApp:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            is_documented = chance.random() < 0.5
            if isinstance(twin, DiscuroTwin):
                twin.is_documented = is_documented
            else:
                twin._dialect = "documented" if is_documented else "live"
            await twin.app(scope, receive, send)

        return app

    return app_of


def test_a_provider_that_flips_between_its_dialects_loses_nothing(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    """Law: each answer is taken for what it is, whatever the one before was."""
    flips = tally("a provider that flips between its dialects")
    for number in range(TRIES):
        home = Home(tmp_path / str(number))
        chance = random.Random(number)  # noqa: S311 - dialects, no secrets
        with polled(of_either_dialect(chance), concurrency="4") as twins:
            twins.track(home)
            process = load(home, twins)
            _, err = process.communicate()
            settle(home, twins)
            assert flips.count(home, twins) == []
        assert process.returncode in {0, 1, 4}, err
        assert "Traceback" not in err

    assert flips.tried == TRIES


@pytest.mark.parametrize("seed", range(TRIES))
def test_pages_and_windows_of_one_list_are_the_same_executions(
    home: Home, seed: int
) -> None:
    """Law: none is missing and none is there twice, however a list is answered."""
    chance = random.Random(seed)  # noqa: S311 - dialects, no secrets
    twin = demo(datetime.now(UTC))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        twin.is_paged = chance.random() < 0.5
        await twin.app(scope, receive, send)

    with serve(app) as url:
        account = account_at("torale", {**twin.settings(url), **QUICK})
        load_into(home, account)
        twin.pass_time()
        outcomes = [load_into(home, account).outcome for _ in range(2)]
    with opened(home) as con:
        wrong = list(differences(con, "torale", twin.obtained()))

    assert outcomes == ["ok"] * 2
    # What a result looks like is the dialect's.
    assert [said for said in wrong if ": outputs " not in said] == []
    assert doubled(home) == []
