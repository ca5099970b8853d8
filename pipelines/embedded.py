"""The embedded store as what a load goes into: a work copy, checked, then published."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import duckdb

from pipelines.draining import Inflow, drain
from pipelines.pricing import price_new_models
from pipelines.query import Result
from pipelines.selecting import select_from
from pipelines.sql_files import SqlFile, parameters
from pipelines.store import Home, WorkCopy, work_copy
from pipelines.tables import add, comment_tables
from pipelines.views import make_views
from sources.bulk import Looked
from sources.errors import ExecledgerError, LoadCheckFailed, StoreError
from sources.records import Record, Run
from sources.seen import Select

__all__ = [
    "Embedded",
    "ask",
    "check_load",
    "embedded",
    "finish",
    "give_meaning",
    "tried",
]


class Embedded:
    """A work copy of the store; what goes into it is published by ``finish``."""

    def __init__(self, home: Home, work: WorkCopy) -> None:
        self._home = home
        self._work = work
        self.select = select_from(work.con)

    def drain(
        self, inflows: Sequence[Inflow], heaviest: Callable[[], int] | None
    ) -> list[Looked]:
        """Load what flows in; in little memory, where ``heaviest`` says what it takes.

        Raises ``StoreError``.
        """
        if heaviest is not None:
            self._work.use_little_memory(heaviest())
        return drain(self._work, inflows)

    def ask(self, file: SqlFile, given: Mapping[str, Any]) -> Result:
        """Run a select, its bounds as ``$name``; raises ``StoreError``."""
        return ask(self._work.con, file, given)

    def add(self, record: type[Record], rows: Sequence[Record]) -> None:
        """Add rows to a table."""
        add(self._work.con, record, rows)

    def give_meaning(self) -> list[str]:
        """Price new models and make the views; return in words what could not be."""
        return give_meaning(self._work.con, self._home)

    def finish(self, run: Run, since: dict[tuple[str, str], str]) -> None:
        """Check what was loaded since these responses, and publish it with its run."""
        self.add(Run, [run])
        finish(self._work, since)


def ask(
    con: duckdb.DuckDBPyConnection, file: SqlFile, given: Mapping[str, Any]
) -> Result:
    """Run a select on an open store, its bounds as ``$name``; raises ``StoreError``."""
    try:
        cursor = con.execute(file.sql, parameters(file, given))
        names = [column[0] for column in cursor.description or ()]
        return Result(names, cursor.fetchall())
    except duckdb.Error as error:
        raise StoreError(str(error)) from error


@contextmanager
def embedded(home: Home) -> Iterator[Embedded]:
    """Open a work copy of the store to load into; the home must be ``locked``."""
    with work_copy(home) as work:
        yield Embedded(home, work)


def give_meaning(con: duckdb.DuckDBPyConnection, home: Home) -> list[str]:
    """Price models that are new, and make the views; return in words what could not be.

    The facts are loaded all the same, and prices and views are then as they were: a
    slip in a file of rules keeps no result from the store.
    """
    steps = (price_new_models, make_views)
    return tried(*(partial(step, con, home) for step in steps))


def tried(*steps: Callable[[], object]) -> list[str]:
    """Give meaning to what is loaded; return in words which steps could not."""
    problems = []
    for step in steps:
        try:
            step()
        except ExecledgerError as error:
            problems.append(f"{error} The facts are loaded, the views as they were.")
    return problems


def finish(work: WorkCopy, since: dict[tuple[str, str], str]) -> None:
    """Check what was loaded, write the comments on the tables, and publish.

    ``since`` says of each account the first response of which there are new rows.
    """
    check_load(select_from(work.con), since)
    comment_tables(work.con)
    work.publish()


_CHECKS = {
    "executions stand twice": (
        "select execution_key from {executions} where provider = ? and connection = ? "
        "and execution_key in "
        "(select execution_key from {executions} where response_id >= ?) "
        "group by execution_key having count(*) > 1"
    ),
    **{
        f"{what} belong to no execution": (
            f"select execution_key from {{{table}}} as rows_of where provider = ? "
            "and connection = ? and response_id >= ? and not exists (select 1 from "
            "{executions} as e where e.execution_key = rows_of.execution_key)"
        )
        for what, table in (("sources", "grounding_sources"), ("outputs", "outputs"))
    },
}


_UNPUBLISHED = "Nothing was published; the journal keeps every response."


def check_load(
    select: Select, since: dict[tuple[str, str], str], left: str = _UNPUBLISHED
) -> None:
    """Raise ``LoadCheckFailed`` where what was loaded of an account cannot be.

    ``since`` says of each account the first response of which there are new rows;
    ``left`` what a load that fails leaves behind.
    """
    for account, first in since.items():
        for what, sql in _CHECKS.items():
            if rows := select(f"{sql} limit 3", (*account, first)):
                keys = ", ".join(str(row[0]) for row in rows)
                raise LoadCheckFailed(
                    f"After the load, {what} (such as {keys}). {left}"
                )
