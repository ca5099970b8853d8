"""A store of any size, made by SQL in seconds: what views are measured on.

Six of ten executions are of Torale (three sources, a result and its answer), two of
Unstract (two files, four usages and two roll-ups), two of Discuro (one usage). One
in twenty failed. They spread over 365 days and 270 workflows.
"""

import duckdb

from pipelines.tables import create_tables

__all__ = ["fill"]

_DAYS, _TASKS, _APIS, _ORCHESTRATORS = 365, 200, 50, 20

_BASE = f"""
create or replace temp table base as
select
    i,
    case when i % 10 < 6 then 'torale' when i % 10 < 8 then 'unstract' else 'discuro'
    end as provider,
    'default' as connection,
    case when i % 10 < 6 then 'task-' || (i * 7 % {_TASKS})
        when i % 10 < 8 then 'org/api-' || (i * 7 % {_APIS})
        else 'flow-' || (i * 7 % {_ORCHESTRATORS}) end as workflow_id,
    hash(i) % 20 = 0 as has_failed,
    timestamptz '2026-11-01 00:00:00+00'
        - to_seconds(cast(hash(i + 1) % ({_DAYS} * 86400) as bigint)) as started_at,
    cast(hash(i + 2) % 60000 as bigint) as took_ms,
    '01a21526-' || lpad(cast(i as varchar), 12, '0') as response_id
from range(?) as numbers (i)
"""

_TABLES = {
    "workflows": """
        select distinct provider, connection, '01a2' as response_id,
            provider || ':default:' || workflow_id as workflow_key, workflow_id,
            'task' as kind, 'Workflow ' || workflow_id as name,
            timestamptz '2025-01-01' as first_seen_at,
            timestamptz '2025-01-01' as observed_at
        from base
    """,
    "executions": """
        select provider, connection, {key} as execution_key, response_id,
            'e' || i as execution_id,
            case when provider = 'discuro' then '' else workflow_id end as scope,
            provider || ':default:' || workflow_id as workflow_key,
            case when has_failed then 'failed' else 'succeeded' end as status,
            case when has_failed then 'failed' else 'success' end as provider_status,
            true as is_terminal, 'captured' as result_state,
            cast(started_at as date) as day,
            case when provider = 'torale'
                then started_at - to_milliseconds(i % 900) end as created_at,
            started_at, started_at + to_milliseconds(took_ms) as ended_at,
            took_ms as duration_ms,
            case when provider = 'torale' and not has_failed then i % 7 = 0
            end as condition_met,
            case when provider = 'torale' and i % 7 = 0 then 'In stock' end
                as notification,
            case when has_failed then 'Search timed out after 30 seconds' end
                as error_message,
            started_at as first_seen_at,
            started_at + to_milliseconds(took_ms) as observed_at,
            'sha' || i as content_sha256, 'sha' || i as list_sha256
        from base
    """,
    "execution_files": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//message/' || n as file_key, n as position,
            'scan-' || i || '.pdf' as file_name, 'f' || i as file_execution_id,
            case when has_failed then 'failed' else 'succeeded' end as status,
            case when has_failed then 'Failed' else 'Success' end as provider_status,
            12.5 as elapsed_s, 3 as pages_processed
        from base, range(2) as files (n) where provider = 'unstract'
    """,
    "outputs": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//executions/0/result' as output_key, 0 as position,
            'result' as name, cast({result} as json) as value,
            cast(null as varchar) as value_text
        from base where provider = 'torale' and not has_failed
        union all
        select provider, connection, {key}, response_id,
            {key} || '//executions/0/result/answer', 1, 'answer', null,
            'In stock at ' || i || ' dollars'
        from base where provider = 'torale' and not has_failed
        union all
        select provider, connection, {key}, response_id,
            {key} || '//message/' || n || '/result/output', n, 'output',
            cast({invoice} as json), null
        from base, range(2) as files (n)
        where provider = 'unstract' and not has_failed
        union all
        select provider, connection, {key}, response_id,
            {key} || '//transformation/data/' || n, n, 'data',
            cast({film} as json), null
        from base, range(5) as records (n)
        where provider = 'discuro' and not has_failed
    """,
    "token_usage": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//transformation/usage' as usage_key,
            cast(null as varchar) as file_key, 'invoke_workflow' as operation,
            'unknown' as purpose, 'result' as source, 'openai' as model_provider,
            'gpt-4o' as model, 'assumed' as model_basis, 81 + i % 400 as input_tokens,
            45 + i % 90 as output_tokens, 126 + i % 400 + i % 90 as total_tokens,
            cast(null as decimal(18, 12)) as provided_cost_usd, true as is_counted
        from base where provider = 'discuro'
        union all
        select provider, connection, {key}, response_id,
            {key} || '//message/' || f || '/result/metadata/' || n,
            {key} || '//message/' || f,
            case n when 1 then 'embeddings' when 2 then null else 'chat' end,
            case n when 0 then 'extraction' when 1 then 'embedding' else 'unknown' end,
            case n when 2 then 'rollup' else 'result' end,
            case n when 2 then null else 'azure' end,
            case n when 0 then 'gpt-4o' when 1 then 'text-embedding-3-small' end,
            case n when 2 then 'missing' else 'reported' end,
            4000 + i % 900, case n when 1 then null else 20 + i % 50 end,
            4020 + i % 900 + i % 50,
            case when i % 3 > 0 then cast(0.0101 as decimal(18, 12)) end, n < 2
        from base, range(2) as files (f), range(3) as usages (n)
        where provider = 'unstract'
    """,
    "grounding_sources": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//executions/0/grounding_sources/' || n as source_key,
            n as position,
            'https://shop' || ((i * 3 + n) % 500) || '.example.com/item?n=' || i as uri,
            'Shop' as title, 'In stock' as snippet,
            'shop' || ((i * 3 + n) % 500) || '.example.com' as domain,
            true as is_valid_uri
        from base, range(3) as sources (n) where provider = 'torale'
    """,
    "errors": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//executions/0/error_message' as error_key,
            'execution' as level,
            case i % 4 when 0 then 'Search timed out after ' || i || ' seconds'
                when 1 then 'Rate limit exceeded for search ' || i
                when 2 then 'Error processing file ''scan-' || i || '.pdf'': broken'
                else 'Something happened to ' || md5(cast(i as varchar)) end as message
        from base where has_failed
    """,
    "execution_tags": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//params/tags/0' as tag_key, 'team' as tag,
            'team-' || (i % 9) as tag_value
        from base where provider <> 'torale'
    """,
    "execution_metadata": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || path as metadata_key, path, cast(value as json) as value
        from base, (values ('/message/0/metadata/organization_id', '"org"'),
            ('/message/0/metadata/run_id', '"r1"'),
            ('/message/0/metadata/workflow_start_time', '1795645025.2'))
            as paths (path, value)
        where provider = 'unstract'
    """,
    "execution_steps": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//message/0/result/metadata/required_fields/total' as step_key,
            {key} || '//message/0' as file_key, 'required_field' as kind,
            0 as position, 'total' as name, i % 11 > 0 as is_passed
        from base where provider = 'unstract'
    """,
    "citations": """
        select provider, connection, {key} as execution_key, response_id,
            {key} || '//message/0/result/metadata/confidence_data/total'
                as citation_key,
            {key} || '//message/0' as file_key, 'total' as prompt_key,
            'confidence' as kind, 0 as position,
            cast(0.5 + i % 50 / 100.0 as varchar)::json as value
        from base where provider = 'unstract'
    """,
    "status_history": """
        select provider, connection, {key} as execution_key, response_id,
            started_at as observed_at, 'running' as status,
            'running' as provider_status
        from base where i % 5 = 0
        union all
        select provider, connection, {key}, response_id,
            started_at + to_milliseconds(took_ms),
            case when has_failed then 'failed' else 'succeeded' end,
            case when has_failed then 'failed' else 'success' end
        from base
    """,
    "raw_responses": """
        select provider, connection, response_id, 'execution' as endpoint,
            'GET' as method, 'https://api.example.com/' as url,
            cast('{{"task_id":"t"}}' as json) as params, 200 as http_status,
            cast('{{}}' as json) as headers,
            started_at + to_milliseconds(took_ms) as received_at, 12 as elapsed_ms,
            1 as attempts, 'ok' as outcome, 900 as size_bytes
        from base
    """,
    "load_rejects": """
        select provider, connection, response_id, {key} || '#' as reject_key,
            {key} as execution_key, '/executions/' || i % 100 || '/completed_at'
                as path, 'not_a_time' as reason, 'sha' || i as value_sha256,
            started_at as first_seen_at
        from base where i % 1000 = 0
    """,
    "model_prices": """
        select 'openai' as model_provider, 'gpt-4o' as model,
            date '1970-01-01' as valid_from, 0.0000025 as input_usd,
            0.00001 as output_usd, 'made up' as price_version
        union all select 'azure', 'gpt-4o', date '1970-01-01', 0.000003, 0.00001, 'm'
        union all select 'azure', 'gpt-4o', date '2026-06-01', 0.0000025, 0.00001, 'm'
        union all select 'azure', 'text-embedding-3-small', date '1970-01-01',
            0.00000002, null, 'm'
    """,
    "runs": """
        select 'run-' || i as run_id, 'load' as command,
            timestamptz '2026-11-01' + to_hours(cast(i as integer)) as started_at,
            timestamptz '2026-11-01' + to_hours(cast(i as integer)) as ended_at,
            'ok' as outcome,
            cast('{{"accounts":{{"torale:default":{{"new":1,"changed":0}}}}}}' as json)
                as counts
        from range(500) as numbers (i)
    """,
}

_PARTS = {
    "key": "(provider || ':default:' || case when provider = 'discuro' then '' else "
    "workflow_id end || ':e' || i)",
    "result": """('{"answer":"In stock at ' || i || ' dollars","reasoning":"Three shops
 say so","condition_met":' || case when i % 7 = 0 then 'true' else 'false' end
 || ',"sources_count":3,"confidence":' || i % 100 || '}')""",
    "invoice": """('{"invoice_number":"INV-' || i || '","total":' || i % 9999
 || '.5,"is_paid":false,"line_items":[{"sku":"A","qty":2},{"sku":"B","qty":4}]}')""",
    "film": """('{"film":"Solaris","year":' || 1950 + n || ',"genres":["drama"]}')""",
}


def fill(con: duckdb.DuckDBPyConnection, executions: int) -> None:
    """Fill an empty database with the tables of a store, and so many executions."""
    create_tables(con)
    con.execute(_BASE, [executions])
    for table, select in _TABLES.items():
        sql = select.format(**_PARTS).replace("\n say", " say")
        con.execute(f"insert into execledger.{table} by name {sql}")
    con.execute("drop table base")
    con.execute("checkpoint")
