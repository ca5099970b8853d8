-- One row per field that a provider sent beside the columns: those that no
-- column models, and those of the whole result of a task. Its JSON type and
-- value.
-- Spark's readers of JSON say a text and a number alike. So each text, names
-- too, has an "s" before it, and each number is a text with an "n" before it.
with metadata as (
    select
        provider,
        execution_key,
        response_id,
        path,
        value as text
    from execledger.execution_metadata
),

results as (
    select
        provider,
        execution_key,
        response_id,
        explode(
            map_entries(
                from_json(
                    replace(
                        replace(
                            regexp_replace(
                                replace(
                                    replace(value, '\\\\', '\\u005c'),
                                    '\\"', '\\u0022'
                                ),
                                '"([^"]*)"|(-?[0-9][0-9.eE+-]*)', '"s$1""n$2"'
                            ),
                            '""n"', '"'
                        ),
                        '"s""n', '"n'
                    ),
                    'map<string,string>'
                )
            )
        ) as entry
    from execledger.outputs
    where
        name = 'result'
        and file_key is null
        and left(ltrim(value), 1) = '{'
),

named as (
    select
        provider,
        execution_key,
        response_id,
        '/result/' || replace(
            replace(substr(entry.key, 2), '~', '~0'), '/', '~1'
        ) as path,
        entry.value
    from results
),

fields as (
    select * from metadata
    union all
    select
        provider,
        execution_key,
        response_id,
        path,
        case
            when value is null then 'null'
            when left(value, 1) = 's'
                then
                    substr(
                        to_json(array(substr(value, 2))),
                        2,
                        length(to_json(array(substr(value, 2)))) - 2
                    )
            when left(value, 1) = 'n' then substr(value, 2)
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
    from named
)

select
    provider,
    execution_key,
    response_id,
    path,
    case left(ltrim(text), 1)
        when '"' then 'string'
        when 't' then 'boolean'
        when 'f' then 'boolean'
        when 'n' then 'null'
        when '{' then 'object'
        when '[' then 'array'
        else 'number'
    end as type,
    text
from fields
