"""The tokens in finished results of Unstract, as columns: the rows of ``usage``."""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from itertools import chain

from msgspec.structs import astuple

from sources.columnar import Column, IrregularError
from sources.records import TokenUsage
from sources.typed import UNSAID, each
from sources.unstract.file_columns import Files, Tables
from sources.unstract.regular import Embedding, Llm, Rollup
from sources.unstract.usage import model_named, summed
from sources.values import MisfitError, money

__all__ = ["usage"]

_EMBEDDING = "embedding"
_PURPOSES = {
    _EMBEDDING: "embedding",
    "extraction_llm": "extraction",
    "challenge_llm": "challenge",
    "summarize_llm": "summarize",
    "lookup_llm": "lookup",
}


def usage(files: Files) -> Tables:
    """Yield parts and roll-ups; where a file has parts, those count."""
    parts = {
        name: [
            (file, number, part)
            for file, parts in files.saying(name)
            for number, part in enumerate(parts)
        ]
        for name in _PURPOSES
    }
    every = chain.from_iterable(parts.values())
    has_parts = {file for file, _, part in every if _says(part)}
    for name, found in parts.items():
        if found:
            yield from _parts(files, name, found, has_parts)
    yield from _rollups(files, has_parts)


def _parts(
    files: Files,
    name: str,
    found: Sequence[tuple[int, int, Llm | Embedding]],
    has_parts: set[int],
) -> Tables:
    of, numbers, said = map(list, zip(*found, strict=True))
    read = each(said, "embedding_tokens" if name == _EMBEDDING else "input_tokens")
    written, total = None, each(said, "total_tokens")
    if name == _EMBEDDING:
        total = [r if t is None else t for r, t in zip(read, total, strict=True)]
    else:
        written = each(said, "output_tokens")
    yield from _usage(
        files,
        of,
        [f"/result/metadata/{name}/{number}" for number in numbers],
        said,
        operation="embeddings" if name == _EMBEDDING else "chat",
        purpose=_PURPOSES[name],
        source="result",
        input_tokens=read,
        output_tokens=written,
        total_tokens=total,
        is_counted=[file in has_parts for file in of],
    )


def _rollups(files: Files, has_parts: set[int]) -> Tables:
    """Yield the sums; two figures in one column are each kept beside it."""
    found = [
        (file, meta.usage)
        for file, meta in enumerate(files.metas)
        if isinstance(meta.usage, Rollup)
    ]
    of, said = [file for file, _ in found], [rollup for _, rollup in found]
    read, embedded = each(said, "prompt_tokens"), each(said, "embedding_tokens")
    both = list(zip(of, read, embedded, strict=True))
    at = "/metadata/usage"
    yield from _usage(
        files,
        of,
        [at] * len(of),
        said,
        operation=[None if tokens else "chat" for tokens in embedded],
        purpose="unknown",
        source="rollup",
        input_tokens=[summed(prompts, tokens) for _, prompts, tokens in both],
        output_tokens=each(said, "completion_tokens"),
        total_tokens=each(said, "total_tokens"),
        is_counted=[file not in has_parts for file in of],
    )
    kept = [(file, tokens) for file, _, tokens in both if tokens is not None]
    yield files.kept(kept, at + "/embedding_tokens")
    kept = [(f, p) for f, p, tokens in both if None not in {p, tokens}]
    yield files.kept(kept, at + "/prompt_tokens")


def _usage(
    files: Files,
    of: Sequence[int],
    below: Sequence[str],
    said: Sequence[Llm | Embedding | Rollup],
    **columns: Column,
) -> Tables:
    models = [model_named(name) for name in each(said, "model_name")]
    costs = each(said, "cost_in_dollars")
    amounts = [(None, True) if cost is None else _money(cost) for cost in costs]
    yield (
        TokenUsage,
        files.rows(
            TokenUsage,
            of,
            below,
            model_provider=[vendor for vendor, _, _ in models],
            model=[model for _, model, _ in models],
            model_basis=[basis for _, _, basis in models],
            provided_cost_usd=[amount for amount, _ in amounts],
            **columns,
        ),
    )
    inexact = [place for place, (_, is_exact) in enumerate(amounts) if not is_exact]
    yield files.kept(
        [(of[place], costs[place]) for place in inexact],
        [f"{below[place]}/cost_in_dollars" for place in inexact],
    )


@lru_cache(maxsize=65_536)
def _money(said: str | float) -> tuple[Decimal, bool]:
    """Return US dollars, and whether that is all that was said."""
    try:
        amount = money(said)
    except MisfitError:
        raise IrregularError("no amount") from None
    return amount, Decimal(str(said).strip()) == amount


def _says(part: Llm | Embedding) -> bool:
    """Tell whether a part says any figure."""
    _model, *figures = astuple(part)
    return not UNSAID.issuperset(figures)
