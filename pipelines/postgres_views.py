"""The views of ``sql/`` in PostgreSQL: all made anew, with their comments, or none."""

from collections.abc import Iterator, Sequence

from pipelines.descriptions import described, descriptions
from pipelines.dialects import engine_views
from pipelines.postgres_session import Session
from pipelines.sql_files import SqlFile
from pipelines.store import Home
from pipelines.tables import comments
from sources.errors import StoreError
from sources.json_text import canonical_sha256

__all__ = ["make_views"]

_SCHEMAS = ("staging", "marts")
_PATIENCE = "set local lock_timeout = '5s'"
"""A reader who has a view open is waited for so long, and everyone else for this."""


def make_views(session: Session, home: Home) -> None:
    """Make all views anew, with their comments, or change none.

    Those that are there already stay, and so do rights that were granted on a view
    whose columns are as they were. Raises ``StoreError``.
    """
    files = engine_views(home, "postgres")
    mark = canonical_sha256(
        [[(one.qualified, one.sql) for one in files], descriptions()]
    )
    if session.comment_of("marts") == mark:
        return
    try:
        _make(session, files, mark)
    except StoreError as error:
        if getattr(error.__cause__, "pgcode", None) != _OTHER_COLUMNS:
            raise
        _make(session, files, mark, is_anew=True)


_OTHER_COLUMNS = "42P16"
"""PostgreSQL's code where a view is replaced by one with other columns."""


def _make(
    session: Session, files: Sequence[SqlFile], mark: str, *, is_anew: bool = False
) -> None:
    with session.transaction("views"):
        if session.comment_of("marts") == mark:
            return
        session.execute(_PATIENCE)
        for schema in _SCHEMAS:
            if session.comment_of(schema) is None:
                session.execute(f"create schema {schema}")
        if there := _there(session) if is_anew else _there(session) - _names(files):
            session.execute(f"drop view {', '.join(sorted(there))}")
        for file in files:
            session.execute(f"create or replace view {file.qualified} as {file.sql}")
        session.execute(";".join(_comments(session, files)))
        ours = ", ".join(sorted(_names(files)))
        session.execute(f"comment on schema staging is '{ours}'")
        session.execute(f"comment on schema marts is '{mark}'")


def _names(files: Sequence[SqlFile]) -> set[str]:
    return {file.qualified for file in files}


def _there(session: Session) -> set[str]:
    """Return those of our views that are there: beside them may be others."""
    said = session.comment_of("staging") or ""
    rows = session.execute(
        "select table_schema || '.' || table_name from information_schema.views "
        "where table_schema = any(%s)",
        [list(_SCHEMAS)],
    )
    return {row[0] for row in rows} & set(said.split(", "))


def _comments(session: Session, files: Sequence[SqlFile]) -> Iterator[str]:
    said = descriptions()
    rows = session.execute(
        "select table_schema || '.' || table_name, array_agg(column_name::text order "
        "by ordinal_position) from information_schema.columns "
        "where table_schema = any(%s) group by 1",
        [list(_SCHEMAS)],
    )
    names = dict(rows)
    for file in files:
        meanings = described(file.name, names[file.qualified], said)
        yield from comments("view", file.qualified, file.comment, meanings)
