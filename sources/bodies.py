"""Bodies of answers, read no further than a limit, unpacked included."""

import asyncio
import json
import os
import zlib
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import httpx
import msgspec

from sources.masking import blanked

__all__ = ["ROOM", "Body", "Spool", "read_body", "spooled", "words_of"]

ROOM = "room"
"""A file beside bodies that arrive: its place is theirs where the disk is full."""


_SPELLED = 10
"""Bytes at most for one character of a key, however it is spelled."""


class _Identity:
    """A body that comes as it is."""

    def feed(self, data: bytes, room: int) -> bytes:
        return data[:room]

    def close(self) -> None:
        """There is nothing to be left over."""


class _Gzip:
    """A gzipped body, unpacked no further than there is room.

    Unlike httpx's own decoder, which unpacks each chunk whole (a bomb fits in one)
    and takes a stream that ends early for complete.
    """

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)
        self._is_fed = False

    def feed(self, data: bytes, room: int) -> bytes:
        """Return what the data unpacks to, at most ``room`` bytes of it."""
        out = bytearray()
        self._is_fed = self._is_fed or bool(data)
        while data and len(out) < room:
            if self._member.eof:
                if data[:1] != b"\x1f":
                    break  # padding, which every client ignores
                self._member = zlib.decompressobj(wbits=31)
            out += self._member.decompress(data, room - len(out))
            data = self._member.unconsumed_tail or self._member.unused_data
        return bytes(out)

    def close(self) -> None:
        """Raise ``EOFError`` if the stream is not at its end."""
        if self._is_fed and not self._member.eof:
            raise EOFError("the compressed body ends too early")


def _decoder(response: httpx.Response) -> _Identity | _Gzip:
    match response.headers.get("content-encoding", "").strip().lower():
        case "" | "identity":
            return _Identity()
        case "gzip" | "x-gzip":
            return _Gzip()
        case _:
            # The name may be anything: it is not repeated here.
            raise EOFError("the body is encoded in a way that was not asked for")


class Body(msgspec.Struct):
    """What was read of a body."""

    data: bytearray | None = None
    error: str | None = None
    too_large: bool = False


class Spool:
    """Keeps in a file what has arrived of a body, piece by piece, if it can.

    A process that is killed meanwhile leaves there what it had received of a result
    that the server hands out once. The first line of the file is a JSON object that
    says what answer it is. Keys that are repeated in the body are never in the file,
    which keeps its length.
    """

    def __init__(
        self, path: Path, head: Mapping[str, object], keys: Collection[str] = ()
    ) -> None:
        self._path = path
        self._head = head
        self._keys = keys
        self._reach = max(map(len, keys), default=0) * _SPELLED
        self._last = b""
        self._file: BinaryIO | None = None
        self._is_well = True

    def write(self, data: bytes) -> None:
        """Add what arrived; the operating system has it when this returns.

        A full disk gets the place of the file ``ROOM``, where there is one. Where it
        cannot be written all the same, nothing more is: the answer that is read
        meanwhile is worth more than this copy.
        """
        try:
            if self._file is None and self._is_well:
                opener = partial(os.open, mode=0o600)
                self._file = open(self._path, "wb", 0, opener=opener)  # noqa: SIM115 (no opener there; closed by close)
                self._write(self._file, json.dumps(self._head).encode() + b"\n")
            if self._file is not None and self._is_well:
                self._add(self._file, data)
        except OSError:
            self._is_well = False

    def _add(self, file: BinaryIO, data: bytes) -> None:
        """Write a piece; where it ends a key, also what begins the key, over it."""
        near = blanked(self._last + data, self._keys)
        if near.startswith(self._last):
            self._write(file, near[len(self._last) :])
        else:
            file.seek(-len(self._last), os.SEEK_CUR)
            self._write(file, near)
        self._last = near[max(len(near) - self._reach, 0) :]

    def _write(self, file: BinaryIO, data: bytes) -> None:
        """Write all of it: a disk that gets full takes a part, then nothing."""
        left = memoryview(data)
        while left:
            try:
                left = left[file.write(left) :]
            except OSError:
                room = self._path.with_name(ROOM)
                if not room.exists():
                    raise
                room.unlink()

    def close(self) -> None:
        """Close the file; it stays until the answer is safe elsewhere."""
        if self._file is not None:
            self._file.close()


def spooled(path: Path) -> tuple[dict[str, Any], bytes] | None:
    """Return what a ``Spool`` left of an answer: its head, and what had arrived."""
    try:
        head, _, data = path.read_bytes().partition(b"\n")
        return json.loads(head), data
    except (FileNotFoundError, ValueError):
        return None


async def read_body(
    response: httpx.Response, limit: int, ends: float, spool: Spool | None = None
) -> Body:
    """Return the decoded body, read no further than one byte beyond the limit.

    Nor longer than the time ``ends`` of the running loop: what came by then is cut.
    ``spool`` is given each piece as it comes.
    """
    body = Body()
    if int(response.headers.get("content-length", 0)) > limit:
        body.too_large = True
        return body
    body.data = data = bytearray()
    try:
        decoder = _decoder(response)
        # Closed by us: httpx leaves that to the garbage collector on a break.
        chunks = cast("AsyncGenerator[bytes, None]", response.aiter_raw())
        async with asyncio.timeout_at(ends), aclosing(chunks):
            async for chunk in chunks:
                piece = decoder.feed(chunk, limit + 1 - len(data))
                data += piece
                if spool is not None:
                    spool.write(piece)
                if len(data) > limit:
                    del data[limit:]
                    body.too_large = True
                    return body
        decoder.close()
    except (httpx.HTTPError, OSError, EOFError, zlib.error) as fault:
        body.error = words_of(fault)
    finally:
        if spool is not None:
            spool.close()
    return body


def words_of(fault: Exception) -> str:
    """Return what a fault of the network says, and its kind."""
    said = str(fault) or ("it took too long" if isinstance(fault, TimeoutError) else "")
    return f"{type(fault).__name__}: {said}".removesuffix(": ")
