"""JSON that takes views apart: odd names, depths, numbers and texts, in every place."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sources.json_text import encode
from sources.records import (
    TABLES,
    Citation,
    ErrorRecord,
    Execution,
    ExecutionMetadata,
    Json,
    Output,
    Record,
    Run,
)
from sources.tables import to_arrow
from tests.responses import response
from tests.sql.elsewhere import Facts

__all__ = ["JSON", "hostile"]

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)

_TEXTS = (
    *("", " ", "a", "s", "n", "n1", "null", "true", "{}", "[]", '{"a":1}', '"', '""'),
    *("\\", "\\\\", '\\"', '"n1"', '","n1":"', "'", "''", "$1", "%", "/", "~", "~1"),
    *("12", "-1.50", "12\n", "12\r", " 12", "1e5", "0x10", "1_0", "+1", ".5", "1."),
    *("NaN", "Infinity", "-0", "007", "9" * 400, "0." + "0" * 400 + "1", "١٢", "12\0"),
    *("\0", "\x01", "\n", "\t", "\x7f", "\u0085", "\u2028", "ü", "😀", "\ue000"),
    *("\\u0000", "\\\\u0000", "\\n", "a.b", "a[0]", "$", "@", "*", "x" * 100_000),
    *('"\\' * 20_000, "\n" * 20_000),
)
_MESSAGES = (
    *_TEXTS,
    *(
        "a\\b",
        "100%",
        "a\\_",
        "\\%",
        "\\x",
        "%",
        "_",
        "A_B",
        "''",
        "it's",
        "don't see 'x'",
    ),
    *("'a.pdf' is", '"Ä.DOCX" is not', "in 'a b.txt', line 12", "[''.x9']", "'.ab'"),
    *("ID 550E8400-e29b-41d4-a716-446655440000.", "v1.2.3_x", "“a” and “b", "`x` `y"),
    *("'a' 'b's c", "x'y'z 5'", "'multi\nline' 7", "ﬁ İ ẞ ǅ Σς", "x" * 400, "ü" * 400),
)
_NUMBERS = (
    *(0, -0.0, 1, -1, 1.0, 1.5, 0.1, 1e15, 1e16, 1e22, 1e-7, 5e-324, 1e308, 2**53 + 1),
    *(2**63, 10**40, 10**308, 10**309, -(10**400), 10**3999, 1.7976931348623157e308),
)
_DEPTHS = (1, 7, 8, 9, 10, 50, 100, 200)
_INNER: tuple[object, ...] = (1, "1", None, {}, ["n1", '"'])
_SCALARS: tuple[object, ...] = (*_TEXTS, *_NUMBERS, True, False, None)
_SHAPES: tuple[object, ...] = (
    {},
    [],
    [[]],
    [{}],
    [None],
    {"": None},
    {"": {"": {"": []}}},
    {"a": [], "b": {}},
    {text: place for place, text in enumerate(_TEXTS[:-3])},
    {text: {text: [text]} for text in _TEXTS[:-3]},
    [[place, str(place)] for place in range(12)],
    {"key": 1, "value": 2, "place": 3, "name": 4},
    [_SCALARS[:-3]],
)


def _nested(depth: int, leaf: object) -> list[object]:
    """Return containers in one another, of each kind and mixed."""
    lists = objects = mixed = leaf
    for level in range(depth):
        lists = [lists]
        objects = {'"\\/~': objects}
        mixed = {"a": mixed, "n": [1, "1"]} if level % 2 else [mixed, "1", 1]
    return [lists, objects, mixed]


def _documents() -> list[Json]:
    nested = [
        one for depth in _DEPTHS for leaf in _INNER for one in _nested(depth, leaf)
    ]
    drawn: list[object] = []

    @given(JSON)
    @settings(database=None, deadline=None)
    def draw(value: object) -> None:
        drawn.append(value)

    draw()
    return [encode(one) for one in (*_SCALARS, *_SHAPES, *nested, *drawn)]


def hostile() -> Facts:
    """Return tables whose columns of JSON hold what there is, and something new."""
    documents = _documents()
    rows: dict[str, Sequence[Record]] = {
        "executions": [_EXECUTION],
        "outputs": [
            *(_output(str(place), value=one) for place, one in enumerate(documents)),
            *(_output(f"t{place}", text=one) for place, one in enumerate(_TEXTS)),
        ],
        "citations": [_citation(str(key), one) for key, one in enumerate(documents)],
        "execution_metadata": [
            ExecutionMetadata(**_OWN, metadata_key=str(key), path=f"/{key}", value=one)
            for key, one in enumerate(documents)
        ],
        # Spark's LIKE takes a minute for a message of 100,000 characters
        "errors": [_error(str(k), text[:999]) for k, text in enumerate(_MESSAGES)],
        "runs": [_run(place, text[:99]) for place, text in enumerate(_TEXTS)],
        "raw_responses": [
            response("torale", {}, params=one, second=second)
            for second, one in enumerate(_params())
        ],
    }
    return {name: to_arrow(TABLES[name], rows.get(name, [])) for name in TABLES}


_AT = datetime(2026, 3, 1, tzinfo=UTC)
_OWN: dict[str, Any] = {
    "provider": "torale",
    "connection": "default",
    "execution_key": "torale:default:t:1",
    "response_id": "1",
}
_EXECUTION = Execution(
    **_OWN,
    execution_id="1",
    scope="t",
    status="succeeded",
    is_terminal=True,
    day=_AT.date(),
    first_seen_at=_AT,
    observed_at=_AT,
    content_sha256="",
)


def _output(key: str, *, value: Json | None = None, text: str | None = None) -> Output:
    return Output(
        **_OWN,
        output_key=key,
        position=0,
        name="result",
        value=value,
        value_text=text,
    )


def _citation(key: str, value: Json) -> Citation:
    return Citation(
        **_OWN, citation_key=key, kind="confidence", position=0, value=value
    )


def _error(key: str, message: str) -> ErrorRecord:
    return ErrorRecord(**_OWN, error_key=key, level="execution", message=message)


def _run(place: int, account: str) -> Run:
    counts = {"new": place, "changed": None, "errors": 0, "read": {account: [1.5, ""]}}
    return Run(
        run_id=str(place),
        command="load",
        started_at=_AT,
        ended_at=datetime(2026, 3, 1, 0, 0, 1, 999_999, tzinfo=UTC),
        outcome="ok",
        counts=encode({"accounts": {account: counts, f"{account}:b:c": counts}}),
    )


def _params() -> list[dict[str, object]]:
    odd: tuple[object, ...] = (*_TEXTS[:-3], *_NUMBERS, None, True, {}, [1])
    return [
        *({"page": 1, "task_id": "t", "answered": {"total": one}} for one in odd),
        *({"page": one, "task_id": one, "answered": {"total": 1}} for one in odd),
        {"page": "1", "task_id": "t"},
        {"page": "1", "task_id": "t", "answered": 5},
        {},
    ]
