"""A connection to PostgreSQL, configured as dlt's destination is."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.config import quiet_dlt
from sources.errors import ConfigurationError, StoreError, StoreLocked
from sources.records import Json, Record
from sources.tables import columns

if TYPE_CHECKING:
    import psycopg2.extensions as pg
    from dlt.destinations.impl.postgres.configuration import PostgresClientConfiguration

__all__ = ["Session", "named", "session", "without_nul"]

_MARK = "\N{REPLACEMENT CHARACTER}"
"""What stands for a NUL character, which no text of PostgreSQL can hold."""

_NEEDED = ("psycopg2", "adbc_driver_postgresql")
_TRY_AGAIN_S = 0.2
_GRACE_S = 3
"""How long a server may take to see that a loader is gone, and free its accounts."""

_SAY = (
    'Set DESTINATION__POSTGRES__CREDENTIALS="postgresql://USER:PASSWORD@HOST:5432/'
    'DATABASE", or [destination.postgres.credentials] in .dlt/secrets.toml.'
)


class Session:
    """A connection in which each statement commits, with UTC as its time zone.

    ``credentials`` are dlt's. What PostgreSQL refuses is raised as ``StoreError``.
    """

    def __init__(self, con: "pg.connection", credentials: Any) -> None:  # noqa: ANN401
        self.con = con
        self.credentials = credentials

    def select(self, sql: str, values: Sequence[object]) -> Sequence[Sequence[Any]]:
        """Run a ``sources.seen.Select``."""
        import psycopg2.errors as refused

        text = sql.replace("%", "%%").replace("?", "%s") if values else sql
        named = text.replace("{", "execledger.").replace("}", "")
        try:
            return self.execute(named, [_fitting(value) for value in values])
        except StoreError as error:
            kinds = (refused.UndefinedTable, refused.InvalidSchemaName)
            if isinstance(error.__cause__, kinds):  # before the first load
                return []
            raise

    def execute(self, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement, its values as ``%s``, and return its rows, if it has any."""
        return self.table(sql, values)[1]

    def table(
        self, sql: str, values: Sequence[object] = ()
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Run a statement, and return the names of its columns and its rows."""
        with in_words(), self.con.cursor() as cursor:
            cursor.execute(sql, values or None)
            names = [column.name for column in cursor.description or ()]
            rows = cursor.fetchall() if names else []
        return names, [tuple(map(_plain, row)) for row in rows]

    @contextmanager
    def transaction(self, lock: str | None = None) -> Iterator[None]:
        """Let statements hold together or not at all, one session at a time in it.

        ``lock`` names what only one may do at a time.
        """
        self.execute("begin")
        try:
            if lock:
                self.execute(f"select pg_advisory_xact_lock({_KEY})", [lock])
            yield
        except BaseException:
            with suppress(StoreError):  # a connection that broke has undone all itself
                self.execute("rollback")
            raise
        self.execute("commit")

    def insert(self, record: type[Record], rows: Sequence[Record]) -> None:
        """Add rows to a table."""
        from psycopg2.extras import execute_values

        kinds = [column.type for column in columns(record)]
        names = ", ".join(column.name for column in columns(record))
        values = [
            tuple(map(_fitting, msgspec.structs.astuple(row), kinds)) for row in rows
        ]
        with in_words(), self.con.cursor() as cursor:
            sql = f"insert into execledger.{record.TABLE} ({names}) values %s"
            execute_values(cursor, sql, values)

    def lock(self, account: tuple[str, str], wait_s: float) -> None:
        """Hold an account as long as the connection lives; raises ``StoreLocked``."""
        name = ":".join(account)
        until = time.monotonic() + max(wait_s, _GRACE_S)
        while not self.execute(f"select pg_try_advisory_lock({_KEY})", [name])[0][0]:
            if time.monotonic() >= until:
                raise StoreLocked(
                    f"Another loader holds {name} in {self.where}. Wait for it with "
                    "--wait, or let only one home load an account."
                )
            time.sleep(_TRY_AGAIN_S)

    def comment_of(self, schema: str) -> str | None:
        """Return what is said of a schema; none where it is not there.

        From the table itself: what ``to_regnamespace`` found once to be missing, it may
        not find after another session has made it.
        """
        rows = self.execute(
            "select coalesce(obj_description(oid, 'pg_namespace'), '') "
            "from pg_namespace where nspname = %s",
            [schema],
        )
        return str(rows[0][0]) if rows else None

    def size(self) -> int:
        """Return the bytes of all tables, with their indexes."""
        rows = self.execute(
            "select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint "
            "from pg_class where relkind = 'r' and relnamespace in "
            "(select oid from pg_namespace where nspname = 'execledger')"
        )
        return int(rows[0][0])

    @property
    def where(self) -> str:
        """The database, as people name it; without a password."""
        at = self.credentials
        return f"PostgreSQL {at.host}:{at.port}/{at.database}"


_KEY = "hashtextextended('execledger:' || %s, 0)"
"""The number of an advisory lock, by its name."""


@contextmanager
def session() -> Iterator[Session]:
    """Connect. Raises ``ConfigurationError`` and ``StoreError``."""
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigurationError(
            f"The destination postgres needs {' and '.join(missing)}: "
            'pip install "execledger[postgres]".'
        )
    credentials = _credentials()
    import psycopg2
    from psycopg2.extras import register_default_jsonb

    with in_words(), ExitStack() as stack:
        con = psycopg2.connect(
            credentials.to_native_representation(), application_name="execledger"
        )
        stack.enter_context(closing(con))
        con.autocommit = True
        register_default_jsonb(con, loads=str)
        opened = Session(con, credentials)
        opened.execute("set time zone 'UTC'")
        yield opened
        # The server sees only later that the connection is closed.
        opened.execute("select pg_advisory_unlock_all()")


def _credentials() -> Any:  # noqa: ANN401 (dlt's)
    """Return what dlt has configured for its destination."""
    quiet_dlt()
    import dlt
    from dlt.common.configuration.exceptions import ConfigurationException

    try:
        found = dlt.destinations.postgres().configuration(named())
    except (ConfigurationException, ValueError):  # its words may hold the password
        raise ConfigurationError(
            f"PostgreSQL's credentials are missing or incomplete. {_SAY}"
        ) from None
    return found.credentials


def named() -> "PostgresClientConfiguration":
    """Return what dlt's destination is given to start from: the name of our schema."""
    from dlt.destinations.impl.postgres.configuration import (
        PostgresClientConfiguration as Configuration,
    )

    return Configuration()._bind_dataset_name("execledger")  # noqa: SLF001 (dlt's)


_ESCAPED_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def without_nul(text: str, *, is_json: bool) -> str:
    """Return a text as PostgreSQL can hold it: U+FFFD where a NUL character was."""
    if is_json:
        return _ESCAPED_NUL.sub(rf"\1{_MARK}", text)
    return text.replace("\0", _MARK)


def _fitting(value: object, kind: object = str) -> object:
    if isinstance(value, str):
        return without_nul(value, is_json=kind is Json)
    return [_fitting(one) for one in value] if isinstance(value, list) else value


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value


@contextmanager
def in_words() -> Iterator[None]:
    """Raise what PostgreSQL refuses as ``StoreError``."""
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        said = " ".join(str(error).split("\n")[:2]).strip()
        raise StoreError(f"PostgreSQL: {said}") from error
