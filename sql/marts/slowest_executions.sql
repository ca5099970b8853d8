-- One row per execution whose duration is known: how long it took, and its
-- place among those of its provider and workflow, the slowest first.
with executions as (
    select * from execledger.executions
    where duration_ms is not null
),

workflows as (
    select * from execledger.workflows
)

select
    executions.execution_key,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    executions.day,
    executions.started_at,
    executions.status,
    executions.duration_ms,
    row_number() over (
        partition by executions.provider, executions.workflow_key
        order by executions.duration_ms desc, executions.execution_key asc
    ) as place
from executions
left join workflows
    on executions.workflow_key = workflows.workflow_key
