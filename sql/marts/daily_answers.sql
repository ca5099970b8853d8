-- One row per UTC day, provider, connection and workflow whose executions have
-- a condition or cite sources: how often the condition was met, and on what
-- answers rest.
with executions as (
    select * from execledger.executions
),

sources as (
    select * from execledger.grounding_sources
),

workflows as (
    select * from execledger.workflows
),

cited as (
    select
        execution_key,
        count(*) as sources,
        count(distinct domain) as domains
    from sources
    group by execution_key
)

select
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    count(*) as executions,
    count(executions.condition_met) as condition_known_executions,
    sum(case when executions.condition_met then 1 else 0 end)
        as condition_met_executions,
    count(executions.notification) as notifications,
    count(cited.execution_key) as executions_with_sources,
    coalesce(sum(cited.sources), 0) as sources,
    sum(case when cited.domains = 1 then 1 else 0 end)
        as sole_source_executions
from executions
left join cited
    on executions.execution_key = cited.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
where
    executions.condition_met is not null
    or cited.execution_key is not null
group by
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name
