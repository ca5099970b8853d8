"""The selects of ``sql/`` in the words of other engines, through sqlglot.

What sqlglot translates into something that counts, or fails, otherwise than DuckDB is
said here by hand; each such rule is held by a test on the engine itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

import sqlglot
from sqlglot import ErrorLevel, exp
from sqlglot.errors import UnsupportedError

from pipelines.sql_files import SQL, SqlFile, sql_files
from pipelines.store import Home
from pipelines.views import views

__all__ = [
    "DIALECTS",
    "ENGINES",
    "Engine",
    "bound",
    "engine_views",
    "translated",
    "unsaid",
]

Engine = Literal["duckdb", "postgres", "spark"]
"""Engines whose staging views are in ``sql/staging``, and that the tests run."""

ENGINES: Sequence[Engine] = get_args(Engine)

_NO_SQL = ("", "dax", "prql")

DIALECTS = sorted({name.value for name in sqlglot.Dialects} - {*_NO_SQL})
"""Every dialect that sqlglot writes; what it writes for most is run by no test."""

_OURS = "duckdb"
_ALL = 1000
_SPARKS = ("databricks", "spark", "spark2")
_POSTGRES = ("materialize", "postgres", "risingwave")

_EPOCHS = {
    **dict.fromkeys(_SPARKS, "unix_{unit}s(:at)"),
    **dict.fromkeys(
        _POSTGRES, "cast(floor(extract(epoch from :at) * {per_second}) as bigint)"
    ),
}
"""How many units have begun since 1970 at a time."""

_UNITS = {"SECOND": ("second", 1), "MILLISECOND": ("milli", 1000)}
"""The units of ``date_diff`` in our selects: their name, and how many are a second."""


def engine_views(home: Home, engine: str) -> list[SqlFile]:
    """Return all views of the store for an engine, each after those it selects from.

    Staging views are the engine's own; where it has none, they are left out. Raises
    as ``views`` does.
    """
    own = {file.name: file for file in sql_files(SQL / "staging" / engine, "staging")}
    return [
        own[view.name]
        if view.schema == "staging"
        else SqlFile(view.schema, view.name, translated(view.sql, engine))
        for view in views(home)
        if view.schema != "staging" or view.name in own
    ]


def translated(sql: str, dialect: str) -> str:
    """Return one of our selects as a dialect says it; its comments go along.

    What sqlglot cannot say in it is left out: see ``unsaid``.
    """
    if dialect == _OURS:
        return sql
    return _said(sqlglot.parse_one(sql, read=_OURS), dialect)


def unsaid(sql: str, dialect: str) -> list[str]:
    """Return what sqlglot cannot say of one of our selects, in its words."""
    try:
        _said(sqlglot.parse_one(sql, read=_OURS), dialect, ErrorLevel.RAISE)
    except UnsupportedError as error:
        return sorted({*str(error).split("\n\n")})
    return []


def bound(file: SqlFile, given: Mapping[str, Any], dialect: str) -> str:
    """Return the select of a check or budget, with its bounds as literals.

    ``given`` may have more than it asks for. Raises ``KeyError`` where one is missing.
    """
    tree = sqlglot.parse_one(file.sql, read=_OURS)
    for place in [*tree.find_all(exp.Placeholder)]:
        place.replace(exp.convert(given[place.name]))
    return _said(tree, dialect)


def _said(
    tree: exp.Expr, dialect: str, unsupported: ErrorLevel = ErrorLevel.IGNORE
) -> str:
    for node in reversed([*tree.find_all(*_RULES)]):  # what is inside comes first
        node.replace(_RULES[type(node)](node, dialect))
    return tree.sql(
        dialect=dialect,
        pretty=True,
        unsupported_level=unsupported,
        max_unsupported=_ALL,
    )


def _boundaries(node: exp.Expr, dialect: str) -> exp.Expr:
    """Count as DuckDB does: the seconds or milliseconds that begin between two times.

    sqlglot's ways count those that passed, or round.
    """
    if dialect not in _EPOCHS:
        return node
    unit, per_second = _UNITS[node.text("unit").upper()]
    epoch = _EPOCHS[dialect].format(unit=unit, per_second=per_second)
    later, earlier = (
        exp.replace_placeholders(sqlglot.parse_one(epoch, read=dialect), at=time)
        for time in (node.this, node.expression)
    )
    return exp.paren(exp.Sub(this=later, expression=earlier), copy=False)


def _utc(node: exp.Expr, dialect: str) -> exp.Expr:
    """Say ``at time zone 'UTC'`` to Spark, whose times are the reader's own."""
    if dialect not in _SPARKS:
        return node
    return exp.func("to_utc_timestamp", node.this, exp.func("current_timezone"))


def _pattern(node: exp.Expr, dialect: str) -> exp.Expr:
    r"""Let no ``\`` escape in a LIKE pattern that is data: in DuckDB, none does."""
    if isinstance(node.expression, exp.Literal):
        return node
    if dialect in _POSTGRES:
        return exp.Escape(this=node.copy(), expression=exp.Literal.string(""))
    if dialect in _SPARKS:
        one, two = exp.Literal.string("\\"), exp.Literal.string("\\" * 2)
        node.set("expression", exp.func("replace", node.expression, one, two))
    return node


def _everywhere(node: exp.Expr, dialect: str) -> exp.Expr:
    """Drop the ``g`` of ``regexp_replace`` where all is replaced anyway."""
    if dialect not in (_OURS, *_POSTGRES):
        node.set("modifiers", None)
    return node


_RULES: dict[type[exp.Expr], Callable[[exp.Expr, str], exp.Expr]] = {
    exp.DateDiff: _boundaries,
    exp.AtTimeZone: _utc,
    exp.Like: _pattern,
    exp.RegexpReplace: _everywhere,
}
"""What is put for a node of each type, in a dialect."""
