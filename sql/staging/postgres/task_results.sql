-- One row per whole result of a task: what it says of its condition, and how
-- many sources it names.
with outputs as (
    select
        output_key,
        execution_key,
        value,
        value ->> 'sources_count' as sources_count
    from execledger.outputs
    where name = 'result' and file_key is null
)

select
    output_key,
    execution_key,
    case jsonb_typeof(value -> 'condition_met')
        when 'boolean' then cast(value ->> 'condition_met' as boolean)
    end as condition_met,
    case
        when sources_count ~ '^-?[0-9]{1,15}([.]0+)?$'
            then cast(split_part(sources_count, '.', 1) as bigint)
    end as sources_count
from outputs
where jsonb_typeof(value) = 'object'
