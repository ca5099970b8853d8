"""A case of a view or a check is a folder: ``given/<table>.csv``, ``expected.csv``.

A given file has the columns that matter; the others are NULL, or as in ``DEFAULTS``.
An empty cell is NULL, ``''`` an empty text. ``given/clock.csv`` sets the time of the
query (``now_at``). The expected file has the columns that are compared, and all rows,
in any order.
"""

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb

__all__ = ["cases", "differences", "given"]

FOLDER = Path(__file__).resolve().parent

DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "": {"provider": "torale", "connection": "default", "response_id": "r1"},
    "executions": {"status": "succeeded", "is_terminal": "true"},
    "token_usage": {
        "purpose": "unknown",
        "source": "result",
        "model_basis": "reported",
        "is_counted": "true",
    },
    "runs": {"command": "load", "outcome": "ok", "counts": "{}"},
}
"""What a column is where a given file does not have it; "" is every table."""


def cases(kind: str) -> list[Path]:
    """Return the folders of all cases of ``marts`` or ``checks``."""
    return sorted(path.parent for path in FOLDER.glob(f"{kind}/*/*/expected.csv"))


@contextmanager
def given(con: duckdb.DuckDBPyConnection, case: Path) -> Iterator[None]:
    """Let the store hold the given rows of a case, until the end."""
    con.begin()
    try:
        for file in sorted((case / "given").glob("*.csv")):
            _fill(con, file)
        yield
    finally:
        con.rollback()


def _fill(con: duckdb.DuckDBPyConnection, file: Path) -> None:
    rows = _read(file)
    if file.stem == "clock":
        now = rows[0]["now_at"]
        con.execute(
            f"create or replace view staging.clock as select timestamptz '{now}' "
            f"as now_at, cast(timestamptz '{now}' at time zone 'UTC' as date) as today"
        )
        return
    types = _types(con, "execledger", file.stem)
    for row in rows:
        unknown = row.keys() - types.keys()
        assert not unknown, f"{file} has columns that {file.stem} has not: {unknown}"
        defaults = {**DEFAULTS[""], **DEFAULTS.get(file.stem, {})}
        values = {**{k: v for k, v in defaults.items() if k in types}, **row}
        names = ", ".join(f'"{name}"' for name in values)
        casts = ", ".join(f"cast(? as {types[name]})" for name in values)
        con.execute(
            f"insert into execledger.{file.stem} ({names}) select {casts}",
            [*values.values()],
        )


def _read(file: Path) -> list[dict[str, str | None]]:
    with file.open(encoding="utf-8", newline="") as opened:
        return [
            {name: _value(cell) for name, cell in row.items()}
            for row in csv.DictReader(opened, strict=True)
        ]


def _value(cell: str) -> str | None:
    return "" if cell == "''" else cell or None


def _types(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> dict[str, str]:
    rows = con.execute(
        "select column_name, data_type from duckdb_columns() "
        "where schema_name = ? and table_name = ?",
        [schema, table],
    ).fetchall()
    assert rows, f"there is no {schema}.{table}"
    return dict(rows)


def differences(
    con: duckdb.DuckDBPyConnection, case: Path, select: str
) -> list[tuple[str, dict[str, object]]]:
    """Return the rows that a select lacks or has too many, by what is expected."""
    expected = _read(case / "expected.csv")
    with (case / "expected.csv").open(encoding="utf-8", newline="") as opened:
        names = next(csv.reader(opened))
    con.execute(f"create or replace temp view found as {select}")
    types = _types(con, "main", "found")
    assert set(names) <= types.keys(), f"{case} expects {set(names) - types.keys()}"
    columns = ", ".join(_compared(f'"{name}"', types[name]) for name in names)
    wanted = " union all ".join(
        "select " + ", ".join(_cell(row[name], types[name]) for name in names)
        for row in expected
    )
    found = f"select {columns} from found"
    wanted = wanted or f"{found} limit 0"
    return [
        (verdict, dict(zip(names, row, strict=True)))
        for verdict, sql in (
            ("is missing", f"({wanted}) except all ({found})"),
            ("is too many", f"({found}) except all ({wanted})"),
        )
        for row in con.execute(sql).fetchall()
    ]


def _compared(name: str, kind: str) -> str:
    return f"round({name}, 9)" if kind in {"DOUBLE", "FLOAT"} else name


def _cell(text: str | None, kind: str) -> str:
    literal = "null" if text is None else "'" + text.replace("'", "''") + "'"
    return _compared(f"cast({literal} as {kind})", kind)
