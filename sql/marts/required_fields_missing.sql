-- One row per field that an answer must have, and that the provider says is not
-- there.
with steps as (
    select * from execledger.execution_steps
    where kind = 'required_field' and not is_passed
),

executions as (
    select * from execledger.executions
),

files as (
    select * from execledger.execution_files
),

workflows as (
    select * from execledger.workflows
)

select
    steps.step_key,
    steps.execution_key,
    steps.provider,
    steps.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    executions.day,
    executions.status,
    steps.file_key,
    files.file_name,
    steps.name as field
from steps
inner join executions
    on steps.execution_key = executions.execution_key
left join files
    on steps.file_key = files.file_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
