"""Room on the disk for answers that come once: there before they are asked for."""

from pathlib import Path

import pytest

from sources.bodies import ROOM, Spool, spooled
from sources.errors import StoreError
from sources.journal import Journal
from sources.leases import owned
from tests.full_disk import full_disk

SIZE = 1_000_000


def test_room_is_kept_while_an_owner_is_there(tmp_path: Path) -> None:
    """Law: the place is taken, by blocks and not by a length, and given back."""
    with Journal(tmp_path / "journal.sqlite") as journal, owned(journal) as owner:
        owner.keep_room(SIZE)
        owner.keep_room(SIZE)
        blocks = (owner.folder / ROOM).stat().st_blocks

    assert blocks * 512 >= SIZE
    assert not (owner.folder / ROOM).exists()


def test_a_disk_without_room_is_told_before_anything_is_asked_for(
    tmp_path: Path,
) -> None:
    """Law: the error says how much is missing and what to do; nothing stays."""
    with (
        Journal(tmp_path / "journal.sqlite") as journal,
        owned(journal) as owner,
        full_disk(SIZE // 2),
        pytest.raises(StoreError, match=r"no room for 0.954 MiB.*Free disk space"),
    ):
        owner.keep_room(SIZE)

    assert not (owner.folder / ROOM).exists()


def test_an_answer_takes_the_place_that_was_kept_for_it(tmp_path: Path) -> None:
    """Law: where the disk is full the room goes, and only there."""
    room = tmp_path / ROOM
    room.write_bytes(bytes(SIZE))
    spool = Spool(tmp_path / "arriving", {})
    spool.write(b"first")
    is_kept = room.exists()
    with full_disk(SIZE // 2):
        spool.write(bytes(SIZE))
    spool.close()

    assert is_kept
    assert not room.exists()
    assert spooled(tmp_path / "arriving") == ({}, b"first" + bytes(SIZE // 2 - 8))
