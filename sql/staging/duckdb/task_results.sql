-- One row per whole result of a task: what it says of its condition, and how
-- many sources it names.
with outputs as (
    select * from execledger.outputs
    where name = 'result' and file_key is null
)

select
    outputs.output_key,
    outputs.execution_key,
    case json_type(outputs.value, '$.condition_met')
        when 'BOOLEAN'
            then json_extract_string(outputs.value, '$.condition_met') = 'true'
    end as condition_met,
    try_cast(json_extract_string(outputs.value, '$.sources_count') as bigint)
        as sources_count
from outputs
where json_type(outputs.value) = 'OBJECT'
