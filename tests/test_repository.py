"""What may stand in the repository, and what the templates in it say."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from pipelines.templates import write_templates
from tests.templates import TEMPLATES, settings, switched_on

ROOT = Path(__file__).resolve().parent.parent

MACHINE_PATH = re.compile(
    r"(?<![\w.$>}~*-])/(?:home|Users|root|work|farm)/[\w.]|\b[A-Z]:\\Users\b"
)
INDEX_ADDRESS = re.compile(r"py(?:pi|thonhosted)[.]org|[/]simple/|index[-_]url")


def kept_files() -> list[Path]:
    """Return every file that is tracked, or would be: .gitignore does not name it."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached"]
    command += ["--others", "--exclude-standard"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)  # noqa: S603 - the command above
    paths = (ROOT / name for name in shown.stdout.decode().split("\0") if name)
    return [path for path in paths if path.is_file()]


def lines_with(pattern: re.Pattern[str], paths: Iterable[Path]) -> list[str]:
    """Return ``file:line`` of every line that holds the pattern."""
    return [
        f"{path}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text("utf-8", "ignore").split("\n"), 1)
        if pattern.search(line)
    ]


def test_no_file_holds_a_path_of_one_machine() -> None:
    """Law: what is in the repository means the same on every machine."""
    assert lines_with(MACHINE_PATH, kept_files()) == []


def test_no_file_holds_the_address_of_a_package_index() -> None:
    """Law: which index packages come from is each machine's own setting."""
    paths = kept_files()

    assert lines_with(INDEX_ADDRESS, paths) == []
    assert "uv.lock" not in [path.name for path in paths]


def test_paths_and_addresses_are_seen(tmp_path: Path) -> None:
    """Law: the two searches above find what they are there for, and no more."""
    paths, addresses, free = (tmp_path / name for name in "abc")
    paths.write_text("open('/" + "home/me/x')\ncd /" + "root/y\n", encoding="utf-8")
    addresses.write_text(
        "https://py" + "pi.org\nindex" + "-url = x\n", encoding="utf-8"
    )
    work = "/wo" + "rk/x"
    free.write_text(f"<home>{work} a{work} .{work} $X/root/y\n", encoding="utf-8")

    assert len(lines_with(MACHINE_PATH, [paths, addresses, free])) == 2
    assert len(lines_with(INDEX_ADDRESS, [paths, addresses, free])) == 2


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_switches_on_nothing_but_quiet(template: Path) -> None:
    """Law: what a template shows is switched off, but for dlt's talking."""
    text = template.read_text("utf-8")

    assert {name.partition(".")[0] for name in settings(text)} <= {"runtime"}
    assert settings(switched_on(text)).keys() > settings(text).keys()


def test_the_templates_name_each_setting_with_its_default(tmp_path: Path) -> None:
    """Law: they show no less than what ``init`` writes from the code's settings."""
    written = write_templates(tmp_path / ".dlt")

    for (made, _), template in zip(written, TEMPLATES, strict=True):
        shown = settings(switched_on(template.read_text("utf-8")))
        real = settings(switched_on(made.read_text("utf-8")))
        assert real.keys() <= shown.keys()
        defaults = {
            name: value for name, value in real.items() if value not in ("", [])
        }
        assert {name: shown[name] for name in defaults} == defaults
