"""What is shipped: the wheel, the bounds of its dependencies, and the lock file."""

import re
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.packages import UV, run
from tests.test_repository import kept_files

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
RUNTIME = [
    one
    for text in PROJECT["dependencies"] + EXTRAS["demo"] + EXTRAS["report"]
    if (one := Requirement(text)).name != PROJECT["name"]
]
BOUNDED = [*RUNTIME, *map(Requirement, EXTRAS["prometheus"] + EXTRAS["spark"])]

LOCK = ROOT / "requirements.lock"
HASH = re.compile(r"sha256:[0-9a-f]{64}")

FOLDERS = ("sources/", "pipelines/", "sql/", "notebooks/")

DATED = {"publicsuffixlist"}
"""Released by date, not by change: a list of domains that only grows."""


def environment(folder: Path) -> Path:
    """Return the programs of a new environment, with nothing of this one in it."""
    run(UV, "venv", "--quiet", "fresh", folder=folder)
    return folder / "fresh" / "bin"


def locked() -> Iterator[tuple[Requirement, list[str]]]:
    """Yield each requirement of the lock file and its hashes."""
    text = LOCK.read_text("utf-8").replace("\\\n", " ")
    for line in filter(None, text.splitlines()):
        pin, *hashes = re.split(r" +--hash=", line)
        yield Requirement(pin), [one.strip() for one in hashes]


def test_the_wheel_carries_the_application_and_nothing_else(wheel: Path) -> None:
    """Law: packages, SQL and notebooks are shipped; tests and what is private not."""
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.partition("/")[0] for name in names}
    info = f"execledger-{PROJECT['version']}.dist-info"
    assert tops == {"sources", "pipelines", "sql", "notebooks", info}
    assert {"sql/README.md", "notebooks/README.md"} <= set(names)
    assert f"{info}/licenses/LICENSE" in names
    assert [name for name in names if "secrets" in name or "test_" in name] == []


def test_the_wheel_carries_every_file_of_its_folders(wheel: Path) -> None:
    """Law: what runs from a checkout is there when it runs from the wheel."""
    kept = {path.relative_to(ROOT).as_posix() for path in kept_files()}
    shipped = {name for name in kept if name.startswith(FOLDERS)}

    assert shipped <= set(zipfile.ZipFile(wheel).namelist())


def test_the_demo_runs_from_the_wheel_in_a_fresh_environment(
    wheel: Path, tmp_path: Path
) -> None:
    """Law: the application is whole without its checkout, from any folder."""
    home = tmp_path / "home"
    programs = environment(tmp_path)
    install = (UV, "pip", "install", "--quiet", "--python", programs / "python")
    run(*install, f"execledger[demo] @ {wheel.as_uri()}", folder=tmp_path)

    version = run(programs / "execledger", "--version", folder=tmp_path)
    run(programs / "execledger", "demo", "--home", home, folder=tmp_path)

    assert PROJECT["version"] in version
    assert (home / "published.duckdb").is_file()


@pytest.mark.parametrize("requirement", BOUNDED, ids=lambda one: one.name)
def test_a_dependency_has_a_lower_and_an_upper_bound(requirement: Requirement) -> None:
    """Law: no release that nobody has tried here gets in, above or below."""
    operators = {bound.operator for bound in requirement.specifier}

    assert operators == ({">="} if requirement.name in DATED else {">=", "<"})


@pytest.mark.parametrize("requirement", RUNTIME, ids=lambda one: one.name)
def test_a_dependency_is_locked_within_its_bounds(requirement: Requirement) -> None:
    """Law: the lock file is of these dependencies, not of those of last year."""
    versions = [
        pin.version
        for one, _ in locked()
        if one.name == requirement.name
        for pin in one.specifier
    ]

    assert versions
    assert all(map(requirement.specifier.contains, versions))


def test_the_lock_can_be_installed_as_it_is(tmp_path: Path) -> None:
    """Law: the lock file is complete, and its hashes are those of the releases."""
    python = environment(tmp_path) / "python"
    install = (UV, "pip", "install", "--dry-run", "--require-hashes", "--strict")

    planned = run(*install, "--python", python, "-r", LOCK, folder=tmp_path)

    assert all(f"+ {one.name}==" in planned for one in RUNTIME)


def test_the_lock_holds_versions_and_hashes_alone() -> None:
    """Law: a lock file pins what is installed, and says not where it comes from."""
    loose = [
        str(one)
        for one, hashes in locked()
        if one.url or not hashes or not re.fullmatch(r"==[^*,]+", str(one.specifier))
    ]

    assert loose == []
    assert all(re.fullmatch(HASH, one) for _, hashes in locked() for one in hashes)
    assert "://" not in LOCK.read_text("utf-8")
