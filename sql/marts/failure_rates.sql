-- One row per UTC day, provider, connection and workflow: how executions ended,
-- and the share that failed, of the day and of the seven days up to it. A day
-- without executions has a row as long as one of those seven has some.
with executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

offsets as (
    select 0 as days
    union all
    select 1 as days
    union all
    select 2 as days
    union all
    select 3 as days
    union all
    select 4 as days
    union all
    select 5 as days
    union all
    select 6 as days
),

last_day as (
    select max(day) as day from executions
),

counted as (
    select
        day,
        provider,
        connection,
        workflow_key,
        count(*) as executions,
        sum(case when status = 'succeeded' then 1 else 0 end) as succeeded,
        sum(case when status = 'partially_succeeded' then 1 else 0 end)
            as partially_succeeded,
        sum(case when status = 'failed' then 1 else 0 end) as failed,
        sum(case when status = 'cancelled' then 1 else 0 end) as cancelled,
        sum(case when status = 'expired' then 1 else 0 end) as expired,
        sum(case when status = 'unknown' then 1 else 0 end) as unknown,
        sum(case when status in ('queued', 'running') then 1 else 0 end)
            as still_open,
        sum(
            case
                when
                    status in ('succeeded', 'partially_succeeded', 'failed')
                    then 1
                else 0
            end
        ) as finished
    from executions
    where day is not null
    group by day, provider, connection, workflow_key
),

spread as (
    select
        counted.day + offsets.days as day,
        counted.provider,
        counted.connection,
        counted.workflow_key,
        sum(case when offsets.days = 0 then counted.executions else 0 end)
            as executions,
        sum(case when offsets.days = 0 then counted.succeeded else 0 end)
            as succeeded,
        sum(
            case
                when offsets.days = 0 then counted.partially_succeeded else 0
            end
        ) as partially_succeeded,
        sum(case when offsets.days = 0 then counted.failed else 0 end)
            as failed,
        sum(case when offsets.days = 0 then counted.cancelled else 0 end)
            as cancelled,
        sum(case when offsets.days = 0 then counted.expired else 0 end)
            as expired,
        sum(case when offsets.days = 0 then counted.unknown else 0 end)
            as unknown,
        sum(case when offsets.days = 0 then counted.still_open else 0 end)
            as still_open,
        sum(case when offsets.days = 0 then counted.finished else 0 end)
            as finished,
        sum(counted.failed) as failed_7d,
        sum(counted.finished) as finished_7d
    from counted
    cross join offsets
    group by
        counted.day + offsets.days,
        counted.provider,
        counted.connection,
        counted.workflow_key
)

select
    spread.day,
    spread.provider,
    spread.connection,
    spread.workflow_key,
    workflows.name as workflow_name,
    spread.executions,
    spread.succeeded,
    spread.partially_succeeded,
    spread.failed,
    spread.cancelled,
    spread.expired,
    spread.unknown,
    spread.still_open,
    spread.finished,
    cast(spread.failed as double) / nullif(spread.finished, 0) as failure_rate,
    spread.failed_7d,
    spread.finished_7d,
    cast(spread.failed_7d as double) / nullif(spread.finished_7d, 0)
        as failure_rate_7d
from spread
inner join last_day
    on spread.day <= last_day.day
left join workflows
    on spread.workflow_key = workflows.workflow_key
