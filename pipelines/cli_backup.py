"""The commands for safety copies: backup, restore."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.options import (
    home_option,
    json_option,
    print_json,
    say,
    wait_option,
    wait_s,
)

if TYPE_CHECKING:
    from pipelines.backup import Manifest

__all__ = ["backup", "restore"]

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=_FILE)
@home_option
@json_option
def backup(file: Path, home: str | None, *, as_json: bool) -> None:
    """Write store and journal into a new FILE, as they are together at one time.

    Loads and readers go on meanwhile. Configuration and keys are not in it; keep the
    file as private as the data.
    """
    from pipelines.backup import backup as run_backup
    from pipelines.config import find_home

    manifest = run_backup(find_home(home), file)
    if as_json:
        print_json(manifest)
        return
    say(f"{_told(manifest)} are in {file.absolute()}.")


@click.command()
@click.argument("file", type=_FILE)
@home_option
@click.option(
    "--replace",
    is_flag=True,
    help="Put what is there aside, into a folder of the home.",
)
@wait_option
@json_option
def restore(
    file: Path, home: str | None, *, replace: bool, wait: bool, as_json: bool
) -> None:
    """Put store and journal of a backup into the home.

    All of FILE is read and tried before anything changes. Nothing else may use the
    home meanwhile: no track, no submit. Exit code 3: another run holds the lock.
    """
    from pipelines.backup import restore as run_restore
    from pipelines.config import find_home

    chosen = find_home(home)
    manifest = run_restore(chosen, file, replaces=replace, wait_s=wait_s(wait=wait))
    if as_json:
        print_json(manifest)
        return
    say(f"{_told(manifest)} are in {chosen.path.absolute()}.")
    say('"execledger load" goes on from there, "execledger status" says what is due.')


def _told(manifest: "Manifest") -> str:
    names = " and ".join(part.name for part in manifest.files)
    size, at = manifest.size_bytes / 1e6, manifest.taken_at
    return f"{names} ({size:,.1f} MB), as of {at:%Y-%m-%d %H:%M:%S} UTC,"
