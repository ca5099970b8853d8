-- One row per field that a provider sent beside the columns: those that no
-- column models, and those of the whole result of a task. Its JSON type and
-- value.
with metadata as (
    select
        provider,
        execution_key,
        response_id,
        path,
        json_type(value) as kind,
        cast(value as varchar) as text
    from execledger.execution_metadata
),

results as (
    select
        provider,
        execution_key,
        response_id,
        value,
        unnest(json_keys(value)) as name
    from execledger.outputs
    where
        name = 'result'
        and file_key is null
        and json_type(value) = 'OBJECT'
),

fields as (
    select * from metadata
    union all
    select
        provider,
        execution_key,
        response_id,
        '/result/' || replace(replace(name, '~', '~0'), '/', '~1') as path,
        json_type(
            value, '/' || replace(replace(name, '~', '~0'), '/', '~1')
        ) as kind,
        cast(
            json_extract(
                value, '/' || replace(replace(name, '~', '~0'), '/', '~1')
            ) as varchar
        ) as text
    from results
)

select
    provider,
    execution_key,
    response_id,
    path,
    case kind
        when 'VARCHAR' then 'string'
        when 'BOOLEAN' then 'boolean'
        when 'NULL' then 'null'
        when 'OBJECT' then 'object'
        when 'ARRAY' then 'array'
        else 'number'
    end as type,
    text
from fields
