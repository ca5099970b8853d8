-- Each account that was loaded in the last 30 days was loaded without an error
-- in the last max_lag_hours.
with accounts as (
    select * from staging.run_accounts
),

runs as (
    select * from execledger.runs
    where command = 'load'
),

clock as (
    select * from staging.clock
),

loaded as (
    select
        accounts.provider,
        accounts.connection,
        max(runs.started_at) as last_tried_at,
        max(case when coalesce(accounts.errors, 0) = 0 then runs.started_at end)
            as last_loaded_at
    from accounts
    inner join runs
        on accounts.run_id = runs.run_id
    group by accounts.provider, accounts.connection
)

select
    loaded.provider,
    loaded.connection,
    loaded.last_tried_at,
    loaded.last_loaded_at
from loaded
cross join clock
where
    date_diff('second', loaded.last_tried_at, clock.now_at) < 30 * 24 * 3600
    and (
        loaded.last_loaded_at is null
        or date_diff('second', loaded.last_loaded_at, clock.now_at)
        > $max_lag_hours * 3600
    )
