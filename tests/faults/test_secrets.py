"""Canaries as keys: after every kind of fault none of them is found anywhere."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.store import Home
from sources import part
from sources.journal import Journal
from sources.tracking import Started, track
from tests.faults.command import ROOT
from tests.faults.parrot import WAYS, Parrot, Way, listening
from tests.faults.searching import found, left_in
from tests.pipelines.conftest import OWN
from tests.pipelines.small_torale import rows
from tests.pipelines.test_private_files import too_open

pytestmark = pytest.mark.slow

CANARIES = {
    name: f"Zq7V{name}9f3KxT2w"
    for name in ("torale", "eu", "deployment", "platform", "discuro")
}
"""What is searched for; it is the inner part of each key."""

KEYS = {name: f"k-{canary}/+{name}=" for name, canary in CANARIES.items()}

SETTINGS = """
[sources.torale]
connection_names = ["eu"]
requests_per_second = 1000
[sources.torale.connections.eu]
base_url = "{eu}"
requests_per_second = 1000
[sources.unstract]
base_url = "{unstract}"
organization_id = "org"
api_name = "invoices"
read_timeout_s = 1
requests_per_second = 1000
poll_interval_s = 0.01
[sources.discuro]
base_url = "{discuro}"
auth_header = "X-Api-Key"
auth_scheme = ""
requests_per_second = 1000
poll_interval_s = 0.01
first_poll_s = 0
"""

SECRETS = f"""
[sources.torale.connections.eu]
api_key = "{KEYS["eu"]}"
[sources.unstract]
api_key = "{KEYS["deployment"]}"
"""

SCRIPT = """
import dlt
from sources.torale import torale_source
pipeline = dlt.pipeline("own", destination="duckdb", dataset_name="llm")
pipeline.run(torale_source(raises=False), loader_file_format="parquet")
"""


@dataclass
class Desk:
    """A folder with a configuration, and all that commands in it have shown."""

    folder: Path
    parrots: dict[str, Parrot]
    base_url: str = ""
    said: list[str] = field(default_factory=list)
    listed: list[bytes] = field(default_factory=list)
    inherited: list[bytes] = field(default_factory=list)

    @property
    def home(self) -> Home:
        """The home of all commands."""
        return Home(self.folder / "home")

    def start(
        self, *program: str, **environment: str
    ) -> "tuple[subprocess.Popen[bytes], list[Path]]":
        """Start Python; its output goes into files."""
        number = len(list(self.folder.glob("out/*")))
        files = [self.folder / "out" / f"{number}-{name}" for name in ("out", "err")]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(OWN)}
        with files[0].open("wb") as out, files[1].open("wb") as err:
            process = subprocess.Popen(  # noqa: S603 - this Python, and what stands here
                [sys.executable, *program],
                cwd=self.folder / "here",
                env={
                    **clean,
                    "PYTHONPATH": str(ROOT),
                    "HOME": str(self.folder / "user"),
                    "TMPDIR": str(self.folder / "tmp"),
                    "SOURCES__TORALE__BASE_URL": self.base_url,
                    "SOURCES__TORALE__API_KEY": KEYS["torale"],
                    "SOURCES__UNSTRACT__PLATFORM_KEY": KEYS["platform"],
                    "SOURCES__DISCURO__API_KEY": KEYS["discuro"],
                    **environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        return process, files

    def python(self, *program: str, **environment: str) -> tuple[int, str]:
        """Run Python, look at its processes meanwhile; return code and output."""
        process, files = self.start(*program, **environment)
        while process.poll() is None:
            self.look(process.pid)
            time.sleep(0.02)
        said = "".join(file.read_text("utf-8", "replace") for file in files)
        self.said.append(said)
        return process.returncode, said

    def run(self, *command: str, **environment: str) -> str:
        """Run a command in the home; return what it has shown."""
        program = ("-m", "tests.faults.loud", *command, "--home", str(self.home.path))
        _, said = self.python(*program, **environment)
        return said

    def look(self, pid: int) -> None:
        """Note how a process is listed, and what the kernels below it were given.

        Not what ``file`` is given, by which Python's ``platform`` looks at the Python.
        """
        process = Path(f"/proc/{pid}")
        try:
            line = (process / "cmdline").read_bytes()
            self.listed.append(line)
            if b"ipykernel" in line:
                self.inherited.append((process / "environ").read_bytes())
            for task in (process / "task").iterdir():
                for child in (task / "children").read_text().split():
                    self.look(int(child))
        except OSError:
            pass  # it has just ended

    def watch(self, number: int) -> None:
        """Put one more execution of each polled provider on the watch-list."""
        self.home.create()
        given = {
            "discuro": {"api_key": "k"},
            "unstract": {
                "api_key": "k",
                "organization_id": "org",
                "api_name": "invoices",
            },
        }
        with closing(Journal(self.home.journal)) as journal:
            for name, raw in given.items():
                settings = part(name, "settings").Settings(**raw)
                started = Started(
                    execution_id=f"{number}", started_at=datetime.now(UTC)
                )
                track(journal, name, "default", settings, [started])


def _loaded_in_every_way(desk: Desk) -> None:
    """Let each account be answered in each way, while it is loaded or submitted to."""
    (desk.folder / "here" / "file.txt").write_text("one", "utf-8")
    others = (
        ("doctor",),
        ("submit", "discuro", "u-1", "--kind", "orchestrator"),
        ("submit", "unstract", "file.txt", "--again", "--max-wait", "0"),
    )
    for number in range(len(WAYS)):
        for place, parrot in enumerate(desk.parrots.values()):
            parrot.way = WAYS[(number + 5 * place) % len(WAYS)]
        desk.watch(number)
        logs = {"LOUD": "yes", "RUNTIME__LOG_LEVEL": "DEBUG"} if number % 2 else {}
        assert "Loaded in" in desk.run("load", **logs)
        desk.run(*others[number % 3], LOUD="" if logs else "yes")


def _answering(desk: Desk, way: Way) -> None:
    for parrot in desk.parrots.values():
        parrot.way = way


def _used_in_every_way(desk: Desk) -> None:
    """Run all that reads, copies and clears away what was loaded."""
    everything = "select * from execledger.raw_responses, execledger.runs limit 99"
    for command in (
        ("status", "--all"),
        ("tables",),
        ("check",),
        ("query", everything),
        ("query", everything, "--format", "json"),
        ("replay", "--json"),
        ("load", "--dry-run"),
        ("report", "--days", "3660"),
        ("backup", str(desk.folder / "copy.tar")),
        ("prune", "--raw-older-than", "1", "--redact", "outputs"),
    ):
        said = desk.run(*command)
        assert "Traceback" not in said
        assert "Usage:" not in said, said
    again = ("--home", str(desk.folder / "again"))
    desk.python("-m", "pipelines", "restore", str(desk.folder / "copy.tar"), *again)
    desk.python("-c", SCRIPT)


def _wrongly_configured(desk: Desk) -> None:
    """Load with addresses that hold a key, or where nobody answers as they should."""
    closed = "http://127.0.0.1:9"
    for address in (
        f"https://me:{KEYS['torale']}@127.0.0.1/",
        f"me:{KEYS['torale']}@127.0.0.1",
        f"ftp://127.0.0.1/{KEYS['torale']}",
        f"https://127.0.0.1/?session={KEYS['torale']}",
        closed,
        desk.base_url.replace("http:", "https:"),
    ):
        said = desk.run("load", "torale", SOURCES__TORALE__BASE_URL=address)
        assert "base_url" in said
    for planted in ("pipelines.embedded.drain", "pipelines.load.collect_all"):
        said = desk.run("load", LOUD="yes", PLANTED=planted)
        assert "planted: [" in said
        assert "Traceback" in said


def _killed_while_a_result_comes(desk: Desk) -> None:
    """Kill a load that has half of an answer, and leave everything where it is."""
    desk.parrots["unstract"].way = "silent"
    desk.watch(999)
    before = {path for path in desk.home.path.rglob("*") if path.is_file()}
    process, _ = desk.start(
        *("-m", "pipelines", "load", "unstract", "--home", str(desk.home.path)),
        SOURCES__UNSTRACT__READ_TIMEOUT_S="60",
    )
    folder = desk.home.path / "journal.sqlite-polls"
    try:
        deadline = time.monotonic() + 60
        while not any(
            path.is_file() and path.stat().st_size > 1000
            for path in set(folder.rglob("*")) - before
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Return a desk after all that commands can live through."""
    folder = tmp_path_factory.mktemp("desk")
    for name in ("here/.dlt", "user", "tmp", "out"):
        (folder / name).mkdir(parents=True)
    elsewhere = Parrot("nothing")
    accounts: Mapping[str, tuple[str, ...]] = {
        "torale": (KEYS["torale"],),
        "eu": (KEYS["eu"],),
        "unstract": (KEYS["deployment"], KEYS["platform"]),
        "discuro": (KEYS["discuro"],),
    }
    parrots = {name: Parrot(*keys) for name, keys in accounts.items()}
    before = os.umask(0)
    try:
        with listening(elsewhere, *parrots.values()) as (far, *urls):
            for parrot in parrots.values():
                parrot.elsewhere = far
            at = dict(zip(parrots, urls, strict=True))
            config = folder / "here" / ".dlt" / "config.toml"
            config.write_text(SETTINGS.format(**at), "utf-8")
            secrets = config.with_name("secrets.toml")
            secrets.write_text(SECRETS, "utf-8")
            secrets.chmod(0o600)
            desk = Desk(folder, {**parrots}, base_url=at["torale"])
            _loaded_in_every_way(desk)
            _answering(desk, "good")
            _wrongly_configured(desk)
            _used_in_every_way(desk)
            _killed_while_a_result_comes(desk)
            desk.parrots["elsewhere"] = elsewhere
            yield desk
    finally:
        os.umask(before)
        shutil.rmtree(folder, ignore_errors=True)


def test_no_command_shows_a_key(desk: Desk) -> None:
    """Law: output, errors, debug logs and tracebacks of all commands hold no key."""
    shown = [said for said in desk.said if found(said.encode(), CANARIES.values())]

    assert len(desk.said) > 2 * len(WAYS)
    assert "***" in "".join(desk.said)
    assert shown == []


def test_no_file_table_or_name_holds_a_key(desk: Desk) -> None:
    """Law: all below home, user's folder and temporary one, but for secrets.toml.

    Not the store, the journal, a report, a copy, dlt's folders, nor what a kill left.
    """
    (desk.folder / "here" / ".dlt" / "secrets.toml").unlink(missing_ok=True)

    assert left_in([desk.folder], CANARIES.values()) == []


def test_the_keys_were_repeated_and_are_masked_in_what_is_kept(desk: Desk) -> None:
    """Law: what the servers said is in the copy of the store, without the keys."""
    again = Home(desk.folder / "again")
    bodies = rows(again, "select body from execledger.raw_responses")
    kept = sum(b"***" in (body or b"") for (body,) in bodies)

    assert kept > len(WAYS)
    for name in ("torale", "eu", "unstract", "discuro"):
        heard = "".join(desk.parrots[name].heard)
        assert all(key in heard for key in desk.parrots[name].keys)


def test_a_key_reaches_its_own_server_only(desk: Desk) -> None:
    """Law: to where redirects led nobody came, and no parrot heard another's key."""
    assert desk.parrots["elsewhere"].heard == []
    for name in ("torale", "eu", "unstract", "discuro"):
        others = {*KEYS.values()} - {*desk.parrots[name].keys}
        heard = "".join(desk.parrots[name].heard)
        assert not any(key in heard for key in others)


def test_no_list_of_processes_shows_a_key_and_no_child_is_given_one(desk: Desk) -> None:
    """Law: keys are no arguments, and the notebooks' kernels do not inherit them."""
    assert len(desk.listed) > len(desk.said)
    assert desk.inherited
    assert found(b"\0".join(desk.listed + desk.inherited), CANARIES.values()) == []


def test_everything_that_was_made_is_its_owners_alone(desk: Desk) -> None:
    """Law: with a umask of 0, after all this and a kill: files 0600, folders 0700."""
    assert (
        too_open(desk.home.path, desk.folder / "again", desk.folder / "copy.tar") == []
    )
