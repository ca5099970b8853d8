"""Safety copies: what was received is in them, and comes back from them."""

import hashlib
import io
import json
import shutil
import stat
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from pipelines import backup as module
from pipelines.backup import backup, restore
from pipelines.load import waiting
from pipelines.store import Home, locked
from sources.errors import StoreError, StoreLocked
from sources.exchange import Reply
from sources.journal import Journal
from sources.loopback import serve
from tests.pipelines.command import execledger
from tests.pipelines.small_torale import (
    Rows,
    account,
    changed,
    contents,
    load_into,
    rows,
    small_torale,
)

BEFORE = "before-restore-*"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return where a backup may be written."""
    return tmp_path / "copies" / "monday.tar"


@pytest.fixture
def copied(loaded: Home, file: Path) -> Path:
    """Return a backup of a loaded home, in the journal of which one answer waits."""
    file.parent.mkdir()
    receive(loaded)
    backup(loaded, file)
    return file


def receive(home: Home) -> None:
    """Put an answer into the journal that no load has seen."""
    reply = Reply(
        method="GET",
        url="http://127.0.0.1/",
        http_status=200,
        elapsed_ms=1,
        outcome="ok",
        body=b"[]",
        body_sha256=hashlib.sha256(b"[]").hexdigest(),
        size_bytes=2,
    )
    with closing(Journal(home.journal)) as journal:
        journal.append(
            provider="torale",
            connection="default",
            endpoint="executions",
            params={"task_id": "t1"},
            reply=reply,
        )


def counts(home: Home) -> Rows:
    """Return how many rows the tables have."""
    sql = "select count(*), count(distinct execution_key) from execledger.executions"
    return rows(home, sql)


def altered(file: Path, name: str, content: bytes) -> None:
    """Write a backup anew, one of its files another."""
    kept = {}
    with tarfile.open(file) as archive:
        for member in archive.getmembers():
            opened = archive.extractfile(member)
            assert opened is not None
            kept[member.name] = opened.read()
    kept[name] = content
    with tarfile.open(file, "w") as archive:
        for each, data in kept.items():
            info = tarfile.TarInfo(each)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def manifest_of(file: Path) -> dict[str, object]:
    """Return the manifest of a backup."""
    with tarfile.open(file) as archive:
        opened = archive.extractfile("manifest.json")
        assert opened is not None
        return dict(json.load(opened))


def test_a_backup_brings_back_store_and_journal(
    loaded: Home, copied: Path, tmp_path: Path
) -> None:
    """Law: tables and what waits are as they were, in any home."""
    elsewhere = Home(tmp_path / "elsewhere")

    restore(elsewhere, copied)

    assert contents(elsewhere) == contents(loaded)
    assert waiting(elsewhere) == waiting(loaded) == {("torale", "default"): 1}
    assert sorted(path.name for path in elsewhere.path.iterdir()) == [
        "journal.sqlite",
        "load.lock",
        "published.duckdb",
    ]


def test_a_restored_home_loads_on(copied: Path, tmp_path: Path) -> None:
    """Law: what waited is loaded, and nothing twice."""
    elsewhere = Home(tmp_path / "elsewhere")
    restore(elsewhere, copied)
    before = counts(elsewhere)

    with serve(small_torale().app) as url:
        report = load_into(elsewhere, account(url))

    assert (report.outcome, waiting(elsewhere)) == ("ok", {})
    assert counts(elsewhere) == before


def held(home: Home) -> set[str]:
    """Return the ids of all responses of a home; those that wait are read first."""
    with closing(Journal(home.journal)) as journal:
        waits = set(journal.ids("torale", "default"))
    sql = "select response_id from execledger.raw_responses"
    return waits | {str(row[0]) for row in rows(home, sql)}


def test_a_backup_during_a_load_has_all_that_was_received(
    home: Home, tmp_path: Path
) -> None:
    """Law: at any moment each response is in the journal, the store, or both."""
    twin = small_torale()
    loads_end = threading.Event()
    taken: list[tuple[set[str], Path]] = []

    def take() -> None:
        while not loads_end.is_set():
            before = held(home)
            taken.append((before, tmp_path / f"{len(taken)}.tar"))
            backup(home, taken[-1][1])

    with serve(twin.app) as url, ThreadPoolExecutor() as beside:
        load_into(home, account(url))
        taking = beside.submit(take)
        try:
            for _ in range(4):
                changed(twin)
                load_into(home, account(url))
        finally:
            loads_end.set()
        taking.result()
    for number, (before, copy) in enumerate(taken):
        again = Home(tmp_path / f"again-{number}")
        restore(again, copy)
        assert before <= held(again)


def test_a_backup_is_for_its_owner_alone(copied: Path, tmp_path: Path) -> None:
    """Law: it is as private as the data in it, and so is what comes back."""
    elsewhere = Home(tmp_path / "elsewhere")
    restore(elsewhere, copied)

    files = [copied, elsewhere.published, elsewhere.journal]
    assert {stat.S_IMODE(one.stat().st_mode) for one in files} == {0o600}


def test_no_file_is_written_over(loaded: Home, copied: Path) -> None:
    """Law: an older backup stays."""
    before = copied.read_bytes()

    with pytest.raises(StoreError, match="is there already"):
        backup(loaded, copied)

    assert copied.read_bytes() == before
    assert [path.name for path in copied.parent.iterdir()] == [copied.name]


def test_where_there_is_nothing_no_backup_is_made(home: Home, tmp_path: Path) -> None:
    """Law: an empty backup would look like safety."""
    home.create()

    with pytest.raises(StoreError, match="neither a store nor a journal"):
        backup(home, tmp_path / "none.tar")

    assert not (tmp_path / "none.tar").exists()


def test_a_folder_that_is_not_there_is_said(loaded: Home, tmp_path: Path) -> None:
    """The error names the folder and what to do."""
    with pytest.raises(StoreError, match="missing is no folder"):
        backup(loaded, tmp_path / "missing" / "one.tar")


def test_data_that_is_there_is_not_replaced_unasked(loaded: Home, copied: Path) -> None:
    """Law: without --replace a home with data stays as it is."""
    before = loaded.published.read_bytes()

    with pytest.raises(StoreError, match="holds data already"):
        restore(loaded, copied)

    assert loaded.published.read_bytes() == before


def test_what_is_replaced_stays_in_a_home_of_its_own(
    loaded: Home, copied: Path
) -> None:
    """Law: --replace throws nothing away; what was there can be opened as before."""
    receive(loaded)
    there = contents(loaded)

    restore(loaded, copied, replaces=True)

    (aside,) = loaded.path.glob(BEFORE)
    assert waiting(loaded) == {("torale", "default"): 1}
    assert waiting(Home(aside)) == {("torale", "default"): 2}
    assert contents(Home(aside)) == contents(loaded) == there


@pytest.mark.parametrize("name", ["published.duckdb", "journal.sqlite"])
def test_a_damaged_backup_changes_nothing(
    loaded: Home, copied: Path, name: str
) -> None:
    """Law: every byte is compared before anything is put in place."""
    before = loaded.published.read_bytes()
    damaged = bytearray(copied.read_bytes())
    with tarfile.open(copied) as archive:
        damaged[archive.getmember(name).offset_data + 1000] ^= 1
    copied.write_bytes(damaged)

    with pytest.raises(StoreError, match=f"damaged: {name} is not what was written"):
        restore(loaded, copied, replaces=True)

    assert loaded.published.read_bytes() == before
    assert not loaded.work.exists()


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, b"\0" * 10240])
def test_what_is_no_backup_is_said_so(
    home: Home, tmp_path: Path, content: bytes
) -> None:
    """Law: any other file is refused in words."""
    other = tmp_path / "other"
    other.write_bytes(content)

    with pytest.raises(StoreError, match="is no backup, or is damaged"):
        restore(home, other)

    assert not home.published.exists()


def test_a_backup_that_is_cut_short_is_refused(copied: Path, home: Home) -> None:
    """Law: half a file is no backup."""
    whole = copied.read_bytes()
    copied.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(StoreError, match="is no backup, or is damaged"):
        restore(Home(home.path / "new"), copied)


@pytest.mark.parametrize("name", ["../evil", "/evil", "secrets.toml"])
def test_a_backup_writes_no_other_file(copied: Path, tmp_path: Path, name: str) -> None:
    """Law: only the names that a backup has are ever written, wherever they lead."""
    said = manifest_of(copied)
    said["files"] = [{"name": name, "bytes": 4, "sha256": "0" * 64}]
    altered(copied, "manifest.json", json.dumps(said).encode())
    altered(copied, name, b"evil")
    elsewhere = Home(tmp_path / "elsewhere")

    with pytest.raises(StoreError, match="is no file of a backup"):
        restore(elsewhere, copied)

    assert [path.name for path in elsewhere.path.iterdir()] == ["load.lock"]


def test_a_backup_of_a_newer_format_is_refused_in_words(
    copied: Path, tmp_path: Path
) -> None:
    """Law: what this execledger cannot read it does not guess at."""
    said = manifest_of(copied) | {"format": 2, "execledger": "9.0"}
    altered(copied, "manifest.json", json.dumps(said).encode())

    with pytest.raises(StoreError, match="is of format 2"):
        restore(Home(tmp_path / "elsewhere"), copied)


def test_a_restore_waits_for_no_load_unasked(loaded: Home, copied: Path) -> None:
    """Law: who holds the home is not disturbed."""
    with locked(loaded), pytest.raises(StoreLocked):
        restore(loaded, copied, replaces=True)


def test_after_a_restore_that_was_cut_short_nothing_loads_until_it_is_done(
    loaded: Home, copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: half a home is never loaded into; what was there is kept all the same."""
    receive(loaded)

    def killed(path: Path) -> None:
        del path
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, "sync", killed)
        with pytest.raises(KeyboardInterrupt):
            restore(loaded, copied, replaces=True)
    with pytest.raises(StoreError, match="was cut short"), locked(loaded):
        pass

    restore(loaded, copied)

    assert waiting(loaded) == {("torale", "default"): 1}
    asides = sorted(loaded.path.glob(BEFORE))
    assert {("torale", "default"): 2} in [waiting(Home(one)) for one in asides]
    with locked(loaded):
        pass


def test_the_commands_say_what_they_did(
    loaded: Home, file: Path, tmp_path: Path, here: Path
) -> None:
    """Law: names, size and time in words, and as JSON for programs."""
    del here
    file.parent.mkdir()
    elsewhere = str(tmp_path / "elsewhere")

    made = execledger("backup", str(file), "--home", str(loaded.path))
    back = execledger("restore", str(file), "--home", elsewhere, "--json")

    assert made.code == back.code == 0
    assert "journal.sqlite and published.duckdb (" in made.err
    assert str(file) in made.err
    said = json.loads(back.out)
    assert [part["name"] for part in said["files"]] == [
        "journal.sqlite",
        "published.duckdb",
    ]
    shutil.rmtree(elsewhere)
    told = execledger("restore", str(file), "--home", elsewhere)
    assert '"execledger load" goes on from there' in told.err


def test_a_file_that_is_not_there_is_said(home: Home, tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(StoreError, match=r"monday\.tar"):
        restore(home, tmp_path / "monday.tar")
