-- One row per UTC day, provider, connection and workflow: nearest-rank
-- percentiles of how long executions took, and of how long they waited to
-- start.
with executions as (
    select
        *,
        case
            when started_at >= created_at
                then date_diff('millisecond', created_at, started_at)
        end as queued_ms
    from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

measured as (
    select
        day,
        provider,
        connection,
        workflow_key,
        'duration' as measure,
        duration_ms as taken_ms
    from executions
    where duration_ms is not null
    union all
    select
        day,
        provider,
        connection,
        workflow_key,
        'queue' as measure,
        queued_ms as taken_ms
    from executions
    where queued_ms is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by day, provider, connection, workflow_key, measure
            order by taken_ms
        ) as place,
        count(*) over (
            partition by day, provider, connection, workflow_key, measure
        ) as times
    from measured
),

percentiles as (
    select
        day,
        provider,
        connection,
        workflow_key,
        sum(case when measure = 'duration' then 1 else 0 end) as executions,
        min(
            case
                when
                    measure = 'duration' and place >= 0.50 * times
                    then taken_ms
            end
        ) as duration_p50_ms,
        min(
            case
                when
                    measure = 'duration' and place >= 0.90 * times
                    then taken_ms
            end
        ) as duration_p90_ms,
        min(
            case
                when
                    measure = 'duration' and place >= 0.95 * times
                    then taken_ms
            end
        ) as duration_p95_ms,
        min(
            case
                when
                    measure = 'duration' and place >= 0.99 * times
                    then taken_ms
            end
        ) as duration_p99_ms,
        sum(case when measure = 'queue' then 1 else 0 end) as queued_executions,
        min(
            case
                when measure = 'queue' and place >= 0.50 * times then taken_ms
            end
        ) as queue_p50_ms,
        min(
            case
                when measure = 'queue' and place >= 0.90 * times then taken_ms
            end
        ) as queue_p90_ms,
        min(
            case
                when measure = 'queue' and place >= 0.95 * times then taken_ms
            end
        ) as queue_p95_ms,
        min(
            case
                when measure = 'queue' and place >= 0.99 * times then taken_ms
            end
        ) as queue_p99_ms
    from ranked
    group by day, provider, connection, workflow_key
)

select
    percentiles.day,
    percentiles.provider,
    percentiles.connection,
    percentiles.workflow_key,
    workflows.name as workflow_name,
    percentiles.executions,
    percentiles.duration_p50_ms,
    percentiles.duration_p90_ms,
    percentiles.duration_p95_ms,
    percentiles.duration_p99_ms,
    percentiles.queued_executions,
    percentiles.queue_p50_ms,
    percentiles.queue_p90_ms,
    percentiles.queue_p95_ms,
    percentiles.queue_p99_ms
from percentiles
left join workflows
    on percentiles.workflow_key = workflows.workflow_key
