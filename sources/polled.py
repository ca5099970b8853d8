"""Collecting from a provider whose executions are asked for by their ids.

Between the watch-list, one provider's client and its ``observe``: every answer is
in the journal before anything looks at it, and what it says decides when the
execution is due again.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple, Self

from msgspec.structs import replace

from sources.errors import KeyRefused, ProviderError, UnexpectedAnswer
from sources.exchange import Reply
from sources.failures import failure
from sources.journal import Journal
from sources.leases import Owner, owned
from sources.lines import Line
from sources.observations import Observation
from sources.polling import SYSTEM_CLOCK, Clock, poll
from sources.provider import Collected, Progress
from sources.records import LOST, Response
from sources.seen import Seen
from sources.watched import BrokenRead, Watched
from sources.watchlist import Entry, Settled, WatchList

__all__ = ["Poller", "added", "planned_polls"]

_OVER = frozenset({"captured", *LOST} - {"missing"})
"""States of results that no further look can change."""

_SERVER_FAULT = 500


class _Answer(NamedTuple):
    """An answer that is nowhere but here, and in the file if there is one."""

    entry: Entry
    asked_at: datetime
    reply: Reply
    file: Path | None


class _Kept(NamedTuple):
    """An answer that is in the journal, and that nothing has looked at."""

    entry: Entry
    response: Response
    reply: Reply | None


def added(
    watched: Watched, ttl: timedelta, first_poll: timedelta = timedelta()
) -> tuple[Watched, datetime]:
    """Return an execution as it is put on the watch-list, and when it is due."""
    expires_at = watched.expires_at or watched.begun_at + ttl
    return replace(watched, expires_at=expires_at), watched.begun_at + first_poll


class Poller:
    """One collecting of one account; a context manager that holds the leases."""

    def __init__(
        self,
        line: Line,
        journal: Journal,
        seen: Seen,
        progress: Progress,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._line = line
        self._journal = journal
        self._seen = seen
        self._progress = progress
        self._clock = clock
        self._list = WatchList(journal, line.provider, line.connection)
        self._errors: dict[type[ProviderError], list[ProviderError]] = {}
        self._counts = Counter({"polls": 0, "captured": 0, "lost": 0})
        self._due_by = clock.now()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._owner: Owner = stack.enter_context(owned(self._journal))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def run(self, max_wait_s: float = 0) -> Collected:
        """Ask for all that is due: once each, or on and on for ``max_wait_s``."""
        self._recover()
        wait = timedelta(seconds=max_wait_s)
        await poll(
            self,
            self._ask,
            in_flight=self._line.in_flight,
            until=self._clock.now() + wait if max_wait_s else None,
            clock=self._clock,
            stops=lambda: KeyRefused in self._errors,
        )
        return self.result()

    def result(self) -> Collected:
        """Return what it came to so far."""
        counts = {name: count for name, count in self._counts.items() if count}
        return Collected(
            counts=counts, errors=list(map(_summed, self._errors.values()))
        )

    def take(self, due_by: datetime, limit: int) -> list[Entry]:
        """Lease what is due, but for what the store has already."""
        self._due_by = due_by
        self._keep_room(due_by)
        while entries := self._leased(due_by, limit):
            try:
                wanted = self._still_there(entries)
            except BaseException:
                self._list.release(self._owner, entries)
                raise
            if wanted:
                return [self._in_context(entry) for entry in wanted]
        return []

    def _keep_room(self, due_by: datetime) -> None:
        """Have room for an answer before it is asked for, where it comes once."""
        due = self._list.next_due() if self._line.recovered else None
        if due is not None and due <= due_by:
            self._owner.keep_room(self._line.room_bytes)

    def _leased(self, due_by: datetime, limit: int) -> list[Entry]:
        """Lease what is due; durably where it matters later that it was asked for."""
        return self._list.take(
            self._owner,
            due_by,
            self._clock.now(),
            limit,
            is_synced=self._line.recovered is not None,
        )

    def settle(self, answers: Sequence[_Answer]) -> None:
        """Keep the answers that came, and note what they say of their executions."""
        self._list.settle(self._owner, self._settled(answers))
        for answer in answers:
            if answer.file is not None:
                answer.file.unlink(missing_ok=True)

    def next_due(self) -> datetime | None:
        """Return when the next one is due that is not under way."""
        return self._list.next_due()

    def _still_there(self, entries: list[Entry]) -> list[Entry]:
        """Take off the list what is there again though its result is here, or gone."""
        new = {
            self._line.key(entry.watched): entry for entry in entries if not entry.polls
        }
        for key, known in self._seen.executions(new).items():
            if known.result_state in _OVER:
                watched = new[key].watched
                self._list.remove([watched.execution_id], watched.scope)
                entries.remove(new[key])
        return entries

    def _in_context(self, entry: Entry) -> Entry:
        known = entry.watched
        context = known.context | self._line.context
        return replace(entry, watched=replace(known, context=context))

    def _recover(self) -> None:
        """Take over what a process that died asked for, or a wrong clock put off."""
        self._list.heed_clock(self._clock.now())
        for entry, file in self._list.take_over(self._owner, self._clock.now()):
            settled = self._taken_over(self._in_context(entry), file)
            if settled is None:
                self._list.release(self._owner, [entry])
            else:
                self._list.settle(self._owner, [settled])
            file.unlink(missing_ok=True)

    def _taken_over(self, entry: Entry, file: Path) -> Settled | None:
        """Return what a process that died leaves of a poll, if that says anything."""
        now, recovered = self._clock.now(), self._line.recovered
        if entry.asked_at is None:
            response = self._journal.response(entry.last_response_id or "")
            if response is None:
                return _as_it_was(entry, now)
            # it was kept, and not looked at any more
            return self._looked_at(_Kept(entry, response, None))
        if recovered is None:  # it is asked for again, and that is all
            return None
        reply = recovered(entry.watched, file)
        (settled,) = self._settled([_Answer(entry, entry.asked_at, reply, file)])
        return replace(settled, due_at=now)  # nobody has asked since

    async def _ask(self, entry: Entry) -> _Answer:
        asked_at, file = self._clock.now(), None
        if self._line.recovered:
            known = entry.watched
            file = self._owner.arriving(known.scope, known.execution_id)
        reply = await self._line.ask(entry.watched, file)
        self._counts["polls"] += 1
        self._progress("polls", 1)
        return _Answer(entry, asked_at, reply, file)

    def _settled(self, answers: Sequence[_Answer]) -> list[Settled]:
        """Put answers into the journal, all in one commit; then look what they say."""
        with self._journal.file.transaction():
            kept = [self._kept(answer) for answer in answers]
        return [
            one if isinstance(one, Settled) else self._looked_at(one) for one in kept
        ]

    def _kept(self, answer: _Answer) -> _Kept | Settled:
        """Put an answer into the journal, or note that it came once more."""
        entry, reply, broken = answer.entry, answer.reply, None
        if self._line.recovered and _may_have_consumed(reply):
            broken = _broken(reply, answer.asked_at)
        elif again := self._repeated(entry, reply):
            return again
        known = entry.watched
        also = self._list.answered(self._owner, known, broken)
        response = self._journal.append(
            **self._line.about(known), reply=reply, also=also
        )
        entry = replace(entry, watched=known.broken_by(broken, response))
        return _Kept(entry, response, reply)

    def _looked_at(self, kept: _Kept) -> Settled:
        entry, response, reply = kept
        seen = self._line.seen_in(response, entry.watched)
        return self._judged(entry, response, seen, reply)

    def _repeated(self, entry: Entry, reply: Reply) -> Settled | None:
        """Note a pending answer that came before in the same bytes, or ``None``.

        What the same bytes mean may change with time, so they are looked at.
        """
        same_bytes, _, meaning = (entry.last_sha256 or "").rpartition(" ")
        if not same_bytes or same_bytes != _bytes_of(reply):
            return None
        draft = self._journal.draft(**self._line.about(entry.watched), reply=reply)
        seen = self._line.seen_in(draft, entry.watched)
        if meaning != (seen.sha256 if seen else "-") or not entry.last_response_id:
            return None
        draft = replace(draft, response_id=entry.last_response_id)
        with self._journal.file.transaction() as con:
            if not self._journal.repeat(draft.response_id):
                return None
            self._list.answered(self._owner, entry.watched)(con, draft)
        return self._judged(entry, draft, seen, reply)

    def _judged(
        self,
        entry: Entry,
        response: Response,
        seen: Observation | None,
        reply: Reply | None,
    ) -> Settled:
        """Return what an answer, and what is seen in it, mean for the watch-list."""
        at = self._clock.now()  # ``received_at`` may be ahead of a clock set back
        error = None
        if seen is None and reply is not None:
            error = self._failed(reply)
        if seen is not None and seen.is_terminal:
            is_lost = seen.result_state in LOST
            self._counts["lost" if is_lost else "captured"] += 1
        meaning = f"{_bytes_of(response)} {seen.sha256 if seen else '-'}"
        fails_again = seen is None and entry.last_error is not None
        wait = self._line.wait(entry.polls, seen, reply, fails_again=fails_again)
        return Settled(
            watched=entry.watched,
            at=at,
            due_at=max(at, self._due_by) + wait,
            status=(seen.status if seen else None) or entry.status,
            result_state=(seen.result_state if seen else None) or entry.result_state,
            expires_at=self._line.expires_at(seen, at),
            error=str(error) if error else None,
            response_id=response.response_id,
            sha256=meaning,
            is_final=seen is not None and seen.is_terminal,
        )

    def _failed(self, reply: Reply) -> ProviderError:
        title = self._line.title
        error = failure(reply, title) or UnexpectedAnswer(
            f"{title}: {reply.method} {reply.url} answered something unknown. It is "
            "kept in raw_responses, and the execution is asked for again."
        )
        self._errors.setdefault(type(error), []).append(error)
        return error


def planned_polls(
    title: str, provider: str, connection: str, journal: Journal | None
) -> list[str]:
    """Return in words what is due of an account's watch-list now."""
    now = SYSTEM_CLOCK.now()
    entries = WatchList(journal, provider, connection).entries() if journal else []
    still = [entry for entry in entries if not entry.is_final]
    due = sum(entry.due_at <= now for entry in still)
    return [
        f"{title}: {due:,} of {len(still):,} watched executions are due ({connection})"
    ]


def _bytes_of(answer: Reply | Response) -> str:
    """Return what tells two answers with a body apart; nothing where none came."""
    if answer.body_sha256 is None or answer.outcome == "truncated":
        return ""
    return f"{answer.http_status}:{answer.body_sha256}"


def _may_have_consumed(reply: Reply) -> bool:
    """Tell whether the server may have handed the result out to a read that broke."""
    is_cut = reply.outcome in {"transport_error", "truncated"}
    is_fault = reply.http_status is not None and reply.http_status >= _SERVER_FAULT
    return reply.was_sent and (is_cut or is_fault)


def _broken(reply: Reply, at: datetime) -> BrokenRead:
    reason = reply.error or f"the server answered {reply.http_status}"
    return BrokenRead(at=at, reason=reason, size_bytes=reply.size_bytes)


def _as_it_was(entry: Entry, now: datetime) -> Settled:
    return Settled(
        watched=entry.watched,
        at=entry.last_poll_at or now,
        due_at=entry.due_at,
        status=entry.status,
        result_state=entry.result_state,
        error=entry.last_error,
        response_id=entry.last_response_id,
        sha256=entry.last_sha256,
    )


def _summed(errors: Sequence[ProviderError]) -> ProviderError:
    """Return the first of several errors of a kind, with how many there are."""
    first = errors[0]
    more = len(errors) - 1
    if not more:
        return first
    return type(first)(f"{first} Likewise {more:,} more; all are asked for again.")
