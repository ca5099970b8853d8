"""A reader that opens and queries the store, again and again, until it is told to stop.

Run as ``python -m tests.faults.reading HOME STOP``; ends when the file STOP is there,
and says as JSON how often it has read, and what was wrong.
"""

import sys
import time
from pathlib import Path

import msgspec

from pipelines.readers import read_only
from pipelines.store import Home

_PAUSE_S = 0.6
_VIEW = """
    select count(*), count(distinct execution_key),
        (select count(*) from execledger.grounding_sources
            anti join execledger.executions using (execution_key)),
        (select count(*) from execledger.executions as e
            anti join execledger.raw_responses using (response_id)),
        (select count(*) from marts.daily_answers)
    from execledger.executions
"""


class Read(msgspec.Struct):
    """How often a store was read, and what was wrong."""

    reads: int = 0
    faults: list[str] = []


def read(home: Home, stop: Path) -> Read:
    """Read until ``stop`` is there: each view whole, and never fewer executions."""
    came, most = Read(), 0
    while not stop.exists():
        try:
            with read_only(home) as con:
                ((count, keys, orphans, sourceless, _),) = con.execute(_VIEW).fetchall()
        except Exception as error:  # noqa: BLE001 - each is told to the test
            came.faults.append(f"{type(error).__name__}: {error}")
            continue
        came.reads += 1
        time.sleep(_PAUSE_S)
        if count < most or keys != count or orphans or sourceless:
            came.faults.append(f"{count} of {most}: {keys}, {orphans}, {sourceless}")
        most = max(most, count)
    return came


if __name__ == "__main__":
    came = read(Home(Path(sys.argv[1])), Path(sys.argv[2]))
    sys.stdout.buffer.write(msgspec.json.encode(came))
