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

-- Eight times the same step down. A recursive query would be one, but it would
-- take apart every document for a reader who wants those of one execution.
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
        documents.value,
        json_type(documents.value) as kind
    from documents
    inner join executions
        on documents.execution_key = executions.execution_key
),

steps_1 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_0
),

level_1 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_1
),

steps_2 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_1
),

level_2 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_2
),

steps_3 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_2
),

level_3 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_3
),

steps_4 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_3
),

level_4 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_4
),

steps_5 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_4
),

level_5 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_5
),

steps_6 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_5
),

level_6 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_6
),

steps_7 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_6
),

level_7 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_7
),

steps_8 as (
    select
        *,
        unnest(coalesce(nullif(case kind
            when 'OBJECT'
                then
                    list_transform(
                        json_keys(value),
                        lambda k: '/'
                        || replace(replace(k, '~', '~0'), '/', '~1')
                    )
            when 'ARRAY' then list_transform(
                range(cast(json_array_length(value) as bigint)),
                lambda i: '/' || cast(i as varchar)
            )
        end, []), [null])) as step
    from level_7
),

level_8 as (
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
        path || coalesce(step, '') as path,
        field || case
            when kind = 'ARRAY' and step is not null then '/*'
            else coalesce(step, '')
        end as field,
        coalesce(json_extract(value, step), value) as value,
        coalesce(json_type(value, step), kind) as kind
    from steps_8
),

leaves as (
    select
        *,
        case when kind <> 'NULL' then json_extract_string(value, '$') end
            as text
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
        null as value,
        'VARCHAR' as kind,
        texts.text
    from texts
    inner join executions
        on texts.execution_key = executions.execution_key
),

numbered as (
    select
        *,
        case
            when
                kind not in ('VARCHAR', 'BOOLEAN', 'NULL', 'OBJECT', 'ARRAY')
                or regexp_matches(text, '^-?[0-9]+([.][0-9]+)?$')
                then try_cast(text as double)
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
    case kind
        when 'VARCHAR' then 'string'
        when 'BOOLEAN' then 'boolean'
        when 'NULL' then 'null'
        when 'OBJECT' then 'object'
        when 'ARRAY' then 'array'
        else 'number'
    end as type,
    text,
    case when isfinite(number) then number end as number
from numbered
