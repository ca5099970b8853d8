-- One row per stay of an execution in a status and its word, as loads saw it:
-- from when to when. The last stay goes on, unless the status is final.
with history as (
    select * from execledger.status_history
),

executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

stays as (
    select
        execution_key,
        provider,
        connection,
        status,
        provider_status,
        observed_at as entered_at,
        lead(observed_at) over (
            partition by execution_key order by observed_at
        ) as left_at,
        row_number() over (
            partition by execution_key order by observed_at
        ) as place
    from history
)

select
    stays.execution_key,
    stays.place,
    stays.provider,
    stays.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    stays.status,
    stays.provider_status,
    stays.entered_at,
    stays.left_at,
    date_diff('millisecond', stays.entered_at, stays.left_at) as stayed_ms
from stays
left join executions
    on stays.execution_key = executions.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
