"""What both sides of a case read: the same bytes, in a journal and as files.

An input is a folder: ``home`` has the journal of ``execledger``, ``pages`` the same
bodies as files, a line each.
"""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from benchmarks.data import BEGIN, discuro_results, torale_pages, unstract_results
from pipelines.store import Home
from sources.exchange import Reply
from sources.journal import Journal
from sources.watched import Watched

__all__ = ["Answer", "answers", "prepare", "prepared"]

_IN_A_FILE = 500


class Answer(NamedTuple):
    """One stored answer: what was asked, and what came."""

    endpoint: str
    params: dict[str, object]
    body: bytes


def answers(provider: str, executions: int, changed: int = 0) -> Iterator[Answer]:
    """Yield the answers with so many executions of a provider."""
    if provider == "torale":
        for task_id, page, body in torale_pages(executions, changed):
            params = {"task_id": task_id, "page": page, "limit": 100}
            yield Answer("executions", params, body)
        return
    results = discuro_results if provider == "discuro" else unstract_results
    for execution_id, body in results(executions):
        known = Watched(
            execution_id=execution_id,
            tracked_at=BEGIN,
            started_at=BEGIN,
            expires_at=BEGIN + timedelta(hours=24),
            scope="" if provider == "discuro" else "org_bench/invoices",
            context={"assumed_model": "openai/gpt-4o"}
            if provider == "discuro"
            else {"organization_id": "org_bench", "api_name": "invoices"},
        )
        yield Answer("execution", known.as_params(), body)


def prepared(root: Path, provider: str, executions: int) -> Path:
    """Return the folder with so many executions of a provider, made once."""
    folder = root / f"{provider}-{executions}"
    if not folder.exists():
        prepare(folder, answers(provider, executions), provider)
    return folder


def prepare(folder: Path, given: Iterator[Answer], provider: str) -> None:
    """Write answers into a journal in ``home``, and their bodies into ``pages``."""
    home, pages = Home(folder / "home"), folder / "pages"
    home.create()
    pages.mkdir()
    number = 0
    with Journal(home.journal) as journal:
        while chunk := list(islice(given, _IN_A_FILE)):
            bodies = b"\n".join(answer.body for answer in chunk)
            (pages / f"{number:05}.jsonl").write_bytes(bodies + b"\n")
            for answer in chunk:
                journal.append(
                    provider=provider,
                    connection="default",
                    endpoint=answer.endpoint,
                    params=answer.params,
                    reply=_reply(answer.body),
                )
            number += 1
    with closing(sqlite3.connect(home.journal)) as con:
        con.execute("pragma wal_checkpoint(truncate)")


def _reply(body: bytes) -> Reply:
    """Return an answer as the client would have it."""
    return Reply(
        method="GET",
        url="https://api.example.com/",
        http_status=200,
        elapsed_ms=5,
        outcome="ok",
        body=body,
        body_sha256=hashlib.sha256(body).hexdigest(),
        size_bytes=len(body),
    )
