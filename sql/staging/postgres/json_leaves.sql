-- One row per leaf of what outputs and citations hold: text, number, boolean,
-- null or empty container. Below the eighth level of JSON a subtree is one
-- leaf.
with documents as (
    select
        'outputs' as source_table,
        output_key as row_key,
        execution_key,
        file_key,
        name,
        value
    from execledger.outputs
    where value is not null
    union all
    select
        'citations' as source_table,
        citation_key as row_key,
        execution_key,
        file_key,
        prompt_key as name,
        value
    from execledger.citations
    where value is not null
),

texts as (
    select
        'outputs' as source_table,
        output_key as row_key,
        execution_key,
        file_key,
        name,
        value_text as text
    from execledger.outputs
    where value_text is not null
    union all
    select
        'citations' as source_table,
        citation_key as row_key,
        execution_key,
        file_key,
        prompt_key as name,
        text
    from execledger.citations
    where text is not null
),

executions as (
    select * from execledger.executions
),

-- Eight times the same step down, as in DuckDB's own view.
level_0 as (
    select
        documents.source_table,
        documents.row_key,
        documents.execution_key,
        executions.provider,
        executions.connection,
        executions.workflow_key,
        executions.day,
        documents.file_key,
        documents.name,
        '' as path,
        '' as field,
        documents.value
    from documents
    inner join executions
        on documents.execution_key = executions.execution_key
),

level_1 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_0 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

level_2 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_1 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

level_3 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_2 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

level_4 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_3 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

level_5 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_4 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

level_6 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_5 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

level_7 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_6 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

level_8 as (
    select
        node.source_table,
        node.row_key,
        node.execution_key,
        node.provider,
        node.connection,
        node.workflow_key,
        node.day,
        node.file_key,
        node.name,
        node.path || coalesce(below.step, '') as path,
        node.field || coalesce(below.name, '') as field,
        coalesce(below.value, node.value) as value
    from level_7 as node
    left join lateral (
        select
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as step,
            '/' || replace(replace(entry.key, '~', '~0'), '/', '~1') as name,
            entry.value
        from
            jsonb_each(
                case jsonb_typeof(node.value) when 'object' then node.value end
            ) as entry (key, value)
        union all
        select
            '/' || cast(element.place - 1 as text) as step,
            '/*' as name,
            element.value
        from
            jsonb_array_elements(
                case jsonb_typeof(node.value) when 'array' then node.value end
            ) with ordinality as element (value, place)
    ) as below on true
),

leaves as (
    select
        source_table,
        row_key,
        execution_key,
        provider,
        connection,
        workflow_key,
        day,
        file_key,
        name,
        path,
        field,
        jsonb_typeof(value) as type,
        value #>> '{}' as text
    from level_8
    union all
    select
        texts.source_table,
        texts.row_key,
        texts.execution_key,
        executions.provider,
        executions.connection,
        executions.workflow_key,
        executions.day,
        texts.file_key,
        texts.name,
        '' as path,
        '' as field,
        'string' as type,
        texts.text
    from texts
    inner join executions
        on texts.execution_key = executions.execution_key
),

-- A numeric holds whatever a double does, but for texts that are absurdly long.
numbered as (
    select
        *,
        case
            when
                type = 'number'
                or (
                    text ~ '^-?[0-9]+([.][0-9]+)?$'
                    and length(text) <= 16000
                )
                then cast(text as numeric)
        end as number
    from leaves
)

select
    source_table,
    row_key,
    execution_key,
    provider,
    connection,
    workflow_key,
    day,
    file_key,
    name,
    path,
    field,
    type,
    text,
    -- What no double holds would be an error here; what is too small for one,
    -- is 0.
    case
        when abs(number) > 1.7976931348623157e308 then null
        when abs(number) < 2.5e-324 then 0
        else cast(number as double precision)
    end as number
from numbered
