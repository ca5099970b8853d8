-- One row per provider, category and reason, and what the rules say of it: how
-- often, since when, and an example. In a reason ids, numbers and quoted values
-- are masked.
with failures as (
    select * from marts.failures
),

ordered as (
    select
        *,
        row_number() over (
            partition by provider, category, is_retryable, who_acts, reason
            order by seen_at desc, error_key desc
        ) as place
    from failures
)

select
    provider,
    category,
    is_retryable,
    who_acts,
    reason,
    count(*) as errors,
    count(
        distinct case
            when execution_key not like 'request:%' then execution_key
        end
    ) as executions,
    count(distinct workflow_key) as workflows,
    min(seen_at) as first_seen_at,
    max(seen_at) as last_seen_at,
    min(case when place = 1 then message end) as example,
    min(case when place = 1 then execution_key end) as example_execution_key
from ordered
group by provider, category, is_retryable, who_acts, reason
