"""A process that appends to lakes: for each line that it is told, one load.

A line is the place of a lake, and says when this writer is to begin. It answers with
how often the load was begun.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.lake import Lake
from pipelines.lake_writing import append
from sources import part
from sources.fold import Batch, fold
from sources.records import Response
from sources.seen import Seen
from tests.responses import response

__all__ = ["EACH", "answer"]

EACH = 5
"""Executions of each load that are its writer's own; one is everybody's."""


def answer(writer: int, load: int) -> Response:
    """Return the answer that a load of a writer has."""
    own = [f"{writer}-{load}-{number}" for number in range(EACH)]
    listed = [
        {
            "id": name,
            "task_id": "t1",
            "status": "success",
            "started_at": "2026-02-01T00:00:00Z",
            "result": {"answer": f"by {writer} in {load}"},
        }
        for name in ["everybody's", *own]
    ]
    return response("torale", listed, second=10 * load + writer)


def main(writer: int, table_format: str) -> None:
    """Append a load for each line of standard input, and say how often it was tried."""
    normalizer = part("torale", "normalize")
    nothing = Seen(lambda *_: [], "torale", "default")
    for load, line in enumerate(sys.stdin):
        said = [answer(writer, load)]
        begun: list[int] = []

        def batches(
            said: list[Response] = said, begun: list[int] = begun
        ) -> Iterator[Batch]:
            begun.append(1)
            return fold(lambda: iter(said), normalizer, nothing)

        to = Lake(table_format, line.strip())  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory() as folder:
            append(to, "torale", batches, folder=Path(folder))
        print(len(begun), flush=True)  # noqa: T201 (the answer)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
