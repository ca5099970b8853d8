"""The files of several finished results of Unstract, as columns."""

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

import pyarrow as pa

from sources.columnar import Column, IrregularError, Owners, elements, joined, spread
from sources.json_text import encode
from sources.records import ExecutionMetadata, Record, Snapshot
from sources.unstract.regular import NOTHING, Noted, Outcome, Result

__all__ = ["Files", "Tables", "doubles"]

Tables = Iterator[tuple[type[Record], pa.Table]]
"""Rows, table after table."""

_EXACT = 2**53
"""Up to there a double holds every whole number."""


class Files:
    """The files of several results, each known by its place in all of them.

    ``results`` and ``noted`` are those that have a result with parts, and metadata
    below it. ``positions`` are the places within the answers.
    """

    def __init__(self, pages: Sequence[Result]) -> None:
        self.pages = pages
        self.owners = Owners.of(pages, [""] * len(pages))
        self.said = [file for page in pages for file in page.files]
        self.metas = [file.metadata or NOTHING for file in self.said]
        self.of, self.positions = spread([len(page.files) for page in pages])
        paths = elements("/message", self.positions)
        self.of_files = self.owners.below(self.of, paths)
        self.file_keys = joined(self.of_files.keys, "/", paths)
        self.results = [
            (file, said.result)
            for file, said in enumerate(self.said)
            if isinstance(said.result, Outcome)
        ]
        self.noted = [
            (file, result.metadata)
            for file, result in self.results
            if isinstance(result.metadata, Noted)
        ]

    def rows(
        self, record: type[Snapshot], of: Column, below: Column, **columns: Column
    ) -> pa.Table:
        """Return rows of files: ``of`` has the place of each row's file."""
        places = of if isinstance(of, pa.Array) else pa.array(of, pa.int64())
        keys = self.file_keys.take(places)
        return self.of_files.rows(record, places, below, file_key=keys, **columns)

    def saying(self, name: str) -> list[tuple[int, Any]]:
        """Return the files below whose result something stands, and what."""
        said = map(attrgetter(name), (noted for _, noted in self.noted))
        both = zip(self.noted, said, strict=True)
        return [(file, found) for (file, _), found in both if found]

    def kept(
        self, values: Sequence[tuple[int, object]], below: Column
    ) -> tuple[type[Record], pa.Table]:
        """Return metadata: the place of the file, and what is kept, for each row."""
        return ExecutionMetadata, self.rows(
            ExecutionMetadata,
            [file for file, _ in values],
            below,
            value=[encode(value) for _, value in values],
        )


def doubles(values: Sequence[int | float | None]) -> Sequence[float | None]:
    """Return numbers as they are; raises where a double does not hold one."""
    if any(isinstance(one, int) and abs(one) > _EXACT for one in values):
        raise IrregularError("a number that no double holds")
    return values
