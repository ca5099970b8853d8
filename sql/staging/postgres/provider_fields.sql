-- One row per field that a provider sent beside the columns: those that no
-- column models, and those of the whole result of a task. Its JSON type and
-- value.
with metadata as (
    select
        provider,
        execution_key,
        response_id,
        path,
        value
    from execledger.execution_metadata
),

results as (
    select
        provider,
        execution_key,
        response_id,
        value
    from execledger.outputs
    where
        name = 'result'
        and file_key is null
        and jsonb_typeof(value) = 'object'
),

fields as (
    select * from metadata
    union all
    select
        results.provider,
        results.execution_key,
        results.response_id,
        '/result/'
        || replace(replace(entry.key, '~', '~0'), '/', '~1') as path,
        entry.value
    from results
    cross join lateral jsonb_each(results.value) as entry (key, value)
)

select
    provider,
    execution_key,
    response_id,
    path,
    coalesce(jsonb_typeof(value), 'number') as type,
    cast(value as text) as text
from fields
