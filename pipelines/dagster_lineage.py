"""The assets that Dagster shows, and which is made of which.

A provider is a dlt asset; of it the tables are made, of tables the views of ``sql/``,
of views the report. What a view reads is read off its SQL.
"""

from collections.abc import Iterable
from importlib import import_module

import dagster as dg

from pipelines.checks import checks
from pipelines.sql_files import SqlFile
from sources import part, providers
from sources.records import TABLES, CheckResult, ModelPrice, Run, TokenUsage
from sources.tables import columns, comment

__all__ = [
    "AUTOMATIC",
    "BUDGETS",
    "IN_TIME",
    "REPORT",
    "check_specs",
    "mart_key",
    "mart_specs",
    "provider_key",
    "provider_spec",
    "table_key",
    "table_specs",
]

REPORT = dg.AssetKey("report")

BUDGETS = "budgets_are_kept"
"""The check of all budgets of the configuration."""

IN_TIME = "results_are_read_in_time"
"""The check of a provider: what a load says by exit code 4."""

_When = dg.AutomationCondition
AUTOMATIC = (
    (
        (_When.missing() & ~_When.execution_failed()) | _When.any_deps_updated()
    ).since_last_handled()
    & ~_When.any_deps_missing()
    & ~_When.any_deps_in_progress()
    & ~_When.in_progress()
)
"""When views, checks and report are due: after what they rest on was loaded.

Unlike Dagster's ``eager``, also where it was loaded before anybody asked for them.
"""


def provider_key(provider: str) -> dg.AssetKey:
    """Return the asset that a provider's executions are."""
    return dg.AssetKey(provider)


def table_key(table: str) -> dg.AssetKey:
    """Return the asset that a table of schema ``execledger`` is."""
    return dg.AssetKey(["execledger", table])


def mart_key(view: str) -> dg.AssetKey:
    """Return the asset that a view of schema ``marts`` is."""
    return dg.AssetKey(["marts", view])


def provider_spec(provider: str, freshness: dg.FreshnessPolicy) -> dg.AssetSpec:
    """Return the dlt asset of a provider, which is to be loaded as often as that."""
    from dagster_dlt import DagsterDltTranslator
    from dagster_dlt.translator import DltResourceTranslatorData

    from sources.source import drain_source

    resource = drain_source(provider, iter(())).resources[provider]
    said = import_module(f"sources.{provider}").__doc__ or provider
    data = DltResourceTranslatorData(resource=resource, pipeline=None)
    return (
        DagsterDltTranslator()
        .get_asset_spec(data)
        .replace_attributes(
            key=provider_key(provider),
            deps=[],
            description=said.partition("\n")[0],
            group_name="providers",
            kinds={"dlt", "duckdb"},
            freshness_policy=freshness,
        )
    )


def table_specs() -> list[dg.AssetSpec]:
    """Return the tables; a load tells Dagster of those that it wrote."""
    return [
        dg.AssetSpec(
            table_key(name),
            deps=_made_of(name),
            description=comment(record),
            group_name="tables",
            kinds={"duckdb", "table"},
            metadata={
                "dagster/table_name": f"execledger.{name}",
                "dagster/column_schema": dg.TableSchema(
                    [
                        dg.TableColumn(
                            column.name,
                            getattr(column.type, "__name__", str(column.type)),
                            column.comment,
                        )
                        for column in columns(record)
                    ]
                ),
            },
        )
        for name, record in TABLES.items()
    ]


def _made_of(table: str) -> list[dg.AssetKey]:
    """Return what a table is made of: providers, mostly."""
    if table == CheckResult.TABLE:
        return []
    if table == ModelPrice.TABLE:
        return [table_key(TokenUsage.TABLE)]
    return [
        provider_key(name)
        for name in providers()
        if table == Run.TABLE
        or table in getattr(part(name, "normalize"), "FILLS", [table])
    ]


def mart_specs(views: Iterable[SqlFile]) -> list[dg.AssetSpec]:
    """Return the views of schema ``marts``, each with what it reads."""
    by_name = {view.qualified: view for view in views}
    return [
        dg.AssetSpec(
            mart_key(view.name),
            # what reads no table, the rules, is made anew by each run of a load
            deps=sorted(_reads(view, by_name) or [table_key(Run.TABLE)]),
            description=view.comment,
            group_name="marts",
            kinds={"duckdb", "view"},
            automation_condition=AUTOMATIC,
            metadata={"dagster/table_name": view.qualified},
        )
        for view in by_name.values()
        if view.schema == "marts"
    ]


def _reads(view: SqlFile, by_name: dict[str, SqlFile]) -> set[dg.AssetKey]:
    """Return the tables and views that a view reads; through those of no asset."""
    found = set[dg.AssetKey]()
    for name in view.reads():
        schema, _, table = name.partition(".")
        if schema == "execledger":
            found.add(table_key(table))
        elif schema == "marts":
            found.add(mart_key(table))
        elif name in by_name:
            found |= _reads(by_name[name], by_name)
    return found


def check_specs(views: Iterable[SqlFile]) -> list[dg.AssetCheckSpec]:
    """Return the checks of ``sql/checks``, each of the first table that it reads.

    Or of the first view, where it reads no table. One more is of all budgets.
    """
    by_name = {view.qualified: view for view in views}
    order = [*map(table_key, TABLES), *(mart_key(one.name) for one in by_name.values())]
    about = {
        check.name: (min(_reads(check, by_name), key=order.index), check.comment)
        for check in checks()
    }
    about[BUDGETS] = (mart_key("month_to_date"), "No budget is exceeded.")
    return [
        dg.AssetCheckSpec(
            name, asset=asset, description=said, automation_condition=AUTOMATIC
        )
        for name, (asset, said) in about.items()
    ]
