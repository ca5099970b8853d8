-- One row per thing that a provider was seen to send: a field beside the
-- columns and its type, a status, a value that did not fit. When first, and an
-- example.
with fields as (
    select * from staging.provider_fields
),

history as (
    select * from execledger.status_history
),

files as (
    select * from execledger.execution_files
),

rejects as (
    select * from execledger.load_rejects
),

responses as (
    select * from execledger.raw_responses
),

seen as (
    select
        provider,
        'field' as kind,
        path as name,
        type,
        count(*) as times,
        min(response_id) as response_id,
        min(execution_key) as execution_key,
        min(text) as example
    from fields
    group by provider, path, type
    union all
    select
        provider,
        'status' as kind,
        provider_status as name,
        status as type,
        count(*) as times,
        min(response_id) as response_id,
        min(execution_key) as execution_key,
        provider_status as example
    from history
    where provider_status is not null
    group by provider, provider_status, status
    union all
    select
        provider,
        'file_status' as kind,
        provider_status as name,
        status as type,
        count(*) as times,
        min(response_id) as response_id,
        min(execution_key) as execution_key,
        provider_status as example
    from files
    where provider_status is not null
    group by provider, provider_status, status
    union all
    select
        provider,
        'reject' as kind,
        path as name,
        reason as type,
        count(*) as times,
        min(response_id) as response_id,
        min(execution_key) as execution_key,
        min(path) as example
    from rejects
    group by provider, path, reason
),

closed as (
    select
        *,
        regexp_replace(
            -- twice: two numbers in a row share the slash between them
            regexp_replace(name || '/', '/[0-9]+/', '/*/', 'g'),
            '/[0-9]+/', '/*/', 'g'
        ) as closed_name
    from seen
),

masked as (
    select
        *,
        case
            when kind in ('field', 'reject')
                then left(closed_name, length(closed_name) - 1)
            else name
        end as masked_name
    from closed
),

grouped as (
    select
        provider,
        kind,
        masked_name as name,
        type,
        sum(times) as times,
        min(response_id) as response_id,
        min(execution_key) as example_execution_key,
        left(min(example), 200) as example
    from masked
    group by provider, kind, masked_name, type
)

select
    grouped.provider,
    grouped.kind,
    grouped.name,
    grouped.type,
    responses.received_at as first_seen_at,
    grouped.times,
    grouped.example,
    grouped.example_execution_key
from grouped
left join responses
    on grouped.response_id = responses.response_id
