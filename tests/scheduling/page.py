"""What ``docs/scheduling.md`` says: its recipes by name, and its tables."""

import re
from pathlib import Path

__all__ = ["PAGE", "recipe", "recipes", "table"]

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "scheduling.md"

_BLOCK = re.compile(r"^```\w+\n# ([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)


def recipes() -> dict[str, str]:
    """Return each block whose first line is a comment, by what that says.

    It is the file that the block is, or when its commands are to be given.
    """
    return dict(_BLOCK.findall(PAGE.read_text("utf-8")))


def recipe(name: str) -> str:
    """Return the block of this name."""
    return recipes()[name]


def table(heading: str, page: Path = PAGE) -> list[list[str]]:
    """Return the rows below the row of headings that begins so, cell by cell."""
    _, _, below = page.read_text("utf-8").partition(f"\n| {heading} |")
    rows = below.partition("\n\n")[0].partition("\n")[2]
    return [[cell.strip() for cell in row.split(" | ")] for row in _ROW.findall(rows)]
