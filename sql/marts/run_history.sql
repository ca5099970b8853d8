-- One row per run of a command that wrote the store, and account that it read:
-- how long it took, what it brought, and what failed.
with runs as (
    select * from execledger.runs
),

accounts as (
    select * from staging.run_accounts
)

select
    runs.run_id,
    runs.command,
    coalesce(accounts.provider, runs.provider) as provider,
    coalesce(accounts.connection, runs.connection) as connection,
    runs.started_at,
    runs.ended_at,
    date_diff('millisecond', runs.started_at, runs.ended_at) as took_ms,
    runs.outcome,
    accounts.new_executions,
    accounts.changed_executions,
    accounts.errors,
    accounts.read_and_written,
    runs.error
from runs
left join accounts
    on runs.run_id = accounts.run_id
