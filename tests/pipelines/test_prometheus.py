"""Metrics in a textfile, as Prometheus reads them: parser, exporter, promtool."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.health import AccountHealth, Health
from pipelines.metrics import exposition
from pipelines.store import Home, locked
from tests.faults.command import ROOT
from tests.pipelines.command import Ran, execledger
from tests.pipelines.exporter import Samples, exporting, promtool, samples
from tests.pipelines.polled_twins import Polled, polled

PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def twins(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Polled]:
    """Serve both providers that are asked by ids, and configure them."""
    del here  # which forgets what is configured: first
    with polled() as served:
        for name, value in served.environment.items():
            monkeypatch.setenv(name, value)
        yield served


@pytest.fixture
def file() -> Iterator[Path]:
    """Return where the metrics are put: a folder that every user may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "execledger.prom"


def load(home: Home, file: Path, *arguments: str) -> Ran:
    """Run ``execledger load --prometheus``, of both providers."""
    where = ("--home", str(home.path), "--prometheus", str(file))
    return execledger("load", "discuro", "unstract", *arguments, *where)


def expected(found: dict[str, Any]) -> Samples:
    """Return the metrics that say what a health file says."""
    home, values = ("home", found["home"]), {}
    for name, field in NAMES.items():
        values[name, frozenset([home])] = found[field]
    oldest = found["oldest_open_execution"] or {"started_at": None}
    values["oldest_open_execution_timestamp_seconds", frozenset([home])] = oldest[
        "started_at"
    ]
    values["load_success", frozenset([home])] = float(found["exit_code"] == 0)
    for account, read in found["accounts"].items():
        provider, _, connection = account.partition(":")
        of = [home, ("provider", provider), ("connection", connection)]
        values["load_errors", frozenset(of)] = read["errors"]
        last = read["last_ok_at"]
        values["account_last_success_timestamp_seconds", frozenset(of)] = last
        for change in ("new", "changed"):
            labels = frozenset([*of, ("change", change)])
            values["load_executions", labels] = read[change]
    return {
        (f"execledger_{name}", labels): number(value)
        for (name, labels), value in values.items()
        if value is not None
    }


def number(value: str | float) -> float:
    """Return a time as the seconds that it is from 1970."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).timestamp()
    return float(value)


NAMES = {
    "last_run_timestamp_seconds": "at",
    "last_load_timestamp_seconds": "loaded_at",
    "load_exit_code": "exit_code",
    "load_duration_seconds": "seconds",
    "load_results_lost": "lost",
    "results_lost_total": "lost_total",
    "results_expiring": "expiring",
    "watched_executions": "watched",
    "due_executions": "due",
    "open_executions": "open_executions",
    "next_expiry_timestamp_seconds": "next_expiry_at",
    "safe_interval_seconds": "safe_interval_s",
    "load_interval_seconds": "interval_s",
    "next_load_timestamp_seconds": "next_load_at",
}
"""Metrics, and the fields of the health file that they are."""


# --- what they say ------------------------------------------------------------


def test_metrics_say_what_the_health_file_says(
    home: Home, file: Path, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: one structure, two writings: every value, with its account and home."""
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "300")
    twins.track(home)
    beside = file.with_suffix(".json")

    ran = load(home, file, "--health", str(beside))

    found = samples(file.read_text("utf-8"))
    assert ran.code == 4
    assert found == expected(json.loads(beside.read_text("ascii")))
    names = {name.removeprefix("execledger_") for name, _ in found}
    assert names == {
        *NAMES,
        "oldest_open_execution_timestamp_seconds",
        "load_success",
        "load_executions",
        "load_errors",
        "account_last_success_timestamp_seconds",
    }
    assert [name for name in names if not re.search(f"`{name}[`{{]", PAGE)] == []
    assert file.stat().st_mode & 0o777 == 0o644


def test_what_is_unknown_is_no_metric(home: Home, file: Path, twins: Polled) -> None:
    """Law: a load that was locked out of a new home knows no counts, and says no 0."""
    del twins
    with locked(home):
        ran = load(home, file)

    found = samples(file.read_text("utf-8"))
    assert ran.code == 3
    counts = {
        name: value for (name, _), value in found.items() if "seconds" not in name
    }
    assert counts == {
        "execledger_load_exit_code": 3,
        "execledger_load_success": 0,
        "execledger_watched_executions": 0,
        "execledger_due_executions": 0,
        "execledger_open_executions": 0,
    }
    assert len(found) == 7


@given(
    home=st.text(st.characters(exclude_categories=["Cs"])),
    connection=st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lost=st.integers(0, 10**9),
)
def test_no_name_can_break_a_line(home: str, connection: str, lost: int) -> None:
    """Law: whatever a home or a connection is called, it is read as it was meant."""
    now = datetime(2026, 1, 31, tzinfo=UTC)
    given = Health(
        at=now,
        outcome="ok",
        exit_code=0,
        home=home,
        run_id=None,
        started_at=now,
        seconds=1.5,
        accounts={f"torale:{connection}": AccountHealth(errors=lost)},
        lost_total=lost,
    )

    found = samples(exposition(given).decode())

    of = {"home": home, "provider": "torale", "connection": connection}
    assert found["execledger_load_errors", frozenset(of.items())] == lost
    assert found["execledger_results_lost_total", frozenset([("home", home)])] == lost


# --- when they are asked for --------------------------------------------------


def test_another_ending_is_refused_before_anything_is_asked(
    home: Home, file: Path, twins: Polled
) -> None:
    """Law: node_exporter reads .prom alone: exit 2 says so, and nothing is made."""
    ran = load(home, file.with_suffix(".txt"))

    assert ran.code == 2
    assert "must end in .prom" in ran.err
    assert twins.discuro.requests == []
    assert not home.path.exists()


def test_without_the_extra_it_is_said_how_to_install_it(
    home: Home, file: Path, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: exit 2 with the command, before anything is asked."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)

    ran = load(home, file)

    assert ran.code == 2
    assert 'pip install "execledger[prometheus]"' in ran.err
    assert twins.discuro.requests == []
    assert not home.path.exists()


@pytest.mark.parametrize("is_asked_for", [False, True])
def test_the_library_is_imported_only_if_asked_for(
    home: Home, file: Path, twins: Polled, *, is_asked_for: bool
) -> None:
    """Law: a load without --prometheus does not pay for it."""
    del twins
    wanted = ("--prometheus", file) if is_asked_for else ("--health", f"{file}.json")
    command = [sys.executable, "-X", "importtime", "-m", "pipelines", "load", "discuro"]

    ran = subprocess.run(  # noqa: S603 - the command
        [*command, "--home", home.path, *wanted],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert (" prometheus_client" in ran.stderr) is is_asked_for


# --- who reads them -----------------------------------------------------------


@pytest.mark.slow
def test_node_exporter_hands_out_the_metrics_of_every_home(
    tmp_path: Path, file: Path, twins: Polled
) -> None:
    """Law: as another user it reads all files of the folder, and has no complaint."""
    written: Samples = {}
    for name in ("one", "two"):
        home, metrics = Home(tmp_path / name), file.with_name(f"{name}.prom")
        twins.track(home)
        assert load(home, metrics).code in {0, 1, 4}
        written |= samples(metrics.read_text("utf-8"))

    with exporting(file.parent) as url:
        handed_out = httpx.get(url).text

    assert len({labels for name, labels in written if name.endswith("exit_code")}) == 2
    assert samples(handed_out) == written
    (error,) = samples(handed_out, "node_textfile_scrape_error").values()
    assert error == 0


@pytest.mark.slow
def test_promtool_finds_nothing_to_say_of_the_metrics(
    home: Home, file: Path, twins: Polled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Law: names, units, types and help are as Prometheus wants them."""
    monkeypatch.setenv("EXECLEDGER__SCHEDULE_S", "300")
    twins.track(home)
    load(home, file)

    said = promtool("check", "metrics", stdin=file.read_text("utf-8"))

    assert said == ""


WELL = {
    "last_load_timestamp_seconds": "0x120",
    "safe_interval_seconds": "5340x120",
    "results_expiring": "0x120",
    "next_expiry_timestamp_seconds": "99999x120",
    "results_lost_total": "3x120",
    "load_success": "1x120",
}
"""Metrics of a home that is well, minute by minute from 1970 on."""

TIMES = [
    ("30m", {}, []),
    ("61m", {}, ["ExecledgerLoadTooOld"]),
    ("30m", {"safe_interval_seconds": "600x120"}, ["ExecledgerLoadTooOld"]),
    ("30m", {"results_expiring": "2x120"}, ["ExecledgerResultsExpiring"]),
    (
        "30m",
        {"next_expiry_timestamp_seconds": "2000x120"},
        ["ExecledgerResultsExpiring"],
    ),
    ("30m", {"results_lost_total": "3x20 4x100"}, ["ExecledgerResultsLost"]),
    ("31m", {"load_success": "0x120"}, ["ExecledgerLoadFails"]),
]
"""When, with what instead, which alerts fire."""


@pytest.mark.slow
def test_the_rules_of_the_page_hold_and_fire(tmp_path: Path) -> None:
    """Law: each fires when it is time to, and none while all is well."""
    (rules,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    tests = {"rule_files": ["rules.yml"], "tests": [firing(*one) for one in TIMES]}
    (tmp_path / "test.yml").write_text(json.dumps(tests), encoding="utf-8")

    checked = promtool("check", "rules", tmp_path / "rules.yml")
    promtool("test", "rules", tmp_path / "test.yml")

    alerts = set(re.findall(r"alert: (\w+)", rules))
    assert f"{len(alerts)} rules found" in checked
    assert alerts == {name for _, _, names in TIMES for name in names}


def firing(at: str, instead: dict[str, str], alerts: list[str]) -> dict[str, object]:
    """Return what promtool is to try: which alerts fire, and no others."""
    series = [
        {"series": f'execledger_{name}{{home="h"}}', "values": values}
        for name, values in {**WELL, **instead}.items()
    ]
    expected = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in alerts]
    test = {
        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
        "eval_time": at,
        "exp_samples": expected,
    }
    return {"interval": "1m", "input_series": series, "promql_expr_test": [test]}
