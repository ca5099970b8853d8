"""What became of the contents of files that were submitted, by their hashes."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from pipelines.config import Account
from sources.journal import Journal
from sources.seen import Select
from sources.submits import Submit, submits
from sources.watchlist import watching

__all__ = ["Contents", "contents"]

_EXECUTIONS = (
    "select execution_id, status from {executions} where provider = ? "
    "and connection = ? and scope = ? and is_terminal and result_state = 'captured'"
)
_FILES = (
    "select e.execution_id, f.file_name, f.source_hash, f.status "
    "from {execution_files} f join {executions} e on e.execution_key = f.execution_key "
    "where e.provider = ? and e.connection = ? and e.scope = ?"
)


class Contents(msgspec.Struct):
    """Hashes (SHA-256) of contents: what succeeded, what failed, what is under way.

    ``under_way`` says of each in words where it is; what succeeded has not failed.
    """

    succeeded: set[str] = set()
    failed: set[str] = set()
    under_way: dict[str, str] = {}

    def reason(self, sha256: str, *, failed_only: bool = False) -> str | None:
        """Return why a content is not to be sent, or ``None`` where it is."""
        if sha256 in self.under_way:
            return self.under_way[sha256]
        if sha256 in self.succeeded:
            return "its content has succeeded already (--again sends it)"
        if failed_only and sha256 not in self.failed:
            return "its content has not failed before"
        return None


def contents(select: Select, journal: Journal, account: Account) -> Contents:
    """Return what store, watch-list and ledger know of an account's contents."""
    known = submits(journal, *account.of)
    outcomes = list(_outcomes(select, account, known))
    succeeded = {sha256 for sha256, is_good in outcomes if is_good}
    failed = {sha256 for sha256, is_good in outcomes if not is_good}
    refused = [one for one in known if one.state == "refused"]
    failed |= {sha256 for one in refused for sha256 in _sent(one.context).values()}
    under_way = dict(_under_way(journal, account, known))
    return Contents(succeeded, failed - succeeded, under_way)


def _outcomes(
    select: Select, account: Account, known: Iterable[Submit]
) -> Iterator[tuple[str, bool]]:
    """Yield contents that came to an end in the store, and whether to a good one.

    By the provider's hash, else by the name under which we sent it: not every answer
    has hashes. What was sent and is not in a captured result has failed.
    """
    of = (*account.of, account.settings.scope)
    ended = {row[0] for row in select(_EXECUTIONS, of)}
    sent = {one.execution_id: _sent(one.context) for one in known if one.execution_id}
    left = {name: dict(files) for name, files in sent.items() if name in ended}
    for execution_id, name, source_hash, status in select(_FILES, of):
        by_name = left.get(execution_id, {}).pop(name, None)
        sha256 = source_hash or by_name
        if sha256 and status in {"succeeded", "failed"}:
            yield sha256, status == "succeeded"
    for files in left.values():
        for sha256 in files.values():
            yield sha256, False


def _under_way(
    journal: Journal, account: Account, known: Iterable[Submit]
) -> Iterator[tuple[str, str]]:
    waiting = "its result is in the journal and waits for the next load"
    in_journal = set(journal.ids(*account.of))
    for one in known:
        for sha256 in _sent(one.context).values():
            if one.state == "unknown":
                yield sha256, f"the outcome of submit {one.submit_id} is unknown"
            elif one.state in {"sending", "answered"}:
                yield sha256, "it is being sent"
            elif one.state == "accepted" and one.response_id in in_journal:
                yield sha256, waiting
    for watched in watching(journal, account.of):
        entry = watched.entry
        words = f"it is under way in {entry.watched.execution_id}"
        for sha256 in _sent(entry.watched.context).values():
            yield sha256, waiting if entry.is_final else words


def _sent(context: Mapping[str, Any]) -> dict[str, str]:
    """Return name → hash of the files that the context of an execution names."""
    return {one["name"]: one["sha256"] for one in context.get("sent") or ()}
