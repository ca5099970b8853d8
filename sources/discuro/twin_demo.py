"""The world of the demo: a dozen executions of a day and more.

The same moment gives the same world.
"""

import json
from collections.abc import Mapping
from datetime import timedelta

from sources.discuro.twin_world import Execution, Pairs, Step, Workflow, World

__all__ = ["furnish"]

REVIEWS = Workflow(
    workflow_id="7d0c7a52-3a7e-4b43-9b0f-6f6a1c1f5a10",
    inputs=("product",),
    data=(
        {"product": "kettle", "stars": 4, "review": "Boils fast, pours well."},
        {"product": "kettle", "stars": 2, "review": "The lid came off in a week."},
    ),
)
BLOG = Workflow(
    workflow_id="c2f4e0d8-51f9-4c7b-8f35-0a9c1f0a7b21",
    kind="prompt_template",
    inputs=("title", "tone"),
    data=({"title": "Tea at altitude", "paragraphs": ["Water boils at 93 °C there."]},),
)
TOO_SHORT = {
    "message": "You requested a length 0 completion, but did not specify a 'logprobs' "
    "parameter to see the probability of each token.",
    "type": "invalid_request_error",
    "param": None,
    "code": None,
}
TOO_LONG = {
    "message": "This model's maximum context length is 4097 tokens, however you "
    "requested 5121 tokens (4097 in your prompt; 1024 for the completion).",
    "type": "invalid_request_error",
    "param": "messages",
    "code": "context_length_exceeded",
}
PLAIN = "upstream connect error or disconnect/reset before headers"


def _forwarded(error: Mapping[str, object]) -> str:
    """Return an error of OpenAI as Discuro hands it on: a document in a string."""
    return json.dumps({"error": error}, indent=2) + "\n"


AT_PROPERTY = (Step(step_id="71", name="blogs", error=_forwarded(TOO_SHORT)),)
AT_LAYER = (
    Step(step_id="80", name="outline", took_s=1.9),
    Step(
        step_id="81",
        name="chapters",
        took_s=4.2,
        layers=(
            Step(step_id="211", took_s=1.1),
            Step(
                step_id="212",
                took_s=3.1,
                layers=(
                    Step(step_id="3001", took_s=1.4),
                    Step(step_id="3002", took_s=1.7, error=_forwarded(TOO_LONG)),
                ),
            ),
        ),
    ),
)
AT_GATEWAY = (Step(step_id="71", name="blogs", error=PLAIN),)
FIRST_ID = 131
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def _films(count: int) -> list[dict[str, object]]:
    """Return so many records, with the kinds of values that a prompt makes."""
    films: list[dict[str, object]] = [
        {"film": "Avatar", "year": 2009, "genres": ["science fiction"], "seen": True},
        {"film": "Amélie", "year": 2001, "genres": ["comedy"], "seen": False},
        {"film": "七人の侍", "year": 1954, "genres": ["drama"], "rating": 4.5},
        {"film": "Metropolis", "year": 1927, "cast": {"Maria": "Brigitte Helm"}},
        {"film": "Solaris", "year": 1972, "genres": [], "rating": None},
    ]
    return films[:count]


def _tags(number: int) -> Pairs:
    """Return the tags of an execution: two, one or none, by turns."""
    tags = (
        {"key": "team", "value": "content"},
        {"key": "campaign", "value": "autumn"},
    )
    return tags[: 2 - number % 3]


def furnish(world: World) -> dict[int, int]:
    """Fill a world with the executions of the demo, as they are at its ``now``.

    One has expired, one is running and one is not synced yet: both can be read, and
    have ended, within a minute. Return status → id of those whose first answer is to
    be that error.
    """
    world.add_workflow(REVIEWS)
    world.add_workflow(BLOG)
    scripts: tuple[tuple[timedelta, float, int, tuple[Step, ...]], ...] = (
        # how long ago, how many seconds it runs, how many records, failing steps
        (30 * HOUR, 4.8, 2, ()),
        (6 * HOUR, 4.804741, 3, ()),
        (4 * HOUR, 2.25, 1, ()),
        (3 * HOUR, 0.7, 0, AT_PROPERTY),
        (150 * MINUTE, 11.5, 5, ()),
        (2 * HOUR, 6.1, 0, AT_LAYER),
        (80 * MINUTE, 3.0, 2, ()),
        (50 * MINUTE, 0.7, 0, AT_GATEWAY),
        (30 * MINUTE, 9.125, 4, ()),
        (10 * MINUTE, 1.5, 1, ()),
        (100 * SECOND, 120.0, 3, ()),
        (4 * SECOND, 9.0, 2, ()),
    )
    for number, (ago, runs_s, count, steps) in enumerate(scripts):
        world.add_execution(
            Execution(
                execution_id=FIRST_ID + number,
                started_at=world.now() - ago,
                runs_s=runs_s,
                data=_films(count),
                steps=steps,
                prompt_tokens=81 + 13 * number,
                completion_tokens=45 * count,
                tags=_tags(number),
            )
        )
    return {429: FIRST_ID + 6, 503: FIRST_ID + 8}
