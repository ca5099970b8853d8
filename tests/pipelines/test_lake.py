"""A lake in files: what loads append to it is read back as a store would hold it."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.lake import DATASET, Lake, TableFormat, lake
from pipelines.lake_reading import known, opened
from pipelines.lake_rows import LAST, in_two_steps, lake_schema, without_gone
from pipelines.lake_writing import append
from pipelines.outlook import interval_of, lost_results
from pipelines.past_loads import unfinished
from pipelines.selecting import select_from
from pipelines.sql_files import SQL, sql_files
from pipelines.store import Home
from sources import part, providers
from sources.errors import ConfigurationError, StoreError
from sources.fold import Batch, fold
from sources.json_text import encode
from sources.records import TABLES, Output, Response, Run
from sources.seen import Seen
from sources.tables import columns, tables_of
from tests.conftest import ROOT
from tests.pipelines.conftest import Configure
from tests.pipelines.lake_loads import load, put
from tests.pipelines.lake_writer import EACH
from tests.plain_store import PlainStore, Rows, shown
from tests.responses import BEGIN, every_recording, recorded, recordings
from tests.sql import elsewhere

NOWHERE = Home(Path("nowhere"))
FORMATS: list[TableFormat] = ["delta", "parquet"]


@pytest.fixture(params=FORMATS)
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """Return a lake of each format, in a folder that is not there yet."""
    return Lake(request.param, str(tmp_path / "lake"))


SLOW_DELTA = pytest.param("delta", marks=pytest.mark.slow)
"""A load into Delta takes three seconds, whatever is in it."""


@pytest.fixture(params=["parquet", SLOW_DELTA])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """Return a lake of each format; with Delta, the test is slow."""
    return Lake(request.param, str(tmp_path / "lake"))


def tables(of: Lake) -> Rows:
    """Return all rows of all tables of a lake."""
    with closing(opened(of, NOWHERE)) as con:
        return {name: shown(con, name) for name in TABLES}


def expected(provider: str, loads: Sequence[Sequence[Response]]) -> Rows:
    """Return what a store holds after these loads."""
    with closing(PlainStore(part(provider, "normalize"), provider)) as store:
        return store.after(*loads).tables(only=TABLES)


def test_every_recording_is_read_back_as_a_store_holds_it(each: Lake) -> None:
    """Law: of all providers, in loads of their own, whatever they send."""
    wanted: Rows = {name: [] for name in TABLES}
    for provider in providers():
        said = every_recording(provider)
        load(each, provider, said)
        for name, rows in expected(provider, [said]).items():
            wanted[name] = sorted(wanted[name] + rows, key=repr)

    assert tables(each) == wanted


def test_a_load_that_was_cut_off_is_repeated_with_what_came_since(empty: Lake) -> None:
    """Law: half of a load shows nothing, and the next one has all of it."""
    said = every_recording("torale")
    first, second, third = said[:40], said[40:60], said[60:]
    load(empty, "torale", first)
    before = tables(empty)

    load(empty, "torale", second, cut=max(TABLES.keys() - LAST))

    half = tables(empty)
    assert half["executions"] == before["executions"]
    assert half["outputs"] == before["outputs"]
    load(empty, "torale", [*second, *third])
    load(empty, "torale", third)
    found, wanted = tables(empty), expected("torale", [first, [*second, *third]])
    assert {row[3] for row in found.pop("load_rejects")} >= {
        row[3] for row in wanted.pop("load_rejects")
    }
    assert found == wanted


@pytest.mark.slow
@pytest.mark.parametrize("table_format", FORMATS)
def test_three_writers_at_once_lose_nothing(
    table_format: TableFormat, tmp_path: Path
) -> None:
    """Law: twenty times they make a lake at once, and append to it at once."""
    command = [sys.executable, "-m", "tests.pipelines.lake_writer"]
    with ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(  # noqa: S603 - a module of the tests
                    [*command, str(number), table_format],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    cwd=ROOT,
                    text=True,
                )
            )
            for number in range(3)
        ]
        for trial in range(20):
            where = str(tmp_path / str(trial))
            for _ in range(2):
                tries = _at_once(writers, where)
                assert all(tries), "a writer gave up"

            found = tables(Lake(table_format, where))
            assert len(found["raw_responses"]) == 6
            assert len(found["executions"]) == 6 * EACH + 1
            assert len(found["outputs"]) == 2 * len(found["executions"])


def _at_once(writers: Sequence[subprocess.Popen[str]], where: str) -> list[str]:
    """Let all writers append a load; return how often each tried."""
    for writer in writers:
        assert writer.stdin
        writer.stdin.write(f"{where}\n")
        writer.stdin.flush()
    return [writer.stdout.readline() for writer in writers if writer.stdout]


@pytest.mark.slow
@pytest.mark.parametrize("table_format", FORMATS)
@settings(
    max_examples=8,
    deadline=None,
)
@given(data=st.data())
def test_any_partition_into_loads_is_read_back_as_a_store_holds_it(
    table_format: TableFormat, data: st.DataObject
) -> None:
    """Law: as in memory, so in files: parted anywhere, cut off anywhere, repeated."""
    provider = data.draw(st.sampled_from(providers()))
    names = st.sampled_from(sorted(recordings(provider)))
    said = [
        recorded(provider, name, second=second)
        for second, name in enumerate(data.draw(st.lists(names, min_size=9)))
    ]
    cuts = data.draw(st.lists(st.integers(0, len(said)), max_size=2).map(sorted))
    loads = [said[a:b] for a, b in pairwise([0, *cuts, len(said)])]
    with tempfile.TemporaryDirectory() as folder:
        to = Lake(table_format, folder)
        for one in loads:
            if data.draw(st.booleans()):
                load(to, provider, one, cut=data.draw(st.sampled_from(sorted(TABLES))))
            load(to, provider, one)
        load(to, provider, loads[-1])

        assert tables(to) == expected(provider, [*loads, loads[-1]])


def test_a_lake_that_is_not_there_yet_is_empty(each: Lake) -> None:
    """Law: before the first load every table and view is there, without rows."""
    with closing(opened(each, NOWHERE)) as con:
        counts = [con.execute(f"from execledger.{name}").fetchall() for name in TABLES]
        marts = con.execute("select count(*) from marts.freshness").fetchall()

    assert counts == [[]] * len(TABLES)
    assert marts == [(0,)]
    assert tables(each)["executions"] == []


def test_what_loads_look_up_is_as_in_a_store(each: Lake) -> None:
    """Law: a load over a lake decides by the same answers as one over a store."""
    said = every_recording("unstract")
    runs = [
        Run(
            run_id=f"r{number}",
            command="load",
            started_at=BEGIN,
            ended_at=BEGIN,
            outcome="ok",
            counts=encode({"unfinished": {"torale:default": {"t": str(number)}}}),
        )
        for number in range(2)
    ]
    load(each, "unstract", said)
    put(each, None, [Batch(rows={"runs": [*runs]}, gone={})])

    with (
        closing(PlainStore(part("unstract", "normalize"), "unstract")) as store,
        closing(known(each, [("unstract", "default")])) as con,
    ):
        store.after(said).apply([Batch(rows={"runs": [*runs]}, gone={})])
        answers = [
            [
                seen.executions(row[2] for row in shown(store.con, "executions")),
                seen.workflows(row[3] for row in shown(store.con, "workflows")),
                seen.rejects(row[3] for row in shown(store.con, "load_rejects")),
                seen.responses(one.response_id for one in said),
                seen.horizons(open_since=BEGIN),
                seen.has_details(),
                lost_results(select),
                unfinished(select),
                interval_of(select, None, BEGIN),
            ]
            for select in map(select_from, (con, store.con))
            for seen in [Seen(select, "unstract", "default")]
        ]
        others = known(each, [("unstract", "another")])

    assert answers[0] == answers[1]
    assert len(answers[0][0]) > 5  # type: ignore[arg-type]
    assert answers[0][7] == {"torale:default": {"t": "1"}}
    assert others.execute("select count(*) from execledger.executions").fetchall() == [
        (0,)
    ]


def test_a_load_that_fails_on_the_way_is_done_again_as_a_whole(empty: Lake) -> None:
    """Law: whatever came through at the first try, no row counts twice."""
    said = every_recording("discuro")
    nothing = Seen(lambda *_: [], "discuro", "default")
    begun = []

    def batches() -> Iterator[Batch]:
        begun.append(1)
        found = list(fold(lambda: iter(said), part("discuro", "normalize"), nothing))
        yield from found
        if len(begun) == 1:
            raise OSError("the disk is full")

    with tempfile.TemporaryDirectory() as folder:
        append(empty, "discuro", batches, folder=Path(folder))

    assert len(begun) == 2
    assert tables(empty) == expected("discuro", [said])


def test_ctrl_c_ends_a_load_at_once(tmp_path: Path) -> None:
    """Law: it is no fault that another try mends."""
    begun = []

    def batches() -> Iterator[Batch]:
        begun.append(1)
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        append(Lake("parquet", str(tmp_path / "lake")), None, batches, folder=tmp_path)

    assert len(begun) == 1


def test_a_lake_that_cannot_be_written_is_told_in_words(tmp_path: Path) -> None:
    """Law: what failed is said, and that the load can be repeated."""
    (tmp_path / "lake").write_text("a file", encoding="utf-8")
    to = Lake("parquet", str(tmp_path / "lake" / "below"))
    run = Run(
        run_id="r", command="load", started_at=BEGIN, outcome="ok", counts=encode({})
    )

    with pytest.raises(StoreError, match=r"lake could not be reached.*run it again"):
        put(to, None, [Batch(rows={"runs": [run]}, gone={})])


def test_what_a_kill_leaves_of_dlts_own_notes_is_in_nobodys_way(
    empty: Lake, tmp_path: Path
) -> None:
    """Law: a folder that is just made, or a note that is cut short, stops no load."""
    root = tmp_path / "lake" / DATASET
    said = every_recording("discuro")
    nothing = Seen(lambda *_: [], "discuro", "default")
    batches = [*fold(lambda: iter(said), part("discuro", "normalize"), nothing)]
    root.mkdir(parents=True)

    put(empty, "discuro", batches)
    for note in (root / "_dlt_version").iterdir():
        note.write_bytes(note.read_bytes()[:40])
    put(empty, "discuro", batches)

    assert tables(empty) == expected("discuro", [said])


def test_a_file_that_is_half_written_is_not_there_yet(tmp_path: Path) -> None:
    """Law: plain files in a folder appear before they are whole; nobody stumbles."""
    to = Lake("parquet", str(tmp_path / "lake"))
    load(to, "discuro", every_recording("discuro"))
    before = tables(to)
    (file, *_) = (tmp_path / "lake" / DATASET / "outputs").rglob("*.parquet")

    file.with_name("half.parquet").write_bytes(file.read_bytes()[:-100])
    file.with_name("none.parquet").touch()

    assert tables(to) == before


def test_plain_files_lie_in_folders_by_provider_and_day(tmp_path: Path) -> None:
    """Law: the layout is hive's: what a folder says is not in the file again."""
    to = Lake("parquet", str(tmp_path / "lake"))
    load(to, "discuro", every_recording("discuro"))
    root = tmp_path / "lake" / DATASET
    (file,) = (root / "outputs").rglob("*.parquet")

    provider, day = file.relative_to(root / "outputs").parts[:2]
    assert provider == "provider=discuro"
    assert day.startswith("loaded_day=2")
    names = [*lake_schema(Output).names]
    names.remove("provider")
    names.remove("loaded_day")
    assert pq.ParquetFile(file).schema_arrow.names == names


def test_a_column_that_an_older_lake_has_not_is_unknown(each: Lake) -> None:
    """Law: what an older execledger wrote is read, and added to."""
    said = every_recording("torale")
    batches = list(
        fold(
            lambda: iter(said[:30]),
            part("torale", "normalize"),
            Seen(lambda *_: [], "torale", "default"),
        )
    )
    _put_without(each, "change_summary", batches)

    with closing(opened(each, NOWHERE)) as con:
        old = con.execute(
            "select count(*), count(change_summary) from execledger.executions"
        ).fetchall()
    load(each, "torale", said)

    assert old[0][0] > 0
    assert old[0][1] == 0
    summaries = [row[19] for row in tables(each)["executions"]]
    assert [column.name for column in columns(TABLES["executions"])][19] == (
        "change_summary"
    )
    assert any(summaries)


def _put_without(to: Lake, column: str, batches: Sequence[Batch]) -> None:
    """Write executions, and what belongs to them, as before there was a column."""
    from deltalake import write_deltalake

    for name, table in in_two_steps(tables_of(without_gone(batches)), BEGIN):
        if name == "executions":
            where = Path(str(to.bucket_url)) / DATASET / name
            older = table.drop_columns([column])
            by = ["provider", "loaded_day"]
            if to.table_format == "delta":
                write_deltalake(where, older, partition_by=by, mode="append")
            else:
                pq.write_to_dataset(older, where, partition_cols=by)


def test_marts_over_a_lake_are_those_of_the_store(
    empty: Lake, demo_home: Home, tmp_path: Path
) -> None:
    """Law: whoever reads the views need not know where the facts are."""
    copy = tmp_path / "copy.duckdb"
    shutil.copy(demo_home.published, copy)
    clock = (
        "create or replace view staging.clock as select timestamptz "
        "'2026-12-01 00:00:00+00' as now_at, date '2026-12-01' as today"
    )
    with closing(duckdb.connect(str(copy))) as store:
        store.execute("set timezone = 'UTC'")
        store.execute(clock)
        for provider in (*providers(), None):
            put(empty, provider, [_taken(store, provider)])
        with closing(opened(empty, demo_home)) as con:
            con.execute(clock)
            for view in sql_files(SQL / "marts", "marts"):
                found, wanted = (
                    one.sql(f"from {view.qualified}").to_arrow_table()
                    for one in (con, store)
                )
                rows = [
                    elsewhere.rows(view.qualified, table, wanted)
                    for table in (found, wanted)
                ]
                assert rows[0] == rows[1], view.name
            assert {name: shown(con, name) for name in TABLES} == {
                name: shown(store, name) for name in TABLES
            }


def _taken(store: duckdb.DuckDBPyConnection, provider: str | None) -> Batch:
    """Return the rows of a store that are of a provider, or of none."""
    rows = {}
    for name, record in TABLES.items():
        names = [column.name for column in columns(record)]
        is_of_one = name not in {"runs", "check_results", "model_prices"}
        if is_of_one == (provider is not None):
            where = f"where provider = '{provider}'" if is_of_one else ""
            found = store.execute(
                f"select {', '.join(names)} from execledger.{name} {where}"
            ).fetchall()
            rows[name] = [record(**dict(zip(names, row, strict=True))) for row in found]
    return Batch(rows=rows, gone={})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "delta"),
        ("[execledger]\ntable_format = 'parquet'\n", "parquet"),
    ],
)
def test_the_configuration_says_where_a_lake_is_and_how_it_is_kept(
    configure: Configure, given: str, said: str
) -> None:
    """Law: as with dlt itself, and Delta where nothing is said."""
    configure(config=f"{given}[destination.filesystem]\nbucket_url = 's3://bucket/x'\n")

    assert lake() == Lake(said, "s3://bucket/x")  # type: ignore[arg-type]


def test_a_slip_in_the_configuration_of_a_lake_is_named(
    configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what is missing or unknown is said, with where it belongs."""
    configure()
    with pytest.raises(ConfigurationError, match="bucket_url is missing"):
        lake()

    monkeypatch.setenv("DESTINATION__FILESYSTEM__BUCKET_URL", "lake")
    monkeypatch.setenv("EXECLEDGER__TABLE_FORMAT", "csv")
    with pytest.raises(ConfigurationError, match="table_format"):
        lake()


def _compact_delta(root: Path, name: str) -> None:
    from deltalake import DeltaTable

    table = DeltaTable(root / name)
    table.optimize.compact()
    table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)


def _compact_plain(root: Path, name: str) -> None:
    """Make one file of the files of each folder; while nobody reads."""
    for folder in {file.parent for file in (root / name).rglob("*.parquet")}:
        old = sorted(folder.glob("*.parquet"))
        whole = folder / "whole"
        pq.write_table(pq.ParquetDataset(old, partitioning=None).read(), whole)
        for file in old:
            file.unlink()
        whole.rename(folder / "compacted.parquet")


@pytest.mark.parametrize(
    ("table_format", "compact"),
    [
        pytest.param("delta", _compact_delta, marks=pytest.mark.slow),
        ("parquet", _compact_plain),
    ],
)
def test_files_are_made_fewer_by_the_tools_of_their_format(
    table_format: TableFormat, compact: Callable[[Path, str], None], tmp_path: Path
) -> None:
    """Law: one file a folder in place of one a load, and the views show the same."""
    to = Lake(table_format, str(tmp_path / "lake"))
    root = tmp_path / "lake" / DATASET
    said = every_recording("discuro")
    for part_of in (said[:20], said[20:]):
        load(to, "discuro", part_of)
    before, files = tables(to), len(list(root.rglob("*.parquet")))

    for name in ("executions", "outputs", "raw_responses"):
        compact(root, name)

    assert len(list(root.rglob("*.parquet"))) == files - 3
    assert tables(to) == before
