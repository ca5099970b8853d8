"""What a crash left in the journal, and which listings it may have cut short."""

from collections.abc import Collection, Iterable, Iterator

from sources.observations import Normalizer
from sources.provider import Collected
from sources.records import Response

__all__ = ["listed_scopes", "note_cut_listings"]


def listed_scopes(
    waiting: Iterable[Response], normalizer: Normalizer
) -> Iterator[tuple[str, str]]:
    """Yield response id and scope of every execution that is listed in what waits."""
    for response in waiting:
        for observation in normalizer.observe(response).observations:
            if observation.kind == "item":
                yield response.response_id, observation.scope


def note_cut_listings(
    collected: Collected, left: Collection[str], listed: Iterable[tuple[str, str]]
) -> None:
    """Add to what is unfinished the scopes that a crash cut and nobody read since.

    ``left`` are the responses that waited before this collecting, ``listed`` the
    scopes of all that wait, by response id. Once they are in the store, it would look
    as if all executions before them were there too. Of a collecting that broke off,
    nothing was read to its end.
    """
    scopes = set(listed)
    cut = {scope for response_id, scope in scopes if response_id in left}
    read = {scope for response_id, scope in scopes if response_id not in left}
    for scope in cut | read if collected.broke_off else cut - read:
        collected.unfinished.setdefault(scope, "")
