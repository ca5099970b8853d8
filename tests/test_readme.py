"""Every README is executed."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import UUID

import pytest

from sources import part, providers
from sources.loopback import serve
from tests.readme import Givens, ReadmeFault, Session
from tests.shown import is_shown

ROOT = Path(__file__).resolve().parent.parent
SHOWN = (
    "README.md",
    "docs/monitoring.md",
    "docs/scheduling.md",
    "notebooks/README.md",
    "sources/*/README.md",
    "sql/README.md",
)
READMES = [str(path.relative_to(ROOT)) for one in SHOWN for path in ROOT.glob(one)]


@contextmanager
def twin(provider: str) -> Iterator[Mapping[str, str]]:
    """Run a provider's twin, furnished as for the demo; yield how to reach it."""
    demo = part(provider, "twin").demo(datetime.now(UTC))
    with serve(demo.app) as base_url:
        yield {
            f"SOURCES__{provider}__{name}".upper(): value
            for name, value in demo.settings(base_url).items()
        }


@contextmanager
def demo_store() -> Iterator[Mapping[str, str]]:
    """Make a store of the demo's data; yield what says where it is."""
    with TemporaryDirectory() as home:
        execledger = Path(sys.executable).with_name("execledger")
        made = subprocess.run(  # noqa: S603 - the demo
            [execledger, "demo", "--home", home],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise ReadmeFault(f"the demo failed:\n{made.stdout}{made.stderr}")
        yield {"EXECLEDGER_HOME": home}


GIVENS: Givens = {
    "demo store": demo_store,
    **{f"{name} twin": partial(twin, name) for name in providers()},
}


@contextmanager
def echo() -> Iterator[Mapping[str, str]]:
    """Stand in for a provider's twin: settings, and no server behind them."""
    yield {"GREETING": "from the twin"}


def follow(text: str, folder: Path) -> None:
    """Do what a README that says ``text`` shows."""
    with Session("README.md", folder, {"echo twin": echo}) as session:
        session.read(text)


def console(*lines: str) -> str:
    """Return a console block."""
    return "\n".join(["```console", *lines, "```\n"])


@pytest.mark.parametrize("readme", READMES)
def test_what_a_readme_shows_holds(readme: str, tmp_path: Path) -> None:
    """Law: a reader who does what a README shows sees what it shows."""
    with Session(readme, tmp_path, GIVENS) as session:
        session.read((ROOT / readme).read_text("utf-8"))


def test_a_session_goes_on_from_block_to_block(tmp_path: Path) -> None:
    """Law: one shell, one folder and one namespace serve a whole README."""
    follow(
        console("$ mkdir deep && cd deep", "$ export NAME=you", "$ words='a b'")
        + console('$ echo "hello $NAME" "$words" > greeting', "$ cat greeting")
        + console("$ cat greeting; pwd | grep -o 'deep$'", "hello you a b", "deep")
        + "```python\nimport os\nplace = os.listdir('deep')\n```\n"
        "```python\nassert place == ['greeting'], place\n```\n",
        tmp_path,
    )


def test_markers_set_what_the_blocks_below_find(tmp_path: Path) -> None:
    """Law: a twin's settings win over those that a README shows for a real key."""
    follow(
        "<!-- test: with echo twin -->\n<!-- test: env MORE='b c' -->\n"
        + console("$ export GREETING=real", '$ echo "$GREETING, $MORE"')
        + console('$ echo "$GREETING, $MORE"', "from the twin, b c")
        + "```python\nimport os\nassert os.environ['MORE'] == 'b c'\n```\n"
        "<!-- test: exit 3 -->\n" + console("$ (exit 3)"),
        tmp_path,
    )


def test_a_twin_answers_to_its_settings(tmp_path: Path) -> None:
    """Law: below its marker a provider is there, on loopback, furnished."""
    text = (
        "<!-- test: with torale twin -->\n```python\nimport os, httpx\n"
        "base_url = os.environ['SOURCES__TORALE__BASE_URL']\n"
        "key = f\"Bearer {os.environ['SOURCES__TORALE__API_KEY']}\"\n"
        "tasks = httpx.get(base_url + '/api/v1/tasks/', headers={'Authorization': key})"
        "\nassert tasks.json()\n```\n"
    )
    with Session("README.md", tmp_path, GIVENS) as session:
        session.read(text)


def test_commands_that_set_up_are_read_and_not_run(tmp_path: Path) -> None:
    """Law: a README's first lines are held to be commands, and install nothing."""
    follow(
        console(
            "$ pip install uv && uv run echo ready",
            "ready",
            "$ uv tool install 'execledger[demo]'",
            "$ git clone somewhere && cd somewhere",
            "$ uv run pytest",
            "$ .ci/run",
        ),
        tmp_path,
    )


def test_a_command_may_go_on_over_lines(tmp_path: Path) -> None:
    """Law: a continued line and an open quote are part of the command."""
    follow(
        console("$ echo one \\", "    two", "one two", '$ echo "three', '> four"')
        + console("$ echo 'five", "six'", "five", "six"),
        tmp_path,
    )


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("12 executions in 1.5 s", "7 executions in 900 ms"),
        ("store: ./.execledger/x.duckdb", "store: /tmp/a-1/x.duckdb"),
        ("at 2026-04-01T10:00:00Z", "at 2027-11-21 23:59:59.5+00:00"),
        (f"id {UUID(int=1)}", f"id {UUID(int=2**127)}"),
        ("first\n...\nlast", "first\n\x1b[1mmiddle\x1b[0m\n\nlast"),
        ("first\n…\nlast", "first\nlast\n"),
        ("┃ a ┃\n━━━━━", "┃ a     ┃\n━━━━━━━━━━"),
    ],
)
def test_an_output_may_differ_in_what_differs_each_time(
    shown: str, printed: str
) -> None:
    """Law: numbers, durations, paths, times, ids and widths are not compared."""
    assert is_shown(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("7 executions", "7 failures"),
        ("a ... d", "a b c"),
        ("one", "one\ntwo"),
        ("one\ntwo", "one"),
        ("at 2026-04-01", "at 7"),
    ],
)
def test_an_output_may_not_differ_in_its_words(shown: str, printed: str) -> None:
    """Law: the words of an output, and which of them there are, are compared."""
    assert not is_shown(shown, printed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (console("$ echo yes", "no"), "shown:\nno\n\n--- printed:\nyes"),
        (console("$ echo a b c", "a ... d"), "printed:\na b c"),
        (console("$ false"), "exit 1 instead of 0"),
        (console("$ exit 4"), "exit -1 instead of 0"),
        (console("$ pip install 'uv"), "README.md:1"),
        (console("echo no prompt"), 'a command begins with "$ "'),
        ("<!-- test: exit 2 -->\n" + console("$ true"), "exit 0 instead of 2"),
        ("<!-- test: with no twin -->\n", "no such marker: with no twin"),
        ("text\n```python\n1 / 0\n```\n", "README.md:2"),
        ("```toml\n[sources.torale]\nkey = 1\n```\n", "settings: sources.torale.key"),
        ("```bash\ntrue\n```\n", "only ```console and ```python are run"),
        ("```sql\nselect\n```\n", "execledger query"),
    ],
)
def test_a_readme_that_does_not_hold_is_told_where(
    text: str, message: str, tmp_path: Path
) -> None:
    """Law: what a README shows wrongly fails, with its line and what came instead."""
    with pytest.raises(ReadmeFault) as fault:
        follow(text, tmp_path)

    assert message in str(fault.value)
