"""Health as metrics of Prometheus, for the textfile collector of its node_exporter."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from pipelines.health import AccountHealth, Health

__all__ = ["exposition"]

_Value = float | datetime | None
_Labels = tuple[str, ...]


def exposition(found: Health) -> bytes:
    """Return health in Prometheus' text format; what is unknown is absent, never 0.

    Times are seconds since 1970. The label ``home`` keeps several homes of one machine
    apart, whose files node_exporter takes together.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Known(found))
    return generate_latest(registry)


class _Known(Collector):
    """Collects what is known already."""

    def __init__(self, found: Health) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        """Yield each metric of which a value is known."""
        found = self._found
        for name, words, value in _of_home(found):
            yield from _gauge(name, words, ("home",), {(found.home,): value})
        accounts = {
            (found.home, *name.split(":", 1)): account
            for name, account in found.accounts.items()
        }
        yield from _of_accounts(accounts)
        if found.lost_total is not None:
            name, words = "execledger_results_lost", "Results that nobody here can get."
            total = CounterMetricFamily(name, words, labels=("home",))
            total.add_metric((found.home,), found.lost_total)
            yield total


def _of_home(found: Health) -> Iterator[tuple[str, str, _Value]]:
    """Yield name, meaning and value of what there is once."""
    oldest = found.oldest_open_execution
    yield "last_run_timestamp_seconds", "When a load last ended, however.", found.at
    words = "When the newest load ended that was published."
    yield "last_load_timestamp_seconds", words, found.loaded_at
    words = "Whether the last load ended with exit code 0."
    yield "load_success", words, float(found.exit_code == 0)
    yield "load_exit_code", "Exit code of the last load.", found.exit_code
    yield "load_duration_seconds", "How long the last load took.", found.seconds
    yield "load_results_lost", "Results that the last load found lost.", found.lost
    words = "Results that expire before the next load is due."
    yield "results_expiring", words, found.expiring
    yield "watched_executions", "Executions on the watch-list.", found.watched
    yield "due_executions", "Watched executions that are due now.", found.due
    words = "Executions that have not ended, as far as is known."
    yield "open_executions", words, found.open_executions
    words, at = (
        "When the oldest open execution started.",
        oldest.started_at if oldest else None,
    )
    yield "oldest_open_execution_timestamp_seconds", words, at
    words = "When the next result that is watched expires at the earliest."
    yield "next_expiry_timestamp_seconds", words, found.next_expiry_at
    words = "Longest time between loads that loses nothing though one of them fails."
    yield "safe_interval_seconds", words, found.safe_interval_s
    yield "load_interval_seconds", "Time between loads.", found.interval_s
    yield (
        "next_load_timestamp_seconds",
        "When the next load is due.",
        found.next_load_at,
    )


_ACCOUNT = ("home", "provider", "connection")


def _of_accounts(accounts: dict[_Labels, AccountHealth]) -> Iterator[Metric]:
    """Yield what there is once for each account."""
    words = "Executions that were new to the last load, and known ones that changed."
    yield from _gauge(
        "load_executions",
        words,
        (*_ACCOUNT, "change"),
        {
            (*who, change): value
            for who, account in accounts.items()
            for change, value in (("new", account.new), ("changed", account.changed))
        },
    )
    errors = {who: account.errors for who, account in accounts.items()}
    yield from _gauge("load_errors", "Errors of the last load.", _ACCOUNT, errors)
    words = "When the newest load began that read the account without an error."
    last = {who: account.last_ok_at for who, account in accounts.items()}
    yield from _gauge("account_last_success_timestamp_seconds", words, _ACCOUNT, last)


def _gauge(
    name: str, words: str, labels: _Labels, values: Mapping[_Labels, _Value]
) -> Iterator[Metric]:
    """Yield a gauge of what is known of these values; nothing if that is none."""
    gauge = GaugeMetricFamily(f"execledger_{name}", words, labels=labels)
    for of, value in values.items():
        if isinstance(value, datetime):
            gauge.add_metric(of, value.timestamp())
        elif value is not None:
            gauge.add_metric(of, value)
    if gauge.samples:
        yield gauge
