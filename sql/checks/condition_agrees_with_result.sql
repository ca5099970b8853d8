-- Whether the condition was met is the same outside and inside the result.
with executions as (
    select * from execledger.executions
),

results as (
    select * from staging.task_results
)

select
    executions.execution_key,
    executions.condition_met,
    results.condition_met as condition_met_in_result
from executions
inner join results
    on executions.execution_key = results.execution_key
where executions.condition_met <> results.condition_met
