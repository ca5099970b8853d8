"""Responses that show only what nobody has seen before: straight into the tables.

Or that show nothing, such as an empty list. There is nothing to fold there and nothing
to merge. What they come to is what the fold makes of them, and may be appended where
the target can take it, such as the work copy of a load. Only what they leave is folded.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from sources.columnar import Columnar, IrregularError
from sources.fold import raw_of_new, rows_of_new
from sources.observations import Kind, Normalizer, Observation, Page, Sight
from sources.records import TABLES, Record, Response
from sources.seen import Seen
from sources.tables import to_arrow

__all__ = ["Append", "Looked", "append_new"]

Append = Callable[[str, pa.Table], None]
"""Adds rows to the table of a name."""

_CHUNK_BYTES = 4 * 1024 * 1024
"""Raw bytes that are looked at together."""

_ROWS = 122_880
_BYTES = 8 * 1024 * 1024
"""Rows or Arrow bytes of one table that are appended together."""

_MAY_BE_NEW: frozenset[Kind] = frozenset({"item", "detail", "workflow"})
"""Errors of requests and rejects are left to the fold: the same may come again."""


class Looked(msgspec.Struct):
    """What a look at the responses found.

    ``rest`` are the ids of those that are to be folded. ``listed`` are the scopes of
    executions in lists, with the ids of the responses.
    """

    rest: set[str] = set()
    listed: set[tuple[str, str]] = set()


def append_new(
    waiting: Callable[[], Iterable[Response]],
    normalizer: Normalizer,
    seen: Seen,
    append: Append,
    *,
    columnar: Columnar | None = None,
    keeps_raw: bool = True,
) -> Looked:
    """Append all rows of what shows only new subjects, and leave the rest.

    A subject that was seen earlier in what waits is not new: the response goes to the
    rest, whose fold finds in the store what was appended here. ``columnar`` is the
    quick way to the same rows.
    """
    looked = Looked()
    novelty = _Novelty(seen, normalizer)
    pile = _Pile(append)
    for chunk in _chunks(waiting()):
        looks = [_look(response, normalizer, columnar) for response in chunk]
        looked.listed |= {pair for look in looks for pair in look.listed()}
        known = novelty.known(looks)
        new = list(filter(None, (novelty.new_of(look, known) for look in looks)))
        try:
            tables = list(_by_columns(new, normalizer, columnar))
        except IrregularError:
            new = [
                _plain(look, normalizer, {flow.key for flow in look.workflows})
                if look.page
                else look
                for look in new
            ]
            tables = []
        new = [look for look in new if _may_be_new(look)]
        for record, table in chain(tables, _by_rows(new, normalizer)):
            if keeps_raw or record is not Response:
                pile.add(record.TABLE, table)
        made = {look.response.response_id for look in new}
        looked.rest |= {one.response_id for one in chunk} - made
    pile.flush()
    return looked


class _Look(msgspec.Struct):
    """A response: its page, where it is regular, else what the fold sees in it."""

    response: Response
    page: Page | None = None
    sight: Sight = Sight(outcome="ok")

    def listed(self) -> set[tuple[str, str]]:
        """Return the scopes of executions that it lists, beside its id."""
        if self.page is not None:
            scopes = set(self.page.scopes)
        else:
            seen = self.sight.observations
            scopes = {one.scope for one in seen if one.kind == "item"}
        return {(self.response.response_id, scope) for scope in scopes}

    @property
    def workflows(self) -> list[Observation]:
        """What it shows of workflows."""
        if self.page is not None:
            return self.page.workflows
        return [one for one in self.sight.observations if one.kind == "workflow"]

    @property
    def keys(self) -> list[str]:
        """The keys of all that it shows but workflows."""
        if self.page is not None:
            return self.page.keys
        seen = self.sight.observations
        return [one.key for one in seen if one.kind != "workflow"]

    @property
    def all_keys(self) -> list[str]:
        """The keys of all that it shows."""
        return [*self.keys, *(one.key for one in self.workflows)]


def _look(
    response: Response, normalizer: Normalizer, columnar: Columnar | None = None
) -> _Look:
    page = columnar.read(response) if columnar else None
    if page is not None:
        return _Look(response, page)
    return _Look(response, sight=normalizer.observe(response))


def _plain(look: _Look, normalizer: Normalizer, told: set[str]) -> _Look:
    """Return a look by the fold's way, without the workflows of the keys ``told``."""
    if look.page is not None:
        look = _look(look.response, normalizer)
    if not told:
        return look
    left = [one for one in look.sight.observations if one.key not in told]
    return replace(look, sight=replace(look.sight, observations=left))


def _may_be_new(look: _Look) -> bool:
    return all(one.kind in _MAY_BE_NEW for one in look.sight.observations)


def _by_columns(
    looks: Sequence[_Look], normalizer: Normalizer, columnar: Columnar | None
) -> Iterator[tuple[type[Record], pa.Table]]:
    """Yield the rows of those that are regular."""
    pages = [look.page for look in looks if look.page is not None]
    if columnar and pages:
        yield from columnar.tables(pages)
        version = normalizer.VERSION
        raw = [raw_of_new(page.response, page.answered, version) for page in pages]
        yield Response, to_arrow(Response, raw)


def _by_rows(
    looks: Sequence[_Look], normalizer: Normalizer
) -> Iterator[tuple[type[Record], pa.Table]]:
    """Yield the rows of those that are not regular."""
    rows: dict[str, list[Record]] = defaultdict(list)
    for look in looks:
        if look.page is None:
            for row in rows_of_new(look.response, look.sight, normalizer):
                rows[row.TABLE].append(row)
    for name, found in rows.items():
        yield TABLES[name], to_arrow(TABLES[name], found)


class _Novelty:
    """Tells subjects that nobody has seen from those that are known."""

    def __init__(self, seen: Seen, normalizer: Normalizer) -> None:
        self._seen = seen
        self._normalizer = normalizer
        self._is_blank = seen.is_blank()
        # Hashes take less than the keys; where two are equal by chance, the response
        # goes to the rest, and all is right as well.
        self._before: set[int] = set()
        # What was last said of each workflow, if nothing of it is left to the fold.
        self._flows: dict[str, str | None] = {}

    def known(self, looks: Sequence[_Look]) -> set[str]:
        """Return the keys of executions that these responses show and the store has.

        And the ids of those that show nothing, if the store has them: a run that was
        killed right before its end may have left them here.
        """
        empty = (one.response.response_id for one in looks if not one.all_keys)
        loaded = self._seen.responses(empty)
        if self._is_blank:
            return loaded
        flows = {flow.key for one in looks for flow in one.workflows}
        for key, flow in self._seen.workflows(flows - self._flows.keys()).items():
            self._flows[key] = flow.sha256
        executions = [key for one in looks for key in one.keys]
        return loaded | self._seen.executions(executions).keys()

    def new_of(self, look: _Look, known: set[str]) -> _Look | None:
        """Return a response that shows only what is new, or nothing, and is new.

        Without workflows that say what is known of them. Of one that says another
        thing the fold decides, and of all that come after it.
        """
        keys = look.all_keys
        hashes = {hash(key) for key in keys}
        flows = look.workflows
        told = {one.key for one in flows if self._flows.get(one.key) == one.sha256}
        others = hashes - {hash(key) for key in told}
        saying = [one for one in flows if one.key not in told]
        is_new = (
            len(keys) == len(hashes)
            and bool(others) >= bool(keys)
            and look.response.response_id not in known
            and others.isdisjoint(self._before)
            and known.isdisjoint(keys)
            and self._flows.keys().isdisjoint(one.key for one in saying)
            and _may_be_new(look)
        )
        self._before |= others
        for one in saying:
            self._flows[one.key] = one.sha256 if is_new else None
        if not is_new:
            return None
        is_quick = look.page is not None and not saying
        return look if is_quick else _plain(look, self._normalizer, told)


class _Pile:
    """Gathers rows of each table until it is worth while to append them."""

    def __init__(self, append: Append) -> None:
        self._append = append
        self._tables: dict[str, list[pa.Table]] = defaultdict(list)
        self._rows: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()

    def add(self, name: str, table: pa.Table) -> None:
        """Add rows of the table of a name."""
        if not len(table):
            return
        self._tables[name].append(table)
        self._rows[name] += len(table)
        self._bytes[name] += table.nbytes
        if self._rows[name] >= _ROWS or self._bytes[name] >= _BYTES:
            self._flush(name)

    def flush(self) -> None:
        """Append all that is left."""
        for name in list(self._tables):
            self._flush(name)

    def _flush(self, name: str) -> None:
        del self._rows[name], self._bytes[name]
        self._append(name, pa.concat_tables(self._tables.pop(name)))


def _chunks(responses: Iterable[Response]) -> Iterator[Sequence[Response]]:
    chunk: list[Response] = []
    size = 0
    for response in responses:
        chunk.append(response)
        size += len(response.body or b"")
        if size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
