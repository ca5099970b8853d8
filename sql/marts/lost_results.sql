-- One row per execution whose result nobody here can get any more: when that
-- was seen, and why.
with executions as (
    select * from execledger.executions
    where
        is_terminal
        and result_state in (
            'acknowledged_elsewhere', 'lost_in_transit', 'expired', 'missing'
        )
),

errors as (
    select * from execledger.errors
),

workflows as (
    select * from execledger.workflows
),

reasons as (
    select
        execution_key,
        error_type,
        min(message) as reason
    from errors
    group by execution_key, error_type
)

select
    executions.execution_key,
    executions.provider,
    executions.connection,
    executions.execution_id,
    executions.workflow_key,
    workflows.name as workflow_name,
    executions.day,
    executions.started_at,
    executions.expires_at,
    executions.result_state,
    executions.provider_status,
    executions.observed_at as lost_at,
    reasons.reason
from executions
left join reasons
    on
        executions.execution_key = reasons.execution_key
        and executions.result_state = reasons.error_type
left join workflows
    on executions.workflow_key = workflows.workflow_key
