"""Bodies as an enemy would write them: no traceback, no leaf lost, no type forked."""

import json
from random import Random

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from sources import optional_part, part, providers
from tests.hurt import RAW, Raw, hurt, wire
from tests.laws import broken
from tests.responses import Recording, recordings, response

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()), max_size=12)
    | st.sampled_from(RAW).map(Raw),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Any JSON, and what is not quite JSON."""


def wrong(provider: str, asked: Recording, body: bytes) -> list[str]:
    """Return the laws that a body breaks as the answer that a recording stands for."""
    one = response(
        provider,
        body,
        endpoint=asked.endpoint,
        params=asked.params,
        status=asked.status,
    )
    normalizer = part(provider, "normalize")
    return list(broken(one, normalizer, optional_part(provider, "columns")))


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=150, deadline=None)
@given(chance=st.randoms(use_true_random=False))
def test_a_recording_that_is_hurt_anywhere_breaks_no_law(
    provider: str, chance: Random
) -> None:
    """Law: around what was seen, whatever is in a body ends as value or reject.

    And by both ways alike: a quick way gives the same rows, or leaves it.
    """
    known = [one for one in recordings(provider).values() if one.body_text is None]
    asked = known[chance.randrange(len(known))]

    body = wire(hurt(json.loads(asked.content), chance))

    note(f"{asked.endpoint} {asked.params} {asked.status}: {body!r}")
    assert wrong(provider, asked, body) == []


@pytest.mark.parametrize("provider", providers())
@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=200) | JSON.map(wire), data=st.data())
def test_any_bytes_as_any_answer_break_no_law(
    provider: str, body: bytes, data: st.DataObject
) -> None:
    """Law: no body whatever makes anything raise, and nothing of it is lost."""
    asked = data.draw(st.sampled_from(list(recordings(provider).values())))

    note(f"{asked.endpoint} {asked.params} {asked.status}: {body!r}")
    assert wrong(provider, asked, body) == []


@pytest.mark.parametrize("provider", providers())
def test_a_leaf_that_is_lost_is_seen(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: what the two tests above look for is found where it is."""
    normalizer = part(provider, "normalize")
    made = normalizer.records
    monkeypatch.setattr(normalizer, "records", lambda *_: made(*_)[:1])

    found = [wrong(provider, one, one.content) for one in recordings(provider).values()]

    assert any("no table has" in words for each in found for words in each)
