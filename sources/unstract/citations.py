"""Where the evidence goes that Unstract gives for an answer, prompt by prompt."""

from collections.abc import Iterator

from sources.json_text import encode, pointer
from sources.records import Citation
from sources.unstract.pieces import Piece
from sources.values import Fields, MisfitError, integer

__all__ = ["KINDS", "citations", "page_of", "pieces"]

KINDS = {
    "context": "context",
    "highlight_data": "highlight",
    "line_numbers": "line_number",
    "confidence_data": "confidence",
    "word_confidence_data": "word_confidence",
}
_PAGES = ("page", "page_number")


def citations(piece: Piece, result: Fields) -> None:
    """Add each piece of evidence: ``{prompt: piece, or list of pieces}`` by kind."""
    for name, kind in KINDS.items():
        value, at = result.raw(name), result.where(name)
        prompts = value.items() if isinstance(value, dict) else ()
        for prompt, given in prompts:
            _behind(piece, kind, at + pointer(prompt), given, prompt)
        if not isinstance(value, dict) and value is not None:
            _behind(piece, kind, at, value, None)


def _behind(
    piece: Piece, kind: str, at: str, given: object, prompt: str | None
) -> None:
    for path, position, value in pieces(given, at):
        is_text = isinstance(value, str)
        piece.rows.add(
            Citation,
            citation_key=piece.rows.key_of(path),
            file_key=piece.file_key,
            prompt_key=prompt,
            kind=kind,
            position=position,
            page=page_of(value),
            text=value if is_text else None,
            value=None if is_text else encode(value),
        )


def pieces(given: object, at: str) -> Iterator[tuple[str, int, object]]:
    """Yield pointer, place and value of each piece; null is none."""
    places = [(at, 0, given)]
    if isinstance(given, list):
        places = [(at + pointer(place), place, v) for place, v in enumerate(given)]
    yield from (found for found in places if found[2] is not None)


def page_of(value: object) -> int | None:
    """Return the page of a piece that names one; no meaning is guessed."""
    if not isinstance(value, dict):
        return None
    for name in _PAGES:
        try:
            return integer(value.get(name))
        except MisfitError:
            continue
    return None
