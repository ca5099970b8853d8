-- One row per provider, vendor, model and how the model is known: who used it,
-- tokens by kind, and cost.
with costs as (
    select * from marts.token_costs
)

select
    provider,
    model_provider,
    model,
    model_basis,
    count(*) as usages,
    count(distinct execution_key) as executions,
    count(distinct workflow_key) as workflows,
    sum(input_tokens) as input_tokens,
    sum(output_tokens) as output_tokens,
    sum(cached_input_tokens) as cached_input_tokens,
    sum(cache_write_tokens) as cache_write_tokens,
    sum(reasoning_tokens) as reasoning_tokens,
    sum(total_tokens) as total_tokens,
    sum(provided_cost_usd) as provided_cost_usd,
    sum(estimated_cost_usd) as estimated_cost_usd,
    sum(cost_usd) as cost_usd,
    count(*) - count(cost_usd) as usages_without_cost,
    min(day) as first_day,
    max(day) as last_day
from costs
group by provider, model_provider, model, model_basis
