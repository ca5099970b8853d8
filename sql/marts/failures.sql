-- One row per error at any level: its category, whether trying again helps, and
-- who must act, by the first of the ordered failure rules that fits.
with errors as (
    select * from execledger.errors
),

executions as (
    select * from execledger.executions
),

responses as (
    select * from execledger.raw_responses
),

workflows as (
    select * from execledger.workflows
),

rules as (
    select * from marts.failure_rules
),

worded as (
    select
        error_key,
        provider,
        level,
        http_status,
        lower(error_type) as error_type,
        lower(error_code) as error_code,
        -- the name of a file says nothing of the failure
        regexp_replace(
            lower(message), '[''"][^''"]*[.][a-z0-9]{2,5}[''"]', '<file>', 'g'
        ) as message
    from errors
),

-- Ids, numbers and quoted values masked, so that alike messages are one reason.
reasons as (
    select
        error_key,
        regexp_replace(
            regexp_replace(
                regexp_replace(
                    -- an apostrophe opens no quotation
                    replace(replace(message, 'n''t', 'n’t'), '''s ', '’s '),
                    '"[^"]*"|''[^'']*''|`[^`]*`|“[^”]*”', '<text>', 'g'
                ),
                '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}',
                '<id>',
                'g'
            ),
            '[0-9A-Za-z_]*[0-9][0-9A-Za-z_]*', '<n>', 'g'
        ) as reason
    from errors
),

decided as (
    select
        worded.error_key,
        min(rules.position) as position
    from worded
    inner join rules
        on
            (rules.provider is null or worded.provider = rules.provider)
            and (rules.level is null or worded.level = rules.level)
            and (
                rules.http_status is null
                or worded.http_status = rules.http_status
            )
            and (
                rules.error_type is null
                or worded.error_type like rules.error_type
            )
            and (
                rules.error_code is null
                or worded.error_code like rules.error_code
            )
            and (rules.message is null or worded.message like rules.message)
    group by worded.error_key
)

select
    errors.error_key,
    errors.execution_key,
    errors.provider,
    errors.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    coalesce(
        executions.day,
        cast(responses.received_at at time zone 'UTC' as date)
    ) as day,
    responses.received_at as seen_at,
    errors.level,
    errors.file_key,
    errors.step_key,
    errors.http_status,
    errors.error_type,
    errors.error_code,
    errors.error_param,
    errors.message,
    left(
        coalesce(
            replace(nullif(reasons.reason, ''), '’', ''''),
            errors.error_code,
            errors.error_type,
            'no message'
        ),
        300
    ) as reason,
    coalesce(rules.category, 'unknown') as category,
    rules.is_retryable,
    rules.who_acts,
    decided.position as rule_position
from errors
left join executions
    on errors.execution_key = executions.execution_key
left join responses
    on errors.response_id = responses.response_id
left join workflows
    on executions.workflow_key = workflows.workflow_key
left join decided
    on errors.error_key = decided.error_key
left join rules
    on decided.position = rules.position
left join reasons
    on errors.error_key = reasons.error_key
