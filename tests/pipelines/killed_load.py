"""A load that kills itself at a stage, as the tests of the store tell it to.

Run as ``python -m tests.pipelines.killed_load HOME STAGE``.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from pipelines.store import Home, locked, work_copy

AFTER_COPY = "after the copy"
WHILE_WRITING = "in the middle of writing"
BEFORE_RENAME = "after the checkpoint, before the rename"
AFTER_RENAME = "right after the rename"


def die() -> None:
    """End as a power cut would: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_rename(*, is_done: bool) -> Callable[[str, object], None]:
    """Return an audit hook that dies just before a rename, or at what comes next."""
    renamed = False

    def hook(event: str, _: object) -> None:
        nonlocal renamed
        if event == "os.kill":
            return
        if renamed or (event == "os.rename" and not is_done):
            die()
        renamed = event == "os.rename"

    return hook


def main(home: Home, stage: str) -> None:
    """Add the number 2 to the store's table, unless death comes first."""
    with locked(home), work_copy(home) as work:
        if stage == AFTER_COPY:
            die()
        work.con.execute("create table if not exists numbers (number integer)")
        work.con.execute("insert into numbers values (2)")
        if stage == WHILE_WRITING:
            work.con.execute("create table many as select * from range(3000000)")
            work.con.execute("begin")
            work.con.execute("insert into many select * from range(3000000)")
            die()
        sys.addaudithook(at_rename(is_done=stage == AFTER_RENAME))
        work.publish()


if __name__ == "__main__":
    main(Home(Path(sys.argv[1])), sys.argv[2])
