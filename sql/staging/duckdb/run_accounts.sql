-- One row per run and account: what that run read and wrote of the account.
with runs as (
    select * from execledger.runs
),

accounts as (
    select
        runs.run_id,
        json_extract(runs.counts, '$.accounts') as counts,
        unnest(json_keys(runs.counts, '$.accounts')) as account
    from runs
),

counts as (
    select
        accounts.run_id,
        accounts.account,
        json_extract(
            accounts.counts,
            '/' || replace(replace(accounts.account, '~', '~0'), '/', '~1')
        ) as counts
    from accounts
)

select
    counts.run_id,
    split_part(counts.account, ':', 1) as provider,
    substr(counts.account, strpos(counts.account, ':') + 1) as connection,
    try_cast(json_extract_string(counts.counts, '$.new') as bigint)
        as new_executions,
    try_cast(json_extract_string(counts.counts, '$.changed') as bigint)
        as changed_executions,
    try_cast(json_extract_string(counts.counts, '$.errors') as bigint)
        as errors,
    cast(counts.counts as varchar) as read_and_written
from counts
