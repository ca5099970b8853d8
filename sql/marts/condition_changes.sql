-- One row per execution in which a workflow's condition, or whether it
-- notified, is another than in the execution before: what changed, in the
-- provider's words.
with executions as (
    select
        *,
        coalesce(started_at, created_at, first_seen_at) as happened_at,
        not coalesce(notification is null, false) as is_notified
    from execledger.executions
    where status = 'succeeded' and condition_met is not null
),

workflows as (
    select * from execledger.workflows
),

pairs as (
    select
        *,
        lag(condition_met) over (
            partition by workflow_key order by happened_at, execution_key
        ) as condition_met_before,
        lag(is_notified) over (
            partition by workflow_key order by happened_at, execution_key
        ) as is_notified_before,
        lag(execution_key) over (
            partition by workflow_key order by happened_at, execution_key
        ) as execution_key_before
    from executions
)

select
    pairs.execution_key,
    pairs.provider,
    pairs.connection,
    pairs.workflow_key,
    workflows.name as workflow_name,
    pairs.day,
    pairs.started_at,
    pairs.condition_met,
    pairs.condition_met_before,
    pairs.is_notified,
    pairs.is_notified_before,
    pairs.change_summary,
    pairs.notification,
    pairs.execution_key_before
from pairs
left join workflows
    on pairs.workflow_key = workflows.workflow_key
where
    pairs.execution_key_before is not null
    and (
        pairs.condition_met <> pairs.condition_met_before
        or pairs.is_notified <> pairs.is_notified_before
    )
