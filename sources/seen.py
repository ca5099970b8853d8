"""What the store already holds, asked through one callable.

The callable runs a portable SELECT: table names stand in braces, values are ``?``,
and ``first_column = any(?)``, with a list as the last value, asks for many keys.
A table that does not exist yet holds nothing.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sources.json_text import canonical_sha256, decode
from sources.observations import Known, KnownWorkflow
from sources.records import scope_of

__all__ = ["ANY", "Horizon", "Seen", "Select", "in_pipeline"]

Select = Callable[[str, Sequence[object]], Sequence[Sequence[Any]]]
"""Runs ``select … from {table} where …`` and returns the rows."""

ANY = " = any(?)"
"""The end of a SELECT that asks for many keys."""

_CHUNK = 900
"""Values in one statement; engines allow a thousand at the least."""

_MANY = 20_000
"""From so many keys on, reading all of a connection is cheaper than asking."""

_EXECUTIONS = (
    "select execution_key, status, provider_status, first_seen_at, observed_at, "
    "list_sha256, content_sha256, result_state from {executions} "
    "where provider = ? and connection = ?"
)
_WORKFLOWS = (
    "select workflow_key, first_seen_at, observed_at, definition from {workflows} "
    "where provider = ? and connection = ?"
)
_HAS_DETAILS = (
    "select case when exists (select 1 from {executions} where provider = ? "
    "and connection = ? and content_sha256 <> list_sha256) then 1 else 0 end"
)
_HORIZONS = (
    "select scope, "
    "max(case when coalesce(started_at, created_at) <= observed_at "
    "then coalesce(started_at, created_at) end), "
    "min(case when not is_terminal and coalesce(started_at, created_at) >= ? "
    "then coalesce(started_at, created_at) end) "
    "from {executions} where provider = ? and connection = ? group by scope"
)


class Horizon(msgspec.Struct, frozen=True):
    """How far back a listing of one scope must be read again.

    ``newest`` is the newest start that can be trusted (not after it was seen),
    ``oldest_open`` the oldest start of an execution that is not terminal.
    """

    newest: datetime | None
    oldest_open: datetime | None

    def until(self, settle: timedelta) -> datetime | None:
        """Return the time down to which to read, or ``None`` for everything."""
        if self.newest is None:
            return None
        settled = self.newest - settle
        return min(settled, self.oldest_open) if self.oldest_open else settled


class Seen:
    """What the store holds of one connection."""

    def __init__(self, select: Select, provider: str, connection: str) -> None:
        self._select = select
        self.of = (provider, connection)

    def is_blank(self) -> bool:
        """Tell whether nothing at all is held."""
        sql = "select count(*) from {%s} where provider = ? and connection = ?"
        found = (
            self._select(sql % one, self.of) for one in ("executions", "workflows")
        )
        return not any(row[0] for rows in found for row in rows)

    def executions(self, keys: Iterable[str]) -> dict[str, Known]:
        """Return what is held of those executions of ``keys`` that are known."""
        wanted = set(keys)
        scopes = {scope_of(key) for key in wanted}
        of_one, sql = len(scopes) == 1, _EXECUTIONS
        if of_one:  # a page of a list: a large store answers eight times as fast
            sql += " and scope = ?"
        rows = self._rows(sql, "execution_key", wanted, *(scopes if of_one else ()))
        return {row[0]: Known(*row[1:]) for row in rows}

    def workflows(self, keys: Iterable[str]) -> dict[str, KnownWorkflow]:
        """Return what is held of those workflows of ``keys`` that are known."""
        rows = self._rows(_WORKFLOWS, "workflow_key", keys)
        return {r[0]: KnownWorkflow(r[1], r[2], _hash(r[3])) for r in rows}

    def rejects(self, keys: Iterable[str]) -> set[str]:
        """Return those of ``keys`` that stand in ``load_rejects``."""
        sql = (
            "select reject_key from {load_rejects} "
            "where provider = ? and connection = ?"
        )
        return {row[0] for row in self._rows(sql, "reject_key", keys)}

    def responses(self, keys: Iterable[str]) -> set[str]:
        """Return those response ids of ``keys`` that are loaded."""
        sql = (
            "select response_id from {raw_responses} "
            "where provider = ? and connection = ?"
        )
        return {row[0] for row in self._rows(sql, "response_id", keys)}

    def horizons(self, *, open_since: datetime) -> dict[str, Horizon]:
        """Return, by scope, what bounds the next reading.

        An execution that started before ``open_since`` and still is not terminal
        is waited for no longer: the provider has lost or deleted it.
        """
        rows = self._select(_HORIZONS, (open_since, *self.of))
        return {row[0]: Horizon(row[1], row[2]) for row in rows}

    def has_details(self) -> bool:
        """Tell whether of any execution more is held than a list says.

        Where of none is, this looks at two long texts of each.
        """
        return any(row[0] for row in self._select(_HAS_DETAILS, self.of))

    def _rows(
        self, sql: str, column: str, keys: Iterable[str], *more: str
    ) -> Sequence[Sequence[Any]]:
        wanted = sorted(set(keys))
        if not wanted:
            return []
        return self._select(f"{sql} and {column}{ANY}", (*self.of, *more, wanted))


def _hash(definition: object) -> str | None:
    """Return the hash that the definition had, whatever type the store gives."""
    if isinstance(definition, str):
        definition = decode(definition.encode()).value
    return None if definition is None else canonical_sha256(definition)


def in_pipeline() -> Select:
    """Return a ``Select`` on the destination of the dlt pipeline that is running."""
    import dlt  # noqa: PLC0415 (two seconds; a load never comes here)
    from dlt.destinations.exceptions import (  # noqa: PLC0415
        DatabaseUndefinedRelation,
    )

    pipeline = dlt.current.pipeline()

    def run(sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        with pipeline.sql_client() as client:
            named = sql.format_map(_Tables(client.make_qualified_table_name))
            try:
                found = client.execute_sql(named.replace("?", "%s"), *values)
            except DatabaseUndefinedRelation:
                return []
            return found or []

    def select(sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        if not (values and isinstance(values[-1], list)):
            return run(sql, values)
        return list(_of_many(run, sql, values[:-1], values[-1]))

    return select


def _of_many(
    run: Select, sql: str, values: Sequence[object], keys: list[str]
) -> Iterator[Sequence[Any]]:
    """Yield what a SELECT that ends in ``any(?)`` gives, in words any engine knows."""
    if len(keys) > _MANY:
        held = set(keys)
        every = sql[: sql.rindex(" and ")]
        yield from (row for row in run(every, values) if row[0] in held)
        return
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        condition = f" in ({', '.join('?' * len(chunk))})"
        yield from run(sql.removesuffix(ANY) + condition, (*values, *chunk))


class _Tables(dict[str, str]):
    """Gives each name in braces its qualified form."""

    def __init__(self, qualify: Callable[[str], str]) -> None:
        super().__init__()
        self._qualify = qualify

    def __missing__(self, name: str) -> str:
        return self._qualify(name)
