"""Answers as an enemy would give them, over HTTP, up to the published store."""

import asyncio
import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

from pipelines.load import load
from pipelines.query import written
from pipelines.replay import replay
from pipelines.store import Home
from sources import providers
from sources.exchange import Reply
from sources.journal import Journal
from sources.json_text import sha256
from sources.loopback import serve
from sources.provider import Window
from sources.torale.twin import ToraleTwin
from sources.torale.twin_world import Task
from tests.hurt import NAMES, RAW, Raw, hurt, wire
from tests.pipelines.hostile_twin import Hostile, hostile
from tests.pipelines.small_torale import (
    KEY,
    NOW,
    account,
    doubled,
    load_into,
    one,
    put,
    rows,
)
from tests.responses import recordings

pytestmark = pytest.mark.usefixtures("here", "no_naps")

FIELDS: dict[str, object] = {
    **{f"hostile {place}": Raw(content) for place, content in enumerate(RAW)},
    "hostile deep": Raw(b"[" * 10_000 + b"]" * 10_000),
    **{f"hostile {name}": name for name in NAMES},
}
"""Values that no parser likes, and names that would like to be more than names."""

SPOILT = 16
"""Answers that get such fields: so many of them take their time."""

TYPES = (
    "select table_name, column_name, data_type from duckdb_columns() where "
    "schema_name = 'execledger' and not starts_with(table_name, '_dlt') order by all"
)
RAW_RESPONSES = "select count(*) from execledger.raw_responses"
BODIES = 40
SQL_NAME = NAMES[2]
LIMIT_MB = 1
BOMB = gzip.compress(bytes(100 * 2**20))
"""A hundred MiB in a hundred KB."""


def first_objects(body: Any) -> Iterator[dict[str, object]]:
    """Yield a body, if it is an object, and the first object of each list in it."""
    inner = [body]
    if isinstance(body, dict):
        yield body
        inner = list(body.values())
    for value in inner:
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield value[0]


@pytest.mark.parametrize("provider", providers())
def test_hostile_fields_change_nothing_of_what_stands_beside_them(
    home: Home, provider: str
) -> None:
    """Law: deep nests, numbers, bytes and names that nobody can read cost no other.

    They are kept, types stay, and both loads bring all that there was.
    """
    left = SPOILT

    def spoil(body: bytes) -> bytes:
        nonlocal left
        said, left = json.loads(body), left - 1
        for place in first_objects(said) if left >= 0 else ():
            place.update(FIELDS)
        return wire(said)

    with hostile(provider, spoil=spoil) as (twin, url):
        twin.load(home, url)
        types = rows(home, TYPES)
        twin.twin.pass_time()
        left = SPOILT
        report = twin.load(home, url)

    assert twin.differences(home) == []
    assert rows(home, TYPES) == types
    assert "broke off" not in str(report)
    kept = "select distinct path from execledger.execution_metadata"
    names = {path.rpartition("/")[2] for (path,) in rows(home, kept)}
    assert {key.replace("~", "~0").replace("/", "~1") for key in FIELDS} <= names
    reasons = rows(home, "select distinct reason from execledger.load_rejects")
    assert {
        "beyond_double",
        "control_character",
        "duplicate_key",
        "invalid_utf8",
        "lone_surrogate",
        "not_finite",
        "too_deep",
        "too_many_digits",
    } <= {reason for (reason,) in reasons}


class Floods:
    """Answers beyond the limit for the first requests; ``sent`` counts the bytes."""

    def __init__(self) -> None:
        self.sent = 0
        self.spoilt: dict[str, ASGIApp] = {}
        packed = [("gzip", BOMB), ("br", BOMB)]
        self._answers: list[ASGIApp] = [
            StreamingResponse(self._endless(), media_type="application/json"),
            *(
                Response(body, headers={"content-encoding": how})
                for how, body in packed
            ),
        ]

    async def _endless(self) -> Any:
        while True:
            piece = b"[" + b"0," * 32_768
            self.sent += len(piece)
            yield piece
            await asyncio.sleep(0)  # others are served, too

    def instead(self, asked: str) -> ASGIApp | None:
        """Return what floods whoever asks this, again where it is asked again."""
        if "execution" not in asked:
            return None
        if asked not in self.spoilt and self._answers:
            self.spoilt[asked] = self._answers.pop(0)
        return self.spoilt.get(asked)


@pytest.mark.parametrize("provider", providers())
def test_a_flood_is_left_while_it_is_read_and_the_rest_is_loaded(
    home: Home, provider: str
) -> None:
    """Law: what is beyond the limit, unpacked too, costs that answer alone."""
    floods = Floods()

    with hostile(provider, instead=floods.instead) as (twin, url):
        flooded = twin.load(home, url, max_body_mb=LIMIT_MB)
        held = one(home, "select count(*) from execledger.executions")
        largest = one(
            home, "select max(octet_length(body)) from execledger.raw_responses"
        )
        cut = one(home, f"{RAW_RESPONSES} where outcome = 'truncated'")
        twin.instead = lambda _: None
        twin.twin.pass_time()
        twin.load(home, url, max_body_mb=LIMIT_MB)

    assert len(floods.spoilt) == 3
    assert LIMIT_MB * 2**20 < floods.sent < (LIMIT_MB + 31) * 2**20
    assert largest <= LIMIT_MB * 2**20
    assert held > 5
    assert cut >= 3
    assert "broke off" not in str(flooded)
    # Where another had read it, our cut answer may have been the one it was in.
    assert [
        said for said in twin.differences(home) if "lost_in_transit" not in said
    ] == []


def hostile_replies(provider: str) -> Iterator[tuple[str, dict[str, object], Reply]]:
    """Yield endpoint, parameters and reply of recordings that are hurt."""
    chance = Random(BODIES)  # noqa: S311 - which change, no secret
    known = [each for each in recordings(provider).values() if each.body_text is None]
    for _ in range(BODIES):
        asked = chance.choice(known)
        body = wire(hurt(json.loads(asked.content), chance))
        yield (
            asked.endpoint,
            asked.params,
            Reply(
                method="GET",
                url="",
                http_status=asked.status,
                elapsed_ms=1,
                outcome="ok" if asked.status < 300 else "http_error",
                body=body,
                body_sha256=sha256(body),
                size_bytes=len(body),
            ),
        )


def test_many_hostile_bodies_are_loaded_together_and_again(home: Home) -> None:
    """Law: whatever waits is loaded in one step, and no table changes its types.

    So it is when all is read anew.
    """
    home.create()
    accounts = [
        Hostile(name, bytes, lambda _: None).account("http://127.0.0.1:9")
        for name in providers()
    ]
    for _ in range(2):  # into a store without a table, and into one that has them
        with Journal(home.journal) as journal:
            for at in accounts:
                for endpoint, params, reply in hostile_replies(at.provider):
                    journal.append(
                        provider=at.provider,
                        connection="default",
                        endpoint=endpoint,
                        params=params,
                        reply=reply,
                    )
        load(home, accounts, window=Window(), watch=lambda *_: None)
    types = rows(home, TYPES)
    replayed = replay(home)

    assert types == rows(home, TYPES)
    assert not [name for _, name, _ in types if "__v_" in name]
    assert replayed.problems == []
    kept = one(home, f"{RAW_RESPONSES} where body_sha256 is not null")
    assert kept >= 2 * BODIES * len(accounts)
    assert doubled(home) == []


def test_names_of_an_enemy_are_names_and_nothing_else(
    home: Home, tmp_path: Path
) -> None:
    """Law: paths, SQL, formulas and markup as ids and texts end as they came.

    No file is made outside the home, no table is gone, and a spreadsheet runs nothing.
    """
    names = [name for name in NAMES if name] + ["..", "x" * 70_000]
    twin = ToraleTwin(key=KEY, clock=lambda: NOW, max_limit=4)
    twin.world.add_task(Task(task_id=SQL_NAME, name=NAMES[4]))
    for number, name in enumerate(names):
        texts = {"uri": name, "title": name, "snippet": name}
        put(
            twin,
            name,
            number,
            SQL_NAME,
            result={"answer": name},
            error_message=name,
            grounding_sources=[texts],
        )
    before = set(tmp_path.rglob("*"))

    with serve(twin.app) as url:
        report = load_into(home, account(url))

    assert report.outcome == "ok", report
    sql = "select execution_id, value_text from execledger.executions join "
    sql += "execledger.outputs using (execution_key) where name = 'answer'"
    assert sorted(rows(home, sql)) == sorted((name, name) for name in names)
    made = set(tmp_path.rglob("*")) - before
    assert [path for path in made if home.path not in [path, *path.parents]] == []
    for table in ("executions", "outputs", "grounding_sources", "workflows"):
        text = written(home, f"from execledger.{table}", "csv").decode()
        cells = [cell for row in csv.reader(io.StringIO(text)) for cell in row]
        assert not [cell for cell in cells if cell[:1] in set("=+-@\t\r")]
