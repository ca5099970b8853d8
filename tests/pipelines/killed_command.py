"""A command that gets a signal at a point on the way of the data.

Run as ``python -m tests.pipelines.killed_command SIGNAL POINT ARGUMENT…``, where the
arguments are those of ``execledger``.
"""

import itertools
import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal, NamedTuple

from pipelines.cli import main
from pipelines.config import quiet_dlt


class Point(NamedTuple):
    """Before or after the so-many-th call of a function, by its full name."""

    when: Literal["before", "after"]
    call: int
    function: str


POINTS = {
    "a body is there": Point("before", 3, "sources.journal:Journal.append"),
    "a response is journaled": Point("after", 3, "sources.journal:Journal.append"),
    "everything is journaled": Point("before", 1, "pipelines.embedded:drain"),
    "new rows are appended": Point("after", 1, "pipelines.draining:_append"),
    "in extract": Point("before", 3, "sources.tables:_hints"),
    "after extract": Point("before", 1, "dlt.pipeline.pipeline:Pipeline.normalize"),
    "in normalize": Point(
        "after",
        2,
        "dlt.normalize.items_normalizers.arrow:ArrowItemsNormalizer.__call__",
    ),
    "after normalize": Point("before", 1, "dlt.pipeline.pipeline:Pipeline.load"),
    "in dlt's load": Point(
        "after", 2, "dlt.destinations.impl.duckdb.duck:DuckDbCopyJob.run"
    ),
    "in dlt's merge": Point(
        "after", 2, "dlt.destinations.job_client_impl:SqlLoadJob.run"
    ),
    "everything is loaded": Point("after", 1, "pipelines.embedded:drain"),
    "before publishing": Point("before", 1, "pipelines.store:WorkCopy.publish"),
    "after publishing": Point("before", 1, "sources.journal:Journal.clear"),
}
"""Where a command may be cut off, in the order in which a load comes by."""

MERGING = list(POINTS)[list(POINTS).index("in extract") : -3]
"""Those in dlt, where only a load comes by that finds something changed."""


def arm(point: Point, number: int) -> None:
    """Let the process send itself the signal when it comes to the point."""
    module, _, path = point.function.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    setattr(owner, name, _armed(getattr(owner, name), point, number))


def _armed(function: Callable[..., Any], point: Point, number: int) -> Any:
    calls = itertools.count(1)

    def armed(*given: Any, **how: Any) -> Any:
        is_here = next(calls) == point.call
        if is_here and point.when == "before":
            os.kill(os.getpid(), number)
        result = function(*given, **how)
        if is_here and point.when == "after":
            os.kill(os.getpid(), number)
        return result

    return armed


if __name__ == "__main__":
    quiet_dlt()
    arm(POINTS[sys.argv[2]], signal.Signals[sys.argv[1]])
    sys.argv[:3] = ["execledger"]
    main()
