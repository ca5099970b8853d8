"""Which observation of an execution counts.

The state of an execution is the fold of its responses in the order in which they
came. Two passes: keys and hashes of everything first, then, after one look at what
the store holds, rows of the winners only. At most one observation of an execution,
the newest, comes out of a fold.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime

import msgspec

from sources.json_text import Decoded, decode, encode
from sources.observations import (
    Kind,
    Normalizer,
    Observation,
    Sight,
    Winner,
    decoded_body,
)
from sources.records import (
    TABLES,
    Mode,
    Outcome,
    Record,
    Response,
    Snapshot,
    StatusChange,
)
from sources.seen import Seen

__all__ = ["Batch", "fold", "raw_of_new", "rows_of_new"]

_BATCH_BYTES = 16 * 1024 * 1024
"""Raw bytes whose rows are held at a time."""

_READ: frozenset[Kind] = frozenset({"item", "detail"})
_WORTH: dict[str | None, int] = {
    "captured": 3,
    "lost_in_transit": 2,
    "acknowledged_elsewhere": 1,
    "expired": 1,
}
"""How much is known of a result: it is here, lost on our way, or gone."""

_SNAPSHOTS = [name for name, table in TABLES.items() if table.MODE is Mode.SNAPSHOT]


class Batch(msgspec.Struct):
    """Rows to load, by table, and the executions that a table holds no longer.

    ``gone`` has, by table, the execution keys of executions that are in the store
    and have no row in that table any more.
    """

    rows: dict[str, list[Record]]
    gone: dict[str, list[str]]


class _State(msgspec.Struct):
    """What is known of one subject while its observations are folded."""

    first_seen_at: datetime | None = None
    observed_at: datetime | None = None
    status: str | None = None
    provider_status: str | None = None
    list_sha256: str | None = None
    content_sha256: str | None = None
    result_state: str | None = None
    is_stored: bool = False
    winner: str | None = None
    observation: Observation | None = None


class _Glance(msgspec.Struct):
    """What the first pass keeps of a response: what it shows, what it changed."""

    response_id: str
    received_at: datetime
    sight: Sight
    has_changed: bool = False
    changes: list[Observation] = []


def fold(
    waiting: Callable[[], Iterable[Response]],
    normalizer: Normalizer,
    seen: Seen,
    *,
    trusts_store: bool = True,
) -> Iterator[Batch]:
    """Yield the rows that the waiting responses add to what the store holds.

    ``waiting`` gives the responses in order, each time it is called. Where the
    store may hold half a load, ``trusts_store=False`` loads an execution again
    although the store seems to hold it unchanged.
    """
    glances = [
        _glance(response, normalizer.observe(response)) for response in waiting()
    ]
    states = _known(glances, seen, trusts_store=trusts_store)
    for glance in glances:
        for observation in glance.sight.observations:
            _take(states[observation.key], observation, glance)
    winners: dict[str, list[Winner]] = defaultdict(list)
    for state in states.values():
        if state.winner is not None:
            winners[state.winner].append(_winner(state))
    pile = _Pile()
    for response, glance in zip(waiting(), glances, strict=False):
        won = winners.get(response.response_id, [])
        stored = [w for w in won if states[w.observation.key].is_stored]
        decoded = decoded_body(response) if won else None
        rows = normalizer.records(response, won, decoded or Decoded(None))
        pile.add([_raw(response, glance, normalizer.VERSION)])
        pile.add(_status_changes(response, glance))
        pile.add_winners(rows, stored)
        pile.size += len(response.body or b"")
        if pile.size > _BATCH_BYTES:
            yield pile.batch
            pile = _Pile()
    yield pile.batch


def rows_of_new(
    response: Response, sight: Sight, normalizer: Normalizer
) -> Iterator[Record]:
    """Yield all rows of a response whose subjects nobody has seen, each once in it.

    They are those that ``fold`` makes of it where the store holds nothing.
    """
    glance = _glance(response, sight)
    winners = []
    for observation in sight.observations:
        state = _State()
        _take(state, observation, glance)
        winners.append(_winner(state))
    yield _raw(response, glance, normalizer.VERSION)
    yield from _status_changes(response, glance)
    yield from normalizer.records(response, winners, sight.decoded or Decoded(None))


def raw_of_new(
    response: Response, answered: dict[str, object], version: int
) -> Response:
    """Return the row of a response that is as it should be and shows something new."""
    sight = Sight(outcome="ok", answered=answered)
    return _raw(response, _glance(response, sight), version)


def _glance(response: Response, sight: Sight) -> _Glance:
    light = msgspec.structs.replace(sight, decoded=None)
    return _Glance(response.response_id, response.received_at, light)


def _winner(state: _State) -> Winner:
    if state.observation is None or state.first_seen_at is None:
        raise AssertionError("a state without an observation cannot win")
    return Winner(
        observation=state.observation,
        first_seen_at=state.first_seen_at,
        list_sha256=state.list_sha256,
    )


def _known(
    glances: Sequence[_Glance], seen: Seen, *, trusts_store: bool
) -> dict[str, _State]:
    """Return the state of every subject at hand, as the store has it."""
    keys: dict[Kind, set[str]] = defaultdict(set)
    for glance in glances:
        for observation in glance.sight.observations:
            keys[observation.kind].add(observation.key)
    states: dict[str, _State] = defaultdict(_State)
    for key, known in seen.executions(keys["item"] | keys["detail"]).items():
        states[key] = _State(
            known.first_seen_at,
            known.observed_at,
            known.status,
            known.provider_status,
            known.list_sha256,
            known.content_sha256,
            known.result_state,
            is_stored=True,
        )
    for key, flow in seen.workflows(keys["workflow"]).items():
        states[key] = _State(
            flow.first_seen_at, flow.observed_at, content_sha256=flow.sha256
        )
    for key in seen.rejects(keys["reject"]):
        states[key] = _State(is_stored=True)
    if not trusts_store:
        for key, state in states.items():
            states[key] = _State(
                state.first_seen_at,
                result_state=state.result_state,
                is_stored=state.is_stored,
            )
    return states


def _take(state: _State, observation: Observation, glance: _Glance) -> None:
    """Let one observation change the state of its subject, if it is new."""
    if not _is_news(state, observation, glance.received_at):
        return
    status = (observation.status, observation.provider_status)
    if observation.status and status != (state.status, state.provider_status):
        state.status, state.provider_status = status
        glance.changes.append(observation)
    if observation.kind == "item":
        state.list_sha256 = observation.sha256
    elif state.list_sha256 is None:
        state.list_sha256 = observation.list_sha256
    state.content_sha256 = observation.sha256
    state.result_state = observation.result_state
    state.first_seen_at = state.first_seen_at or glance.received_at
    state.observed_at = glance.received_at
    state.winner, state.observation = glance.response_id, observation
    glance.has_changed = True


def _is_news(state: _State, observation: Observation, at: datetime) -> bool:
    """Tell whether an observation is newer than the state, and says another thing.

    Of a list item its own hash alone decides: the row may hold the detail.
    """
    if state.observed_at is not None and at <= state.observed_at:
        return False
    if _shows_less(state, observation):
        return False
    if observation.kind == "item":
        return state.list_sha256 != observation.sha256
    if observation.kind == "reject":
        return not state.is_stored and state.winner is None
    return observation.kind == "request" or state.content_sha256 != observation.sha256


def _shows_less(state: _State, observation: Observation) -> bool:
    """Tell whether more is known of the result than this observation shows.

    A result that was captured is not taken from the store by a later look, which
    finds it read or deleted; nor is the word that it was lost, and how: of a result
    that had expired, our own look leaves a trace as if another had read it.
    Providers that list say no ``result_state`` here, and their newest counts.
    """
    if observation.result_state is None:
        return False
    known = _WORTH.get(state.result_state, 0)
    shown = _WORTH.get(observation.result_state, 0)
    is_other_loss = known == shown == 1
    return shown < known or (
        is_other_loss and observation.result_state != state.result_state
    )


def _raw(response: Response, glance: _Glance, version: int) -> Response:
    """Return the response as it is stored: what changed nothing without its body."""
    outcome = _outcome(response, glance)
    params = response.params
    if glance.sight.answered:
        asked = decode(params.encode()).value
        known = asked if isinstance(asked, dict) else {}
        params = encode({**known, "answered": glance.sight.answered})
    return msgspec.structs.replace(
        response,
        outcome=outcome,
        params=params,
        body=None if outcome == "unchanged" else response.body,
        normalizer_version=version,
    )


def _outcome(response: Response, glance: _Glance) -> Outcome:
    said = glance.sight.outcome
    if response.outcome != "ok" and said != "pending":
        return response.outcome
    is_same = bool(glance.sight.observations) and not glance.has_changed
    return "unchanged" if is_same else said


def _status_changes(response: Response, glance: _Glance) -> Iterator[StatusChange]:
    for change in glance.changes:
        yield StatusChange(
            provider=response.provider,
            connection=response.connection,
            execution_key=change.key,
            response_id=response.response_id,
            observed_at=response.received_at,
            status=change.status or "unknown",
            provider_status=change.provider_status,
            http_status=response.http_status,
        )


class _Pile:
    """Gathers rows until there are enough for a batch; ``size`` is in raw bytes."""

    def __init__(self) -> None:
        self.batch = Batch(rows=defaultdict(list), gone=defaultdict(list))
        self.size = 0

    def add(self, records: Iterable[Record]) -> None:
        for record in records:
            self.batch.rows[record.TABLE].append(record)

    def add_winners(self, records: list[Record], stored: Iterable[Winner]) -> None:
        """Add the rows of the winners, and where those in the store have none."""
        self.add(records)
        has = {(r.TABLE, r.execution_key) for r in records if isinstance(r, Snapshot)}
        for winner in stored:
            key = winner.observation.key
            for table in _SNAPSHOTS if winner.observation.kind in _READ else ():
                if (table, key) not in has:
                    self.batch.gone[table].append(key)
