-- One row: the share of executions that failed, of those that finished from a
-- day on; NULL where none did. Beside it, how many ended in a way that nobody
-- knows.
with executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

tagged as (
    select distinct execution_key
    from execledger.execution_tags
    where
        tag = $tag
        and ($tag_value is null or tag_value = $tag_value)
)

select
    cast(
        sum(case when executions.status = 'failed' then 1 else 0 end) as double
    ) / nullif(
        sum(
            case
                when
                    executions.status in (
                        'succeeded', 'partially_succeeded', 'failed'
                    )
                    then 1
                else 0
            end
        ),
        0
    ) as value,
    coalesce(
        sum(case when executions.status = 'unknown' then 1 else 0 end), 0
    ) as not_known
from executions
left join tagged
    on executions.execution_key = tagged.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
where
    executions.day >= $since
    and ($provider is null or executions.provider = $provider)
    and (
        $workflow is null
        or executions.workflow_key = $workflow
        or workflows.name = $workflow
    )
    and ($tag is null or tagged.execution_key is not null)
