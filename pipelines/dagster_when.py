"""When Dagster loads: at even steps, and before a result expires."""

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.config import accounts, find_home, quiet_dlt, schedule_s
from pipelines.dagster_lineage import provider_key
from pipelines.outlook import still_watched
from sources import providers
from sources.errors import ConfigurationError
from sources.journal import Journal

__all__ = ["LOADS", "STEP", "cron_of", "load_before_expiry", "load_by_schedule"]

quiet_dlt()  # the configuration is read by dlt

_DEFAULT_S = 1800.0
_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
_HOURS = (1, 2, 3, 4, 6, 8, 12)
_DAY = timedelta(days=1)


def cron_of(seconds: float) -> tuple[str, timedelta]:
    """Return the longest even step within so many seconds, as cron says it."""
    steps = [
        *((f"*/{n} * * * *", timedelta(minutes=n)) for n in _MINUTES),
        *((f"0 */{n} * * *", timedelta(hours=n)) for n in _HOURS),
        ("0 0 * * *", _DAY),
    ]
    short = [one for one in steps if one[1].total_seconds() <= seconds]
    return short[-1] if short else steps[0]


CRON, STEP = cron_of(schedule_s() or _DEFAULT_S)

LOADS = dg.define_asset_job(
    "load",
    selection=dg.AssetSelection.assets(*map(provider_key, providers())),
    description="Collect what is due of the providers, and load it.",
)


def _request(provider: str, run_key: str) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=run_key,
        asset_selection=[provider_key(provider)],
        tags={"execledger/provider": provider},
    )


@dg.schedule(
    name="load_by_schedule",
    cron_schedule=CRON,
    job=LOADS,
    description="Loads each provider that has a key, in a run of its own.",
)
def load_by_schedule(
    context: dg.ScheduleEvaluationContext,
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for a load of each provider that has a key."""
    try:
        found = accounts()
    except ConfigurationError as error:
        return dg.SkipReason(str(error))
    at = context.scheduled_execution_time.isoformat()
    names = sorted({account.provider for account in found})
    return [_request(name, f"{name} {at}") for name in names]


@dg.sensor(
    name="load_before_expiry",
    job=LOADS,
    minimum_interval_seconds=30,
    description="Loads a provider again before a result of it expires.",
)
def load_before_expiry(
    context: dg.SensorEvaluationContext,
) -> Iterator[dg.RunRequest | dg.SkipReason]:
    """Ask for a load where a result expires before the next one by schedule.

    Once when that is seen, then each time that half of the time left is over.
    """
    soonest = _soonest(datetime.now(UTC))
    busy = _busy(context.instance) if soonest else set()
    if not soonest:
        yield dg.SkipReason("No result expires before the next load.")
    for provider, (at, left) in soonest.items():
        if provider in busy:
            yield dg.SkipReason(f"A load of {provider} runs, or waits for its turn.")
        else:
            halved = math.floor(math.log2(STEP / left))
            yield _request(provider, f"{provider} {at.isoformat()} {halved}")


def _soonest(now: datetime) -> dict[str, tuple[datetime, timedelta]]:
    """Return when a result of a provider expires, and the time left, if it is soon."""
    home = find_home(None)
    if not home.journal.exists():
        return {}
    with Journal(home.journal) as journal:
        times = [
            (one.entry.watched.expires_at, one.provider)
            for one in still_watched(journal)
            if one.entry.watched.expires_at
        ]
    soon = sorted((at, name) for at, name in times if now < at <= now + STEP)
    return {name: (at, at - now) for at, name in reversed(soon)}


def _busy(instance: dg.DagsterInstance) -> set[str]:
    """Return the providers of which a load runs or waits."""
    under_way = [
        dg.DagsterRunStatus.QUEUED,
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
    ]
    runs = instance.get_runs(dg.RunsFilter(job_name=LOADS.name, statuses=under_way))
    return {run.tags.get("execledger/provider", "") for run in runs}
