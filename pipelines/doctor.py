"""Whether configuration, keys, connections and the home are as they should be."""

import asyncio
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from pipelines.collect import masked, named
from pipelines.config import Account, accounts, bounds, budgets
from pipelines.load import waiting
from pipelines.prices import OwnPrice
from pipelines.pricing import FILE as PRICES
from pipelines.query import opened
from pipelines.rules import FILE as RULES
from pipelines.rules import FailureRule, own_rows
from pipelines.store import Home
from sources import part
from sources.addresses import is_loopback
from sources.errors import ExecledgerError

__all__ = ["CONFIGURATION", "Finding", "examine"]

CONFIGURATION = "configuration"
"""The subject of a finding that is no provider's and no file's fault."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SECRET = re.compile(r"(?:.*_)?(?:key|password|secret|token|credentials)")
"""Names of settings that belong into secrets.toml."""


class Finding(msgspec.Struct):
    """What was looked at, whether it is well, and how to mend it."""

    subject: str
    is_ok: bool
    message: str


def _well(subject: str, message: str) -> Finding:
    return Finding(subject, is_ok=True, message=message)


def _fault(subject: str, message: str) -> Finding:
    return Finding(subject, is_ok=False, message=message)


def examine(home: Home, selected: Sequence[str] = ()) -> list[Finding]:
    """Return what was found; nothing is consumed at any provider, nothing changed."""
    found = [*_shared(home), *_files(home)]
    try:
        known = accounts(selected)
    except ExecledgerError as error:
        return [_fault(CONFIGURATION, str(error)), *found]
    asked = [asyncio.run(_account(account)) for account in known]
    return [*asked, *_in_the_clear(known), *found]


async def _account(account: Account) -> Finding:
    try:
        said = await part(account.provider, "collect").check(account.settings)
    except ExecledgerError as error:
        return _fault(account.name, str(named(account, error)))
    except Exception as error:  # noqa: BLE001 - one account hides no other's state
        reason = f"{masked(account, error)}. Is base_url right?"
        return _fault(account.name, reason)
    return _well(account.name, f"{account.settings.base_url} answers: {said}")


def _in_the_clear(known: Sequence[Account]) -> Iterator[Finding]:
    """Yield the accounts whose key goes through the network unencrypted."""
    for account in known:
        address = urlsplit(account.settings.base_url)
        if address.scheme == "http" and not is_loopback(address.hostname or ""):
            yield _fault(
                account.name,
                f"{account.settings.base_url} takes the key unencrypted, as allow_http "
                "lets it. Set base_url to https://, and take allow_http out",
            )


def _shared(home: Home) -> Iterator[Finding]:
    """Yield what others can read, or what stands where others may read it."""
    for folder in dict.fromkeys((Path(), Path.home())):
        secrets = folder / ".dlt" / "secrets.toml"
        if _is_shared(secrets):
            yield _fault(str(secrets), f"others can read it: chmod 600 {secrets}")
        config = folder / ".dlt" / "config.toml"
        for name in _secrets_in(config):
            yield _fault(
                str(config),
                f"{name} stands in it, though it is secret. Move it to {secrets}, and "
                "take a new key where others have seen the file",
            )
    if _is_shared(home.path):
        yield _fault("home", f"others can enter {home.path}: chmod 700 {home.path}")


def _is_shared(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & _OTHERS)


def _secrets_in(config: Path) -> list[str]:
    """Return the names of the secret settings in a config.toml."""
    try:
        return list(_secret_names(tomllib.loads(config.read_text("utf-8"))))
    except (OSError, ValueError):  # what it is good for is looked at elsewhere
        return []


def _secret_names(table: Mapping[str, object], before: str = "") -> Iterator[str]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _secret_names(value, f"{before}{name}.")
        elif value and _SECRET.fullmatch(name):
            yield before + name


def _files(home: Home) -> Iterator[Finding]:
    if home.rules.exists() or home.own_rules:
        yield _tried("rules", lambda: _own(home))
    yield from _limits()
    if home.journal.exists():
        yield _tried("journal", lambda: _waiting(home))
    if home.published.exists():
        yield _tried("store", lambda: _executions(home))
    else:
        path = home.published
        yield _well("store", f'{path} comes with the first "execledger load"')


def _own(home: Home) -> str:
    rules = own_rows(home, RULES, FailureRule)
    prices = own_rows(home, PRICES, OwnPrice)
    return f"{home.rules}, {len(rules):,} rules and {len(prices):,} prices of your own"


def _limits() -> Iterator[Finding]:
    try:
        bounds()
        found = budgets()
    except ExecledgerError as error:
        yield _fault(CONFIGURATION, str(error))
        return
    if found:
        yield _well("budgets", f'{len(found):,}, looked at by "execledger check"')


def _tried(subject: str, look: Callable[[], str]) -> Finding:
    try:
        return _well(subject, look())
    except ExecledgerError as error:
        return _fault(subject, str(error))


def _waiting(home: Home) -> str:
    count = sum(waiting(home).values())
    return f"{home.journal}, {count:,} responses wait for the next load"


def _executions(home: Home) -> str:
    with opened(home) as con:
        sql = "select count(*) from execledger.executions"
        count = con.execute(sql).fetchall()[0][0]
    return f"{home.published}, {count:,} executions"
