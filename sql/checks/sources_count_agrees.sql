-- A result has as many sources as it says that it has.
with results as (
    select * from staging.task_results
    where sources_count is not null
),

sources as (
    select
        execution_key,
        count(*) as sources
    from execledger.grounding_sources
    group by execution_key
)

select
    results.execution_key,
    results.sources_count,
    coalesce(sources.sources, 0) as sources
from results
left join sources
    on results.execution_key = sources.execution_key
where results.sources_count <> coalesce(sources.sources, 0)
