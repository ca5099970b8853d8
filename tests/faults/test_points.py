"""A result that is handed out once survives a kill anywhere."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from pipelines.store import Home
from sources.journal import Journal
from tests.faults.command import python, settle
from tests.faults.tally import Tally
from tests.pipelines.killed_command import MERGING, POINTS
from tests.pipelines.polled_twins import Polled, polled
from tests.pipelines.small_torale import one, rows

FAST = {"a body is there", "after publishing"}
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def twins() -> Iterator[Polled]:
    """Serve both providers; one request at a time, so that a kill cuts off one."""
    with polled(concurrency="1") as served:
        yield served


def command(
    home: Home, twins: Polled, *program: str, more: tuple[str, ...] = ()
) -> "subprocess.Popen[str]":
    """Start the real command for Unstract, so that one request is under way.

    Of two at once, one may have been answered while the other's answer is looked at.
    """
    given = ("load", "unstract", "--home", str(home.path), *more)
    return python(*program, *given, environment=twins.environment)


def arrived(home: Home) -> int:
    """Return how many bytes of a body are there while it arrives."""
    files = home.path.glob("journal.sqlite-polls/*/*")
    return sum(len(file.read_bytes().partition(b"\n")[2]) for file in files)


@pytest.mark.parametrize(
    ("point", "is_later"),
    [
        pytest.param(
            point,
            is_later,
            id=f"{point}, {'later' if is_later else 'first'} load",
            marks=() if point in FAST and not is_later else pytest.mark.slow,
        )
        for is_later in (False, True)
        for point in POINTS
        if is_later or point not in MERGING
    ],
)
def test_a_result_read_once_survives_a_kill(
    home: Home,
    twins: Polled,
    tally: Callable[[str], Tally],
    point: str,
    *,
    is_later: bool,
) -> None:
    """Law: what was handed out whole is in the store after the next run, once."""
    killed = tally("kill -9 at a named point on the way of the data")
    twins.track(home)
    if is_later:
        twins.load(home)
        twins.pass_time()
    process = command(home, twins, "tests.pipelines.killed_command", "SIGKILL", point)
    _, err = process.communicate()
    assert process.returncode == -signal.SIGKILL, err

    settle(home, twins)
    assert killed.count(home, twins) == []
    with Journal(home.journal) as journal:
        assert journal.file.rows("select count(*) from watched") == [(0,)]
    left = [path.name for path in home.path.glob("journal.sqlite-polls/*")]
    assert set(left) <= {"guard"}


def test_a_result_cut_off_by_a_kill_is_lost_in_transit_and_says_when_and_how_much(
    home: Home, twins: Polled
) -> None:
    """Law: a result consumed but not received whole is recorded as that, with words."""
    twins.track(home)
    hold = twins.unstract.hold_next_body()
    process = command(home, twins, "pipelines")
    assert hold.half_sent.wait(30)
    ends = time.monotonic() + 30
    while not (size := arrived(home)) and time.monotonic() < ends:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    report = twins.load(home)

    ((key, message),) = rows(
        home,
        "select e.execution_key, f.message from execledger.executions e "
        "join execledger.errors f on f.execution_key = e.execution_key "
        "where e.result_state = 'lost_in_transit' and f.error_type = e.result_state",
    )
    assert str(size) in message
    assert key in {lost.execution_key for lost in report.outlook.lost}
    sql = "select size_bytes from execledger.raw_responses where outcome = 'truncated'"
    assert one(home, sql) == size
    twins.pass_time()
    twins.load(home, max_wait_s=20)
    assert twins.differences(home) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("more", [(), ("--every", "1h")])
def test_who_ends_a_load_waits_for_the_answer_that_is_under_way(
    home: Home, twins: Polled, number: signal.Signals, more: tuple[str, ...]
) -> None:
    """Law: a result that is handed out just then is kept, and the user is told why."""
    twins.track(home)
    hold = twins.unstract.hold_next_body()
    process = command(home, twins, "pipelines", more=more)
    assert hold.half_sent.wait(30)
    process.send_signal(number)
    assert process.stderr is not None
    said = process.stderr.readline()
    hold.release()
    _, err = process.communicate()

    assert "what is under way is waited for" in said
    assert process.returncode == 128 + number, err
    assert "Interrupted. What was received is in the journal" in err
    settle(home, twins)
    assert twins.differences(home) == []
