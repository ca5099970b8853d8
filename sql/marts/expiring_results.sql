-- One row per execution whose result is still at the provider and will be
-- deleted there, as the last load saw it: when, and how long that is from now.
with executions as (
    select * from execledger.executions
    where
        expires_at is not null
        and not is_terminal
        and coalesce(result_state, 'pending') in ('pending', 'available')
),

workflows as (
    select * from execledger.workflows
),

clock as (
    select * from staging.clock
)

select
    executions.execution_key,
    executions.provider,
    executions.connection,
    executions.execution_id,
    executions.workflow_key,
    workflows.name as workflow_name,
    executions.status,
    executions.result_state,
    executions.started_at,
    executions.observed_at,
    executions.expires_at,
    date_diff('second', clock.now_at, executions.expires_at) as expires_in_s
from executions
cross join clock
left join workflows
    on executions.workflow_key = workflows.workflow_key
