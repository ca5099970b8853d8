"""What the store holds of executions, asked by their keys."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import duckdb
import pytest

from pipelines.selecting import select_from
from pipelines.tables import appender, create_tables
from sources.records import Execution, execution_key
from sources.seen import Seen
from sources.tables import to_arrow

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
SCOPES = ("task-1", "eu:task%1", "")


def key(scope: str, number: int) -> str:
    """Return the key of an execution of a scope."""
    return execution_key("torale", "default", scope, str(number))


def execution(scope: str, number: int, connection: str = "default") -> Execution:
    """Return an execution of which the list says all that is held."""
    return Execution(
        execution_key=execution_key("torale", connection, scope, str(number)),
        provider="torale",
        connection=connection,
        execution_id=str(number),
        scope=scope,
        status="succeeded",
        is_terminal=True,
        result_state="available",
        day=NOON.date(),
        first_seen_at=NOON,
        observed_at=NOON,
        list_sha256="same",
        content_sha256="same",
        response_id="r",
    )


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a store of three executions of each scope."""
    with duckdb.connect() as opened:
        create_tables(opened)
        rows = [execution(scope, number) for scope in SCOPES for number in range(3)]
        appender(opened)("executions", to_arrow(Execution, rows))
        yield opened


@pytest.mark.parametrize("scopes", [SCOPES[:1], SCOPES[1:2], SCOPES[2:], SCOPES, ()])
def test_executions_are_known_by_their_keys_whatever_their_scopes(
    con: duckdb.DuckDBPyConnection, scopes: Sequence[str]
) -> None:
    """Law: of one scope or of many, what is asked for and held comes, and no other."""
    seen = Seen(select_from(con), "torale", "default")
    held = {key(scope, number) for scope in scopes for number in (0, 2)}
    others = {key(scope, 7) for scope in scopes}

    known = seen.executions(held | others)

    assert known.keys() == held
    assert {one.list_sha256 for one in known.values()} <= {"same"}


def test_a_server_has_details_where_more_is_held_than_a_list_says(
    con: duckdb.DuckDBPyConnection,
) -> None:
    """Law: one execution will do; those of another connection say nothing."""
    seen = Seen(select_from(con), "torale", "default")
    other = Seen(select_from(con), "torale", "other")
    before = seen.has_details()

    con.execute(
        "update execledger.executions set content_sha256 = 'more' "
        "where execution_key = ?",
        [key("task-1", 1)],
    )

    assert (before, seen.has_details(), other.has_details()) == (False, True, False)
