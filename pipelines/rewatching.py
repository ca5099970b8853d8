"""What the watch-list lost with a damaged journal, and the store still knows of."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from pipelines.config import Account
from sources import part
from sources.journal import Journal
from sources.salvage import broken_by_damage
from sources.seen import Select
from sources.tracking import trackable
from sources.watched import Tag, Watched
from sources.watchlist import WatchList

__all__ = ["watch_again"]


def watch_again(
    journal: Journal, select: Select, accounts: Sequence[Account], at: datetime
) -> None:
    """Put on the watch-list what the store knows to go on; what is on it stays."""
    for account in accounts:
        if account.provider in trackable():
            watch = part(account.provider, "tracking").watch
            open_ones = _open(select, account, at)
            WatchList(journal, *account.of).add(
                [watch(account.settings, one) for one in open_ones]
            )


def _open(select: Select, account: Account, at: datetime) -> Iterator[Watched]:
    sql = (
        "select execution_key, scope, execution_id, started_at from {executions} "
        "where provider = ? and connection = ? and not is_terminal"
    )
    for key, scope, execution_id, started_at in select(sql, account.of):
        yield Watched(
            execution_id=execution_id,
            scope=scope,
            tracked_at=at,
            started_at=started_at,
            tags=_tags(select, key),
            broken_reads=(broken_by_damage(at),),
        )


def _tags(select: Select, key: str) -> tuple[Tag, ...]:
    sql = "select tag, tag_value from {execution_tags} where execution_key = ?"
    return tuple((tag, value) for tag, value in select(sql, (key,)))
