"""The durable raw journal: responses that no load has committed yet.

One SQLite file. A response is committed, fsync included, before anything parses it,
and leaves only when the load that carries it is committed: a crash at any moment
loses nothing. The watch-list lies in the same file (``sources.watchlist``).
"""

import secrets
import sqlite3
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self

from sources.journal_file import JournalFile, from_us, to_us
from sources.json_text import encode
from sources.records import Outcome, Response

__all__ = ["Also", "Journal", "ReplyLike", "utc_now", "uuid7"]

_COLUMNS = tuple(
    name for name in Response.__struct_fields__ if name != "normalizer_version"
)
_INSERT = (
    f"insert into responses ({', '.join(_COLUMNS)}) "  # noqa: S608 - names above
    f"values ({', '.join(f':{name}' for name in _COLUMNS)})"
)
_WITHIN = (
    "from responses where provider = ? and connection = ? and received_at > ? "
    "and received_at <= ? order by received_at"
)
_SIZES = f"select received_at, coalesce(length(body), 0) {_WITHIN} limit 500"
_RANGE = f"select {', '.join(_COLUMNS)} {_WITHIN}"
_AT_ONCE = 1024 * 1024
"""Bytes of bodies that are read together, if not a single one is larger."""
_LAST = "select value from meta where name = 'last_received_us'"


class ReplyLike(Protocol):
    """What the journal keeps of an answer; ``sources.exchange.Reply`` is one."""

    @property
    def method(self) -> str:
        """HTTP method."""

    @property
    def url(self) -> str:
        """The address, secrets masked."""

    @property
    def http_status(self) -> int | None:
        """HTTP status; none where no answer came."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that may be kept."""

    @property
    def elapsed_ms(self) -> int:
        """From the last try's start to its end, milliseconds."""

    @property
    def attempts(self) -> int:
        """Tries that were made."""

    @property
    def outcome(self) -> Outcome:
        """What became of the request."""

    @property
    def body(self) -> bytes | None:
        """The decoded body, masked."""

    @property
    def body_sha256(self) -> str | None:
        """Hash of the body as it came."""

    @property
    def size_bytes(self) -> int:
        """Length of the body as it came."""

    @property
    def error(self) -> str | None:
        """What went wrong in transport, masked."""


def utc_now() -> datetime:
    """Return the time, aware, in UTC."""
    return datetime.now(UTC)


def uuid7(at: datetime) -> str:
    """Return a UUIDv7 (RFC 9562) that sorts as ``at`` does, to the microsecond.

    48 bits of milliseconds, the microseconds of that millisecond in ``rand_a``, and
    62 random bits. ``at`` is aware and not before 1970.

    >>> uuid7(datetime(2026, 1, 1, tzinfo=UTC))[:18]
    '019b76da-a800-7000'
    """
    ms, us = divmod(to_us(at), 1000)
    number = ms << 80 | 0x7 << 76 | us << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=number))


Also = Callable[[sqlite3.Connection, Response], object]
"""What is done in the transaction that keeps an answer."""


def _nothing(con: sqlite3.Connection, response: Response) -> None:
    del con, response


class Journal:
    """The journal, open; also a context manager that closes it. ``now`` is its clock.

    May be used from several threads, and the file from several processes. Raises
    ``StoreError`` where the file cannot be used.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self.file = JournalFile(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(
        self,
        *,
        provider: str,
        connection: str,
        endpoint: str,
        params: Mapping[str, object],
        reply: ReplyLike,
        also: Also = _nothing,
    ) -> Response:
        """Keep an answer durably, and only then return it as a ``Response``.

        Within a transaction of the file, it is durable when that ends.
        ``received_at`` rises by at least 1 µs over the journal's whole life, also
        when the clock steps back, after everything was cleared, and over processes.
        ``also`` is done in the same transaction.
        """
        with self.file.transaction() as con:
            last = con.execute(_LAST).fetchall()[0][0]
            received = max(to_us(self.now()), last + 1)
            of = (provider, connection, endpoint)
            response = _response(of, params, reply, from_us(received))
            row = {name: getattr(response, name) for name in _COLUMNS}
            con.execute(_INSERT, row | {"received_at": received})
            con.execute("update meta set value = ?", (received,))
            also(con, response)
        return response

    def go_on_after(self, at: datetime) -> None:
        """Let what comes from now on be later than ``at``, whatever the clock says."""
        last = to_us(at)
        if last > self.file.rows(_LAST)[0][0]:
            with self.file.transaction() as con:
                con.execute("update meta set value = max(value, ?)", (last,))

    def draft(
        self,
        *,
        provider: str,
        connection: str,
        endpoint: str,
        params: Mapping[str, object],
        reply: ReplyLike,
    ) -> Response:
        """Return the ``Response`` that ``append`` would keep; keeps nothing."""
        of = (provider, connection, endpoint)
        return _response(of, params, reply, self.now())

    def repeat(self, response_id: str) -> bool:
        """Note that a response that waits came once more; tell whether it waits."""
        sql = "update responses set attempts = attempts + 1 where response_id = ?"
        with self.file.transaction() as con:
            return con.execute(sql, (response_id,)).rowcount > 0

    def response(self, response_id: str) -> Response | None:
        """Return a response that waits, or ``None``."""
        sql = f"select {', '.join(_COLUMNS)} from responses where response_id = ?"  # noqa: S608 - names above
        rows = self.file.rows(sql, (response_id,))
        return _of_row(rows[0]) if rows else None

    def waiting(
        self, provider: str, connection: str, *, only: Collection[str] | None = None
    ) -> Iterator[Response]:
        """Yield what waits now, in order of ``received_at``, a few rows in memory.

        With ``only``, none but those with these ids, each read by itself. What is
        appended after the call is not among it: rows only ever come behind the last
        one, so this needs no open transaction, which would keep SQLite from giving
        back space.
        """
        if only is not None:
            ids = self.ids(provider, connection) if only else ()
            found = map(self.response, (one for one in ids if one in only))
            return filter(None, found)
        last = self.file.rows(_LAST)[0][0]
        return self._until(last, provider, connection)

    def _until(self, last: int, *of: str) -> Iterator[Response]:
        after = 0
        while sizes := self.file.rows(_SIZES, (*of, after, last)):
            for upto in _cuts(sizes):
                yield from map(_of_row, self.file.rows(_RANGE, (*of, after, upto)))
                after = upto

    def ids(self, provider: str, connection: str) -> list[str]:
        """Return the ``response_id`` of all that waits, in order of ``received_at``."""
        sql = (
            "select response_id from responses where provider = ? and connection = ? "
            "order by received_at"
        )
        return [row[0] for row in self.file.rows(sql, (provider, connection))]

    def clear(self, response_ids: Iterable[str]) -> int:
        """Remove responses whose load is committed; return how many were there.

        Executions that one of them ended leave the watch-list. The space goes back
        to the file system.
        """
        rows = [(one,) for one in response_ids]
        with self.file.transaction() as con:
            sql = "delete from responses where response_id = ?"
            removed = con.executemany(sql, rows).rowcount
            con.executemany("delete from watched where final_response_id = ?", rows)
        if removed > 0:
            self.file.shrink()
        return max(removed, 0)

    def heaviest(self, count: int = 2048) -> int:
        """Return the bytes of so many of the largest bodies that wait."""
        sql = (
            "select coalesce(sum(size), 0) from (select length(body) as size "
            "from responses order by size desc limit ?)"
        )
        return int(self.file.rows(sql, (count,))[0][0])

    def counts(self) -> dict[tuple[str, str], int]:
        """Return how many responses wait, by provider and connection."""
        sql = "select provider, connection, count(*) from responses group by 1, 2"
        return {(row[0], row[1]): row[2] for row in self.file.rows(sql)}

    def close(self) -> None:
        """Close the file; what waits stays in it."""
        self.file.close()


def _cuts(sizes: Sequence[tuple[int, int]]) -> Iterator[int]:
    """Yield where to cut a row of times and sizes, so that no piece is large."""
    size = 0
    for at, more in sizes:
        size += more
        if size >= _AT_ONCE:
            yield at
            size = 0
    yield sizes[-1][0]


def _response(
    of: tuple[str, str, str],
    params: Mapping[str, object],
    reply: ReplyLike,
    received_at: datetime,
) -> Response:
    provider, connection, endpoint = of
    return Response(
        response_id=uuid7(received_at),
        provider=provider,
        connection=connection,
        received_at=received_at,
        endpoint=endpoint,
        method=reply.method,
        url=reply.url,
        params=encode(dict(params)),
        http_status=reply.http_status,
        headers=encode(dict(reply.headers)),
        elapsed_ms=reply.elapsed_ms,
        attempts=reply.attempts,
        outcome=reply.outcome,
        body=reply.body,
        body_sha256=reply.body_sha256,
        size_bytes=reply.size_bytes,
        error=reply.error,
    )


def _of_row(row: Sequence[Any]) -> Response:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["received_at"] = from_us(values["received_at"])
    return Response(**values)
