"""Which tokens count: each once, whichever places say them."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.sources.unstract.test_normalize import (
    EID,
    Rows,
    answer,
    cut,
    file,
    got,
    metadata,
    read,
    rows_of,
)

FULL = "observed_get_200_completed_full_metadata_metrics_text"
EARLIER = "5d1f8a8e-0d35-4f5b-9c6a-7a0d3a6b1c11"


def counted(rows: Rows, column: str = "total_tokens") -> int:
    """Return the sum of a column where it is counted."""
    return sum(
        n for n, is_in in cut(rows, "token_usage", column, "is_counted") if is_in and n
    )


def test_usage_by_hand() -> None:
    """Purpose, vendor, model, tokens, cost from text; the roll-up is not counted."""
    columns = (
        "operation",
        "purpose",
        "source",
        "model_provider",
        "model",
        "model_basis",
        "input_tokens",
        "output_tokens",
        "total_tokens",
        "provided_cost_usd",
        "spent_by_execution_id",
        "is_counted",
    )
    rows = read(FULL)

    assert cut(rows, "token_usage", *columns) == [
        (
            "embeddings",
            "embedding",
            "result",
            "azure",
            "text-embedding-3-small",
            "reported",
            3121,
            None,
            3121,
            Decimal("0.00006242"),
            None,
            True,
        ),
        (
            "chat",
            "challenge",
            "result",
            "anthropic",
            "claude-3-5-sonnet",
            "reported",
            700,
            90,
            790,
            Decimal("0.00345"),
            None,
            True,
        ),
        (
            "chat",
            "extraction",
            "result",
            "azure",
            "gpt-4o",
            "reported",
            2734,
            221,
            2955,
            Decimal("0.00904"),
            None,
            True,
        ),
        (
            None,
            "unknown",
            "rollup",
            None,
            None,
            "missing",
            6555,
            311,
            6866,
            Decimal("0.012552420000"),
            None,
            False,
        ),
    ]
    assert counted(rows) == 3121 + 790 + 2955


def test_without_parts_the_roll_up_counts() -> None:
    """Tokens of prompts and of embeddings are both read: their sum, and each kept."""
    rows = read("observed_get_200_completed_text_tool")

    columns = ("source", "input_tokens", "total_tokens", "is_counted")
    assert cut(rows, "token_usage", *columns) == [("rollup", 6555, 6866, True)]
    kept = metadata(rows)
    assert kept["/message/0/metadata/usage/prompt_tokens"] == 3434
    assert kept["/message/0/metadata/usage/embedding_tokens"] == 3121


def test_a_cost_of_null_is_unknown() -> None:
    """Never 0; without embeddings the roll-up is all chat."""
    columns = ("operation", "input_tokens", "total_tokens", "provided_cost_usd")

    assert cut(read("usage_rollup_cost_null"), "token_usage", *columns) == [
        ("chat", 10, 12, None)
    ]


def test_what_an_earlier_run_spent_counts_there() -> None:
    """A file from the history: its usage stands here, and belongs to that run."""
    rows = read("files_own_and_from_history")

    assert set(
        cut(rows, "token_usage", "file_key", "spent_by_execution_id", "is_counted")
    ) == {
        (f"unstract:default:org_HJqNgodUQsA99S3A/invoices:{EID}//message/0", by, is_in)
        for by, is_in in ((None, True), (None, False))
    } | {
        (
            f"unstract:default:org_HJqNgodUQsA99S3A/invoices:{EID}//message/1",
            EARLIER,
            False,
        )
    }
    assert counted(rows) == 6866


def test_an_id_in_other_letters_is_the_same_run() -> None:
    """A UUID is taken in any spelling, and answered in lower case."""
    rows = read("result_hash_is_uppercase_id")

    assert set(cut(rows, "token_usage", "spent_by_execution_id")) == {None}
    assert counted(rows) == 6866


def test_the_platform_counts_where_no_file_says_anything() -> None:
    """One row a call; what no column holds is kept."""
    rows = read("usage_platform_only")

    columns = ("source", "purpose", "model_provider", "total_tokens", "is_counted")
    assert cut(rows, "token_usage", *columns) == [
        ("platform", "extraction", "azure", 2045, True),
        ("platform", "extraction", "azure", 910, True),
    ]
    assert cut(rows, "token_usage", "provided_cost_usd") == [
        Decimal("0.00669"),
        Decimal("0.00235"),
    ]
    kept = metadata(rows)
    assert kept["/params/context/usage/1/cost_in_dollars"] == 0.0023500000001
    assert "/params/context/usage/0/cost_in_dollars" not in kept
    assert kept["/params/context/usage/0/run_id"] == (
        "c605ce80-3558-4069-8316-b163286ceccb"
    )


def test_the_platform_does_not_count_beside_a_file() -> None:
    """Parts of one file, the roll-up of another: 6,866 each; the platform's not."""
    rows = read("usage_mixture_with_platform")

    assert counted(rows) == 2 * 6866
    assert {
        (source, is_in)
        for source, is_in in cut(rows, "token_usage", "source", "is_counted")
        if source == "platform"
    } == {("platform", False)}


def test_numbers_in_any_spelling_are_numbers() -> None:
    """Single objects, text, ``221.0``; what is none is NULL and a reject."""
    rows = read("usage_of_odd_types")

    columns = ("purpose", "model", "input_tokens", "output_tokens", "total_tokens")
    assert cut(rows, "token_usage", *columns)[:5] == [
        ("embedding", "/x", 31, None, 31),
        ("challenge", "claude-3-5-sonnet", 700, 90, 790),
        ("extraction", "gpt-4o", 2734, 221, None),
        ("summarize", "anthropic/claude", None, None, None),
        ("unknown", None, 5, None, None),
    ]
    assert sorted(cut(rows, "load_rejects", "reason")) == [
        "beyond_64_bits",
        "not_a_number",
        "not_a_usage",
        "not_a_usage",
        "not_an_integer",
        "not_an_integer",
    ]


def test_a_sum_beyond_64_bits_is_unknown() -> None:
    """Both figures are kept, and nothing raises."""
    rows = read("adversarial_files_of_wrong_types")

    assert cut(rows, "token_usage", "source", "input_tokens", "is_counted") == [
        ("result", 3, True),
        ("rollup", None, False),
    ]


# Law 4


def part(tokens: int) -> dict[str, Any]:
    """Return a part of so many tokens."""
    return {"model_name": "azure/gpt-4o", "total_tokens": tokens}


TOKENS = st.integers(1, 10**6)
PARTS = st.dictionaries(
    st.sampled_from(["extraction_llm", "challenge_llm", "embedding", "odd_llm"]),
    st.lists(TOKENS.map(part), min_size=1, max_size=3),
    max_size=3,
)
Made = tuple[Mapping[str, Sequence[Mapping[str, int]]], bool, bool]
FILES = st.lists(st.tuples(PARTS, st.booleans(), st.booleans()), max_size=4)
"""Parts by purpose, whether there is a roll-up, whether it is from the history."""


def spent(parts: Mapping[str, Sequence[Mapping[str, int]]]) -> int:
    """Return the tokens of a file's parts."""
    return sum(entry["total_tokens"] for some in parts.values() for entry in some)


@given(files=FILES, calls=st.lists(TOKENS, max_size=3), data=st.data())
def test_each_token_counts_once(
    files: list[Made], calls: list[int], data: st.DataObject
) -> None:
    """Law 4: for any mixture, the sum is what this execution spent."""
    shown, expected, speaks = [], 0, False
    for place, (parts, has_rollup, is_old) in enumerate(files):
        total = spent(parts) or data.draw(TOKENS)
        meta: dict[str, object] = {"execution_id": EARLIER if is_old else EID}
        if has_rollup:
            meta["usage"] = {"total_tokens": total}
        result = {"output": 1, "metadata": parts}
        shown.append(file(f"{place}.pdf", result=result, metadata=meta))
        if not is_old and (parts or has_rollup):
            speaks, expected = True, expected + total
    usage = [{"id": str(i), "total_tokens": n} for i, n in enumerate(calls)]
    twice = [*usage, *usage[:1]]  # a row that moved to the next page

    rows = rows_of(answer(got(*shown), context={"usage": twice}))

    assert counted(rows) == (expected if speaks else sum(calls))
