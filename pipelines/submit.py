"""Starting executions: the work of ``execledger submit``, also as Python functions."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from pipelines.config import Account, accounts, find_home
from pipelines.contents import Contents, contents
from pipelines.destinations import looking
from pipelines.outlook import next_step
from pipelines.store import Home
from pipelines.tracking import account_of
from sources.discuro.submit import submit as submit_one
from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.seen import Seen
from sources.submits import Submit
from sources.submitting import recover
from sources.tracking import tag_of
from sources.unstract.batches import (
    MAX_FILES,
    File,
    Skip,
    batches,
    files_in,
    once,
    read,
)
from sources.unstract.submit import Form, Runs

__all__ = ["Started", "Submission", "submit_discuro", "submit_unstract"]

Told = Callable[[str], object]

MAX_RUNS = 20
"""How many runs at once an organization of Unstract may have."""


class Started(msgspec.Struct, kw_only=True):
    """One submit and what became of it: accepted, refused or unknown."""

    submit_id: str
    what: str
    state: str
    execution_id: str | None
    error: str | None
    next_step: str | None


class Submission(msgspec.Struct, kw_only=True):
    """What a submitting came to.

    ``planned`` are, in a dry run, the files of each run; ``unsent`` those that were
    to be sent and never were: the key was refused, or there was no room in time.
    """

    account: str
    home: str
    started: list[Started] = []
    skipped: list[Skip] = []
    planned: list[list[str]] = []
    unsent: list[str] = []

    @property
    def is_good(self) -> bool:
        """Whether all that was to be sent was accepted."""
        return not self.unsent and all(one.state == "accepted" for one in self.started)


def submit_discuro(
    uuid: str,
    *,
    kind: Literal["orchestrator", "prompt-template"],
    inputs: Mapping[str, str] | None = None,
    tags: Sequence[str] = (),
    connection: str | None = None,
    home: str | None = None,
    max_wait_s: float | None = None,
    told: Told = lambda _: None,
) -> Submission:
    """Start an execution of Discuro and put it on the watch-list.

    ``tags`` are ``name`` or ``name=value``. ``told`` hears what is waited for; a 429
    is waited out for ``max_wait_s`` seconds (300 if not said). Raises
    ``ConfigurationError`` or ``StoreError``; what Discuro answers is in the result.
    """
    chosen = find_home(home)
    account = account_of(accounts(["discuro"]), connection=connection)
    with _journal(chosen, account) as journal:
        submit = asyncio.run(
            submit_one(
                account.settings,
                journal,
                kind,
                uuid,
                inputs=inputs or {},
                tags=[tag_of(tag) for tag in tags],
                connection=account.connection,
                told=told,
                max_wait_s=max_wait_s,
            )
        )
    return Submission(
        account=account.name, home=str(chosen.path), started=[_started(submit)]
    )


def submit_unstract(
    paths: Iterable[str | Path],
    *,
    recursive: bool = False,
    tag: str | None = None,
    use_file_history: bool = False,
    llm_profile: str | None = None,
    timeout_s: int | None = None,
    per_run: int = 1,
    concurrency: int = 5,
    again: bool = False,
    failed_only: bool = False,
    dry_run: bool = False,
    connection: str | None = None,
    api: str | None = None,
    home: str | None = None,
    max_wait_s: float | None = None,
    told: Told = lambda _: None,
) -> Submission:
    """Start runs of an Unstract API deployment and put them on the watch-list.

    ``paths`` are files and folders. A file whose content has succeeded there, or is
    under way, is skipped unless ``again``; ``failed_only`` sends only what failed
    before. ``timeout_s`` (1 to 300) asks for the synchronous form. At most
    ``concurrency`` runs (1 to 20) of ``per_run`` files (1 to 32) are open at once:
    where they are, open ones are asked for until there is room, for ``max_wait_s``
    seconds at the most. ``told`` hears in words what happens. Raises
    ``ConfigurationError`` or ``StoreError``; what Unstract answers is in the result.
    """
    _check("per_run", per_run, MAX_FILES)
    _check("concurrency", concurrency, MAX_RUNS)
    if again and failed_only:
        raise ConfigurationError("Either all again, or only what failed: not both.")
    form = Form(
        tag=tag,
        use_file_history=use_file_history,
        llm_profile_id=llm_profile,
        timeout_s=timeout_s,
    )
    chosen = find_home(home)
    account = account_of(accounts(["unstract"]), connection=connection, api=api)
    found = files_in(map(Path, paths), recursive=recursive)
    files, skipped = once(map(read, found))
    with _journal(chosen, account) as journal, looking(chosen) as select:
        known = Contents() if again else contents(select, journal, account)
        wanted, left_out = _wanted(files, known, failed_only=failed_only)
        skipped += left_out
        result = Submission(
            account=account.name, home=str(chosen.path), skipped=skipped
        )
        runs = batches(wanted, per_run)
        if dry_run:
            result.planned = [[str(file.path) for file in run] for run in runs]
            return result
        sending = Runs(
            account.settings,
            journal,
            Seen(select, *account.of),
            form,
            connection=account.connection,
            concurrency=concurrency,
            told=told,
            done=lambda submit: _note(result, submit, told),
            max_wait_s=max_wait_s,
        )
        result.unsent = asyncio.run(_submitted(sending, runs))
    return result


async def _submitted(sending: Runs, runs: Sequence[Sequence[File]]) -> list[str]:
    async with sending:
        unsent = await sending.submit(runs)
    return [str(file.path) for run in unsent for file in run]


def _check(name: str, value: int, most: int) -> None:
    if not 1 <= value <= most:
        raise ConfigurationError(f"{name} must be from 1 to {most}.")


def _wanted(
    files: Iterable[File], known: Contents, *, failed_only: bool
) -> tuple[list[File], list[Skip]]:
    """Return what is to be sent, and what is not, with the reasons."""
    wanted, skipped = [], []
    for file in files:
        reason = known.reason(file.sha256, failed_only=failed_only)
        if reason is None:
            wanted.append(file)
        else:
            skipped.append(Skip(str(file.path), reason))
    return wanted, skipped


@contextmanager
def _journal(home: Home, account: Account) -> Iterator[Journal]:
    """Open the journal, what dead processes left in its ledger settled."""
    home.create()
    with Journal(home.journal) as journal:
        recover(journal, {account.of: account.settings})
        yield journal


def _note(result: Submission, submit: Submit, told: Told) -> None:
    started = _started(submit)
    result.started.append(started)
    became = f"accepted as {submit.execution_id}"
    told(f"{started.what}: {became if submit.execution_id else submit.state}")


def _started(submit: Submit) -> Started:
    return Started(
        submit_id=submit.submit_id,
        what=submit.said,
        state=submit.state,
        execution_id=submit.execution_id,
        error=submit.error,
        next_step=next_step(submit),
    )
