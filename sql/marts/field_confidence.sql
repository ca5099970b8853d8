-- One row per workflow and prompt: how sure the provider is of its answers,
-- from the least sure piece of each answer.
with citations as (
    select * from execledger.citations
    where kind in ('confidence', 'word_confidence')
),

leaves as (
    select * from staging.json_leaves
    where source_table = 'citations' and number is not null
),

executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

-- A piece that calls a number its confidence has others too, such as the page.
pieces as (
    select
        row_key,
        coalesce(
            min(case when field like '%/confidence' then number end),
            min(number)
        ) as confidence
    from leaves
    group by row_key
),

answers as (
    select
        citations.provider,
        citations.connection,
        citations.execution_key,
        citations.file_key,
        citations.prompt_key,
        citations.kind,
        min(pieces.confidence) as confidence
    from citations
    inner join pieces
        on citations.citation_key = pieces.row_key
    group by
        citations.provider,
        citations.connection,
        citations.execution_key,
        citations.file_key,
        citations.prompt_key,
        citations.kind
)

select
    answers.provider,
    answers.connection,
    executions.workflow_key,
    workflows.name as workflow_name,
    answers.prompt_key,
    answers.kind,
    count(*) as answers,
    min(answers.confidence) as min_confidence,
    avg(answers.confidence) as mean_confidence,
    max(answers.confidence) as max_confidence
from answers
inner join executions
    on answers.execution_key = executions.execution_key
left join workflows
    on executions.workflow_key = workflows.workflow_key
group by
    answers.provider,
    answers.connection,
    executions.workflow_key,
    workflows.name,
    answers.prompt_key,
    answers.kind
