"""A store copied to a destination that many share: every row, then both compared."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import cast

import duckdb
import msgspec
import pyarrow as pa

from pipelines.budgets import Ask
from pipelines.checks import run_checks
from pipelines.destinations import Shared, shared
from pipelines.embedded import ask
from pipelines.limits import Bounds
from pipelines.query import Result, opened
from pipelines.runs import run_of
from pipelines.selecting import select_from
from pipelines.sql_files import SqlFile
from pipelines.store import Home, locked
from sources.errors import ConfigurationError, StoreError
from sources.records import TABLES, Record, Sourced
from sources.seen import Select
from sources.tables import Tables, columns, schema

__all__ = ["Compared", "Copied", "copy", "told"]

_ROWS = 50_000
"""Rows that are read together."""

Account = tuple[str, str]


class Compared(msgspec.Struct, frozen=True):
    """How often something is in the store and in the destination."""

    what: str
    store: int
    destination: int

    @property
    def is_equal(self) -> bool:
        """Tell whether nothing is missing, and nothing more."""
        return self.store == self.destination


class Copied(msgspec.Struct, kw_only=True):
    """What a copying came to.

    ``tables`` compares rows, ``checks`` the rows that each check finds; those not at
    all where the destination holds more accounts than the store. ``problems`` are
    those with prices and views.
    """

    home: str
    destination: str
    tables: list[Compared]
    checks: list[Compared]
    problems: list[str]

    @property
    def is_equal(self) -> bool:
        """Tell whether the destination now holds what the store holds."""
        return all(one.is_equal for one in (*self.tables, *self.checks))


def copy(home: Home, *, wait_s: float = 0) -> Copied:
    """Copy all tables of a home's store to its destination, and compare the two.

    Each execution takes the place of what the destination holds of it, so a copying
    that was cut off can be repeated. Raises ``StoreError``, also where the destination
    is newer than the store in some account; ``ConfigurationError``.
    """
    if home.destination is None:
        raise ConfigurationError("Say where to: execledger copy --to postgres.")
    started = datetime.now(UTC)
    with locked(home, wait_s=wait_s), opened(home) as con:
        ours = select_from(con)
        accounts = _accounts(ours)
        with shared(home).opened(home, accounts, wait_s) as target:
            _refuse_older(ours, target.select, accounts)
            for account in accounts:
                target.put(account, partial(_tables_of, con, account))
            for record in _unsourced():
                target.add(record, list(_missing(con, target.ask, record)))
            problems = target.give_meaning()
            copied = Copied(
                home=str(home.path),
                destination=home.destination,
                tables=list(_tables(partial(ask, con), target.ask, accounts)),
                checks=list(_checks(con, target, accounts)),
                problems=problems,
            )
            counts = {one.what: one.destination for one in copied.tables}
            run = run_of(
                "copy",
                started,
                counts,
                outcome="ok" if copied.is_equal and not problems else "partial",
                problems=problems,
            )
            target.finish(run, {})
    return copied


def _accounts(select: Select) -> list[Account]:
    sql = "select distinct provider, connection from {raw_responses} order by 1, 2"
    return [(provider, connection) for provider, connection in select(sql, ())]


def _refuse_older(ours: Select, theirs: Select, accounts: Sequence[Account]) -> None:
    """Raise ``StoreError`` where the destination has what the store has not yet."""
    sql = (
        "select max(received_at) from {raw_responses} "
        "where provider = ? and connection = ?"
    )
    for account in accounts:
        mine, other = ([row[0] for row in one(sql, account)] for one in (ours, theirs))
        if other and other[0] is not None and other[0] > mine[0]:
            raise StoreError(
                f"The destination has newer responses of {':'.join(account)} than the "
                "store: loads go there already. Nothing was copied."
            )


def _tables_of(con: duckdb.DuckDBPyConnection, account: Account) -> Tables:
    """Yield all rows of an account, by table."""
    for name, record in TABLES.items():
        if not issubclass(record, Sourced):
            continue
        rows = con.sql(
            f"select {', '.join(one.name for one in columns(record))} "
            f"from execledger.{name} where provider = ? and connection = ?",
            params=account,
        )
        for batch in cast("pa.RecordBatchReader", rows.to_arrow_reader(_ROWS)):
            yield record, pa.Table.from_batches([batch]).cast(schema(record))


def _unsourced() -> list[type[Record]]:
    """Return the tables whose rows are of no account."""
    return [one for one in TABLES.values() if not issubclass(one, Sourced)]


def _missing(
    con: duckdb.DuckDBPyConnection, theirs: Ask, record: type[Record]
) -> Iterator[Record]:
    """Yield the rows that the destination does not have, in the order of the store."""
    sql = f"select {', '.join(record.KEY)} from execledger.{record.TABLE}"
    known = {tuple(row) for row in theirs(_asked(sql), {}).rows}
    names = [one.name for one in columns(record)]
    rows = con.execute(f"select {', '.join(names)} from execledger.{record.TABLE}")
    for values in rows.fetchall():
        row = record(**dict(zip(names, values, strict=True)))
        if tuple(getattr(row, name) for name in record.KEY) not in known:
            yield row


def _tables(ours: Ask, theirs: Ask, accounts: Sequence[Account]) -> Iterator[Compared]:
    for name, record in TABLES.items():
        if not issubclass(record, Sourced):
            continue
        sql = (
            f"select provider, connection, count(*) as n from execledger.{name} "
            "group by provider, connection"
        )
        mine, other = (
            sum(
                n
                for *account, n in one(_asked(sql), {}).rows
                if (*account,) in accounts
            )
            for one in (ours, theirs)
        )
        yield Compared(f"execledger.{name}", mine, other)


def _asked(sql: str) -> SqlFile:
    return SqlFile("copying", "asked", sql)


def _checks(
    con: duckdb.DuckDBPyConnection, target: Shared, accounts: Sequence[Account]
) -> Iterator[Compared]:
    """Yield what each check finds in both, if they hold the same accounts."""
    sql = "select distinct provider, connection from execledger.raw_responses"
    if {tuple(row) for row in target.ask(_asked(sql), {}).rows} != {*accounts}:
        return
    theirs = {one.name: one.rows for one in run_checks(target.ask, Bounds())}
    for one in run_checks(partial(ask, con), Bounds()):
        yield Compared(f"checks.{one.name}", one.rows, theirs[one.name])


def told(copied: Copied) -> Result:
    """Return the comparison as rows for a terminal; what differs comes first."""
    compared = sorted((*copied.tables, *copied.checks), key=lambda one: one.is_equal)
    return Result(
        ["what", "store", copied.destination, ""],
        [
            (one.what, one.store, one.destination, "" if one.is_equal else "differs")
            for one in compared
        ],
    )
