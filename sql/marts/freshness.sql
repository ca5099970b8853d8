-- One row per provider, connection and workflow: the newest execution, the last
-- load of its account without an error, how long ago that was, and what is
-- open.
with executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

runs as (
    select * from execledger.runs
    where command = 'load'
),

accounts as (
    select * from staging.run_accounts
),

clock as (
    select * from staging.clock
),

loaded as (
    select
        accounts.provider,
        accounts.connection,
        max(case when coalesce(accounts.errors, 0) = 0 then runs.started_at end)
            as last_loaded_at
    from accounts
    inner join runs
        on accounts.run_id = runs.run_id
    group by accounts.provider, accounts.connection
),

executed as (
    select
        provider,
        connection,
        workflow_key,
        count(*) as executions,
        max(coalesce(started_at, created_at)) as newest_execution_at,
        sum(case when is_terminal then 0 else 1 end) as open_executions,
        min(
            case
                when not is_terminal
                    then coalesce(started_at, created_at, first_seen_at)
            end
        ) as oldest_open_at
    from executions
    group by provider, connection, workflow_key
),

idle as (
    select
        workflows.provider,
        workflows.connection,
        workflows.workflow_key
    from workflows
    left join executed
        on workflows.workflow_key = executed.workflow_key
    where executed.workflow_key is null
),

never_seen as (
    select
        loaded.provider,
        loaded.connection
    from loaded
    left join executed
        on
            loaded.provider = executed.provider
            and loaded.connection = executed.connection
    left join workflows
        on
            loaded.provider = workflows.provider
            and loaded.connection = workflows.connection
    where executed.provider is null and workflows.provider is null
),

known as (
    select * from executed
    union all
    select
        provider,
        connection,
        cast(null as varchar) as workflow_key,
        0 as executions,
        cast(null as timestamptz) as newest_execution_at,
        0 as open_executions,
        cast(null as timestamptz) as oldest_open_at
    from never_seen
    union all
    select
        provider,
        connection,
        workflow_key,
        0 as executions,
        cast(null as timestamptz) as newest_execution_at,
        0 as open_executions,
        cast(null as timestamptz) as oldest_open_at
    from idle
)

select
    known.provider,
    known.connection,
    known.workflow_key,
    workflows.name as workflow_name,
    known.executions,
    known.newest_execution_at,
    loaded.last_loaded_at,
    date_diff('second', loaded.last_loaded_at, clock.now_at) as lag_s,
    known.open_executions,
    known.oldest_open_at
from known
cross join clock
left join loaded
    on
        known.provider = loaded.provider
        and known.connection = loaded.connection
left join workflows
    on known.workflow_key = workflows.workflow_key
