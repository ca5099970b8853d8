"""PostgreSQL as a destination: what is loaded there is what a store of one's own holds.

On a real server, which starts in two seconds.
"""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from pipelines.copying import copy
from pipelines.postgres import opened
from pipelines.query import opened as opened_store
from pipelines.store import Home
from pipelines.views import make_views
from sources import part, providers
from sources.errors import StoreError, StoreLocked
from sources.records import TABLES, Response
from tests.faults.command import load
from tests.faults.tally import Tally
from tests.pipelines.polled_twins import polled, unlike
from tests.pipelines.postgres_database import (
    execute,
    load_responses,
    new_database,
)
from tests.pipelines.postgres_rows import brought, canonical, differences
from tests.plain_store import PlainStore
from tests.postgres_server import postgres_server
from tests.responses import every_recording, response

pytestmark = pytest.mark.slow

UNLIKE = {
    "freshness",  # counts the hours until now
    "new_fields",  # has an example, as the engine writes JSON
}
KILLS = 12


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Run PostgreSQL for all tests here."""
    with postgres_server() as url:
        yield url


@pytest.fixture
def database(server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a database for one test, and configure it as dlt's destination."""
    url = new_database(server)
    monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
    return url


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Return a new home whose loads go to PostgreSQL."""
    home = Home(tmp_path / "home", destination="postgres")
    home.create()
    return home


def stored(*loads: Sequence[Response]) -> PlainStore:
    """Return a store of one's own after these loads of one provider."""
    provider = loads[0][0].provider
    return PlainStore(part(provider, "normalize"), provider).after(*loads)


def run(home: Home, *command: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a person does, with PostgreSQL as its destination."""
    return subprocess.run(  # noqa: S603 - this Python, and what stands here
        [
            *(sys.executable, "-m", "pipelines", *command),
            *("--home", str(home.path), "--destination", "postgres"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("provider", providers())
def test_loads_make_the_rows_that_a_store_of_ones_own_has(
    home: Home, database: str, provider: str
) -> None:
    """Law: whatever a provider said, in several loads, it is the same in both."""
    said = every_recording(provider)
    loads = [said[: len(said) // 2], said[len(said) // 2 :], said]

    load_responses(home, *loads)

    assert list(differences(database, stored(*loads))) == []


def test_a_character_that_postgresql_cannot_hold_is_replaced_and_told(
    home: Home, database: str
) -> None:
    """Law: a NUL character keeps no row from loading, and is never dropped in silence.

    An escape of an escape is none.
    """
    data = {"text": "a\0b", "escape": "\\u0000", "\0": ["\\\0"]}
    body = {
        "id": 1,
        "status": "ended",
        "passed": True,
        "transformation": {"data": [data, "c\0d"]},
    }
    said = response("discuro", body, endpoint="execution", params={"execution_id": "1"})

    load_responses(home, [said])

    values = execute(
        database, "select value, value_text from execledger.outputs order by position"
    )
    rejects = execute(
        database, "select path, reason from execledger.load_rejects order by 1"
    )
    raw = execute(database, "select body from execledger.raw_responses")
    mark = "\N{REPLACEMENT CHARACTER}"
    assert values[0][0] == {
        "text": f"a{mark}b",
        "escape": "\\u0000",
        mark: [f"\\{mark}"],
    }
    assert values[1][1] == f"c{mark}d"
    assert [path for path, _ in rejects] == [
        "/transformation/data/0",
        "/transformation/data/1",
    ]
    assert all("NUL" in str(reason) for _, reason in rejects)
    assert bytes(raw[0][0]) == said.body  # type: ignore[call-overload]


def test_the_views_show_what_those_of_a_store_of_ones_own_show(
    home: Home, database: str
) -> None:
    """Law: every mart has the same rows, whichever engine holds the tables."""
    for provider in providers():
        load_responses(home, every_recording(provider))
    with brought(database) as con:
        make_views(con, home)
        marts = con.execute(
            "select view_name from duckdb_views() where schema_name = 'marts'"
        ).fetchall()
        for (name,) in marts:
            cursor = con.execute(f"from marts.{name}")
            names = [column[0] for column in cursor.description or ()]
            if name in UNLIKE:
                continue
            held = execute(database, f"select {', '.join(names)} from marts.{name}")
            assert shown(held) == shown(cursor.fetchall()), name


def shown(rows: Sequence[Sequence[object]]) -> list[list[object]]:
    """Return rows in an order of their own, numbers to nine digits."""

    def plain(value: object) -> object:
        try:
            return f"{float(value):.9g}"  # type: ignore[arg-type]
        except (TypeError, ValueError):
            return str(value)

    return sorted(([plain(value) for value in row] for row in rows), key=repr)


def test_a_replay_rebuilds_what_was_there_and_keeps_what_it_cannot(
    home: Home, database: str
) -> None:
    """Law: raw responses alone bring every row back; what is pruned stays as it is."""
    said = every_recording("unstract")
    load_responses(home, said)
    ((pruned,),) = execute(
        database,
        "select min(response_id) from execledger.executions where is_terminal",
    )
    execute(
        database,
        "update execledger.raw_responses set body = null "
        f"where response_id = '{pruned}';"
        "update execledger.executions set status = 'odd' "
        f"where response_id <> '{pruned}'; delete from execledger.outputs where "
        f"response_id <> '{pruned}'; insert into execledger.execution_tags "
        "(provider, connection, execution_key, response_id, tag_key, tag) "
        "select provider, connection, execution_key, response_id, 'odd', 'odd' "
        f"from execledger.executions where response_id <> '{pruned}'",
    )

    ran = run(home, "replay", "--json")

    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    store = stored(said)
    store.con.execute(
        "update execledger.raw_responses set body = null where response_id = ?",
        [pruned],
    )
    assert list(differences(database, store)) == []
    assert told["kept"] >= 1
    assert told["executions"] + told["kept"] == len(canonical(store.con, "executions"))


def test_an_account_is_loaded_by_one_at_a_time(
    home: Home, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: who comes second is told which account is held, within seconds.

    An account is free as soon as its load has ended, however quickly the next begins.
    """
    del database
    account = ("torale", "default")
    with opened(home, [account, ("unstract", "default")], 0):
        with (
            pytest.raises(
                StoreLocked, match=r"torale:default in PostgreSQL 127\.0\.0\.1"
            ),
            opened(home, [account], 0),
        ):
            pytest.fail("two hold the account")
        with opened(home, [("discuro", "default")], 0):
            pass
    monkeypatch.setattr("pipelines.postgres_session._GRACE_S", 0)
    for _ in range(20):
        with opened(home, [account], 0):
            pass


def test_kills_at_random_moments_lose_nothing(
    tmp_path: Path, database: str, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what was handed out whole is in the database, once, however a load ended."""
    del database
    killed = Tally(fault="kill -9 at a random moment of a load into PostgreSQL")
    monkeypatch.setenv("EXECLEDGER_DESTINATION", "postgres")
    chance = random.Random(11)  # noqa: S311 - moments, no secrets
    took = 0.0
    for number in range(KILLS + 1):
        url = new_database(server)
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)
        home = Home(tmp_path / str(number), destination="postgres")
        with polled(concurrency="4") as twins:
            twins.track(home)
            began = time.monotonic()
            process = load(home, twins)
            if number:  # the first is left in peace, to know how long it takes
                time.sleep(took * 1.05 * (number - 1 + chance.random()) / KILLS)
                process.kill()
            process.communicate()
            took = took or time.monotonic() - began
            twins.pass_time()
            twins.load(home, max_wait_s=20)
            with brought(url, home.published):
                pass
            assert killed.count(home, twins) == []

    assert killed.handed_out > KILLS


def test_the_commands_say_how_it_stands(home: Home, database: str) -> None:
    """Law: status, check and prune work where the loads go."""
    with polled() as twins:
        twins.track(home)
        process = load(home, twins, "--destination", "postgres", "--json")
        out, err = process.communicate()
        assert process.returncode in {0, 1, 4}, err
    loaded = json.loads(out)

    status = json.loads(run(home, "status", "--json").stdout)
    checked = run(home, "check", "--json")
    pruned = run(home, "prune", "--raw-older-than", "0.001", "--redact", "outputs")

    new = sum(one["new"] for one in loaded["accounts"])
    assert sum(status["executions"].values()) == new > 0
    assert status["last_run"]["command"] == "load"
    outcomes = {
        one["name"]: one["outcome"] for one in json.loads(checked.stdout)["checks"]
    }
    assert "error" not in outcomes.values()
    assert outcomes["keys_are_unique"] == "passed"
    assert pruned.returncode == 0, pruned.stderr
    assert execute(
        database,
        "select count(body), count(value), count(value_text) "
        "from execledger.raw_responses full join execledger.outputs on false",
    ) == [(0, 0, 0)]
    commands = execute(database, "select command from execledger.runs order by rowid")
    assert commands == [("load",), ("check",), ("prune",)]
    assert not home.published.exists()


def test_nothing_is_left_of_a_load_but_the_tables(home: Home, database: str) -> None:
    """Law: no staging schema, and one version of dlt's schema, however many loads."""
    said = every_recording("discuro")
    load_responses(home, said[:5], said[5:9], said[9:])

    schemas = execute(
        database,
        "select nspname from pg_namespace where nspname !~ '^(pg_|info)' order by 1",
    )
    versions = execute(database, "select count(*) from execledger._dlt_version")

    assert schemas == [("execledger",), ("marts",), ("public",), ("staging",)]
    assert versions == [(1,)]
    assert not home.work.exists()


def test_what_dlt_needs_is_there_before_anything_is_loaded(
    home: Home, database: str
) -> None:
    """Law: no load makes dlt's own tables: of two that would, one fails."""
    with opened(home, [], 0):
        before = execute(database, "select count(*) from execledger._dlt_loads")
        made = execute(
            database, "select oid from pg_class where relname like '_dlt%' order by 1"
        )

    load_responses(home, every_recording("discuro")[:3])

    again = execute(
        database, "select oid from pg_class where relname like '_dlt%' order by 1"
    )
    assert before == [(0,)]
    assert again == made


def test_views_of_others_and_rights_stay(home: Home, database: str) -> None:
    """Law: making the views anew takes no right away, and drops no view of another."""
    load_responses(home, every_recording("discuro")[:3])
    execute(
        database,
        "create role reader; grant select on marts.daily_usage to reader;"
        "create view public.mine as select * from marts.daily_usage;"
        "comment on schema marts is 'older'; create view marts.own as select 1 as one;"
        "comment on view marts.own is 'One row.';"
        "create view marts.was_ours as select 1 as one;"
        "comment on schema staging is 'marts.daily_usage, marts.was_ours'",
    )

    load_responses(home, every_recording("discuro")[3:5])

    views = execute(
        database,
        "select table_name from information_schema.views where table_name in "
        "('mine', 'own', 'was_ours') order by 1",
    )
    may = execute(
        database, "select has_table_privilege('reader', 'marts.daily_usage', 'select')"
    )
    assert views == [("mine",), ("own",)]
    assert may == [(True,)]


def test_tables_of_a_newer_version_are_refused_in_words(
    home: Home, database: str
) -> None:
    """Law: an older program writes nothing into what it does not know."""
    with opened(home, [], 0):
        pass
    execute(database, "comment on schema execledger is 'layout 99, abc'")

    with (
        pytest.raises(StoreError, match="written by a newer execledger"),
        opened(home, [], 0),
    ):
        pytest.fail("it was opened")


def test_a_column_that_is_missing_is_added(home: Home, database: str) -> None:
    """Law: tables of an earlier version gain columns, and keep their rows."""
    said = every_recording("discuro")
    load_responses(home, said[:3])
    execute(
        database,
        "drop schema marts cascade; drop schema staging cascade;"
        "alter table execledger.executions drop column change_summary;"
        "comment on schema execledger is 'layout 1, older'",
    )

    load_responses(home, said[3:])

    assert list(differences(database, stored(said[:3], said[3:]))) == []


def test_a_password_is_in_no_error(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: whatever is wrong with the connection, its password is not told."""
    for url in (
        "postgresql://u:canary@127.0.0.1:1/db",
        "postgresql://u:canary@/",
        "canary",
    ):
        monkeypatch.setenv("DESTINATION__POSTGRES__CREDENTIALS", url)

        ran = run(home, "replay")

        assert ran.returncode in {1, 2}
        assert "execledger: PostgreSQL" in ran.stderr
        assert "canary" not in ran.stderr + ran.stdout


def test_what_is_missing_is_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Law: without credentials, a command says how to give them."""
    monkeypatch.delenv("DESTINATION__POSTGRES__CREDENTIALS", raising=False)

    ran = run(home, "check")

    assert ran.returncode == 2
    assert "DESTINATION__POSTGRES__CREDENTIALS" in ran.stderr


def test_a_destination_that_nobody_knows_is_refused(home: Home) -> None:
    """Law: a slip in the name of a destination ends in words, and in code 2."""
    ran = subprocess.run(
        [sys.executable, "-m", "pipelines", "check", "--destination", "oracle"],
        capture_output=True,
        text=True,
        check=False,
        cwd=home.path,
    )

    assert ran.returncode == 2
    assert "Known: duckdb, postgres" in ran.stderr


def test_a_store_is_copied_and_compared(tmp_path: Path, database: str) -> None:
    """Law: all rows arrive, once, however often; and loads go on from there."""
    home = Home(tmp_path / "home")
    with polled() as twins:
        twins.track(home)
        twins.load(home)
        shared = Home(home.path, destination="postgres")
        copied = [
            subprocess.run(  # noqa: S603 - this Python, and what stands here
                [
                    *(sys.executable, "-m", "pipelines", "copy", "--to", "postgres"),
                    *("--home", str(home.path), *more),
                ],
                capture_output=True,
                text=True,
                check=False,
            )
            for more in ((), ["--json"])
        ]
        assert [one.returncode for one in copied] == [0, 0], copied[0].stderr
        with opened_store(home) as con, brought(database) as other:
            for name in TABLES.keys() - {"runs"}:
                assert canonical(other, name) == canonical(con, name), name
        told = json.loads(copied[1].stdout)
        assert all(one["store"] == one["destination"] for one in told["tables"])
        assert len(told["checks"]) > 5

        twins.pass_time()
        twins.load(shared)
        with brought(database, tmp_path / "published.duckdb"):
            pass
        assert unlike(Home(tmp_path), twins.twins) == []


def test_an_older_store_takes_no_newer_ones_place(
    tmp_path: Path, database: str
) -> None:
    """Law: what was loaded into the destination since is not undone by a copy."""
    del database
    home = Home(tmp_path / "home")
    with polled() as twins:
        twins.track(home)
        twins.load(home)
        shared = Home(home.path, destination="postgres")
        copy(shared)
        twins.pass_time()
        twins.load(shared)

        with pytest.raises(StoreError, match="newer responses of"):
            copy(shared)
