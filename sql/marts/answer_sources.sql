-- One row per web source of an execution: the answer it stands behind, the
-- condition it decided, and where it leads.
with executions as (
    select * from execledger.executions
),

grounding_sources as (
    select * from execledger.grounding_sources
),

answers as (
    select * from execledger.outputs
    where name = 'answer'
),

workflows as (
    select * from execledger.workflows
)

select
    grounding_sources.source_key,
    grounding_sources.execution_key,
    executions.provider,
    executions.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    executions.day,
    executions.status,
    executions.condition_met,
    answers.value_text as answer,
    grounding_sources.position,
    grounding_sources.domain,
    grounding_sources.uri,
    grounding_sources.is_valid_uri,
    grounding_sources.title,
    grounding_sources.snippet
from grounding_sources
inner join executions
    on grounding_sources.execution_key = executions.execution_key
left join answers
    on grounding_sources.execution_key = answers.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
