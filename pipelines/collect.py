"""Collecting from all accounts at once: one account's fault stops no other."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from pipelines.config import Account
from pipelines.log import say
from sources import part
from sources.errors import ExecledgerError, ProviderError
from sources.journal import Journal
from sources.masking import mask_secrets
from sources.polling import SYSTEM_CLOCK, Clock
from sources.provider import Collected, Window
from sources.seen import Seen, Select

__all__ = ["Due", "Watch", "collect_all", "masked", "named"]

Watch = Callable[[Account, str, int], None]
"""Told of progress: the account, what was read, how many more."""

_FINISHING = (
    "Interrupted: what is under way is waited for, so that no answer is lost. "
    "Once more breaks it off."
)

Due = Mapping[str, Mapping[str, str]]
"""By account, the scopes that earlier runs could not read to their end."""


def collect_all(
    accounts: Sequence[Account],
    journal: Journal,
    select: Select,
    *,
    due: Due,
    window: Window,
    watch: Watch,
    max_wait_s: float = 0,
    clock: Clock = SYSTEM_CLOCK,
) -> list[Collected]:
    """Read what is due of all accounts, side by side, into the journal."""

    async def one(account: Account) -> Collected:
        unfinished = due.get(account.name, {})
        try:
            collected: Collected = await part(account.provider, "collect").collect(
                account.settings,
                journal,
                Seen(select, *account.of),
                connection=account.connection,
                window=window,
                unfinished=unfinished,
                max_wait_s=max_wait_s,
                progress=lambda what, more: watch(account, what, more),
                clock=clock,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, others are loaded
            return _broken_off(account, unfinished, error)
        collected.errors = [named(account, error) for error in collected.errors]
        return collected

    async def every() -> list[Collected]:
        # Unlike gather, it waits for all when it is cancelled: what was asked for may
        # be an answer that comes once.
        async with asyncio.TaskGroup() as group:
            reading = [group.create_task(one(account)) for account in accounts]
            try:
                await asyncio.wait(reading)
            except asyncio.CancelledError:
                say(_FINISHING, event="finishing", level="warning")
                raise
        return [each.result() for each in reading]

    return asyncio.run(every())


def _broken_off(
    account: Account, due: Mapping[str, str], error: Exception
) -> Collected:
    """Return what is known of a collecting that raised."""
    return Collected(
        errors=[_in_words(account, fault) for fault in _leaves(error)],
        unfinished=dict(due),
        broke_off=True,
    )


def _leaves(error: Exception) -> Iterator[Exception]:
    """Yield the exceptions of a group, however deep, or the one that there is."""
    if not isinstance(error, ExceptionGroup):
        yield error
        return
    for inner in error.exceptions:
        yield from _leaves(inner)


def _in_words(account: Account, error: Exception) -> ExecledgerError:
    if isinstance(error, ExecledgerError):
        return error
    return ProviderError(
        f"Reading broke off: {masked(account, error)}. What was received is loaded, "
        "and the next load reads the rest. Please report this fault."
    )


def named(account: Account, error: ExecledgerError) -> ExecledgerError:
    """Return an error with the names that the settings of its account really have."""
    if account.connection == "default":
        return error
    section = f"SOURCES__{account.provider}__".upper()
    own = f"{section}CONNECTIONS__{account.connection}__".upper()
    return type(error)(str(error).replace(section, own))


def masked(account: Account, error: Exception) -> str:
    """Return an unforeseen error as text, the account's keys masked."""
    given = msgspec.structs.asdict(account.settings)
    keys = [str(value) for name, value in given.items() if name.endswith("key")]
    return mask_secrets(repr(error), keys)
