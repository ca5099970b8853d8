-- One row per first page of a task's listing: how many executions the provider
-- said that there were.
with pages as (
    select
        response_id,
        provider,
        connection,
        received_at,
        get_json_object(params, '$.page') as page,
        get_json_object(params, '$.task_id') as scope,
        get_json_object(params, '$.answered.total') as total
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
    and total rlike '^-?[0-9]{1,15}([.]0+)?\\z'
