"""What is known of an execution that is asked for by its id.

Some providers list nothing: an execution is known because somebody started it and
put its id on the watch-list. What was known when it was asked for stands in the
``params`` of each answer, so that rows can be made of the answer alone, also years
later by a replay.
"""

from datetime import datetime, timedelta
from typing import Annotated, Any, Self

import msgspec

from sources.records import Response

__all__ = ["GIVE_UP", "BrokenRead", "Tag", "Watched", "watched"]

GIVE_UP = timedelta(hours=24)
"""How long after its expiry an execution without an answer is still asked for."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]

Tag = tuple[str, str | None]
"""A tag's name and its value, if it has one."""


class BrokenRead(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An earlier try of ours that may have consumed the result.

    ``size_bytes`` is what arrived of the answer; ``reason`` says in words how it
    ended.
    """

    at: Moment
    reason: str
    size_bytes: int = 0
    response_id: str | None = None


class Watched(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An execution on the watch-list.

    ``tracked_at`` is when it was put there, ``started_at`` when it was started, where
    somebody said so, ``expires_at`` when the provider deletes its result at the
    earliest. ``context`` is what the provider's own modules note of it.
    """

    execution_id: str
    tracked_at: Moment
    scope: str = ""
    started_at: Moment | None = None
    expires_at: Moment | None = None
    tags: tuple[Tag, ...] = ()
    broken_reads: tuple[BrokenRead, ...] = ()
    context: dict[str, Any] = {}

    @property
    def begun_at(self) -> datetime:
        """When it was started, as far as known: at the latest when it was tracked."""
        return self.started_at or self.tracked_at

    def is_given_up(self, at: datetime) -> bool:
        """Tell whether an answer that came at ``at`` was the last one to wait for."""
        return self.expires_at is not None and at - GIVE_UP >= self.expires_at

    def broken_by(self, read: BrokenRead | None, response: Response) -> Self:
        """Return it with one more broken read, the answer to which is kept."""
        if read is None:
            return self
        known = msgspec.structs.replace(read, response_id=response.response_id)
        return msgspec.structs.replace(self, broken_reads=(*self.broken_reads, known))

    def as_params(self) -> dict[str, Any]:
        """Return it as JSON values, for the ``params`` of an answer."""
        params: dict[str, Any] = msgspec.to_builtins(self)
        return params


def watched(response: Response) -> Watched:
    """Return what was known of the execution that an answer is about.

    Whatever does not fit is left out: an answer is never lost for its ``params``.
    """
    try:
        return _DECODER.decode(response.params)
    except (msgspec.MsgspecError, RecursionError):
        return _watched_in_parts(response)


_DECODER = msgspec.json.Decoder(Watched)


def _watched_in_parts(response: Response) -> Watched:
    try:
        params = msgspec.json.decode(response.params, type=dict[str, Any])
    except (msgspec.MsgspecError, RecursionError):
        params = {}
    known: dict[str, Any] = {
        "execution_id": str(params.get("execution_id") or ""),
        "tracked_at": response.received_at,
    }
    for field in msgspec.structs.fields(Watched):
        try:
            if field.encode_name in params:
                value = params[field.encode_name]
                known[field.name] = msgspec.convert(value, field.type)
        except msgspec.ValidationError:
            continue
    return Watched(**known)
