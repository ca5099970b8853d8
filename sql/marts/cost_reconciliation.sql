-- One row per UTC month, provider, connection and model: what the provider said
-- that usage cost beside our estimate of the same usage.
with costs as (
    select
        *,
        cast(date_trunc('month', day) as date) as month,
        case
            when
                provided_cost_usd is not null
                and estimated_cost_usd is not null
                then 1
            else 0
        end as is_comparable
    from marts.token_costs
),

summed as (
    select
        month,
        provider,
        connection,
        model_provider,
        model,
        count(*) as usages,
        sum(is_comparable) as comparable_usages,
        sum(case when is_comparable = 1 then provided_cost_usd end)
            as provided_cost_usd,
        sum(case when is_comparable = 1 then estimated_cost_usd end)
            as estimated_cost_usd,
        sum(
            case
                when is_comparable = 0 and provided_cost_usd is not null then 1
                else 0
            end
        ) as only_provided_usages,
        sum(
            case
                when is_comparable = 0 and estimated_cost_usd is not null then 1
                else 0
            end
        ) as only_estimated_usages,
        count(*) - count(cost_usd) as usages_without_cost
    from costs
    group by month, provider, connection, model_provider, model
)

select
    month,
    provider,
    connection,
    model_provider,
    model,
    usages,
    comparable_usages,
    provided_cost_usd,
    estimated_cost_usd,
    cast(provided_cost_usd as decimal(36, 12))
    - cast(estimated_cost_usd as decimal(36, 12)) as difference_usd,
    cast(provided_cost_usd as double)
    / nullif(cast(estimated_cost_usd as double), 0) as provided_to_estimated,
    only_provided_usages,
    only_estimated_usages,
    usages_without_cost
from summed
