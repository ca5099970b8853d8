"""The watch-list as people and programs use it: which account, which journal."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from pipelines.config import Account, accounts, find_home
from pipelines.store import Home
from sources import part, providers
from sources.errors import ConfigurationError
from sources.journal import Journal
from sources.submits import dismiss, find
from sources.submitting import attach
from sources.tracking import Started, read_started, tag_of, trackable
from sources.tracking import track as put
from sources.tracking import untrack as take_off

__all__ = ["Tracked", "account_of", "read_given", "track", "track_started", "untrack"]


class Tracked(msgspec.Struct, kw_only=True):
    """What came on the watch-list: of ``given`` executions, ``new`` ones, and where."""

    account: str
    given: int
    new: int


def track(
    provider: str,
    execution_ids: Iterable[str | int] | str | int,
    *,
    started_at: datetime | None = None,
    tags: Iterable[str] | str = (),
    connection: str | None = None,
    api: str | None = None,
    home: str | None = None,
) -> int:
    """Put executions on the watch-list of a home; return how many are new on it.

    To be called by whoever starts executions, right after the start, from any
    process and also while a load is running. ``tags`` are ``name`` or
    ``name=value``; ``api`` or ``connection`` says which deployment or account, where
    there are several; ``home`` is found as the commands find it. Raises
    ``ConfigurationError`` or ``StoreError``; then nothing was put there.
    """
    started = [
        Started(
            execution_id=str(one),
            started_at=started_at,
            tags=tuple(tag_of(str(tag)) for tag in _several(tags)),
        )
        for one in _several(execution_ids)
    ]
    done = track_started(
        find_home(home), provider, started, connection=connection, api=api
    )
    return sum(one.new for one in done)


def read_given(
    provider: str,
    ids: Sequence[str],
    texts: Sequence[str],
    *,
    started_at: datetime | None,
    tags: Sequence[str],
) -> list[Started]:
    """Return what ids and texts name; what they do not say of it is as given."""
    _refuse_listed(provider)
    started = [Started(execution_id=one) for one in ids]
    started += [one for text in texts for one in read_started(text, provider)]
    said = tuple(map(tag_of, tags))
    return [
        replace(one, started_at=one.started_at or started_at, tags=one.tags or said)
        for one in started
    ]


def _several(given: Iterable[str | int] | str | int) -> Iterable[str | int]:
    """Return one that was given alone as one, not as its characters."""
    return [given] if isinstance(given, str | int) else given


def track_started(
    home: Home,
    provider: str,
    started: Sequence[Started],
    *,
    connection: str | None = None,
    api: str | None = None,
    submit_id: str | None = None,
) -> list[Tracked]:
    """Put executions on the watch-list; one that says its scope goes to its account.

    ``submit_id`` names the submit with no known outcome that started the one.
    """
    if submit_id:
        return [_attached(home, provider, started, submit_id)]
    by_account: dict[str, tuple[Account, list[Started]]] = {}
    known = _accounts(provider)
    for one in started:
        account = account_of(known, connection=connection, api=api, scope=one.scope)
        by_account.setdefault(account.name, (account, []))[1].append(one)
    home.create()
    with Journal(home.journal) as journal:
        return [
            Tracked(
                account=account.name,
                given=len(ones),
                new=put(journal, *account.of, account.settings, ones),
            )
            for account, ones in by_account.values()
        ]


def _attached(
    home: Home, provider: str, started: Sequence[Started], submit_id: str
) -> Tracked:
    """Watch the execution that a submit turned out to have started."""
    if len(started) != 1:
        raise ConfigurationError("Say the one execution that the submit started.")
    known = _accounts(provider)
    home.create()
    with Journal(home.journal) as journal:
        of = find(journal, submit_id)
        known = [one for one in known if one.of == (of.provider, of.connection)]
        if not known:
            raise ConfigurationError(f"The submit {submit_id} is of {of.account}.")
        attach(journal, known[0].settings, submit_id, started[0].execution_id)
    return Tracked(account=known[0].name, given=1, new=1)


def untrack(
    home: Home,
    provider: str,
    execution_ids: Sequence[str],
    *,
    connection: str | None = None,
    api: str | None = None,
    submit_id: str | None = None,
) -> int:
    """Take executions off the watch-list; return how many were on it.

    ``submit_id`` names a submit with no known outcome, which started nothing.
    """
    if not home.journal.exists():
        return 0
    removed = 0
    with Journal(home.journal) as journal:
        if submit_id:
            dismiss(journal, submit_id)
            removed += 1
        if execution_ids:
            known = _accounts(provider)
            account = account_of(known, connection=connection, api=api)
            removed += take_off(journal, *account.of, execution_ids)
    return removed


def _accounts(provider: str) -> list[Account]:
    _refuse_listed(provider)
    return accounts([provider])


def _refuse_listed(provider: str) -> None:
    if provider in providers() and provider not in trackable():
        raise ConfigurationError(
            f"The executions of {provider} are listed by every load: there is nothing "
            f"to track. Providers with a watch-list: {', '.join(trackable())}."
        )


def account_of(
    known: Sequence[Account],
    *,
    connection: str | None = None,
    api: str | None = None,
    scope: str | None = None,
) -> Account:
    """Return the account that is meant, of those of one provider.

    Raises ``ConfigurationError`` where none fits, or more than one.
    """
    fitting = [
        account
        for account in known
        if connection in {None, account.connection}
        and api in {None, getattr(account.settings, "api_name", None)}
        and scope in {None, _scope(account)}
    ]
    if len(fitting) == 1:
        return fitting[0]
    asked = {"connection": connection, "api": api, "scope": scope}
    said = ", ".join(f"{name} {value!r}" for name, value in asked.items() if value)
    names = ", ".join(account.connection for account in fitting or known)
    if not fitting:
        raise ConfigurationError(
            f"No connection of {known[0].provider} has {said}. Configured: {names}."
        )
    raise ConfigurationError(
        f"Several connections of {known[0].provider} fit: {names}. "
        "Say --connection (in Python: connection=…)."
    )


def _scope(account: Account) -> str:
    scope: str = part(account.provider, "tracking").scope_of(account.settings)
    return scope
