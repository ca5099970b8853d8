"""Commented templates of configuration and secrets, from the settings themselves."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import msgspec

from sources import part, providers
from sources.errors import ConfigurationError

__all__ = ["needed", "write_templates"]


def write_templates(folder: Path = Path(".dlt")) -> list[tuple[Path, bool]]:
    """Write config.toml and secrets.toml (0600) where they are not there yet.

    Returns each path, and whether it was written. Raises ``ConfigurationError``.
    """
    files = {
        folder / "config.toml": (_config(), 0o644),
        folder / "secrets.toml": (_secrets(), 0o600),
    }
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        return [(path, _write(path, *what)) for path, what in files.items()]
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename}: {error.strerror}. Go to a folder that you may write to."
        ) from None


def needed() -> dict[str, list[str]]:
    """Return, by provider, the settings that have no default and are no keys."""
    found = {
        name: [
            field.name
            for field in msgspec.structs.fields(part(name, "settings").Settings)
            if field.required and not field.name.endswith("key")
        ]
        for name in providers()
    }
    return {name: fields for name, fields in found.items() if fields}


def _write(path: Path, text: str, mode: int) -> bool:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return False
    with os.fdopen(file, "w", encoding="utf-8") as opened:
        opened.write(text)
    return True


_HEAD = """\
# Configuration of execledger; keys belong into secrets.toml beside this file.
# Each key can also be set in the environment: SOURCES__TORALE__BASE_URL=…

[execledger]
# Where store and journal are (--home and EXECLEDGER_HOME win)
# home = "./.execledger"
# Where loads go (--destination and EXECLEDGER_DESTINATION win): duckdb, which is the
# store there, postgres, with its credentials in secrets.toml, or filesystem, see below
# destination = "duckdb"
# How a lake keeps its tables: delta or parquet
# table_format = "delta"
# For all providers that do not say otherwise:
# max_body_mb = 64.0
# ca_file = ""
# allow_http = false
# poll_interval_s = 5.0
# Seconds between two loads, as your scheduler makes them: a load then warns of
# results that expire before the next one
# schedule_s = 300
# The folder of your own failure_rules.csv and prices.csv (else "rules" in the home)
# rules = "./rules"

# What "execledger check" allows: hours since the last load without an error, and the
# share of failures of unknown category
# [execledger.checks]
# max_lag_hours = 24.0
# max_unknown_share = 0.2

# Budgets, each in a section like this one. What is measured: cost_usd, tokens,
# failure_rate (from 0 to 1) or lag_hours; per day or month; of a provider, a workflow
# (by key or name) or a tag, or of all
# [[execledger.budgets]]
# measure = "cost_usd"
# limit = 50.0
# per = "month"
# provider = "unstract"
# tag = "team=sales"

# Where destination = "filesystem"
# [destination.filesystem]
# bucket_url = ""

[runtime]
dlthub_telemetry = false
log_level = "ERROR"
"""


_POSTGRES = """\
# Where destination = "postgres"
# [destination.postgres.credentials]
# host = "localhost"
# port = 5432
# database = ""
# username = ""
# password = ""
"""


def _config() -> str:
    return "\n".join([_HEAD, *(_section(name, secret=False) for name in providers())])


def _secrets() -> str:
    head = "# Keys: keep this file to yourself, and out of version control.\n"
    parts = [head, *(_section(name, secret=True) for name in providers())]
    return "\n".join([*parts, _POSTGRES])


def _section(provider: str, *, secret: bool) -> str:
    kind = part(provider, "settings").Settings
    hints = get_type_hints(kind, include_extras=True)
    lines = [f"[sources.{provider}]"]
    for field in msgspec.structs.fields(kind):
        if field.name.endswith("key") is secret:
            lines += _key(field, get_args(hints[field.name])[1])
    if not secret:
        lines += ["# Further accounts, each configured in a section of its own"]
        lines += ["# connection_names = []"]
    return "\n".join([*lines, ""])


def _key(field: msgspec.structs.FieldInfo, meaning: str) -> Iterator[str]:
    value = "" if field.default is msgspec.NODEFAULT else field.default
    yield f"# {meaning}"
    yield f"# {field.name} = {msgspec.json.encode(value).decode()}"
