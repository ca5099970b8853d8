-- One row per provider, category and reason, and what the rules say of it: how
-- often, since when, and an example. In a reason ids, numbers and quoted values
-- are masked.
with failures as (
    select * from marts.failures
),

worded as (
    select
        *,
        -- an apostrophe opens no quotation
        replace(replace(message, 'n''t', 'n’t'), '''s ', '’s ') as words
    from failures
),

masked as (
    select
        *,
        left(
            coalesce(
                replace(
                    regexp_replace(
                        regexp_replace(
                            regexp_replace(
                                words,
                                '"[^"]*"|''[^'']*''|`[^`]*`|“[^”]*”',
                                '<text>',
                                'g'
                            ),
                            '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}'
                            || '-[0-9a-fA-F]{12}',
                            '<id>',
                            'g'
                        ),
                        '[0-9A-Za-z_]*[0-9][0-9A-Za-z_]*', '<n>', 'g'
                    ),
                    '’', ''''
                ),
                error_code,
                error_type,
                'no message'
            ),
            300
        ) as reason
    from worded
),

ordered as (
    select
        *,
        row_number() over (
            partition by provider, category, is_retryable, who_acts, reason
            order by seen_at desc, error_key desc
        ) as place
    from masked
)

select
    provider,
    category,
    is_retryable,
    who_acts,
    reason,
    count(*) as errors,
    count(
        distinct case
            when execution_key not like 'request:%' then execution_key
        end
    ) as executions,
    count(distinct workflow_key) as workflows,
    min(seen_at) as first_seen_at,
    max(seen_at) as last_seen_at,
    min(case when place = 1 then message end) as example,
    min(case when place = 1 then execution_key end) as example_execution_key
from ordered
group by provider, category, is_retryable, who_acts, reason
