-- One row per provider, vendor, model and reason why usage cannot be estimated:
-- how much that is, and how much of it has no cost from the provider either.
with costs as (
    select * from marts.token_costs
    where estimated_cost_usd is null
)

select
    provider,
    model_provider,
    model,
    reason,
    count(*) as usages,
    count(distinct execution_key) as executions,
    sum(total_tokens) as total_tokens,
    count(*) - count(cost_usd) as usages_without_cost,
    sum(case when cost_usd is null then total_tokens end)
        as total_tokens_without_cost,
    min(day) as first_day,
    max(day) as last_day
from costs
group by provider, model_provider, model, reason
