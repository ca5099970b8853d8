"""execledger in Dagster: ``dagster dev -m pipelines.dagster``.

Loads, checks and the report run as the commands of the command line do, on the same
home and configuration. One run loads one provider, so that one which fails keeps no
other back; the pool keeps one writer per store, as does the lock of the store itself.
"""

import warnings
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from pipelines.checks import Checked
from pipelines.config import bounds, find_home
from pipelines.dagster_commands import run
from pipelines.dagster_lineage import (
    AUTOMATIC,
    BUDGETS,
    IN_TIME,
    REPORT,
    check_specs,
    mart_specs,
    provider_key,
    provider_spec,
    table_key,
    table_specs,
)
from pipelines.dagster_when import LOADS, STEP, load_before_expiry, load_by_schedule
from pipelines.query import opened
from pipelines.runs import Report
from pipelines.terminal import summary
from pipelines.views import views
from sources import providers
from sources.records import Run
from sources.tracking import trackable

__all__ = ["defs"]

POOL = "execledger_store"
"""Whoever writes the store; the instance's configuration says that one may."""

FIRST_DAY = "2024-01-01"
"""The first day that can be read again by a backfill."""

# one run for a whole range of days is beta in Dagster 1.13, and meant
warnings.filterwarnings("ignore", "Parameter `backfill_policy`", dg.BetaWarning)

_VIEWS = views(find_home(None))
TABLES = table_specs()
MARTS = mart_specs(_VIEWS)
CHECKS = check_specs(_VIEWS)

LAG = max(timedelta(hours=bounds().max_lag_hours), timedelta(minutes=2))
FRESH = dg.FreshnessPolicy.time_window(fail_window=LAG, warn_window=LAG / 2)

RUNS = table_key(Run.TABLE)
"""The table to which every load adds a row."""

Counted = dict[str, int]
EVENT = dg.MaterializeResult[Any] | dg.AssetCheckResult


def load_asset(provider: str) -> dg.AssetsDefinition:
    """Return the asset of a provider: what is due is collected, and loaded."""

    @dg.multi_asset(
        name=f"load_{provider}",
        specs=[provider_spec(provider, FRESH)],
        check_specs=[dg.AssetCheckSpec(IN_TIME, asset=provider_key(provider))],
        pool=POOL,
    )
    def load(context: dg.AssetExecutionContext) -> Iterator[EVENT]:
        until_next = {"EXECLEDGER__SCHEDULE_S": str(STEP.total_seconds())}
        report = run(Report, "load", provider, "--wait", more=until_next)
        yield dg.AssetCheckResult(
            passed=not report.outlook.is_alarming,
            check_name=IN_TIME,
            metadata={
                "lost": len(report.outlook.lost),
                "expiring": report.outlook.expiring,  # None where nobody can know
            },
        )
        yield _loaded(context, report)

    return load


def backfill_asset(provider: str) -> dg.AssetsDefinition:
    """Return the asset of a provider's past: what started on a day is read again."""

    @dg.asset(
        name=f"{provider}_backfill",
        description=f"What {provider} started on a day, read again on purpose.",
        group_name="providers",
        kinds={"dlt", "duckdb"},
        partitions_def=dg.DailyPartitionsDefinition(FIRST_DAY, end_offset=1),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=POOL,
    )
    def backfill(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
        days = context.partition_time_window
        last = days.end - timedelta(microseconds=1)
        window = ("--since", days.start.isoformat(), "--until", last.isoformat())
        report = run(Report, "load", provider, "--wait", *window)
        return _loaded(context, report)

    return backfill


def _loaded(
    context: dg.AssetExecutionContext, report: Report
) -> dg.MaterializeResult[Any]:
    """Tell Dagster of the tables; raises ``Failure`` for what could not be read."""
    context.log.info(summary(report))
    new = sum(one.new for one in report.accounts)
    changed = sum(one.changed for one in report.accounts)
    written = [one for one in TABLES if new or changed or one.key == RUNS]
    for spec, rows in _rows(written):
        context.log_event(dg.AssetMaterialization(spec.key, metadata=rows))
    if report.faults:
        raise dg.Failure("\n".join(report.faults), allow_retries=False)
    return dg.MaterializeResult(
        metadata={"new": new, "changed": changed, "run_id": report.run_id}
    )


def _rows(specs: Iterable[dg.AssetSpec]) -> Iterator[tuple[dg.AssetSpec, Counted]]:
    """Yield how many rows each of these tables or views has now, as metadata."""
    with opened(find_home(None)) as con:
        for spec in specs:
            name = spec.metadata["dagster/table_name"]
            ((rows,),) = con.execute(f"select count(*) from {name}").fetchall()
            yield spec, {"dagster/row_count": rows}


@dg.multi_asset(name="look_at_marts", specs=MARTS, can_subset=True)
def marts(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
    """Count the rows of each view, which is made whenever it is read."""
    chosen = context.selected_asset_keys
    for spec, rows in _rows(one for one in MARTS if one.key in chosen):
        yield dg.MaterializeResult(spec.key, metadata=rows)


@dg.multi_asset_check(name="check", specs=CHECKS, can_subset=True, pool=POOL)
def check(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Run ``execledger check``, and tell Dagster of the checks that it asked for."""
    checked = run(Checked, "check", "--wait").checks
    for key in context.selected_asset_check_keys:
        found = [
            one
            for one in checked
            if one.name == key.name or (key.name == BUDGETS and one.said)
        ]
        yield dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=all(one.outcome == "passed" for one in found),
            metadata={one.name: one.error or one.said or one.examples for one in found},
        )


@dg.asset(
    key=REPORT,
    deps=[spec.key for spec in MARTS],
    group_name="report",
    kinds={"jupyter", "html"},
    automation_condition=AUTOMATIC,
)
def report() -> dg.MaterializeResult[Any]:
    """Put the notebooks on one page: what ran, what it cost, why it failed."""
    from pipelines.report import Made

    made = run(Made, "report")
    return dg.MaterializeResult(
        metadata={
            "path": dg.MetadataValue.path(made.path),
            "days": made.days,
            "until": made.until.isoformat(),
        }
    )


defs = dg.Definitions(
    assets=[
        *map(load_asset, providers()),
        *(backfill_asset(name) for name in providers() if name not in trackable()),
        *TABLES,
        marts,
        report,
    ],
    asset_checks=[check],
    jobs=[LOADS],
    schedules=[load_by_schedule],
    sensors=[load_before_expiry],
    executor=dg.in_process_executor,  # a step is a command, in a process of its own
)
"""What ``dagster dev`` and a deployment find."""
