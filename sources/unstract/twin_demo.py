"""What comes of files in the Unstract twin, and the executions that its demo shows."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from sources.unstract.twin_world import Execution, FileRun, World

__all__ = [
    "Scenes",
    "classified",
    "failed",
    "furnish",
    "outcome",
    "plain_text",
    "recorded",
    "reviewed",
]

GPT, CLAUDE, EMBEDDER = (
    "azure/gpt-4o",
    "anthropic/claude-3-5-sonnet",
    "azure/text-embedding-3-small",
)
PER_MILLION: dict[str, tuple[Decimal | int, int]] = {
    GPT: (Decimal("2.5"), 10),
    CLAUDE: (3, 15),
    EMBEDDER: (Decimal(".02"), 0),
}
"""Dollars for a million tokens, in and out."""

EMBEDDED, CHALLENGED = 3121, (700, 90)
ROLLUP: Mapping[str, object] = {
    "embedding_tokens": 412,
    "prompt_tokens": 1830,
    "completion_tokens": 96,
    "total_tokens": 2338,
    "cost_in_dollars": 0.0055432400001,
}
REQUIRED = ("invoice_number", "total", "title")
"""Prompts whose answer a record must have."""
RATE_LIMIT = "Error processing file '{}': Rate limit error. 429"
NO_TEXT = "Error processing file '{}': No text could be extracted"


def _cost(model: str, into: int, out: int) -> Decimal:
    price_in, price_out = PER_MILLION[model]
    return (price_in * into + price_out * out) / Decimal(1_000_000)


def _llm(model: str, into: int, out: int) -> dict[str, object]:
    return {
        "model_name": model,
        "cost_in_dollars": f"{_cost(model, into, out):f}",
        "input_tokens": into,
        "output_tokens": out,
        "total_tokens": into + out,
    }


def _metadata(
    output: Mapping[str, object], text: str, tokens: tuple[int, int]
) -> dict[str, object]:
    """Return what a Prompt Studio tool notes of its prompts and its models."""
    prompts = list(output)
    embedding = {
        "model_name": EMBEDDER,
        "cost_in_dollars": f"{_cost(EMBEDDER, EMBEDDED, 0):f}",
        "embedding_tokens": EMBEDDED,
    }
    return {
        "context": {prompt: [f"... {text[:40]} ..."] for prompt in prompts},
        "required_fields": {
            prompt: output[prompt] is not None if prompt in REQUIRED else None
            for prompt in prompts
        },
        "line_numbers": {prompts[0]: [12]},
        "whisper_hash": "xxxx|yyyy",
        "confidence_data": {prompts[0]: 0.98},
        "word_confidence_data": {prompts[0]: {str(output[prompts[0]]): 0.97}},
        "extracted_text": text,
        "embedding": [embedding],
        "challenge_llm": [_llm(CLAUDE, *CHALLENGED)],
        "extraction_llm": [_llm(GPT, *tokens)],
    }


def recorded(
    name: str,
    output: Mapping[str, object],
    *,
    tokens: tuple[int, int] = (2734, 221),
    text: str | None = None,
) -> FileRun:
    """Return a file that a Prompt Studio tool makes a record of.

    ``tokens`` are what the extraction reads and writes. The result has metadata with
    the usage of each model and a roll-up of it, metrics, and the text of the file.
    """
    text = f"<<<\n{name}\n<<<" if text is None else text
    steps = {"context_retrieval": 0.11, "extraction_llm": 1.5}
    into, out = tokens[0] + CHALLENGED[0], tokens[1] + CHALLENGED[1]
    cost = _cost(GPT, *tokens) + _cost(CLAUDE, *CHALLENGED)
    return FileRun(
        name=name,
        result={
            "output": dict(output),
            "metadata": _metadata(output, text, tokens),
            "metrics": {
                prompt: {step: {"time_taken(s)": took} for step, took in steps.items()}
                for prompt in output
            },
        },
        usage={
            "embedding_tokens": EMBEDDED,
            "prompt_tokens": into,
            "completion_tokens": out,
            "total_tokens": EMBEDDED + into + out,
            "cost_in_dollars": float(cost + _cost(EMBEDDER, EMBEDDED, 0)),
        },
    )


def plain_text(name: str, text: str) -> FileRun:
    """Return a file that a tool of another kind makes a text of."""
    return FileRun(name=name, result=text, usage=ROLLUP)


def classified(name: str, result: object) -> FileRun:
    """Return a file whose result has the shape of the documented example."""
    return FileRun(name=name, result={"input_file": name, "result": result})


def failed(name: str, error: str = RATE_LIMIT) -> FileRun:
    """Return a file that fails after it has cost something."""
    return FileRun(name=name, error=error.format(name), usage=ROLLUP)


def reviewed(name: str) -> FileRun:
    """Return a file that was sent to human review: a success without a result."""
    return FileRun(name=name, noted={"hitl": True})


def outcome(name: str, content: bytes) -> FileRun:
    """Return what comes of a file that is sent: by its name, and always the same.

    One with ``broken`` in its name fails, one with ``review`` goes to a human, text
    comes back as text, of anything else a record is made.
    """
    if "broken" in name:
        return failed(name)
    if "review" in name:
        return reviewed(name)
    if name.endswith(".txt"):
        return plain_text(name, f"A letter of {len(content)} bytes.")
    return recorded(name, {"title": name, "size_bytes": len(content), "notes": None})


def _invoice(number: int, total: float | None) -> FileRun:
    name = f"INV-{number}"
    output = {
        "invoice_number": name,
        "total": total,
        "is_paid": number % 2 == 0,
        "line_items": [{"sku": "A", "qty": 2}, {"sku": "B", "qty": number % 7}],
        "notes": None,
    }
    said = "(blotted)" if total is None else f"{total:,.2f}"
    text = f"<<<\nInvoice {name}\nTOTAL {said}\n<<<"
    tokens = (1800 + number % 977, 150 + number % 89)
    return recorded(f"{name.lower()}.pdf", output, tokens=tokens, text=text)


class Scenes(NamedTuple):
    """The executions of the demo to which something happens from outside: their ids."""

    read_elsewhere: str
    rate_limited: str
    behind_a_proxy: str


def furnish(world: World) -> Scenes:
    """Fill a world with the executions of the demo, as they are at its ``now``.

    Two are going on, and end within 12 seconds; one finished so long ago that its
    result is gone.
    """

    def ago(minutes: float, *files: FileRun, ends: str | None = None) -> Execution:
        at = world.now() - timedelta(minutes=minutes)
        tags = ("q4",) if int(minutes) % 2 else ()
        return world.start(*files, started_at=at, ends=ends, tags=tags)

    ago(301, _invoice(2011, 318.0))
    taken = ago(121, _invoice(2017, 87.25))
    lost_files = (failed("scan-7.pdf"), failed("scan-8.pdf", NO_TEXT))
    ago(101, *lost_files)
    ago(90, _invoice(2023, 1234.5), failed("blurred.pdf", NO_TEXT), _letter())
    ago(70, classified("contract.pdf", "lease"))
    ago(55, plain_text("letter-12.txt", "The tenant gives notice to 31 March."))
    known = ago(41, _invoice(2041, 4711.99))
    ago(30, plain_text("notes.txt", "Page 1 of 3."), ends="STOPPED")
    ago(21, reviewed("handwritten.pdf"), _invoice(2042, 60.0))
    ago(15, FileRun(name="inv-2041-again.pdf", earlier=known.items[0]))
    limited = ago(12, _invoice(2050, 99.9))
    proxied = ago(10, _invoice(2051, None))
    _going_on(world)
    return Scenes(taken.execution_id, limited.execution_id, proxied.execution_id)


def _letter() -> FileRun:
    return plain_text("letter-11.txt", "Grüße aus Köln — die Rechnung folgt.")


def _going_on(world: World) -> None:
    """Add an execution that waits and one that runs."""
    second = timedelta(seconds=1)
    now = world.now()
    runs = ((0, "PENDING"), (1, "EXECUTING"), (9, "COMPLETED"))
    world.start(_invoice(2060, 431.1), started_at=now - 4 * second, life=runs)
    waits = ((0, "PENDING"), (5, "EXECUTING"), (12, "COMPLETED"))
    world.start(
        _invoice(2061, 8.5),
        failed("torn.pdf"),
        started_at=now - second / 2,
        life=waits,
        tags=("q4",),
    )
