"""Configuration is dlt's own; here it becomes accounts and paths."""

import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipelines.store import Home
from sources import part, providers
from sources.errors import ConfigurationError
from sources.provider import settings_from

__all__ = ["Account", "accounts", "find_home", "quiet_dlt"]

_SHARED = ("allow_http", "max_body_mb")
"""Keys that ``[execledger]`` sets for all providers."""


class Account(msgspec.Struct, frozen=True):
    """One configured connection to one provider."""

    provider: str
    connection: str
    settings: Any

    @property
    def name(self) -> str:
        """The account as people read it, such as ``torale:default``."""
        return f"{self.provider}:{self.connection}"


def quiet_dlt() -> None:
    """Keep dlt from reporting usage and from warning of what is meant.

    Must run before dlt is imported. What the user set in the environment holds.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "ERROR")


def find_home(given: str | None) -> Home:
    """Return the home: ``--home``, else EXECLEDGER_HOME, else the configuration.

    Reads config.toml by itself: importing dlt would cost two seconds.
    """
    path = given or os.environ.get("EXECLEDGER_HOME") or _configured_home()
    return Home(Path(path or ".execledger").expanduser().resolve())


def is_default_home(given: str | None) -> bool:
    """Tell whether nobody said which home is meant."""
    return not (given or os.environ.get("EXECLEDGER_HOME") or _configured_home())


def _configured_home() -> str | None:
    if said := os.environ.get("EXECLEDGER__HOME"):
        return said
    for folder in (Path.cwd(), Path.home()):
        file = folder / ".dlt" / "config.toml"
        if file.is_file():
            try:
                table = tomllib.loads(file.read_text(encoding="utf-8"))
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise ConfigurationError(f"{file}: {error}") from None
            said = table.get("execledger", {}).get("home")
            if isinstance(said, str):
                return said
    return None


def accounts(selected: Sequence[str] = ()) -> list[Account]:
    """Return the accounts that have a key, of the selected providers or of all.

    Raises ``ConfigurationError`` for an unknown provider, for a selected one that
    has no key, and where none has.
    """
    known = providers()
    for name in selected:
        if name not in known:
            raise ConfigurationError(
                f"There is no provider {name!r}. Known: {', '.join(known)}."
            )
    wanted = selected or known
    found = [account for name in wanted for account in _accounts_of(name)]
    lacking = [n for n in wanted if n not in {account.provider for account in found}]
    if not found or (selected and lacking):
        keys = ", ".join(f"SOURCES__{name.upper()}__API_KEY" for name in lacking)
        raise ConfigurationError(
            f"No key is set for {', '.join(lacking)}. Set {keys}, or run "
            '"execledger init" and fill in .dlt/secrets.toml.'
        )
    return found


def _accounts_of(provider: str) -> list[Account]:
    import dlt

    section = f"sources.{provider}"
    names = dlt.config.get(f"{section}.connection_names", list) or []
    sections = {"default": section}
    sections |= {name: f"{section}.connections.{name}" for name in names}
    kind = part(provider, "settings").Settings
    found = []
    for connection, where in sections.items():
        given = _values(kind, where)
        if given.get("api_key") is not None:
            settings = settings_from(kind, given, where)
            found.append(Account(provider, connection, settings))
        elif connection != "default":
            raise ConfigurationError(f"[{where}]: api_key is missing.")
    return found


def _values(kind: type[msgspec.Struct], section: str) -> dict[str, object]:
    """Return what is configured at exactly this section; keys are never inherited."""
    import dlt

    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        reader = dlt.secrets if field.name.endswith("key") else dlt.config
        values[field.name] = reader.get(f"{section}.{field.name}")
        if values[field.name] is None and field.name in _SHARED:
            values[field.name] = dlt.config.get(f"execledger.{field.name}")
    return values
