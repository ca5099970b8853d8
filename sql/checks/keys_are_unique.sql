-- In every table, a key stands once.
select
    'executions' as table_name,
    execution_key as row_key,
    count(*) as times
from execledger.executions
group by execution_key
having count(*) > 1
union all
select
    'execution_files' as table_name,
    file_key as row_key,
    count(*) as times
from execledger.execution_files
group by file_key
having count(*) > 1
union all
select
    'execution_steps' as table_name,
    step_key as row_key,
    count(*) as times
from execledger.execution_steps
group by step_key
having count(*) > 1
union all
select
    'outputs' as table_name,
    output_key as row_key,
    count(*) as times
from execledger.outputs
group by output_key
having count(*) > 1
union all
select
    'token_usage' as table_name,
    usage_key as row_key,
    count(*) as times
from execledger.token_usage
group by usage_key
having count(*) > 1
union all
select
    'grounding_sources' as table_name,
    source_key as row_key,
    count(*) as times
from execledger.grounding_sources
group by source_key
having count(*) > 1
union all
select
    'citations' as table_name,
    citation_key as row_key,
    count(*) as times
from execledger.citations
group by citation_key
having count(*) > 1
union all
select
    'errors' as table_name,
    error_key as row_key,
    count(*) as times
from execledger.errors
group by error_key
having count(*) > 1
union all
select
    'execution_tags' as table_name,
    tag_key as row_key,
    count(*) as times
from execledger.execution_tags
group by tag_key
having count(*) > 1
union all
select
    'execution_metadata' as table_name,
    metadata_key as row_key,
    count(*) as times
from execledger.execution_metadata
group by metadata_key
having count(*) > 1
union all
select
    'workflows' as table_name,
    workflow_key as row_key,
    count(*) as times
from execledger.workflows
group by workflow_key
having count(*) > 1
union all
select
    'model_prices' as table_name,
    model_provider
    || ' '
    || model
    || ' '
    || cast(valid_from as varchar) as row_key,
    count(*) as times
from execledger.model_prices
group by model_provider, model, valid_from
having count(*) > 1
union all
select
    'raw_responses' as table_name,
    response_id as row_key,
    count(*) as times
from execledger.raw_responses
group by response_id
having count(*) > 1
union all
select
    'status_history' as table_name,
    execution_key || ' ' || cast(observed_at as varchar) as row_key,
    count(*) as times
from execledger.status_history
group by execution_key, observed_at
having count(*) > 1
union all
select
    'load_rejects' as table_name,
    reject_key as row_key,
    count(*) as times
from execledger.load_rejects
group by reject_key
having count(*) > 1
union all
select
    'runs' as table_name,
    run_id as row_key,
    count(*) as times
from execledger.runs
group by run_id
having count(*) > 1
union all
select
    'check_results' as table_name,
    run_id || ' ' || check_name as row_key,
    count(*) as times
from execledger.check_results
group by run_id, check_name
having count(*) > 1
