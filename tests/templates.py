"""The settings that exist: those in the commented templates under ``.dlt/``."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["TEMPLATES", "settings", "switched_on", "unknown_keys"]

FOLDER = Path(__file__).resolve().parent.parent / ".dlt"
TEMPLATES = (FOLDER / "config.toml", FOLDER / "secrets.toml.example")

COMMENTED_OUT = re.compile(r"^# ?(?=[a-z_]+ = |\[)", re.MULTILINE)
CONNECTION = re.compile(r"^(sources\.\w+)\.connections\.\w+\.")


def switched_on(template: str) -> str:
    """Return a template with every setting that is commented out switched on."""
    return COMMENTED_OUT.sub("", template)


def settings(text: str) -> dict[str, object]:
    """Return what ``text`` sets, by dotted name, a connection as its provider."""
    found = list(leaves(tomllib.loads(text)))
    found.sort(key=lambda one: CONNECTION.match(one[0]) is None)  # its own sets win
    return {CONNECTION.sub(r"\1.", name): value for name, value in found}


def leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the dotted name and the value of each setting in ``table``."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{above}{name}.")
        else:
            yield above + name, value


def unknown_keys(text: str) -> list[str]:
    """Return what ``text`` sets that no template has."""
    templates = (switched_on(path.read_text("utf-8")) for path in TEMPLATES)
    known = {name for template in templates for name in settings(template)}
    return sorted(settings(text).keys() - known)
