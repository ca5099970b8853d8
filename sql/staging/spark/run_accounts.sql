-- One row per run and account: what that run read and wrote of the account.
-- Spark's readers of JSON say a text and a number alike. So each text, names
-- too, has an "s" before it, and each number is a text with an "n" before it.
with runs as (
    select
        run_id,
        get_json_object(counts, '$.accounts') as accounts
    from execledger.runs
),

accounts as (
    select
        run_id,
        explode(
            map_entries(
                from_json(
                    replace(
                        replace(
                            regexp_replace(
                                replace(
                                    replace(accounts, '\\\\', '\\u005c'),
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
    from runs
),

counts as (
    select
        run_id,
        substr(entry.key, 2) as account,
        regexp_replace(
            regexp_replace(
                replace(
                    replace(entry.value, '\\\\', '\\u005c'),
                    '\\"', '\\u0022'
                ),
                '"n([^"]*)"', '$1'
            ),
            '"s([^"]*)"', '"$1"'
        ) as counts
    from accounts
),

named as (
    select
        run_id,
        account,
        counts,
        get_json_object(counts, '$.new') as new_executions,
        get_json_object(counts, '$.changed') as changed_executions,
        get_json_object(counts, '$.errors') as errors
    from counts
)

select
    run_id,
    split_part(account, ':', 1) as provider,
    substr(account, instr(account, ':') + 1) as connection,
    case
        when new_executions rlike '^-?[0-9]{1,15}([.]0+)?\\z'
            then try_cast(split_part(new_executions, '.', 1) as bigint)
    end as new_executions,
    case
        when changed_executions rlike '^-?[0-9]{1,15}([.]0+)?\\z'
            then try_cast(split_part(changed_executions, '.', 1) as bigint)
    end as changed_executions,
    case
        when errors rlike '^-?[0-9]{1,15}([.]0+)?\\z'
            then try_cast(split_part(errors, '.', 1) as bigint)
    end as errors,
    counts as read_and_written
from named
