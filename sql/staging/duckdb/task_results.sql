-- One row per whole result of a task: what it says of its condition, and how
-- many sources it names.
with outputs as (
    select
        *,
        json_extract_string(value, '$.sources_count') as sources_count
    from execledger.outputs
    where name = 'result' and file_key is null
)

select
    outputs.output_key,
    outputs.execution_key,
    case json_type(outputs.value, '$.condition_met')
        when 'BOOLEAN'
            then json_extract_string(outputs.value, '$.condition_met') = 'true'
    end as condition_met,
    case
        when regexp_matches(outputs.sources_count, '^-?[0-9]{1,15}([.]0+)?$')
            then try_cast(split_part(outputs.sources_count, '.', 1) as bigint)
    end as sources_count
from outputs
where json_type(outputs.value) = 'OBJECT'
