-- One row per registrable domain: the executions and workflows that cited it,
-- how often an answer rests on it alone, and how often the condition was met
-- then.
with sources as (
    select * from execledger.grounding_sources
),

executions as (
    select * from execledger.executions
),

cited as (
    select
        execution_key,
        domain,
        count(*) as sources,
        sum(case when is_valid_uri = false then 1 else 0 end) as invalid_uris
    from sources
    group by execution_key, domain
),

breadth as (
    select
        execution_key,
        domain,
        sources,
        invalid_uris,
        count(*) over (partition by execution_key) as domains
    from cited
)

select
    breadth.domain,
    sum(breadth.sources) as sources,
    sum(breadth.invalid_uris) as invalid_uris,
    count(*) as executions,
    count(distinct executions.workflow_key) as workflows,
    sum(case when breadth.domains = 1 then 1 else 0 end)
        as sole_source_executions,
    cast(sum(case when breadth.domains = 1 then 1 else 0 end) as double)
    / count(*) as sole_source_share,
    count(executions.condition_met) as condition_known_executions,
    sum(case when executions.condition_met then 1 else 0 end)
        as condition_met_executions,
    cast(sum(case when executions.condition_met then 1 else 0 end) as double)
    / nullif(count(executions.condition_met), 0) as condition_met_share,
    min(executions.day) as first_day,
    max(executions.day) as last_day
from breadth
inner join executions
    on breadth.execution_key = executions.execution_key
group by breadth.domain
