"""A provider as a dlt source: collect into the journal, then drain it."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import dlt
from dlt.extract import DltResource, DltSource

from sources import part
from sources.errors import ExecledgerError, ProviderError
from sources.fold import fold
from sources.journal import Journal
from sources.leftovers import listed_scopes, note_cut_listings
from sources.observations import Normalizer
from sources.provider import Collected, listed_ids
from sources.records import Response
from sources.seen import Seen, in_pipeline
from sources.tables import Tables, every_table, tables_of, with_hints
from sources.tracking import Started, track

__all__ = [
    "Collect",
    "collect_and_drain",
    "drain_source",
    "run_apart",
    "watched_resource",
]

T = TypeVar("T")

Collect = Callable[[Journal, Seen, Mapping[str, str]], Coroutine[Any, Any, Collected]]
"""Reads what is due into the journal; the last argument is what was unfinished."""


def drain_source(provider: str, tables: Tables) -> DltSource:
    """Return a source of rows that were made; it asks the provider nothing."""

    @dlt.source(name="execledger")
    def drained() -> DltResource:
        return dlt.resource(with_hints(tables), name=provider)

    return drained()


def collect_and_drain(
    provider: str,
    connection: str,
    collect: Collect,
    normalizer: Normalizer,
    journal: Path | None,
    *,
    raises: bool,
) -> Iterator[Any]:
    """Yield what one connection brought, for the resource of a dlt source.

    Responses that an earlier run loaded leave the journal first. What is still
    there after a crash is loaded again, whatever the destination seems to hold:
    it may hold half of a package. Raises ``ProviderError`` after the last row.
    """
    seen = Seen(in_pipeline(), provider, connection)
    state = dlt.current.resource_state().setdefault("unfinished", {})
    with Journal(journal or _default_journal()) as kept:

        def waiting() -> Iterator[Response]:
            return kept.waiting(provider, connection)

        kept.clear(seen.responses(kept.ids(provider, connection)))
        left = set(kept.ids(provider, connection))
        collected = run_apart(collect(kept, seen, state.get(connection, {})))
        listed = listed_scopes(waiting(), normalizer) if left else ()
        note_cut_listings(collected, left, listed)
        state[connection] = collected.unfinished

        batches = fold(waiting, normalizer, seen, trusts_store=not left)
        yield from with_hints(chain(every_table(), tables_of(batches)))
    if raises and collected.errors:
        raise _as_one(collected.errors)


def watched_resource(
    provider: str,
    settings: Any,  # noqa: ANN401 (each provider's own)
    *,
    execution_ids: object,
    connection: str,
    journal: str | Path | None,
    max_wait_s: float,
    raises: bool,
) -> DltResource:
    """Return the resource of a provider whose executions are asked for by id.

    ``execution_ids`` are put on the watch-list first: a list, JSON or with commas.
    """
    started = [Started(execution_id=one) for one in listed_ids(execution_ids)]
    collect = part(provider, "collect").collect
    normalizer = part(provider, "normalize")

    async def reading(kept: Journal, seen: Seen, due: Mapping[str, str]) -> Collected:
        track(kept, provider, connection, settings, started)
        collected: Collected = await collect(
            settings,
            kept,
            seen,
            connection=connection,
            unfinished=due,
            max_wait_s=max_wait_s,
        )
        return collected

    def watched() -> Iterator[Any]:
        path = Path(journal) if journal else None
        yield from collect_and_drain(
            provider, connection, reading, normalizer, path, raises=raises
        )

    return dlt.resource(watched, name=provider)


def _default_journal() -> Path:
    """Return a journal of the running pipeline's own, beside the default home."""
    return Path(".execledger") / f"{dlt.current.pipeline().pipeline_name}.sqlite"


def _as_one(errors: Sequence[ExecledgerError]) -> ExecledgerError:
    if len(errors) == 1:
        return errors[0]
    return ProviderError("\n".join(map(str, errors)))


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also where an event loop runs already (Jupyter)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
