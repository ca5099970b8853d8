-- One row per registrable domain: the executions and workflows that cited it,
-- how often an answer rests on it alone, and how often the condition was met
-- then.
with daily_domains as (
    select * from marts.daily_domains
)

select
    domain,
    sum(sources) as sources,
    sum(invalid_uris) as invalid_uris,
    sum(executions) as executions,
    count(distinct workflow_key) as workflows,
    sum(sole_source_executions) as sole_source_executions,
    cast(sum(sole_source_executions) as double) / sum(executions)
        as sole_source_share,
    sum(condition_known_executions) as condition_known_executions,
    sum(condition_met_executions) as condition_met_executions,
    cast(sum(condition_met_executions) as double)
    / nullif(sum(condition_known_executions), 0) as condition_met_share,
    min(day) as first_day,
    max(day) as last_day
from daily_domains
group by domain
