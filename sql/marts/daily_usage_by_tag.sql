-- One row per UTC day, provider, connection and tag: executions, tokens and
-- cost. An execution with two tags counts under each; one with none, under
-- NULL.
with executions as (
    select * from execledger.executions
),

tags as (
    select distinct
        execution_key,
        tag,
        tag_value
    from execledger.execution_tags
),

costs as (
    select * from marts.token_costs
),

used as (
    select
        execution_key,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(total_tokens) as total_tokens,
        sum(provided_cost_usd) as provided_cost_usd,
        sum(estimated_cost_usd) as estimated_cost_usd,
        sum(cost_usd) as cost_usd,
        count(*) - count(cost_usd) as usages_without_cost
    from costs
    group by execution_key
)

select
    executions.day,
    executions.provider,
    executions.connection,
    tags.tag,
    tags.tag_value,
    count(*) as executions,
    sum(case when executions.status = 'succeeded' then 1 else 0 end)
        as succeeded,
    sum(case when executions.status = 'failed' then 1 else 0 end) as failed,
    sum(used.input_tokens) as input_tokens,
    sum(used.output_tokens) as output_tokens,
    sum(used.cached_input_tokens) as cached_input_tokens,
    sum(used.total_tokens) as total_tokens,
    sum(used.provided_cost_usd) as provided_cost_usd,
    sum(used.estimated_cost_usd) as estimated_cost_usd,
    sum(used.cost_usd) as cost_usd,
    sum(coalesce(used.usages_without_cost, 0)) as usages_without_cost
from executions
left join tags
    on executions.execution_key = tags.execution_key
left join used
    on executions.execution_key = used.execution_key
group by
    executions.day,
    executions.provider,
    executions.connection,
    tags.tag,
    tags.tag_value
