"""The laws of the model over every recording of every provider, and around them."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources import part, providers
from sources.fold import fold
from sources.records import TABLES, Record, Response, Snapshot
from sources.tables import to_arrow
from tests.laws import lost
from tests.plain_store import PlainStore
from tests.responses import all_recordings, recorded, recordings, response

RECORDINGS = list(all_recordings())

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=12),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Any JSON, NaN, infinities, lone surrogates and integers beyond 64 bits included."""


@pytest.mark.parametrize("provider", providers())
def test_settings_do_not_show_their_keys(provider: str) -> None:
    """Law: in a message or traceback, settings stand without what is secret."""
    kind = part(provider, "settings").Settings
    fields = [field.name for field in msgspec.structs.fields(kind)]
    given = {name: f"canary of {name}" for name in fields if name.endswith("key")}
    needed = {"organization_id": "o", "api_name": "a"}

    made = kind(**given, **{n: v for n, v in needed.items() if n in fields})

    assert "api_key=***" in repr(made)
    assert "canary" not in f"{made} {made!r} {[made]}"


@pytest.fixture(scope="module")
def stores() -> Iterator[dict[str, PlainStore]]:
    """Yield an empty store for each provider."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                closing(PlainStore(part(name, "normalize"), name))
            )
            for name in providers()
        }


def rows_of(stores: Mapping[str, PlainStore], one: Response) -> dict[str, list[Record]]:
    """Return the rows that one response gives an empty store."""
    store, normalizer = stores[one.provider].after(), part(one.provider, "normalize")
    batches = list(fold(lambda: iter([one]), normalizer, store.seen))
    store.apply(batches)  # what Arrow or DuckDB refuses, no store could take
    return {
        name: [row for batch in batches for row in batch.rows.get(name, [])]
        for name in TABLES
    }


@pytest.mark.parametrize(("provider", "name"), RECORDINGS)
def test_every_leaf_of_a_recording_is_in_a_table(
    stores: dict[str, PlainStore], provider: str, name: str
) -> None:
    """Law 1: nothing is dropped; a row that cannot be one is a reject as a whole."""
    one = recorded(provider, name)

    rows = rows_of(stores, one)

    assert lost(one, rows) == []


@pytest.mark.parametrize(("provider", "name"), RECORDINGS)
def test_every_row_of_a_recording_has_a_key_of_its_own(
    stores: dict[str, PlainStore], provider: str, name: str
) -> None:
    """Keys are unique in each table, and every child belongs to its execution."""
    rows = rows_of(stores, recorded(provider, name))

    for table, records in rows.items():
        keys = [tuple(getattr(r, k) for k in TABLES[table].KEY) for r in records]
        assert len(keys) == len(set(keys)), table
    known = {r.execution_key for r in rows["executions"] if isinstance(r, Snapshot)}
    for records in rows.values():
        for record in records:
            if isinstance(record, Snapshot):
                key = record.execution_key
                assert key in known or key.startswith("request:")


@pytest.mark.parametrize("provider", providers())
def test_a_provider_says_which_tables_it_fills(
    stores: dict[str, PlainStore], provider: str
) -> None:
    """Law: it fills those, no other, and its recordings show each of them filled."""
    filled = {
        table
        for name in recordings(provider)
        for table, rows in rows_of(stores, recorded(provider, name)).items()
        if rows
    }

    assert filled == getattr(part(provider, "normalize"), "FILLS", filled)


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_normalize_never_raises_whatever_a_field_holds(
    stores: dict[str, PlainStore], provider: str, data: st.DataObject
) -> None:
    """Law 5: around every recording, any value anywhere ends as value or reject."""
    names = [n for n, r in recordings(provider).items() if r.body_text is None]
    name = data.draw(st.sampled_from(names))
    found = recordings(provider)[name]
    body = json.loads(found.content)
    paths = list(places(body))
    for path in data.draw(st.lists(st.sampled_from(paths), max_size=4)):
        put(body, path, data.draw(JSON))
    one = response(
        provider,
        json.dumps(body).encode(),
        endpoint=found.endpoint,
        params=found.params,
        status=found.status,
    )

    rows = rows_of(stores, one)

    (raw,) = rows["raw_responses"]
    if isinstance(raw, Response) and raw.outcome == "ok":
        assert lost(one, rows) == []


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a JSON value, itself included."""
    yield path
    children: Any = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for name, child in children:
        yield from places(child, (*path, name))


def put(value: Any, path: tuple[Any, ...], new: object) -> None:
    """Put a value at a path, if that is still there."""
    if not path:
        return
    for name in path[:-1]:
        try:
            value = value[name]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(value, dict) or (
        isinstance(value, list) and path[-1] in range(len(value))
    ):
        value[path[-1]] = new


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=60, deadline=None)
@given(body=st.binary(max_size=200) | JSON.map(lambda v: json.dumps(v).encode()))
def test_any_bytes_from_any_endpoint_end_as_rows_or_rejects(
    stores: dict[str, PlainStore], provider: str, body: bytes
) -> None:
    """Law 5: no body whatever makes normalize raise, and none is lost."""
    for endpoint in sorted({r.endpoint for r in recordings(provider).values()}):
        one = response(provider, body, endpoint=endpoint)

        rows = rows_of(stores, one)

        (raw,) = rows["raw_responses"]
        assert isinstance(raw, Response)
        assert raw.outcome in {"ok", "rejected"}
        for name, records in rows.items():
            to_arrow(TABLES[name], records)
