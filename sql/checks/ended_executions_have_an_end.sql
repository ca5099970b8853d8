-- An execution that succeeded or failed says when it ended, where others of its
-- provider with that status do.
with executions as (
    select * from execledger.executions
    where is_terminal and status in ('succeeded', 'failed')
),

saying as (
    select distinct
        provider,
        status
    from executions
    where ended_at is not null
)

select
    executions.execution_key,
    executions.status,
    executions.started_at
from executions
inner join saying
    on
        executions.provider = saying.provider
        and executions.status = saying.status
where executions.ended_at is null
