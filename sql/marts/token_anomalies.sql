-- One row per execution whose tokens are far from the median of its workflow:
-- more than 3.5 by the modified z-score of median absolute deviations. A
-- workflow has none with fewer than eight executions whose tokens are known; of
-- an account, executions of no known workflow are taken as one.
with usage as (
    select * from execledger.token_usage
    where is_counted
),

executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

used as (
    select
        usage.execution_key,
        executions.provider,
        executions.connection,
        executions.workflow_key,
        executions.day,
        executions.status,
        cast(sum(usage.total_tokens) as double) as total_tokens
    from usage
    inner join executions
        on usage.execution_key = executions.execution_key
    group by
        usage.execution_key,
        executions.provider,
        executions.connection,
        executions.workflow_key,
        executions.day,
        executions.status
),

ranked as (
    select
        *,
        row_number() over (
            partition by provider, connection, workflow_key
            order by total_tokens, execution_key
        ) as place,
        count(*) over (partition by provider, connection, workflow_key)
            as executions
    from used
    where total_tokens is not null
),

medians as (
    select
        provider,
        connection,
        workflow_key,
        executions,
        avg(total_tokens) as median_tokens
    from ranked
    where
        executions >= 8
        and place >= executions / 2.0
        and place <= executions / 2.0 + 1
    group by provider, connection, workflow_key, executions
),

deviating as (
    select
        ranked.execution_key,
        ranked.provider,
        ranked.connection,
        ranked.workflow_key,
        ranked.day,
        ranked.status,
        ranked.total_tokens,
        ranked.executions,
        medians.median_tokens,
        abs(ranked.total_tokens - medians.median_tokens) as deviation
    from ranked
    inner join medians
        on
            ranked.provider = medians.provider
            and ranked.connection = medians.connection
            and ranked.workflow_key is not distinct from medians.workflow_key
),

ranked_again as (
    select
        *,
        row_number() over (
            partition by provider, connection, workflow_key
            order by deviation, execution_key
        ) as place,
        avg(deviation) over (partition by provider, connection, workflow_key)
            as mean_deviation
    from deviating
),

spreads as (
    select
        provider,
        connection,
        workflow_key,
        mean_deviation,
        avg(deviation) as median_deviation
    from ranked_again
    where
        place >= executions / 2.0
        and place <= executions / 2.0 + 1
    group by provider, connection, workflow_key, mean_deviation
),

scored as (
    select
        ranked_again.*,
        spreads.median_deviation,
        (ranked_again.total_tokens - ranked_again.median_tokens) / nullif(
            case
                when spreads.median_deviation > 0
                    then spreads.median_deviation / 0.6745
                else spreads.mean_deviation * 1.2533
            end,
            0
        ) as score
    from ranked_again
    inner join spreads
        on
            ranked_again.provider = spreads.provider
            and ranked_again.connection = spreads.connection
            and ranked_again.workflow_key
            is not distinct from spreads.workflow_key
)

select
    scored.execution_key,
    scored.provider,
    scored.connection,
    scored.workflow_key,
    workflows.name as workflow_name,
    scored.day,
    scored.status,
    cast(scored.total_tokens as bigint) as total_tokens,
    scored.executions,
    scored.median_tokens,
    scored.median_deviation,
    scored.score
from scored
left join workflows
    on scored.workflow_key = workflows.workflow_key
where abs(scored.score) > 3.5
