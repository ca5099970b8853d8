"""Listings are read whole, or said to be incomplete, however their rows move."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.errors import (
    BodyTooLarge,
    KeyRefused,
    NotFound,
    ProviderError,
    RequestRefused,
    ServerFault,
    StoreError,
    Throttled,
    TransportFault,
)
from sources.paging import Listing, Page, read_pages
from sources.windows import read_window

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)

Row = tuple[str, datetime | None]
Change = Callable[["Server"], None]


def minute(number: int) -> datetime:
    """Return the time that many minutes after noon."""
    return NOON + timedelta(minutes=number)


def rows(count: int) -> list[Row]:
    """Return so many rows, newest first: r1 is the oldest."""
    return [(f"r{n}", minute(n)) for n in range(count, 0, -1)]


def insert(server: "Server") -> None:
    """Let a row enter at the top, newer than any before."""
    server.entered += 1
    server.rows.insert(0, (f"new{server.entered}", minute(10_000 + server.entered)))


def delete(position: int) -> Change:
    """Let the row at a position, counted from 0, go."""

    def change(server: "Server") -> None:
        if server.rows:
            del server.rows[position % len(server.rows)]

    return change


def restart(position: int) -> Change:
    """Let the row at a position begin anew: it moves to the top."""

    def change(server: "Server") -> None:
        if server.rows:
            server.entered += 1
            row, _ = server.rows.pop(position % len(server.rows))
            server.rows.insert(0, (row, minute(10_000 + server.entered)))

    return change


@dataclass
class Server:
    """A listing in memory that changes while it is read.

    ``changes[n]`` happen just before the n-th answer (from 0) is made up;
    ``delays[n]`` are the turns of the loop that the n-th request waits before and
    after that, so that requests overtake one another.
    """

    rows: list[Row]
    size: int = 10
    total: Callable[[int], int | None] = lambda count: count
    limit: Callable[[int], int | None] = lambda size: size
    changes: dict[int, Sequence[Change]] = field(default_factory=dict)
    delays: Sequence[tuple[int, int]] = ()
    failures: dict[int, ProviderError] = field(default_factory=dict)
    ties: Random | None = None
    knows_pages: bool = True
    bad_row: str | None = None
    most: int | None = None
    asked: list[int] = field(default_factory=list)
    answered: int = 0
    entered: int = 0
    flying: int = 0
    most_flying: int = 0

    async def page(self, number: int) -> Page:
        """Answer one page."""
        return await self._answer(number, self._page)

    async def window(self, limit: int) -> Page:
        """Answer the newest rows."""
        return await self._answer(limit, self._window)

    async def _answer(self, number: int, answer: Callable[[int], Page]) -> Page:
        nth = len(self.asked)
        before, after = self.delays[nth] if nth < len(self.delays) else (1, 1)
        self.asked.append(number)
        self.flying += 1
        self.most_flying = max(self.flying, self.most_flying)
        try:
            await turns(before)
            for change in self.changes.get(self.answered, ()):
                change(self)
            self.answered += 1
            if number in self.failures:
                raise self.failures[number]
            page = answer(number)
            await turns(after)
        finally:
            self.flying -= 1
        return page

    def _page(self, number: int) -> Page:
        start = (number - 1) * self.size if self.knows_pages else 0
        listed = self._listed()
        shown = listed[start : start + self.size]
        return page_of(shown, self.total(len(listed)), self.limit(self.size))

    def _window(self, limit: int) -> Page:
        shown = self._listed()[: min(limit, self.most or limit)]
        if self.bad_row in {row for row, _ in shown}:
            raise ServerFault("500 Internal Server Error")
        return page_of(shown)

    def _listed(self) -> list[Row]:
        if self.ties is None:
            return self.rows
        shuffled = self.ties.sample(self.rows, len(self.rows))
        return sorted(shuffled, key=newness, reverse=True)


def newness(row: Row) -> tuple[bool, datetime]:
    """Sort rows as PostgreSQL does: those without a time come first."""
    return row[1] is None, row[1] or NOON


def page_of(
    shown: Sequence[Row], total: int | None = None, limit: int | None = None
) -> Page:
    """Return the rows as an answer."""
    ids, times = [row for row, _ in shown], [time for _, time in shown]
    return Page(ids=ids, times=times, total=total, limit=limit)


async def turns(count: int) -> None:
    """Let the others run so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def paged(
    server: Server,
    *,
    until: datetime | None = None,
    concurrency: int = 4,
    max_rounds: int = 5,
) -> Listing:
    """Read the server's pages."""
    return asyncio.run(
        read_pages(
            server.page,
            page_size=100,
            until=until,
            concurrency=concurrency,
            max_rounds=max_rounds,
        )
    )


def windowed(
    server: Server, *, first_limit: int = 10, until: datetime | None = None
) -> Listing:
    """Read the server's windows."""
    return asyncio.run(read_window(server.window, first_limit=first_limit, until=until))


def names(*numbers: int) -> set[str]:
    """Return the ids of these rows."""
    return {f"r{n}" for n in numbers}


# Pages that stand still


@pytest.mark.parametrize(
    ("count", "pages"), [(0, 1), (1, 1), (10, 1), (11, 2), (30, 3), (95, 10)]
)
def test_a_full_read_of_n_pages_makes_n_requests(count: int, pages: int) -> None:
    """Pages are counted by ``total`` and read once each."""
    server = Server(rows(count))

    listing = paged(server)

    assert sorted(server.asked) == list(range(1, pages + 1))
    assert listing == Listing(
        ids=names(*range(1, count + 1)),
        is_complete=True,
        total=count,
        rounds=1,
        errors=[],
        oldest_read=minute(1) if count else None,
    )


def test_an_unchanged_incremental_read_makes_one_request() -> None:
    """Page 1 alone decides whether more is needed."""
    server = Server(rows(95))

    listing = paged(server, until=minute(90))

    assert server.asked == [1]
    assert listing.is_complete
    assert listing.oldest_read == minute(86)


def test_an_incremental_read_stops_within_the_pages_that_are_in_flight() -> None:
    """No page is asked for once one that is past the time was answered."""
    server = Server(rows(950))

    listing = paged(server, until=minute(905), concurrency=3)

    assert listing.is_complete
    assert names(*range(905, 951)) <= listing.ids
    assert max(server.asked) <= 5 + 3


def test_rows_that_began_at_the_very_time_are_still_read() -> None:
    """A page is past the time only where a row is strictly older."""
    server = Server([(f"r{n}", minute(n // 15)) for n in range(44, -1, -1)])

    listing = paged(server, until=minute(2), concurrency=1)

    assert listing.is_complete
    assert server.asked == [1, 2]
    assert names(*range(30, 45)) <= listing.ids


def test_a_row_without_a_time_stops_no_reading() -> None:
    """An unknown time counts as newest."""
    server = Server([(row, None) for row, _ in rows(25)])

    listing = paged(server, until=minute(0))

    assert listing.is_complete
    assert listing.ids == names(*range(1, 26))
    assert listing.oldest_read is None


def test_an_incremental_read_that_finds_the_end_is_a_full_one() -> None:
    """Where no row is old enough all are read."""
    server = Server(rows(25))

    listing = paged(server, until=minute(0))

    assert listing.is_complete
    assert sorted(server.asked) == [1, 2, 3]


@pytest.mark.parametrize("stated", [None, 0, -1, 500])
def test_a_limit_that_says_nothing_true_is_read_off_page_1(stated: int | None) -> None:
    """A full page shows how many rows a page has."""
    server = Server(rows(35), limit=lambda _: stated)

    listing = paged(server)

    assert listing.is_complete
    assert sorted(server.asked) == [1, 2, 3, 4]


# Servers that tell no total, or a wrong one


@pytest.mark.parametrize(("count", "last"), [(0, 1), (5, 1), (30, 4), (35, 4)])
def test_without_a_total_a_short_page_is_the_end(count: int, last: int) -> None:
    """Pages are read one by one until one is not full."""
    server = Server(rows(count), total=lambda _: None)

    listing = paged(server)

    assert server.asked == list(range(1, last + 1))
    assert listing.is_complete
    assert len(listing.ids) == count


def test_a_total_below_the_rows_in_hand_is_not_believed() -> None:
    """A server that counts its pages in ``total`` is read to its end."""
    server = Server(rows(35), total=lambda count: -(-count // 10))

    listing = paged(server)

    assert listing.is_complete
    assert len(listing.ids) == 35


@pytest.mark.parametrize("stated", [None, 35, 10**12])
def test_a_server_that_ignores_page_is_found_out(stated: int | None) -> None:
    """The first page that brings nothing new ends the reading, incomplete."""
    server = Server(rows(35), total=lambda _: stated, knows_pages=False)

    listing = paged(server)

    assert not listing.is_complete
    assert len(listing.ids) == 10
    assert len(server.asked) <= 2 * (1 + 4)


def test_an_absurd_total_ends_at_the_first_empty_page() -> None:
    """Pages are thought of one after the other, and twice the same is enough."""
    server = Server(rows(35), total=lambda _: 10**12)

    listing = paged(server)

    assert not listing.is_complete
    assert listing.rounds == 2
    assert listing.total == 10**12
    assert len(listing.ids) == 35
    assert len(server.asked) <= 2 * (4 + 4)


# Rows that move


def test_a_row_that_enters_costs_the_top_pages_again() -> None:
    """Where nothing can be missed but what is new, only the top is read again."""
    server = Server(rows(50), changes={2: [insert]})

    listing = paged(server, concurrency=1)

    assert listing.is_complete
    assert "new1" in listing.ids
    assert listing.total == 51
    assert server.asked == [1, 2, 3, 4, 5, 6, 1, 2]


def test_many_rows_that_enter_are_read_from_the_top_down() -> None:
    """The top is read until a page brings nothing new."""
    server = Server(rows(50), changes={2: [insert] * 7, 4: [insert] * 7})

    listing = paged(server, concurrency=1)

    assert listing.is_complete
    assert len(listing.ids) == 64
    assert server.asked == [1, 2, 3, 4, 5, 6, 7, 1, 2, 3]


def test_a_row_that_goes_makes_the_round_be_read_again() -> None:
    """A smaller total shows that a row may have slipped to a page already read."""
    server = Server(rows(30), changes={1: [delete(0)]})

    listing = paged(server)

    assert listing.is_complete
    assert listing.rounds == 2
    assert names(*range(1, 31)) == listing.ids


def test_a_row_that_goes_while_the_top_is_read_again_is_noticed() -> None:
    """The top is measured against the total that the round ended with."""
    server = Server(rows(30), changes={1: [insert], 4: [delete(5)]})

    listing = paged(server, concurrency=1)

    assert listing.is_complete
    assert listing.rounds == 3


def test_a_listing_that_never_rests_is_incomplete_after_all_rounds() -> None:
    """Rounds end, and what was seen in any of them is kept."""
    server = Server(rows(60), changes={n: [delete(0)] for n in range(100)})

    listing = paged(server, max_rounds=3)

    assert not listing.is_complete
    assert listing.rounds == 3
    assert listing.errors == []
    assert "r59" in listing.ids


@pytest.mark.parametrize("moves", [[insert], [insert, delete(-1)]])
def test_a_row_pushed_past_a_page_that_was_answered_too_early_is_noticed(
    moves: Sequence[Change],
) -> None:
    """Page 3 overtakes page 2, a row enters in between: r6 is on neither of them.

    Where another goes at the same time ``total`` stays, and only the rows that are
    seen twice give it away.
    """
    server = Server(
        rows(9), size=2, changes={2: moves}, delays=[(1, 1), (5, 1), (1, 1), (9, 1)]
    )

    listing = paged(server, until=minute(4), concurrency=2)

    assert listing.rounds == 2
    assert listing.is_complete
    assert names(*range(4, 10)) <= listing.ids


def test_a_row_that_enters_during_an_incremental_read_costs_nothing() -> None:
    """What is new is left to the next load, and total grew: nothing is missed."""
    server = Server(rows(90), changes={2: [insert]})

    listing = paged(server, until=minute(65), concurrency=1)

    assert listing.is_complete
    assert server.asked == [1, 2, 3]


def test_answers_that_overtake_one_another_cost_no_round() -> None:
    """Totals are compared in the order of the pages, not of their arrival."""
    server = Server(
        rows(90), changes={2: [insert]}, delays=[(1, 1), (1, 9), (2, 1), (9, 1)]
    )

    listing = paged(server, until=minute(65), concurrency=2)

    assert listing.is_complete
    assert listing.rounds == 1


# Pages that fail


@pytest.mark.parametrize("fault", [ServerFault, TransportFault, BodyTooLarge])
def test_a_page_that_fails_keeps_no_other_back(fault: type[ProviderError]) -> None:
    """The others are read, the failure is recorded, the listing incomplete."""
    failure = fault("page 2")
    server = Server(rows(55), failures={2: failure})

    listing = paged(server)

    assert listing.errors == [failure]
    assert not listing.is_complete
    assert listing.ids == names(*range(1, 36), *range(46, 56))
    assert sorted(server.asked) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("refusal", [KeyRefused, NotFound, Throttled])
def test_a_refusal_of_all_further_pages_is_final(refusal: type[ProviderError]) -> None:
    """Where asking on is of no use nothing more is asked."""
    failure = refusal("page 2")
    server = Server(rows(550), failures={2: failure})

    listing = paged(server, concurrency=3)

    assert listing.errors == [failure]
    assert not listing.is_complete
    assert len(server.asked) <= 1 + 3 + 2


def test_page_1_failing_is_raised() -> None:
    """Where nothing was read there is no listing."""
    server = Server(rows(55), failures={1: ServerFault("page 1")})

    with pytest.raises(ServerFault, match="page 1"):
        paged(server)

    assert server.asked == [1]


def test_page_1_failing_later_keeps_what_was_read() -> None:
    """A failure in a later round is recorded."""
    failure = ServerFault("page 1")

    def fail(server: Server) -> None:
        server.failures[1] = failure

    server = Server(rows(30), changes={1: [delete(0), fail]})

    listing = paged(server)

    assert listing.errors == [failure]
    assert not listing.is_complete
    assert listing.total == 30
    assert names(*range(1, 20)) < listing.ids


def test_a_failure_behind_the_last_page_needed_is_none() -> None:
    """A page that was asked for ahead, and not needed, fails nobody."""
    server = Server(rows(90), failures={4: ServerFault("page 4")})

    listing = paged(server, until=minute(65))

    assert 4 in server.asked
    assert listing.errors == []
    assert listing.is_complete


@pytest.mark.parametrize("total", [None, 10**12])
def test_a_server_that_went_down_is_left_alone(total: int | None) -> None:
    """After ten failures in a row no further page is asked for."""
    failures = {n: ServerFault("down") for n in range(2, 10_000)}
    server = Server(
        rows(90), total=lambda _: total, failures=dict[int, ProviderError](failures)
    )

    listing = paged(server, concurrency=4)

    assert not listing.is_complete
    assert len(server.asked) <= 1 + 10 + 4
    assert listing.ids == names(*range(81, 91))


def test_pages_that_fail_here_and_there_end_no_reading() -> None:
    """A stored row that is bad fails its own page for ever, and no other."""
    failures = {n: ServerFault("bad row") for n in range(2, 60, 2)}
    server = Server(rows(600), failures=dict[int, ProviderError](failures))

    listing = paged(server)

    assert len(listing.errors) == 29
    assert len(listing.ids) == 600 - 290


# Side by side


def test_pages_are_read_side_by_side_without_waves() -> None:
    """A slow page holds up no more than its own place."""
    server = Server(rows(100), delays=[(1, 1), (500, 1)])

    listing = paged(server, concurrency=3)

    assert listing.is_complete
    assert server.most_flying == 3
    assert server.asked == list(range(1, 11))


def test_cancelling_leaves_no_task_behind() -> None:
    """A reading that is cancelled takes its requests along."""
    server = Server(rows(100), delays=[(1, 1)] + [(10**9, 1)] * 20)

    async def cancel() -> set[asyncio.Task[object]]:
        reading = asyncio.create_task(
            read_pages(server.page, page_size=10, until=None, concurrency=3)
        )
        await turns(20)
        assert server.flying == 3
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return asyncio.all_tasks() - {asyncio.current_task()}

    assert asyncio.run(cancel()) == set()
    assert server.flying == 0


def test_a_failure_of_the_caller_leaves_by_its_own_name() -> None:
    """What is no ProviderError stops the reading, and its other requests."""
    server = Server(rows(100), delays=[(1, 1)] + [(10**9, 1)] * 20)

    async def fetch(number: int) -> Page:
        if number == 3:
            raise StoreError("disk full")
        return await server.page(number)

    with pytest.raises(StoreError, match="disk full"):
        asyncio.run(read_pages(fetch, page_size=10, until=None, concurrency=3))

    assert server.flying == 0


# Windows


@pytest.mark.parametrize(
    ("count", "limits"),
    [(0, [10]), (9, [10]), (11, [10, 40]), (40, [10, 40, 160]), (41, [10, 40, 160])],
)
def test_windows_grow_until_one_is_not_full(count: int, limits: list[int]) -> None:
    """An answer that is shorter than asked for is the whole listing."""
    server = Server(rows(count))

    listing = windowed(server)

    assert server.asked == limits
    assert listing == Listing(
        ids=names(*range(1, count + 1)),
        is_complete=True,
        total=None,
        rounds=len(limits),
        errors=[],
        oldest_read=minute(1) if count else None,
    )


def test_an_unchanged_incremental_window_makes_one_request() -> None:
    """The first window decides whether a larger one is needed."""
    server = Server(rows(95))

    listing = windowed(server, until=minute(90))

    assert server.asked == [10]
    assert listing.is_complete


def test_a_window_that_ends_at_the_very_time_grows() -> None:
    """Rows of one time may lie on both sides of the window's edge."""
    server = Server([(f"r{n}", minute(n // 10)) for n in range(59, -1, -1)])

    listing = windowed(server, until=minute(5))

    assert server.asked == [10, 40]
    assert listing.is_complete


def test_windows_without_times_grow_to_the_end() -> None:
    """An unknown time stops no window."""
    server = Server([(row, None) for row, _ in rows(25)])

    listing = windowed(server, until=minute(20))

    assert listing.is_complete
    assert len(listing.ids) == 25


def test_a_window_with_exactly_as_many_rows_as_asked_for_first_is_the_end() -> None:
    """The larger window is shorter than its limit: there are no more rows."""
    server = Server(rows(10))

    listing = windowed(server)

    assert server.asked == [10, 40]
    assert listing.is_complete
    assert listing.errors == []


def test_a_clamped_window_that_reaches_the_time_is_complete() -> None:
    """What lies below the time is not asked for."""
    server = Server(rows(95), most=10)

    listing = windowed(server, until=minute(87))

    assert listing.is_complete
    assert server.asked == [10]


@pytest.mark.parametrize(("count", "bad"), [(95, 3), (95, 10), (95, 70), (95, 94)])
def test_all_rows_above_a_bad_one_are_read(count: int, bad: int) -> None:
    """The window is bisected to the row that the server cannot answer."""
    server = Server(rows(count), bad_row=f"r{bad}")

    listing = windowed(server)

    assert listing.ids == names(*range(bad + 1, count + 1))
    assert not listing.is_complete
    assert [type(error) for error in listing.errors] == [ServerFault]
    assert len(server.asked) <= 3 + 12
    assert listing.oldest_read == minute(bad + 1)


def test_a_bad_row_below_the_time_does_no_harm() -> None:
    """A smaller window that reaches the time is all that was wanted."""
    server = Server(rows(95), bad_row="r88")

    listing = windowed(server, until=minute(93))

    assert server.asked == [10, 5]
    assert listing.is_complete
    assert listing.errors == []


def test_a_bad_row_at_the_top_is_raised() -> None:
    """Where not even one row is answered there is no listing."""
    server = Server(rows(95), bad_row="r95")

    with pytest.raises(ServerFault):
        windowed(server, first_limit=1000)

    assert server.asked[-1] == 1
    assert len(server.asked) <= 12


def test_bisecting_ends_although_the_window_is_huge() -> None:
    """A dozen requests are enough: the next load goes on."""
    server = Server(rows(50_000), bad_row="r1")

    listing = windowed(server, first_limit=40_000)

    assert len(server.asked) == 2 + 12
    assert len(listing.ids) > 49_900


@pytest.mark.parametrize("refusal", [RequestRefused, BodyTooLarge])
def test_a_first_window_that_is_too_large_is_halved(
    refusal: type[ProviderError],
) -> None:
    """Down to the documented default any limit may be the one that is taken."""
    failures = {n: refusal("limit") for n in (100, 50)}
    server = Server(rows(24), failures=dict[int, ProviderError](failures))

    listing = windowed(server, first_limit=100)

    assert server.asked == [100, 50, 25]
    assert listing.is_complete
    assert listing.errors == []


def test_a_server_that_refuses_every_limit_is_given_up_at_20() -> None:
    """Below the default no limit is tried."""
    failures = {n: RequestRefused(f"limit={n}") for n in range(1, 101)}
    server = Server(rows(95), failures=dict[int, ProviderError](failures))

    with pytest.raises(RequestRefused, match="limit=20"):
        windowed(server, first_limit=100)

    assert server.asked == [100, 50, 25, 20]


@pytest.mark.parametrize(
    "fault", [RequestRefused, BodyTooLarge, TransportFault, KeyRefused, Throttled]
)
def test_a_larger_window_that_fails_keeps_the_smaller_one(
    fault: type[ProviderError],
) -> None:
    """What was read stays read, and why there is no more is recorded."""
    failure = fault("limit=40")
    server = Server(rows(95), failures={40: failure})

    listing = windowed(server)

    assert server.asked == [10, 40]
    assert listing.errors == [failure]
    assert not listing.is_complete
    assert listing.ids == names(*range(86, 96))


def test_a_refusal_while_bisecting_keeps_both_reasons() -> None:
    """The bad row and the refusal are two things to mend."""
    server = Server(rows(95), bad_row="r60", failures={25: KeyRefused("limit=25")})

    listing = windowed(server)

    assert [type(error) for error in listing.errors] == [ServerFault, KeyRefused]
    assert server.asked == [10, 40, 25]


@pytest.mark.parametrize("fault", [KeyRefused, NotFound, TransportFault])
def test_a_first_window_that_fails_is_raised(fault: type[ProviderError]) -> None:
    """Where nothing was read there is no listing."""
    server = Server(rows(95), failures={10: fault("limit=10")})

    with pytest.raises(fault):
        windowed(server)

    assert server.asked == [10]


# Laws, for any movement of the rows

changing = st.lists(
    st.one_of(
        st.just(insert),
        st.integers(0, 30).map(delete),
        st.integers(0, 30).map(restart),
    ),
    max_size=4,
)
turning = st.integers(0, 6)


@st.composite
def moving(draw: st.DrawFn, *, max_changes: int = 12) -> Server:
    """Draw a listing with ties and unknown times, and what happens to it.

    Page 1 holds a known time, for that is how rows are told that came later.
    """
    size = draw(st.integers(1, 5))
    ages = sorted(draw(st.lists(st.integers(0, 9), max_size=24)), reverse=True)
    unknown = draw(st.integers(0, size - 1))
    changes = draw(st.lists(changing, max_size=max_changes))
    return Server(
        [(f"r{n}", None if n < unknown else minute(age)) for n, age in enumerate(ages)],
        size=size,
        changes=dict(enumerate(changes)),
        delays=draw(st.lists(st.tuples(turning, turning), max_size=20)),
        ties=draw(st.one_of(st.none(), st.integers(0, 99).map(Random))),
    )


def lasting(
    before: Sequence[Row], after: Sequence[Row], until: datetime | None
) -> set[str]:
    """Return the rows that stood there throughout and were to be read."""
    times = dict(before)
    return {
        row
        for row, _ in after
        if row in times
        and (until is None or (began := times[row]) is None or began >= until)
    }


@settings(max_examples=600, deadline=None)
@given(
    server=moving(),
    until=st.one_of(st.none(), st.integers(0, 9).map(minute)),
    concurrency=st.integers(1, 5),
)
def test_a_complete_listing_lacks_no_row_that_stood_there_throughout(
    server: Server, until: datetime | None, concurrency: int
) -> None:
    """Whatever enters, goes, ties or overtakes: complete means complete."""
    before = list(server.rows)

    listing = paged(server, until=until, concurrency=concurrency)

    assert server.most_flying <= concurrency
    assert listing.rounds <= 5
    assert not listing.is_complete or lasting(before, server.rows, until) <= listing.ids


@settings(max_examples=200, deadline=None)
@given(server=moving(max_changes=1), concurrency=st.integers(1, 5))
def test_a_listing_that_comes_to_rest_is_read_whole(
    server: Server, concurrency: int
) -> None:
    """Rows that move in the first round only cost rounds, not completeness."""
    server.ties = None

    listing = paged(server, concurrency=concurrency)

    assert listing.is_complete
    assert {row for row, _ in server.rows} <= listing.ids


@settings(max_examples=300, deadline=None)
@given(
    server=moving(),
    total=st.one_of(st.none(), st.integers(-3, 10**12)),
    limit=st.one_of(st.none(), st.integers(-3, 10**12)),
    failing=st.sets(st.integers(2, 30)),
    knows_pages=st.booleans(),
)
def test_a_server_that_lies_and_fails_is_read_to_an_end(
    server: Server,
    total: int | None,
    limit: int | None,
    failing: set[int],
    knows_pages: bool,  # noqa: FBT001 - hypothesis gives arguments by name
) -> None:
    """No answer makes a reading go on for ever, or fail as a traceback."""
    server.total, server.limit = lambda _: total, lambda _: limit
    server.failures = {n: ServerFault(f"page {n}") for n in failing}
    server.knows_pages = knows_pages

    listing = paged(server)

    assert len(server.asked) < 5 * (24 + 48 + 10 + 4)
    assert not (listing.is_complete and listing.errors)


@settings(max_examples=300, deadline=None)
@given(
    server=moving(),
    until=st.one_of(st.none(), st.integers(0, 9).map(minute)),
    bad=st.one_of(st.none(), st.integers(0, 24)),
    first=st.integers(1, 8),
)
def test_a_complete_window_lacks_no_row_that_stood_there_throughout(
    server: Server, until: datetime | None, bad: int | None, first: int
) -> None:
    """Windows are held to the law of pages; a bad row fails only where it is newest."""
    before = list(server.rows)
    server.bad_row = None if bad is None else f"r{bad}"

    try:
        listing = windowed(server, first_limit=first, until=until)
    except ServerFault:
        assert bad is not None
        return

    assert len(server.asked) <= 5 + 12
    assert not listing.is_complete or lasting(before, server.rows, until) <= listing.ids
