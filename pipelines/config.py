"""Configuration is dlt's own; here it becomes accounts and paths."""

import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

import msgspec

from pipelines.limits import Bounds, Budget
from pipelines.repeating import YEAR_S
from pipelines.store import Destination, Home
from sources import part, providers
from sources.errors import ConfigurationError
from sources.provider import settings_from

__all__ = [
    "Account",
    "accounts",
    "bounds",
    "budgets",
    "find_home",
    "is_default_home",
    "quiet_dlt",
    "schedule_s",
    "without_key",
]

_EMBEDDED = "duckdb"
"""The destination that is the store of the home."""

_SHARED = ("allow_http", "ca_file", "max_body_mb", "poll_interval_s")
"""Keys that ``[execledger]`` sets for all providers."""


class _Section(msgspec.Struct, frozen=True):
    home: str | None = None
    rules: str | None = None
    destination: str | None = None


class _File(msgspec.Struct):
    """What is read of config.toml without dlt."""

    execledger: _Section = _Section()


class _Schedule(msgspec.Struct):
    schedule_s: Annotated[float, msgspec.Meta(gt=0, le=YEAR_S)] | None = None


class _Limits(msgspec.Struct):
    budgets: tuple[Budget, ...] = ()


class _Connections(msgspec.Struct):
    connection_names: tuple[str, ...] = ()


class Account(msgspec.Struct, frozen=True):
    """One configured connection to one provider."""

    provider: str
    connection: str
    settings: Any

    @property
    def name(self) -> str:
        """The account as people read it, such as ``torale:default``."""
        return f"{self.provider}:{self.connection}"

    @property
    def of(self) -> tuple[str, str]:
        """Provider and connection, by which store and journal know the account."""
        return self.provider, self.connection


def quiet_dlt() -> None:
    """Keep dlt from reporting usage, from warning of what is meant, and from Ctrl-C.

    Must run before dlt is imported. What the user set in the environment holds.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    # what dlt logs as an error comes out as an exception too, or it tries again
    os.environ.setdefault("RUNTIME__LOG_LEVEL", "CRITICAL")
    # dlt would finish its step first; a load that is cut off anywhere loses nothing
    os.environ.setdefault("RUNTIME__INTERCEPT_SIGNALS", "false")


def find_home(given: str | None, destination: str | None = None) -> Home:
    """Return the home: ``--home``, else EXECLEDGER_HOME, else the configuration.

    And where its loads go: ``--destination``, else EXECLEDGER_DESTINATION, else the
    configuration, else into its own store. Reads config.toml by itself: importing dlt
    would cost two seconds. Raises ``ConfigurationError`` where that file is none, and
    for a destination that is not known.
    """
    home = Path(_said_home(given) or ".execledger").expanduser().resolve()
    rules = _said("EXECLEDGER__RULES") or _configured("rules")
    return Home(
        home,
        Path(rules).expanduser().resolve() if rules else None,
        _destination(destination),
    )


def _destination(given: str | None) -> Destination | None:
    variables = ("EXECLEDGER_DESTINATION", "EXECLEDGER__DESTINATION")
    said = given or _said(*variables) or _configured("destination")
    if said in (None, _EMBEDDED):
        return None
    for known in get_args(Destination):
        if said == known:
            return cast("Destination", known)
    known = ", ".join((_EMBEDDED, *get_args(Destination)))
    raise ConfigurationError(f"There is no destination {said!r}. Known: {known}.")


def is_default_home(given: str | None) -> bool:
    """Tell whether nobody said which home is meant."""
    return not _said_home(given)


def _said_home(given: str | None) -> str | None:
    return given or _said("EXECLEDGER_HOME", "EXECLEDGER__HOME") or _configured("home")


def _said(*variables: str) -> str | None:
    """Return the first of these environment variables that is set."""
    return next(filter(None, map(os.environ.get, variables)), None)


def _configured(name: Literal["home", "rules", "destination"]) -> str | None:
    """Return what config.toml says; a folder that is relative is beside ``.dlt``."""
    for folder in (Path.cwd(), Path.home()):
        file = folder / ".dlt" / "config.toml"
        if not file.is_file():
            continue
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
            section = msgspec.convert(table, _File).execledger
        except (ValueError, msgspec.ValidationError, OSError) as error:
            raise ConfigurationError(f"{file}: {error}") from None
        if found := getattr(section, name):
            is_path = name != "destination"
            return str(folder / Path(found).expanduser()) if is_path else str(found)
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
    wanted = tuple(dict.fromkeys(selected)) or known
    with _dlt_in_words():
        found = [account for name in wanted for account in _accounts_of(name)]
    lacking = [name for name in without_key(found) if name in wanted]
    if not found or (selected and lacking):
        keys = ", ".join(f"SOURCES__{name.upper()}__API_KEY" for name in lacking)
        raise ConfigurationError(
            f"No key is set for {', '.join(lacking)}. Set {keys}, or run "
            '"execledger init" and fill in .dlt/secrets.toml.'
        )
    return found


def schedule_s() -> float | None:
    """Return the seconds between two loads, where the configuration says them."""
    with _dlt_in_words():
        import dlt

        given: object = dlt.config.get("execledger.schedule_s")
    raw: dict[str, object] = {"schedule_s": given}
    return settings_from(_Schedule, raw, "execledger").schedule_s


def bounds() -> Bounds:
    """Return what the checks are given, by ``[execledger.checks]``."""
    section = "execledger.checks"
    with _dlt_in_words():
        import dlt

        raw: dict[str, object] = {
            name: dlt.config.get(f"{section}.{name}")
            for name in Bounds.__struct_fields__
        }
    return settings_from(Bounds, raw, section)


def budgets() -> tuple[Budget, ...]:
    """Return the budgets: ``[[execledger.budgets]]``, or JSON in the environment."""
    with _dlt_in_words():
        import dlt

        given: object = dlt.config.get("execledger.budgets")
    raw: dict[str, object] = {"budgets": given}
    return settings_from(_Limits, raw, "execledger").budgets


def without_key(found: Sequence[Account]) -> list[str]:
    """Return the providers of which none of these accounts is."""
    have = {account.provider for account in found}
    return [name for name in providers() if name not in have]


@contextmanager
def _dlt_in_words() -> Iterator[None]:
    from dlt.common.configuration.exceptions import ConfigProviderException

    try:
        yield
    except ConfigProviderException as error:
        # only where: what stands there may be a key
        place = re.search(r"at line \d+ col \d+", str(error))
        raise ConfigurationError(
            f"{error.provider_name} in the folder .dlt cannot be read: it is no TOML "
            f"{place[0] if place else 'in UTF-8, or a name stands in it twice'}."
        ) from None


def _accounts_of(provider: str) -> Iterator[Account]:
    section = f"sources.{provider}"
    kind = part(provider, "settings").Settings
    for connection, where in _sections(section).items():
        given = _values(kind, where)
        if given.get("api_key") not in (None, ""):
            settings = settings_from(kind, given, where)
            yield Account(provider, connection, settings)
        elif connection != "default":
            raise ConfigurationError(
                f"[{where}]: api_key is missing. Set "
                f"{where.replace('.', '__').upper()}__API_KEY, or take "
                f"{connection!r} out of connection_names."
            )


def _sections(section: str) -> dict[str, str]:
    """Return the section of each connection; the first is the provider's own."""
    import dlt

    names: object = dlt.config.get(f"{section}.connection_names")
    raw: dict[str, object] = {"connection_names": names}
    connections = settings_from(_Connections, raw, section).connection_names
    if "default" in connections:
        raise ConfigurationError(
            f'[{section}]: connection_names must not hold "default": that is the '
            "section itself."
        )
    return {
        "default": section,
        **{name: f"{section}.connections.{name}" for name in connections},
    }


def _values(kind: type[msgspec.Struct], section: str) -> dict[str, object]:
    """Return what is configured at exactly this section; keys are never inherited."""
    import dlt

    values: dict[str, object] = {}
    for field in msgspec.structs.fields(kind):
        reader = dlt.secrets if field.name.endswith("key") else dlt.config
        value: object = reader.get(f"{section}.{field.name}")
        if value is None and field.name in _SHARED:
            value = dlt.config.get(f"execledger.{field.name}")
        # a key that comes from a file in /run/secrets ends with that file's last line
        values[field.name] = value.strip() if isinstance(value, str) else value
    return values
