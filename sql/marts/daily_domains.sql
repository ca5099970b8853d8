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
        *,
        count(*) over (partition by execution_key) as domains
    from cited
)

select
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    breadth.domain,
    sum(breadth.sources) as sources,
    sum(breadth.invalid_uris) as invalid_uris,
    count(*) as executions,
    sum(case when breadth.domains = 1 then 1 else 0 end)
        as sole_source_executions,
    count(executions.condition_met) as condition_known_executions,
    sum(case when executions.condition_met then 1 else 0 end)
        as condition_met_executions
from breadth
inner join executions
    on breadth.execution_key = executions.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
group by
    executions.day,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name,
    breadth.domain
