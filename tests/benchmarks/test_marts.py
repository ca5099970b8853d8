"""The benchmark of the views, on a small store."""

import json

from click.testing import CliRunner

from benchmarks.__main__ import main
from pipelines.sql_files import SQL, sql_files


def test_every_view_is_measured() -> None:
    """Law: a new view is in the benchmark by being there."""
    ran = CliRunner().invoke(main, ["--executions", "2000", "--runs", "1", "--json"])

    assert ran.exit_code == 0, ran.output
    found = {one["view"]: one["rows"] for one in json.loads(ran.stdout)}
    assert found.keys() == {file.name for file in sql_files(SQL / "marts", "marts")}
    empty = {name for name, rows in found.items() if not rows}
    assert empty <= {
        "expiring_results",
        "lost_results",
        "token_anomalies",
        "unpriced_models",
        "usage_reconciliation",
    }
