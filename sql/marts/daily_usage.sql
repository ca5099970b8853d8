-- One row per UTC day, provider, connection, workflow and model: executions,
-- tokens and cost. An execution that used two models counts under each.
with executions as (
    select * from execledger.executions
),

costs as (
    select * from marts.token_costs
),

workflows as (
    select * from execledger.workflows
),

used as (
    select
        execution_key,
        model_provider,
        model,
        sum(input_tokens) as input_tokens,
        sum(output_tokens) as output_tokens,
        sum(cached_input_tokens) as cached_input_tokens,
        sum(total_tokens) as total_tokens,
        sum(provided_cost_usd) as provided_cost_usd,
        sum(estimated_cost_usd) as estimated_cost_usd,
        sum(cost_usd) as cost_usd,
        count(*) - count(cost_usd) as usages_without_cost
    from costs
    group by execution_key, model_provider, model
)

select
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    used.model_provider,
    used.model,
    count(*) as executions,
    sum(case when executions.status = 'succeeded' then 1 else 0 end)
        as succeeded,
    sum(case when executions.status = 'failed' then 1 else 0 end) as failed,
    sum(used.input_tokens) as input_tokens,
    sum(used.output_tokens) as output_tokens,
    sum(used.cached_input_tokens) as cached_input_tokens,
    sum(used.total_tokens) as total_tokens,
    sum(used.provided_cost_usd) as provided_cost_usd,
    sum(used.estimated_cost_usd) as estimated_cost_usd,
    sum(used.cost_usd) as cost_usd,
    sum(coalesce(used.usages_without_cost, 0)) as usages_without_cost
from executions
left join used
    on executions.execution_key = used.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
group by
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name,
    used.model_provider,
    used.model
