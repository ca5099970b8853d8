-- One row per whole result of a task: what it says of its condition, and how
-- many sources it names.
-- Spark's readers of JSON say a text and a number alike. So each text, names
-- too, has an "s" before it, and each number is a text with an "n" before it.
with outputs as (
    select
        output_key,
        execution_key,
        value,
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
        ) as fields
    from execledger.outputs
    where name = 'result' and file_key is null
),

said as (
    select
        output_key,
        execution_key,
        value,
        fields['scondition_met'] as condition_met,
        substr(fields['ssources_count'], 2) as sources_count
    from outputs
)

select
    output_key,
    execution_key,
    case condition_met
        when 'true' then true
        when 'false' then false
    end as condition_met,
    case
        when sources_count rlike '^-?[0-9]{1,15}([.]0+)?\\z'
            then try_cast(split_part(sources_count, '.', 1) as bigint)
    end as sources_count
from said
where left(ltrim(value), 1) = '{'
