-- One row per UTC day, provider, connection, workflow and registrable domain:
-- the executions that cited it, how often alone, and how often the condition
-- was met.
with sources as (
    select * from execledger.grounding_sources
),

executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

cited as (
    select
        execution_key,
        domain,
        count(*) as sources,
        sum(case when is_valid_uri = false then 1 else 0 end) as invalid_uris
    from sources
    group by execution_key, domain
),

breadth as (
    select
        execution_key,
        min(coalesce(domain, '')) = max(coalesce(domain, '')) as has_one_domain
    from sources
    group by execution_key
)

select
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    cited.domain,
    sum(cited.sources) as sources,
    sum(cited.invalid_uris) as invalid_uris,
    count(*) as executions,
    sum(case when breadth.has_one_domain then 1 else 0 end)
        as sole_source_executions,
    count(executions.condition_met) as condition_known_executions,
    sum(case when executions.condition_met then 1 else 0 end)
        as condition_met_executions
from cited
inner join breadth
    on cited.execution_key = breadth.execution_key
inner join executions
    on cited.execution_key = executions.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
group by
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name,
    cited.domain
