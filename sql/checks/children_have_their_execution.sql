-- Every row below an execution has its execution; what concerns a request alone
-- has none.
select
    'execution_files' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.execution_files as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'execution_steps' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.execution_steps as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'outputs' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.outputs as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'token_usage' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.token_usage as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'grounding_sources' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.grounding_sources as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'citations' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.citations as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'errors' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.errors as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'execution_tags' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.execution_tags as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
union all
select
    'execution_metadata' as table_name,
    children.execution_key,
    count(*) as orphans
from execledger.execution_metadata as children
left join execledger.executions as executions
    on children.execution_key = executions.execution_key
where
    executions.execution_key is null
    and children.execution_key not like 'request:%'
group by children.execution_key
