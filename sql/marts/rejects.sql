-- One row per value that did not fit its column: where it stood, and why. Paths
-- that differ by a number alone have one field.
with rejects as (
    select
        *,
        regexp_replace(
            -- twice: two numbers in a row share the slash between them
            regexp_replace(path || '/', '/[0-9]+/', '/*/', 'g'),
            '/[0-9]+/', '/*/', 'g'
        ) as masked
    from execledger.load_rejects
),

executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
)

select
    rejects.reject_key,
    rejects.execution_key,
    rejects.provider,
    rejects.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    executions.day,
    rejects.reason,
    rejects.path,
    left(rejects.masked, length(rejects.masked) - 1) as field,
    rejects.value_sha256,
    rejects.first_seen_at,
    rejects.response_id
from rejects
left join executions
    on rejects.execution_key = executions.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
