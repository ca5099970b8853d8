"""Sending what starts an execution: once, unless it surely started nothing.

A request is repeated where the server answered 429, or no connection was made. After
anything else nobody knows whether it has begun, so it is ``unknown`` until somebody
attaches its execution or dismisses it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from sources.exchange import Reply
from sources.journal import Journal
from sources.polling import SYSTEM_CLOCK, Clock, Pace
from sources.retries import retry_after_s
from sources.submits import Submit, again, arriving, settle
from sources.submitting import concluded, kept

__all__ = ["Desk", "Post", "refuse", "send"]

Post = Callable[[Path], Awaitable[Reply]]
"""Makes the request, once; gets the file for the answer while it arrives."""

_PACE = Pace(interval_s=1.0, growth=2.0)
_CONNECTS = 5
"""Tries to connect, in all."""

_TOO_MANY_S = 300.0
_KEY_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class Desk:
    """From where one account's submits are sent.

    ``told`` hears in words what is waited for, ``max_wait_s`` is for how long a 429 is
    waited out. ``is_key_refused`` says that no further one needs to be tried.
    """

    def __init__(
        self,
        journal: Journal,
        settings: Any,  # noqa: ANN401 (each provider's own)
        told: Callable[[str], object],
        *,
        max_wait_s: float | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.journal = journal
        self.settings = settings
        self.told = told
        self.max_wait_s = _TOO_MANY_S if max_wait_s is None else max_wait_s
        self.clock = clock
        self.is_key_refused = False


async def send(desk: Desk, submit: Submit, post: Post) -> Submit:
    """Send a submit that is in the ledger; return what became of it.

    A cancelling waits for the answer to what is out: it names what was started.
    """
    submit, reply, is_cancelled = await _tried(desk, submit, post)
    desk.is_key_refused |= reply.http_status in _KEY_REFUSED
    response = kept(desk.journal, submit, reply)
    submit = concluded(desk.journal, desk.settings, submit, response, reply)
    if is_cancelled:
        raise asyncio.CancelledError
    return submit


async def _tried(desk: Desk, submit: Submit, post: Post) -> tuple[Submit, Reply, bool]:
    """Try until it is accepted, refused or unknown, or there is no time left."""
    waited_s, tries = 0.0, 1
    file = arriving(desk.journal, submit)
    while True:
        reply, is_cancelled = await _whole(post(file))
        reply = replace(reply, attempts=tries, waited_s=waited_s)
        wait_s = _wait_s(desk, reply)
        if wait_s is None or is_cancelled:
            return submit, reply, is_cancelled
        file.unlink(missing_ok=True)  # or it would be taken for the next try's answer
        reason = "too many requests (429)" if reply.was_sent else reply.error
        desk.told(f"{submit.said}: {reason}; the next try is in {wait_s:.0f} s")
        await _waited(desk, submit, wait_s)
        waited_s, tries = waited_s + wait_s, tries + 1
        submit = again(desk.journal, submit, desk.clock.now())


async def _waited(desk: Desk, submit: Submit, seconds: float) -> None:
    try:
        await desk.clock.sleep(seconds)
    except asyncio.CancelledError:  # no try so far has begun anything
        refuse(desk.journal, submit, "interrupted before it was accepted")
        raise


def refuse(journal: Journal, submit: Submit, words: str) -> Submit:
    """Note that a submit was not sent in the end, and why."""
    refused = replace(submit, state="refused", error=words, owner=None)
    settle(journal, refused, was="sending")
    return refused


def _wait_s(desk: Desk, reply: Reply) -> float | None:
    """Return the seconds to the next try, or ``None`` where there is to be none."""
    is_busy = reply.http_status == HTTPStatus.TOO_MANY_REQUESTS
    if reply.is_distrusted or (reply.was_sent and not is_busy):
        return None
    if not reply.was_sent and reply.attempts >= _CONNECTS:
        return None
    wait_s = _PACE.wait(reply.attempts - 1).total_seconds()
    wait_s = max(wait_s, retry_after_s(reply.headers) or 0.0)
    return wait_s if reply.waited_s + wait_s <= desk.max_wait_s else None


async def _whole(posted: Awaitable[Reply]) -> tuple[Reply, bool]:
    """Return the reply, and whether a cancelling came meanwhile: the first waits."""
    task = asyncio.ensure_future(posted)
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        return await task, True
    return task.result(), False
