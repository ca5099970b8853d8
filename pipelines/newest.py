"""The newest observation of everything: views of a lake that only ever grows.

A lake keeps every row that was ever appended, each with ``loaded_at``, the time of the
load that brought it. These views show what a store would hold: of an execution the rows
of its newest response, of a workflow the newest row, of a ledger each key once. They
are written in the portable part of DuckDB's SQL, so that Spark can be told them too.
"""

from collections.abc import Callable, Iterator, Sequence

from pipelines.sql_files import SqlFile
from sources.records import (
    TABLES,
    Execution,
    LoadReject,
    Mode,
    ModelPrice,
    Record,
    Response,
    Sourced,
    StatusChange,
)
from sources.tables import columns, comment

__all__ = ["OBSERVATIONS", "newest_views"]

OBSERVATIONS = "observations"
"""The schema of the tables as they lie in the lake."""

_EXECUTION = ("provider", "execution_key")
_NEWEST = ("response_id desc", "loaded_at desc")
_FIRST = ("loaded_at", "response_id")
"""A row of a ledger stays as it first came: what comes again may have lost its body."""


def newest_views(source_schema: str = OBSERVATIONS) -> list[SqlFile]:
    """Return a view of schema ``execledger`` for each table, with its very columns.

    They read the tables of the same names in ``source_schema``, which have the column
    ``loaded_at`` beside their own.
    """
    return [
        SqlFile("execledger", name, "\n".join(_view(record, source_schema)) + "\n")
        for name, record in TABLES.items()
    ]


def _view(record: type[Record], schema: str) -> Iterator[str]:
    yield f"-- {comment(record)}"
    kinds: dict[type[Record], Callable[..., Iterator[str]]] = {
        ModelPrice: _price,
        StatusChange: _change,
    }
    modes = {Mode.SNAPSHOT: _child, Mode.ENTITY: _entity, Mode.LEDGER: _ledger}
    make = _entity if record is Execution else kinds.get(record, modes[record.MODE])
    yield from make(record, schema)


def _entity(record: type[Record], schema: str) -> Iterator[str]:
    """Yield the newest row of each key, which was first seen when any of them says."""
    by = ["provider", *record.KEY]
    yield "with ranked as ("
    yield "    select"
    yield "        *,"
    yield from _window("row_number()", by, _NEWEST, "place", last=False)
    yield from _window("min(first_seen_at)", by, (), "first_seen")
    yield f"    from {schema}.{record.TABLE}"
    yield ")"
    yield from _select(record, "ranked", first_seen_at="ranked.first_seen")
    yield "where ranked.place = 1"


def _child(record: type[Record], schema: str) -> Iterator[str]:
    """Yield the rows that came in one load with the newest row of their execution.

    A load appends the row of ``executions`` last. So what is seen of an execution is
    whole: before that row is there, and where it never comes, it is as it was before;
    and rows that a newer response has no more need no mark.

    What belongs to a request and no execution has keys of its own: the newest rows.
    """
    of_request = "execution_key like 'request:%'"
    yield "with observed as ("
    yield from _identities(f"{schema}.{Execution.TABLE}")
    yield "    union all"
    yield from _identities(f"{schema}.{record.TABLE}")
    yield f"    where {of_request}"
    yield "),"
    yield ""
    yield "newest as ("
    yield "    select"
    yield "        *,"
    yield from _window("row_number()", _EXECUTION, _NEWEST, "place")
    yield "    from observed"
    yield "),"
    yield ""
    yield "rows_of_all as ("
    yield f"    select * from {schema}.{record.TABLE}"
    yield ")"
    yield from _select(record, "rows_of_all")
    yield "inner join newest"
    for place, name in enumerate((*_EXECUTION, "response_id", "loaded_at")):
        word = "and" if place else "on"
        yield f"    {word} rows_of_all.{name} = newest.{name}"
    yield "where newest.place = 1"


def _identities(table: str) -> Iterator[str]:
    yield "    select"
    yield "        provider,"
    yield "        execution_key,"
    yield "        response_id,"
    yield "        loaded_at"
    yield f"    from {table}"


def _ledger(record: type[Record], schema: str) -> Iterator[str]:
    yield from _first_of_key(record, schema)
    yield from _select(record, "ranked")
    yield "where ranked.place = 1"


def _change(record: type[Record], schema: str) -> Iterator[str]:
    """Yield the changes of status, each once, though two writers saw it."""
    yield from _first_of_key(record, schema)
    yield ","
    yield "known as ("
    yield "    select"
    yield "        *,"
    for name, last in (("status", False), ("provider_status", True)):
        order = ("observed_at",)
        yield from _window(f"lag({name})", _EXECUTION, order, f"{name}_was", last=last)
    yield "    from ranked"
    yield "    where place = 1"
    yield ")"
    yield from _select(record, "known")
    yield "where"
    yield "    known.status is distinct from known.status_was"
    yield "    or known.provider_status is distinct from known.provider_status_was"


def _price(record: type[Record], schema: str) -> Iterator[str]:
    """Yield all prices of a model that were appended at once, the newest."""
    yield "with ranked as ("
    yield "    select"
    yield "        *,"
    by = ("model_provider", "model")
    yield from _window("rank()", by, ("loaded_at desc",), "place")
    yield f"    from {schema}.{record.TABLE}"
    yield ")"
    yield from _select(record, "ranked")
    yield "where ranked.place = 1"


def _first_of_key(record: type[Record], schema: str) -> Iterator[str]:
    """Yield all rows, ranked by when they came; of a reject if its response is there.

    A load that was cut off between the two would keep the response's body from being
    kept when it is repeated: what the response shows would be known already.
    """
    sourced = issubclass(record, Sourced)
    by = ["provider", *record.KEY] if sourced else record.KEY
    yield "with ranked as ("
    yield "    select"
    yield "        *,"
    yield from _window("row_number()", by, _FIRST if sourced else _FIRST[:1], "place")
    yield f"    from {schema}.{record.TABLE}"
    if record is LoadReject:
        responses = f"select response_id from {schema}.{Response.TABLE}"
        yield f"    where response_id in ({responses})"
    yield ")"


def _window(
    what: str,
    by: Sequence[str],
    order: Sequence[str],
    name: str,
    *,
    last: bool = True,
) -> Iterator[str]:
    yield f"        {what} over ("
    yield f"            partition by {', '.join(by)}"
    if order:
        yield f"            order by {', '.join(order)}"
    yield f"        ) as {name}{'' if last else ','}"


def _select(record: type[Record], source: str, **other: str) -> Iterator[str]:
    """Yield the columns of a table in their order; ``other`` are those made anew."""
    chosen = [
        f"{other[column.name]} as {column.name}"
        if column.name in other
        else f"{source}.{column.name}"
        for column in columns(record)
    ]
    yield ""
    yield "select"
    yield ",\n".join(f"    {one}" for one in chosen)
    yield f"from {source}"
