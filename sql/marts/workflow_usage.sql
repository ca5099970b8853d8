-- One row per workflow: how its executions ended, their tokens and their cost,
-- in all and per execution that succeeded. Executions of no known workflow are
-- one.
with executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

costs as (
    select * from marts.token_costs
),

used as (
    select
        execution_key,
        sum(total_tokens) as total_tokens,
        sum(cost_usd) as cost_usd,
        count(*) - count(cost_usd) as usages_without_cost
    from costs
    group by execution_key
),

counted as (
    select
        executions.provider,
        executions.connection,
        executions.workflow_key,
        count(*) as executions,
        sum(case when executions.status = 'succeeded' then 1 else 0 end)
            as succeeded,
        sum(
            case
                when executions.status = 'partially_succeeded' then 1 else 0
            end
        ) as partially_succeeded,
        sum(case when executions.status = 'failed' then 1 else 0 end)
            as failed,
        count(used.total_tokens) as executions_with_usage,
        sum(used.total_tokens) as total_tokens,
        sum(used.cost_usd) as cost_usd,
        sum(coalesce(used.usages_without_cost, 0)) as usages_without_cost,
        min(executions.day) as first_day,
        max(executions.day) as last_day
    from executions
    left join used
        on executions.execution_key = used.execution_key
    group by
        executions.provider,
        executions.connection,
        executions.workflow_key
)

select
    counted.provider,
    counted.connection,
    counted.workflow_key,
    workflows.name as workflow_name,
    workflows.kind as workflow_kind,
    counted.executions,
    counted.succeeded,
    counted.partially_succeeded,
    counted.failed,
    cast(counted.failed as double) / nullif(
        counted.succeeded + counted.partially_succeeded + counted.failed, 0
    ) as failure_rate,
    counted.executions_with_usage,
    counted.total_tokens,
    cast(counted.total_tokens as double)
    / nullif(counted.executions_with_usage, 0) as tokens_per_execution,
    counted.cost_usd,
    counted.usages_without_cost,
    cast(counted.cost_usd as double) / nullif(counted.succeeded, 0)
        as cost_per_success_usd,
    counted.first_day,
    counted.last_day
from counted
left join workflows
    on counted.workflow_key = workflows.workflow_key
