-- One row per first page of a task's listing: how many executions the provider
-- said that there were.
with pages as (
    select
        response_id,
        provider,
        connection,
        received_at,
        json_extract_string(params, '$.page') as page,
        json_extract_string(params, '$.task_id') as scope,
        json_extract_string(params, '$.answered.total') as total
    from execledger.raw_responses
    where endpoint = 'executions'
)

select
    response_id,
    provider,
    connection,
    received_at,
    scope,
    try_cast(split_part(total, '.', 1) as bigint) as total
from pages
where
    page = '1'
    and scope is not null
    and regexp_matches(total, '^-?[0-9]{1,15}([.]0+)?$')
