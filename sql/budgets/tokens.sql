-- One row: tokens used from a day on, and how many usages count for nothing in
-- it.
with costs as (
    select * from marts.token_costs
),

tagged as (
    select distinct execution_key
    from execledger.execution_tags
    where
        tag = $tag
        and ($tag_value is null or tag_value = $tag_value)
)

select
    coalesce(sum(costs.total_tokens), 0) as value,
    count(*) - count(costs.total_tokens) as not_known
from costs
left join tagged
    on costs.execution_key = tagged.execution_key
where
    costs.day >= $since
    and ($provider is null or costs.provider = $provider)
    and (
        $workflow is null
        or costs.workflow_key = $workflow
        or costs.workflow_name = $workflow
    )
    and ($tag is null or tagged.execution_key is not null)
