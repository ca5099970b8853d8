-- Every status of an execution or a file is one that we know, or its result is
-- lost.
select
    provider,
    provider_status,
    count(*) as times,
    min(execution_key) as example
from execledger.executions
where
    status = 'unknown'
    and coalesce(result_state, 'pending') not in (
        'acknowledged_elsewhere', 'lost_in_transit', 'expired', 'missing'
    )
group by provider, provider_status
union all
select
    provider,
    provider_status,
    count(*) as times,
    min(execution_key) as example
from execledger.execution_files
where status = 'unknown'
group by provider, provider_status
