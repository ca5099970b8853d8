"""The commands ``track`` and ``untrack``."""

import sys
from datetime import datetime
from typing import TYPE_CHECKING

import click

from pipelines.log import say
from pipelines.options import (
    Time,
    api_option,
    connection_option,
    home_option,
    json_option,
    print_json,
)

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["track", "untrack"]

submit_id_option = click.option(
    "--submit", "submit_id", metavar="ID", help="The submit with no known outcome."
)


@click.command()
@click.argument("provider")
@click.argument("ids", nargs=-1)
@click.option(
    "--from-file",
    type=click.File("r", encoding="utf-8"),
    help="Read ids from a file, as from standard input.",
)
@click.option("--started-at", type=Time(), help="When they were started (UTC).")
@click.option("--tag", "tags", multiple=True, metavar="NAME[=VALUE]", help="A tag.")
@connection_option
@api_option
@submit_id_option
@home_option
@json_option
def track(
    *,
    provider: str,
    ids: tuple[str, ...],
    from_file: "TextIO | None",
    started_at: datetime | None,
    tags: tuple[str, ...],
    connection: str | None,
    api: str | None,
    submit_id: str | None,
    home: str | None,
    as_json: bool,
) -> None:
    """Put executions on the watch-list of PROVIDER, at once, also during a load.

    IDS are ids; "-" reads standard input: ids one a line, JSON lines with id,
    started_at and tags, or a whole answer of the call that started the execution.
    """
    from pipelines.config import find_home
    from pipelines.tracking import read_given, track_started

    texts = [from_file.read()] if from_file else []
    texts += [sys.stdin.read()] if "-" in ids else []
    given = [one for one in ids if one != "-"]
    started = read_given(provider, given, texts, started_at=started_at, tags=tags)
    if not started:
        raise click.UsageError('Say at least one id, or "-" for standard input.')
    chosen = find_home(home)
    done = track_started(
        chosen,
        provider,
        started,
        connection=connection,
        api=api,
        submit_id=submit_id,
    )
    if as_json:
        print_json(done)
        return
    for one in done:
        known = f", {one.given - one.new:,} were there" if one.new < one.given else ""
        say(f"{one.account} watches {one.new:,} more executions{known} ({chosen.path})")


@click.command()
@click.argument("provider")
@click.argument("ids", nargs=-1)
@connection_option
@api_option
@submit_id_option
@home_option
def untrack(
    *,
    provider: str,
    ids: tuple[str, ...],
    connection: str | None,
    api: str | None,
    submit_id: str | None,
    home: str | None,
) -> int:
    """Take executions off the watch-list; what was loaded stays."""
    from pipelines.config import find_home
    from pipelines.tracking import untrack as take_off

    if not ids and not submit_id:
        raise click.UsageError("Say at least one id, or --submit.")
    wanted = len(ids) + bool(submit_id)
    removed = take_off(
        find_home(home),
        provider,
        ids,
        connection=connection,
        api=api,
        submit_id=submit_id,
    )
    say(f"{removed:,} of {wanted:,} were on the watch-list and are off it.")
    return 0 if removed == wanted else 1
