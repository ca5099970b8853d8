-- No result was lost since the last load began.
with lost as (
    select * from marts.lost_results
),

last_load as (
    select max(started_at) as started_at
    from execledger.runs
    where command = 'load'
)

select
    lost.execution_key,
    lost.result_state,
    lost.lost_at,
    lost.reason
from lost
cross join last_load
where lost.lost_at >= last_load.started_at
