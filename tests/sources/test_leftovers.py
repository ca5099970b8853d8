"""What a crash left: a listing that it cut is read again as deep."""

from contextlib import closing
from pathlib import Path

from sources.exchange import Reply
from sources.journal import Journal
from sources.json_text import encode
from sources.leftovers import listed_scopes, note_cut_listings
from sources.provider import Collected
from sources.torale import normalize

OF = ("torale", "default")


def keep(journal: Journal, task_id: str) -> str:
    """Keep a list of one execution; return the response's id."""
    body = encode([{"id": "e1", "task_id": task_id}]).encode()
    reply = Reply(method="GET", url="", elapsed_ms=1, outcome="ok", body=body)
    response = journal.append(
        provider="torale",
        connection="default",
        endpoint="executions",
        params={"task_id": task_id},
        reply=reply,
    )
    return response.response_id


def noted(folder: Path, *, cut: list[str], read: list[str]) -> dict[str, str]:
    """Return what is unfinished after a crash left ``cut`` and ``read`` was read."""
    with closing(Journal(folder / "journal.sqlite")) as journal:
        left = {keep(journal, task_id) for task_id in cut}
        for task_id in read:
            keep(journal, task_id)
        collected = Collected(unfinished={"t9": "2026-01-01T00:00:00+00:00"})
        listed = listed_scopes(journal.waiting(*OF), normalize)
        note_cut_listings(collected, left, listed)
        return collected.unfinished


def test_a_listing_that_a_crash_cut_is_due_whole(tmp_path: Path) -> None:
    """Pages of it are loaded now; those behind them are still to be read."""
    unfinished = noted(tmp_path, cut=["t1", "t9"], read=[])

    assert unfinished == {"t1": "", "t9": "2026-01-01T00:00:00+00:00"}


def test_a_listing_that_was_read_again_since_is_not_due(tmp_path: Path) -> None:
    """The collecting after the crash planned from the store as it was before."""
    assert "t1" not in noted(tmp_path, cut=["t1"], read=["t1", "t2"])
