-- One row per execution whose model calls the platform listed: tokens and cost
-- by its result beside those by the platform, and whether the tokens agree.
with usage as (
    select * from execledger.token_usage
),

executions as (
    select * from execledger.executions
),

sides as (
    select
        usage.execution_key,
        sum(
            case
                when usage.source <> 'platform' and usage.is_counted
                    then usage.total_tokens
            end
        ) as result_tokens,
        sum(
            case when usage.source = 'platform' then usage.total_tokens end
        ) as platform_tokens,
        sum(
            case
                when usage.source <> 'platform' and usage.is_counted
                    then usage.provided_cost_usd
            end
        ) as result_cost_usd,
        sum(
            case when usage.source = 'platform' then usage.provided_cost_usd end
        ) as platform_cost_usd,
        count(case when usage.source = 'platform' then 1 end) as platform_rows,
        count(
            case
                when
                    usage.total_tokens is null
                    and (usage.source = 'platform' or usage.is_counted)
                    then 1
            end
        ) as unknown_rows
    from usage
    group by usage.execution_key
)

select
    executions.execution_key,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    executions.day,
    executions.status,
    executions.result_state,
    sides.result_tokens,
    sides.platform_tokens,
    sides.result_tokens - sides.platform_tokens as difference,
    sides.result_cost_usd,
    sides.platform_cost_usd,
    case
        when sides.unknown_rows = 0
            then sides.result_tokens = sides.platform_tokens
    end as is_reconciled
from sides
inner join executions
    on sides.execution_key = executions.execution_key
where sides.platform_rows > 0
