"""What a command takes along, and what it leaves out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sources.loopback import serve
from tests.pipelines.small_torale import KEY, small_torale

ROOT = Path(__file__).resolve().parents[2]
LATER = """
import pyarrow as pa
from pipelines.frugal import without_pandas

without_pandas()
column = pa.array([1, None])
print(column.to_pandas().sum(), pa.array(column.to_pandas()).null_count)
"""


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python of its own, with this checkout."""
    return subprocess.run(  # noqa: S603 - this Python, and what stands here
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.usefixtures("here")
def test_a_load_needs_no_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: pyarrow would import it at the first list, and each load would wait."""
    monkeypatch.setenv("SOURCES__TORALE__API_KEY", KEY)
    load = ("-X", "importtime", "-m", "pipelines", "load", "--home", "home")

    with serve(small_torale().app) as url:
        monkeypatch.setenv("SOURCES__TORALE__BASE_URL", url)
        ran = python(*load)

    imported = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert {"pyarrow", "duckdb"} <= imported
    assert "pandas.core" not in imported  # pandas alone is named where it is sought
    assert Path("home/published.duckdb").exists()


def test_what_needs_pandas_has_it_later_all_the_same() -> None:
    """Law: it is out of the way while pyarrow looks for it, and then there again."""
    ran = python("-c", LATER)

    assert ran.stdout.split() == ["1.0", "1"]
