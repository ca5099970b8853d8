"""A search for keys in whatever a run has left or shown, however they are spelled."""

import re
import sqlite3
import tarfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

__all__ = ["found", "left_in"]

_ESCAPED = re.compile(rb"(?:\\+u00|%(?:25)*)([0-9a-fA-F]{2})")


def found(data: bytes, secrets: Iterable[str]) -> list[str]:
    """Return which secrets are in bytes: plain, escaped, in base64 or in UTF-16."""
    plain = _ESCAPED.sub(lambda code: bytes.fromhex(code[1].decode()), data)
    return [
        secret
        for secret in secrets
        if any(form in text for text in (data, plain) for form in _forms(secret))
    ]


def _forms(secret: str) -> Iterator[bytes]:
    yield secret.encode()
    yield secret.encode("utf-16-le")[:-1]
    for before in range(3):  # whole groups of three in the middle: the same anywhere
        inner = secret.encode()[before:]
        yield b64encode(inner[: len(inner) // 3 * 3])


def left_in(folders: Iterable[Path], secrets: Iterable[str]) -> list[str]:
    """Return where below folders a secret stands: names, bytes, tables, archives."""
    secrets = list(secrets)
    places: list[str] = []
    for path in (path for folder in folders for path in folder.rglob("*")):
        if found(str(path).encode(), secrets):
            places.append(f"{path}: its name")
        if path.is_file():
            places += [
                f"{path}: {where}"
                for where, data in _contents(path)
                if found(data, secrets)
            ]
    return places


def _contents(path: Path) -> Iterator[tuple[str, bytes]]:
    raw = path.read_bytes()
    yield "its bytes", raw
    if raw[8:12] == b"DUCK":
        yield from _duckdb(path)
    elif raw.startswith(b"SQLite format 3"):
        yield from _sqlite(path)
    elif raw.startswith(b"PAR1"):
        yield "rows", repr(pq.read_table(path).to_pylist()).encode()
    elif tarfile.is_tarfile(path):
        yield from _tar(path)


def _duckdb(path: Path) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect(str(path), read_only=True) as con:
        named = con.execute(
            "select schema_name, table_name, comment from duckdb_tables() union all "
            "select schema_name, view_name, sql from duckdb_views() where not internal"
        ).fetchall()
        for schema, name, text in named:
            yield f"what {name} is", str(text).encode()
            for row in con.execute(f'from "{schema}"."{name}"').fetchall():
                yield f"a row of {name}", _flat(row)


def _sqlite(path: Path) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as con:
        names = con.execute("select name from sqlite_master where type = 'table'")
        for (name,) in names.fetchall():
            for row in con.execute(f'select * from "{name}"'):
                yield f"a row of {name}", _flat(row)


def _flat(row: Iterable[object]) -> bytes:
    return b"\0".join(
        value if isinstance(value, bytes) else str(value).encode(errors="replace")
        for value in row
    )


def _tar(path: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                yield member.name, content.read()
