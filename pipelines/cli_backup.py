"""The commands for copies and retention: backup, restore, copy, prune."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.log import say
from pipelines.options import (
    Duration,
    console,
    destination_option,
    home_option,
    json_option,
    print_json,
    wait_option,
    wait_s,
)

if TYPE_CHECKING:
    from pipelines.backup import Manifest

__all__ = ["backup", "copy", "prune", "restore"]

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


@click.command()
@click.option(
    "--raw-older-than",
    type=Duration(),
    required=True,
    metavar="DURATION",
    help="Bodies of responses that were received longer ago, such as 90d, go.",
)
@click.option(
    "--redact",
    default="",
    metavar="TABLES",
    help="Texts of these tables as old go, too: outputs,citations for two.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go; change nothing.")
@home_option
@destination_option
@wait_option
@json_option
def prune(
    raw_older_than: float,
    redact: str,
    home: str | None,
    destination: str | None,
    *,
    dry_run: bool,
    wait: bool,
    as_json: bool,
) -> None:
    """Remove old raw bodies from the store, and old texts of tables if asked.

    Hashes, counts, usage and costs stay; "replay" keeps the rows that it can no longer
    rebuild. The file is written anew and holds no trace of what went. Reports, backups
    and what a restore put aside are yours to delete. Exit code 3: another run holds
    the lock.
    """
    from pipelines.config import find_home
    from pipelines.prune import REDACTED
    from pipelines.prune import prune as run_prune

    tables = [name for name in redact.replace(" ", "").split(",") if name]
    if unknown := sorted(set(tables) - REDACTED.keys()):
        raise click.UsageError(
            f"--redact: {', '.join(unknown)} has no texts to redact; these have: "
            f"{', '.join(REDACTED)}."
        )
    pruned = run_prune(
        find_home(home, destination),
        older_than_s=raw_older_than,
        redact=tables,
        is_dry_run=dry_run,
        wait_s=wait_s(wait=wait),
    )
    if as_json:
        print_json(pruned)
        return
    texts = "".join(
        f", texts of {count:,} {name}" for name, count in pruned.redacted.items()
    )
    size, at = pruned.body_bytes / 1e6, pruned.older_than
    say(
        f"{pruned.bodies:,} bodies ({size:,.1f} MB){texts}, received before "
        f"{at:%Y-%m-%d %H:%M:%S} UTC, {'would go' if dry_run else 'are gone'}."
    )
    old, new = pruned.store_bytes
    if new != old:
        say(f"The store has {new / 1e6:,.1f} MB instead of {old / 1e6:,.1f} MB.")


@click.command()
@click.option(
    "--to",
    "destination",
    required=True,
    metavar="NAME",
    help="postgres or filesystem.",
)
@home_option
@wait_option
@json_option
def copy(destination: str, home: str | None, *, wait: bool, as_json: bool) -> int:
    """Copy all tables of the store to a destination that many share, and compare.

    The store stays; so do journal and watch-list, from which loads with the same
    --destination go on. It may be repeated. Exit code 1: the two differ; 3: another
    run holds the lock.
    """
    from pipelines.config import find_home
    from pipelines.copying import copy as run_copy
    from pipelines.copying import told
    from pipelines.terminal import as_table

    copied = run_copy(find_home(home, destination), wait_s=wait_s(wait=wait))
    if as_json:
        print_json(copied)
    else:
        console().print(as_table(told(copied)))
    for problem in copied.problems:
        say(problem, level="warning")
    if not copied.is_equal:
        say("The two differ: repeat it; if they still do, please report this fault.")
    return int(not copied.is_equal or bool(copied.problems))


def _told(manifest: "Manifest") -> str:
    names = " and ".join(part.name for part in manifest.files)
    size, at = manifest.size_bytes / 1e6, manifest.taken_at
    return f"{names} ({size:,.1f} MB), as of {at:%Y-%m-%d %H:%M:%S} UTC,"
