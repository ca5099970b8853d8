"""The commands ``submit unstract`` and ``submit discuro``."""

from typing import TYPE_CHECKING, Literal

import click

from pipelines.log import printable, say
from pipelines.options import (
    api_option,
    connection_option,
    home_option,
    json_option,
    print_json,
)

if TYPE_CHECKING:
    from typing import TextIO

    from pipelines.submit import Submission

__all__ = ["submit"]


@click.group()
def submit() -> None:
    """Start executions, and watch them until their results are here.

    Exit code 1: something was refused, or nobody knows whether it was started.
    """


@submit.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--recursive", is_flag=True, help="Take the files in subfolders, too.")
@click.option("--tag", metavar="TAG", help="A tag for the runs.")
@click.option(
    "--use-file-history", is_flag=True, help="Let Unstract answer what it did before."
)
@click.option("--llm-profile", metavar="ID", help="The LLM profile to use.")
@click.option(
    "--per-run",
    type=click.IntRange(1, 32),
    default=1,
    show_default=True,
    help="Files in one run.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 20),
    default=5,
    show_default=True,
    help="Runs that are open at once.",
)
@click.option("--again", is_flag=True, help="Send also what succeeded or is under way.")
@click.option("--failed-only", is_flag=True, help="Send only what failed before.")
@click.option(
    "--timeout",
    type=click.IntRange(1, 300),
    metavar="SECONDS",
    help="Use the synchronous form: wait so long for each result (1 to 300).",
)
@click.option(
    "--max-wait",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait for room no longer than that; what is left is not sent.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent; send nothing.")
@connection_option
@api_option
@home_option
@json_option
def unstract(
    *,
    paths: tuple[str, ...],
    recursive: bool,
    tag: str | None,
    use_file_history: bool,
    llm_profile: str | None,
    per_run: int,
    concurrency: int,
    again: bool,
    failed_only: bool,
    timeout: int | None,
    max_wait: float | None,
    dry_run: bool,
    connection: str | None,
    api: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Send files to an API deployment of Unstract.

    A content that has succeeded there, or is under way, is not sent again. Never are
    two files of one name in a run, and no submit is repeated that may have begun.
    """
    from pipelines.submit import submit_unstract

    result = submit_unstract(
        paths,
        recursive=recursive,
        tag=tag,
        use_file_history=use_file_history,
        llm_profile=llm_profile,
        timeout_s=timeout,
        per_run=per_run,
        concurrency=concurrency,
        again=again,
        failed_only=failed_only,
        dry_run=dry_run,
        connection=connection,
        api=api,
        home=home,
        max_wait_s=max_wait,
        told=_Teller(),
    )
    return _shown(result, as_json=as_json)


@submit.command()
@click.argument("uuid")
@click.option(
    "--kind",
    type=click.Choice(["orchestrator", "prompt-template"]),
    required=True,
    help="What the UUID is of.",
)
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input."
)
@click.option(
    "--inputs-file",
    type=click.File("r", encoding="utf-8"),
    help="Read inputs from a JSON object of names and values.",
)
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag.")
@connection_option
@home_option
@json_option
def discuro(
    *,
    uuid: str,
    kind: Literal["orchestrator", "prompt-template"],
    inputs: tuple[str, ...],
    inputs_file: "TextIO | None",
    tags: tuple[str, ...],
    connection: str | None,
    home: str | None,
    as_json: bool,
) -> int:
    """Start an execution of an orchestrator or a prompt template; print its id."""
    from pipelines.submit import submit_discuro

    given = _inputs(inputs_file.read()) if inputs_file else {}
    for text in inputs:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"An input is NAME=VALUE, not {name!r}.")
        given[name] = value
    result = submit_discuro(
        uuid,
        kind=kind,
        inputs=given,
        tags=tags,
        connection=connection,
        home=home,
        told=_Teller(),
    )
    return _shown(result, as_json=as_json)


def _inputs(text: str) -> dict[str, str]:
    """Return inputs from JSON; a value that is no text is sent as its JSON."""
    import msgspec

    try:
        given = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):  # which may quote a value
        raise click.UsageError(
            "The file of inputs is no JSON object of names and values."
        ) from None
    found = {}
    for name, raw in given.items():
        value = msgspec.json.decode(raw)
        found[name] = value if isinstance(value, str) else bytes(raw).decode()
    return found


class _Teller:
    """Says on stderr what happens; the same thing again only once."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, words: str) -> None:
        if words != self._last:
            say(words)
            self._last = words


def _shown(result: "Submission", *, as_json: bool) -> int:
    if as_json:
        print_json(result)
    else:
        _show(result)
    return 0 if result.is_good else 1


def _show(result: "Submission") -> None:
    """Write ids to stdout, and all else in words to stderr."""
    for skip in result.skipped:
        say(f"skipped {skip.path}: {skip.reason}")
    for run in result.planned:
        say(f"would send {', '.join(run)}")
    for path in result.unsent:
        say(f"not sent: {path}")
    for one in result.started:
        if one.execution_id:
            click.echo(printable(one.execution_id))
        else:
            words = filter(None, (one.error, one.next_step))
            say(f"{one.state}: {one.what} ({' '.join(words)})")
    states = [one.state for one in result.started]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    counts |= {"skipped": len(result.skipped), "not sent": len(result.unsent)}
    said = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    say(f"{result.account}: {said or 'nothing to send'} ({result.home})")
