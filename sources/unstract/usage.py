"""Where the tokens stand in Unstract's answers, and which of them count.

A file says them twice: by purpose and model below its result (the parts), and summed
up below its metadata (the roll-up). The platform API says them call by call. Each
token counts once: the parts, where there are none the roll-up, where no file has
either the platform's; those of a file from the provider's history never, since an
earlier execution spent them.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from sources.json_text import pointer
from sources.records import TokenUsage
from sources.unstract.answers import is_same_id
from sources.unstract.pieces import Piece
from sources.values import Fields, MisfitError, integer, money, text, text_or_none

__all__ = ["file_usage", "model_named", "platform_usage", "summed"]

_PURPOSES = frozenset({"extraction", "challenge", "summarize", "lookup"})
_LLM = "_llm"
_EMBEDDING = "embedding"
_OPERATIONS = {"llm": "chat", _EMBEDDING: "embeddings"}
_READ, _WRITTEN = (
    ("input_tokens", "prompt_tokens"),
    ("output_tokens", "completion_tokens"),
)
_FIGURES = ("input_tokens", "output_tokens", "total_tokens", "provided_cost_usd")

Columns = dict[str, Any]


def file_usage(
    piece: Piece,
    result: Fields,
    names: Iterable[str],
    meta: Fields,
    spent_by: str | None,
) -> bool:
    """Add a file's parts and roll-up; tell whether they speak for this execution.

    ``result`` reads the metadata of the result, which has fields of these ``names``,
    ``meta`` that of the file; ``spent_by`` is the earlier execution that a file of
    the history comes from.
    """
    parts = list(_parts(piece, result, names))
    rollup = _rollup(piece, meta)
    has_parts = any(map(_says, parts))
    for part in parts:
        _add(piece, part, spent_by, is_counted=has_parts)
    if rollup is not None:
        _add(piece, rollup, spent_by, is_counted=not has_parts)
    return spent_by is None and (has_parts or (rollup is not None and _says(rollup)))


def platform_usage(
    piece: Piece,
    calls: Iterable[tuple[str, object]],
    execution_id: str,
    *,
    is_counted: bool,
) -> None:
    """Add the platform's rows, one a call; what came on two pages counts once."""
    seen: set[str] = set()
    for path, value in calls:
        if not isinstance(value, dict):
            piece.rows.misfit(path, "not_a_usage", value)
            continue
        call = text_or_none(value.get("id")) or path
        owner = text_or_none(value.get("execution_id")) or execution_id
        spent_by = None if is_same_id(owner, execution_id) else owner
        is_new = call not in seen
        seen.add(call)
        columns = _call(piece, value, path)
        _add(piece, columns, spent_by, is_counted=is_counted and is_new)


def _add(
    piece: Piece, columns: Columns, spent_by: str | None, *, is_counted: bool
) -> None:
    piece.rows.add(
        TokenUsage,
        **columns,
        file_key=piece.file_key,
        spent_by_execution_id=spent_by,
        is_counted=is_counted and spent_by is None,
    )


def _says(columns: Columns) -> bool:
    return any(columns.get(name) is not None for name in _FIGURES)


def _parts(piece: Piece, result: Fields, names: Iterable[str]) -> Iterator[Columns]:
    """Yield the parts: lists of them by purpose, or one by itself."""
    for name in names:
        if name != _EMBEDDING and not name.endswith(_LLM):
            continue
        value, at = result.raw(name), result.where(name)
        if not isinstance(value, list):
            entries = [(at, value)]
        else:
            entries = [(at + pointer(i), entry) for i, entry in enumerate(value)]
        for path, entry in entries:
            if isinstance(entry, dict):
                yield _part(piece, piece.rows.fields(entry, path), name)
            elif entry is not None:
                piece.rows.misfit(path, "not_a_usage", entry)


def _part(piece: Piece, fields: Fields, name: str) -> Columns:
    if name == _EMBEDDING:
        return _columns(piece, fields, "embeddings", name, "result")
    purpose = name.removesuffix(_LLM)
    known = purpose if purpose in _PURPOSES else "unknown"
    return _columns(piece, fields, "chat", known, "result")


def _call(piece: Piece, call: Mapping[str, object], path: str) -> Columns:
    fields = piece.rows.fields(call, path)
    kind, reason = call.get("usage_type"), call.get("llm_usage_reason")
    purpose = "unknown"
    if kind == _EMBEDDING:
        purpose = _EMBEDDING
    elif isinstance(reason, str) and reason in _PURPOSES:
        purpose = str(fields.raw("llm_usage_reason"))
    operation = _OPERATIONS.get(kind) if isinstance(kind, str) else None
    return _columns(piece, fields, operation, purpose, "platform")


def _columns(
    piece: Piece, fields: Fields, operation: str | None, purpose: str, source: str
) -> Columns:
    """Return the columns of a part or a call; what no column holds is kept."""
    embeds = operation == "embeddings"
    read = _first(fields, ("embedding_tokens", *_READ) if embeds else _READ)
    total = fields.take("total_tokens", integer)
    columns = {
        "usage_key": piece.rows.key_of(fields.at),
        "operation": operation,
        "purpose": purpose,
        "source": source,
        **_model(piece, fields),
        "input_tokens": read,
        "output_tokens": _first(fields, _WRITTEN),
        "total_tokens": read if embeds and total is None else total,
        "provided_cost_usd": piece.exact(fields, "cost_in_dollars", money),
    }
    piece.keep_rest(fields)
    return columns


def _first(fields: Fields, names: Iterable[str]) -> int | None:
    for name in names:
        if fields.raw(name) is not None:
            return fields.take(name, integer)
    return None


@lru_cache(maxsize=1024)
def model_named(said: str | None) -> tuple[str | None, str | None, str]:
    """Return vendor, model and basis: ``azure/gpt-4o`` names both."""
    vendor, _, model = (said or "").partition("/")
    if not (vendor and model):
        vendor, model = "", said or ""
    return vendor or None, model or None, "reported" if model else "missing"


def _model(piece: Piece, fields: Fields) -> Columns:
    said = fields.take("model_name", text)
    if said == "":  # no model, and yet something that was said
        piece.keep(fields.where("model_name"), said)
    vendor, model, basis = model_named(said)
    return {"model_provider": vendor, "model": model, "model_basis": basis}


def _rollup(piece: Piece, meta: Fields) -> Columns | None:
    """Return the roll-up: tokens read are those of prompts and of embeddings."""
    fields = piece.inner(meta, "usage")
    if not isinstance(meta.raw("usage"), dict):
        return None
    prompts = fields.take("prompt_tokens", integer)
    embedded = fields.take("embedding_tokens", integer)
    if embedded is not None:  # two figures in one column: each is kept beside it
        piece.keep(fields.where("embedding_tokens"), fields.raw("embedding_tokens"))
        if prompts is not None:
            piece.keep(fields.where("prompt_tokens"), fields.raw("prompt_tokens"))
    piece.same(fields, "file_execution_id", text_or_none(meta.raw("file_execution_id")))
    columns = {
        "usage_key": piece.rows.key_of(fields.at),
        "operation": None if embedded else "chat",
        "purpose": "unknown",
        "source": "rollup",
        **_model(piece, fields),
        "input_tokens": summed(prompts, embedded),
        "output_tokens": fields.take("completion_tokens", integer),
        "total_tokens": fields.take("total_tokens", integer),
        "provided_cost_usd": piece.exact(fields, "cost_in_dollars", money),
    }
    piece.keep_rest(fields)
    return columns


def summed(one: int | None, other: int | None) -> int | None:
    """Return a sum of what is known, where it still is of 64 bits."""
    if one is None or other is None:
        return one if other is None else other
    try:
        return integer(one + other)
    except MisfitError:
        return None
