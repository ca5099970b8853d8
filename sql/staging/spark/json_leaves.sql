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

-- Spark's readers of JSON say a text and a number alike. So each text, names
-- too, has an "s" before it, and each number is a text with an "n" before it.
marked as (
    select
        documents.*,
        replace(
            replace(
                regexp_replace(
                    replace(
                        replace(documents.value, '\\\\', '\\u005c'),
                        '\\"', '\\u0022'
                    ),
                    '"([^"]*)"|(-?[0-9][0-9.eE+-]*)', '"s$1""n$2"'
                ),
                '""n"', '"'
            ),
            '"s""n', '"n'
        ) as marks
    from documents
),

level_0 as (
    select
        marked.source_table,
        marked.row_key,
        marked.execution_key,
        executions.provider,
        executions.connection,
        executions.workflow_key,
        executions.day,
        marked.file_key,
        marked.name,
        '' as path,
        '' as field,
        -- What Spark cannot read stays as it is, one leaf.
        coalesce(
            from_json('[' || marked.marks || ']', 'array<string>')[0],
            nullif(marked.marks, 'null')
        ) as value
    from marked
    inner join executions
        on marked.execution_key = executions.execution_key
),

-- Eight times the same step down, as in DuckDB's own view.
steps_1 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_1
),

steps_2 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_2
),

steps_3 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_3
),

steps_4 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_4
),

steps_5 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_5
),

steps_6 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_6
),

steps_7 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_7
),

steps_8 as (
    select
        *,
        explode_outer(
            case left(value, 1)
                when '{'
                    then map_entries(from_json(value, 'map<string,string>'))
                when '['
                    then
                        transform(
                            from_json(value, 'array<string>'),
                            (x, i) -> named_struct(
                                'key', 's' || cast(i as string), 'value', x
                            )
                        )
            end
        ) as entry
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
        path || coalesce(
            '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            ),
            ''
        ) as path,
        field || case
            when entry is null then ''
            when left(value, 1) = '[' then '/*'
            else '/' || replace(
                replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
            )
        end as field,
        case when entry is null then value else entry.value end as value
    from steps_8
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
        case
            when value is null then 'null'
            when left(value, 1) = 'n' then 'number'
            when left(value, 1) = '{' then 'object'
            when left(value, 1) = '[' then 'array'
            when value in ('true', 'false') then 'boolean'
            else 'string'
        end as type,
        case
            when left(value, 1) in ('s', 'n') then substr(value, 2)
            when left(value, 1) in ('{', '[')
                then
                    regexp_replace(
                        regexp_replace(
                            replace(
                                replace(value, '\\\\', '\\u005c'),
                                '\\"', '\\u0022'
                            ),
                            '"n([^"]*)"', '$1'
                        ),
                        '"s([^"]*)"', '"$1"'
                    )
            else value
        end as text
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

numbered as (
    select
        *,
        case
            when
                type = 'number'
                or text rlike '^-?[0-9]+([.][0-9]+)?\\z'
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
    type,
    text,
    case when abs(number) <= 1.7976931348623157e308 then number end as number
from numbered
