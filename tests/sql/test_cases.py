"""Every view and check on given rows: what comes out was computed by hand."""

from pathlib import Path

import duckdb
import pytest

from pipelines.checks import checks
from pipelines.limits import Bounds
from pipelines.sql_files import SQL, parameters, sql_files
from tests.sql.cases import cases, differences, given

MARTS = [file.name for file in sql_files(SQL / "marts", "marts")]
CHECKS = {file.name: file for file in checks()}


def named(case: Path) -> str:
    """Return what a case is called: the view, and what is special."""
    return f"{case.parent.name}-{case.name}"


@pytest.mark.parametrize("case", cases("marts"), ids=named)
def test_a_view_gives_the_expected_rows(
    store: duckdb.DuckDBPyConnection, case: Path
) -> None:
    """Law: the rows of ``given`` give the rows of ``expected``, no more and no less."""
    with given(store, case):
        found = differences(store, case, f"from marts.{case.parent.name}")

    assert found == []


@pytest.mark.parametrize("case", cases("checks"), ids=named)
def test_a_check_finds_the_expected_rows(
    store: duckdb.DuckDBPyConnection, case: Path
) -> None:
    """Law: a check finds what must not be, and nothing else."""
    file = CHECKS[case.parent.name]
    bounds = Bounds()
    sql = file.sql
    for name in parameters(file, dict.fromkeys(Bounds.__struct_fields__, 0)):
        sql = sql.replace(f"${name}", str(getattr(bounds, name)))

    with given(store, case):
        found = differences(store, case, sql)

    assert found == []


def test_each_view_and_check_has_a_case() -> None:
    """Law: no view and no check is without rows that were computed by hand."""
    with_case = {case.parent.name for case in [*cases("marts"), *cases("checks")]}

    assert {*MARTS, *CHECKS} - with_case == set()


def test_each_check_has_a_case_that_passes_and_one_that_fails() -> None:
    """Law: a check that cannot fail, or cannot pass, is none."""
    lengths: dict[str, set[bool]] = {name: set() for name in CHECKS}
    for case in cases("checks"):
        text = (case / "expected.csv").read_text("utf-8")
        lengths[case.parent.name].add(len(text.splitlines()) > 1)

    assert {name for name, seen in lengths.items() if seen != {True, False}} == set()
