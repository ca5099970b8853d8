-- One row per run and account: what that run read and wrote of the account.
with runs as (
    select
        run_id,
        counts -> 'accounts' as accounts
    from execledger.runs
),

counts as (
    select
        runs.run_id,
        entry.account,
        entry.counts,
        entry.counts ->> 'new' as new_executions,
        entry.counts ->> 'changed' as changed_executions,
        entry.counts ->> 'errors' as errors
    from runs
    cross join lateral jsonb_each(
        case when jsonb_typeof(runs.accounts) = 'object' then runs.accounts end
    ) as entry (account, counts)
)

select
    run_id,
    split_part(account, ':', 1) as provider,
    substr(account, strpos(account, ':') + 1) as connection,
    case
        when new_executions ~ '^-?[0-9]{1,15}([.]0+)?$'
            then cast(split_part(new_executions, '.', 1) as bigint)
    end as new_executions,
    case
        when changed_executions ~ '^-?[0-9]{1,15}([.]0+)?$'
            then cast(split_part(changed_executions, '.', 1) as bigint)
    end as changed_executions,
    case
        when errors ~ '^-?[0-9]{1,15}([.]0+)?$'
            then cast(split_part(errors, '.', 1) as bigint)
    end as errors,
    cast(counts as text) as read_and_written
from counts
