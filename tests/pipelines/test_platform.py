"""With a platform key: executions are found by themselves, and what they used."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.config import Account
from pipelines.demo import differences
from pipelines.load import load
from pipelines.query import opened
from pipelines.runs import Report
from pipelines.store import Home
from sources import part
from sources.loopback import serve
from sources.provider import Window, settings_from
from sources.unstract.settings import Settings
from sources.unstract.twin import UnstractTwin
from sources.unstract.twin_demo import failed, plain_text, recorded
from tests.pipelines.small_torale import one, rows

KEY, PLATFORM_KEY = "deployment_canary", "platform_canary"
NOW = datetime.now(UTC) - timedelta(minutes=1)
INVOICE = recorded("invoice.pdf", {"total": 12.5})
pytestmark = pytest.mark.usefixtures("here", "no_naps")


@pytest.fixture
def twin() -> UnstractTwin:
    """Return an Unstract with a platform API."""
    return UnstractTwin(key=KEY, platform_key=PLATFORM_KEY, clock=lambda: NOW)


@pytest.fixture
def account(twin: UnstractTwin) -> Iterator[Account]:
    """Serve it; yield the account that reads it."""
    with serve(twin.app) as url:
        quick = {"requests_per_second": "1000", "poll_interval_s": "0.01"}
        given = {**twin.settings(url), **quick}
        yield Account("unstract", "default", settings_from(Settings, given, "test"))


def ago(minutes: int) -> datetime:
    """Return a time of the twin."""
    return NOW - timedelta(minutes=minutes)


def loaded(home: Home, account: Account, *, max_wait_s: float = 0) -> Report:
    """Load what is due."""
    return load(
        home,
        [account],
        window=Window(),
        watch=lambda *_: None,
        max_wait_s=max_wait_s,
    )


def unlike(home: Home, twin: UnstractTwin) -> list[str]:
    """Return where the store is not what could be had of the twin."""
    with opened(home) as con:
        return list(differences(con, "unstract", twin.obtained()))


def test_what_nobody_tracked_is_found_and_read_once(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: each finished result is read exactly once, running ones not at all."""
    done = [
        twin.world.start(file, started_at=ago(10))
        for file in (INVOICE, plain_text("a.txt", "text"), failed("b.pdf"))
    ]
    runs = twin.world.start(INVOICE, started_at=NOW)
    first = loaded(home, account)
    asked = {twin.count(f"?execution_id={x.execution_id}&") for x in done}
    untouched = twin.count(f"?execution_id={runs.execution_id}")
    twin.pass_time()

    second = loaded(home, account)

    assert (first.outcome, second.outcome) == ("ok", "ok"), (first, second)
    assert asked == {1}
    assert untouched == 0
    assert unlike(home, twin) == []
    assert one(home, "select count(*) from execledger.executions") == 4
    assert rows(home, "select distinct result_state from execledger.executions") == [
        ("captured",)
    ]


def test_what_a_run_used_is_loaded_although_somebody_else_has_its_result(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: without a result, the platform's rows count; with one, its own parts do."""
    taken = twin.world.start(INVOICE, started_at=ago(9))
    twin.read_elsewhere(taken.execution_id)
    twin.world.start(INVOICE, started_at=ago(8))

    report = loaded(home, account)

    assert [lost.result_state for lost in report.outlook.lost] == [
        "acknowledged_elsewhere"
    ]
    counted = rows(
        home,
        "select e.result_state, u.source, u.is_counted, count(*) > 0 "
        "from execledger.executions e join execledger.token_usage u "
        "on e.execution_key = u.execution_key group by all order by all",
    )
    assert counted == [
        ("acknowledged_elsewhere", "platform", True, True),
        ("captured", "platform", False, True),
        ("captured", "result", True, True),
        ("captured", "rollup", False, True),
    ]


def test_both_accounts_of_what_was_used_are_reconciled(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: for each execution, the tokens of the result stand beside the platform's."""
    twin.world.start(INVOICE, started_at=ago(8))
    loaded(home, account)

    found = rows(
        home,
        "select result_tokens, platform_tokens, difference, is_reconciled "
        "from marts.usage_reconciliation",
    )

    assert len(found) == 1
    result, platform, difference, is_reconciled = found[0]
    assert result == platform > 0
    assert (difference, is_reconciled) == (0, True)


def test_executions_of_another_deployment_are_not_ours(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: the key of one deployment never goes to another; nothing is dropped."""
    twin.world.start(INVOICE, started_at=ago(8))
    other = twin.world.start(INVOICE, started_at=ago(7), api_name="receipts")

    loaded(home, account)

    assert one(home, "select count(*) from execledger.executions") == 1
    assert twin.count("/deployment/api/org_demo/receipts") == 0
    kept = "select count(*) from execledger.execution_metadata where value like ?"
    assert one(
        home, kept.replace("value", "cast(value as varchar)"), f"%{other.execution_id}%"
    )


def test_nothing_changed_is_nothing_read(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: a result that is captured is not asked for again, nor what it used."""
    twin.world.start(INVOICE, started_at=ago(8))
    loaded(home, account)
    before = twin.count("/usage/"), twin.count("/deployment/api/")

    report = loaded(home, account)

    assert (twin.count("/usage/"), twin.count("/deployment/api/")) == before
    assert report.accounts[0].changed == 0


def test_polling_on_ends_what_runs(
    home: Home, twin: UnstractTwin, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: --max-wait lists again until nothing runs, and then reads the results."""
    monkeypatch.setattr(part("unstract", "collect"), "_LIST_AGAIN_S", 0.01)
    twin.world.start(INVOICE, started_at=NOW)
    listings: list[object] = []

    def look(noted: object) -> None:
        if "/execution/" in str(noted):
            listings.append(noted)
            if len(listings) == 2:
                twin.world.let_pass(60)

    twin.on_request(look)

    loaded(home, account, max_wait_s=20)

    assert unlike(home, twin) == []
    assert rows(home, "select result_state from execledger.executions") == [
        ("captured",)
    ]


def test_a_bad_platform_key_keeps_what_is_tracked_loading(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: the listing's failure is said by the name of its key; polls go on."""
    twin.fail_next("/api/v1/", 401, times=9)

    report = loaded(home, account)

    (error,) = report.accounts[0].errors
    assert "SOURCES__UNSTRACT__PLATFORM_KEY" in error
    assert PLATFORM_KEY not in error


@pytest.mark.parametrize("row", ['{"id": "p", "api_name": "invoices"}', ""])
def test_a_list_that_has_always_a_next_page_comes_to_an_end(
    home: Home, twin: UnstractTwin, account: Account, row: str
) -> None:
    """Law: a page that is empty, or the one before once more, is the last."""
    endless = f'{{"count": 9, "next": "http://there", "results": [{row}]}}'
    twin.fail_next("/api/v1/", 200, body=endless, times=50)

    loaded(home, account)

    assert twin.count("/api/v1/") <= 2 * 3
    assert 0 < twin.count("page=2") <= 3


def test_the_keys_keep_to_their_own_side(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: the platform key goes to no deployment, the other to no platform."""
    twin.world.start(INVOICE, started_at=ago(8))

    loaded(home, account)

    platform = [x for x in twin.requests if x.path.startswith("/api/v1/")]
    deployment = [x for x in twin.requests if x.path.startswith("/deployment/")]
    assert platform
    assert deployment
    assert all(noted.is_authorised for noted in twin.requests)
    refused = "select count(*) from execledger.raw_responses where http_status >= 400"
    assert one(home, refused) == 0


def test_results_are_read_before_what_others_have_read_is_looked_up(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: what expires goes first; what a run used does not, and can wait."""
    for minutes in (20, 15, 10):
        taken = twin.world.start(INVOICE, started_at=ago(minutes))
        twin.read_elsewhere(taken.execution_id)
    ours = twin.world.start(INVOICE, started_at=ago(30))

    loaded(home, account)

    paths = [f"{noted.path}?{noted.query}" for noted in twin.requests]
    (read,) = [
        i
        for i, path in enumerate(paths)
        if f"?execution_id={ours.execution_id}" in path
    ]
    used = [i for i, path in enumerate(paths) if "/usage/" in path]
    assert len(used) == 4
    assert sum(i > read for i in used) == 3


def test_usage_that_may_not_be_read_is_said_once_and_asked_for_again(
    home: Home, twin: UnstractTwin, account: Account
) -> None:
    """Law: results are read all the same; what was used comes with a later load."""
    for minutes in (20, 15):
        taken = twin.world.start(INVOICE, started_at=ago(minutes))
        twin.read_elsewhere(taken.execution_id)
    twin.world.start(INVOICE, started_at=ago(10))
    twin.fail_next("/usage/", 403, times=1)
    first = loaded(home, account)
    without = one(
        home, "select count(*) from execledger.token_usage where source = 'platform'"
    )

    second = loaded(home, account)

    assert len(first.accounts[0].errors) == 1
    assert "403" in first.accounts[0].errors[0]
    assert first.accounts[0].read["captured"] == 1
    assert without == 0
    assert second.accounts[0].errors == []
    sql = (
        "select count(distinct execution_key) from execledger.token_usage "
        "where source = 'platform' and is_counted"
    )
    assert one(home, sql) == 2


def test_polling_on_asks_for_what_was_used_once(
    home: Home, twin: UnstractTwin, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: listing again while one waits repeats nothing that was looked up."""
    monkeypatch.setattr(part("unstract", "collect"), "_LIST_AGAIN_S", 0.01)
    done = twin.world.start(INVOICE, started_at=ago(10))
    twin.world.start(INVOICE, started_at=NOW)
    listings: list[object] = []

    def look(noted: object) -> None:
        if "/execution/" in str(noted):
            listings.append(noted)
            if len(listings) == 3:
                twin.world.let_pass(60)

    twin.on_request(look)

    loaded(home, account, max_wait_s=20)

    assert twin.count(f"workflow_execution_id={done.execution_id}") == 1
    assert unlike(home, twin) == []
