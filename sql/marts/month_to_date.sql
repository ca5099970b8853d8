-- One row per provider, connection and workflow with executions in this UTC
-- month so far, or in the month before up to the same day: the one beside the
-- other.
with executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

costs as (
    select * from marts.token_costs
),

clock as (
    select
        today,
        cast(date_trunc('month', today) as date) as month,
        cast(
            date_trunc('month', cast(date_trunc('month', today) as date) - 1)
            as date
        ) as month_before
    from staging.clock
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

dated as (
    select
        executions.*,
        clock.month,
        case when executions.day >= clock.month then 1 else 0 end as is_now,
        case when executions.day < clock.month then 1 else 0 end as is_before
    from executions
    inner join clock
        on
            executions.day >= clock.month_before
            and executions.day <= clock.today
            and (
                executions.day >= clock.month
                or extract(day from executions.day)
                <= extract(day from clock.today)
            )
),

counted as (
    select
        dated.month,
        dated.provider,
        dated.connection,
        dated.workflow_key,
        sum(dated.is_now) as executions,
        sum(
            case
                when dated.is_now = 1 and dated.status = 'failed' then 1 else 0
            end
        ) as failed,
        sum(case when dated.is_now = 1 then used.total_tokens end)
            as total_tokens,
        sum(case when dated.is_now = 1 then used.cost_usd end) as cost_usd,
        sum(
            case
                when dated.is_now = 1 then coalesce(used.usages_without_cost, 0)
                else 0
            end
        ) as usages_without_cost,
        sum(dated.is_before) as executions_before,
        sum(
            case
                when dated.is_before = 1 and dated.status = 'failed' then 1
                else 0
            end
        ) as failed_before,
        sum(case when dated.is_before = 1 then used.total_tokens end)
            as total_tokens_before,
        sum(case when dated.is_before = 1 then used.cost_usd end)
            as cost_before_usd
    from dated
    left join used
        on dated.execution_key = used.execution_key
    group by
        dated.month,
        dated.provider,
        dated.connection,
        dated.workflow_key
)

select
    counted.month,
    counted.provider,
    counted.connection,
    counted.workflow_key,
    workflows.name as workflow_name,
    counted.executions,
    counted.failed,
    counted.total_tokens,
    counted.cost_usd,
    counted.usages_without_cost,
    cast(counted.cost_usd as double) / extract(day from clock.today)
    * extract(day from last_day(clock.today)) as projected_cost_usd,
    counted.executions_before,
    counted.failed_before,
    counted.total_tokens_before,
    counted.cost_before_usd
from counted
cross join clock
left join workflows
    on counted.workflow_key = workflows.workflow_key
