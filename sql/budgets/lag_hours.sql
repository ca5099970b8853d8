-- One row: hours since the last load without an error, of the account for which
-- that is longest; NULL where none was loaded.
with freshness as (
    select * from marts.freshness
)

select
    max(lag_s) / cast(3600 as double) as value,
    count(*) - count(lag_s) as not_known
from freshness
where
    ($provider is null or provider = $provider)
    and (
        $workflow is null
        or workflow_key = $workflow
        or workflow_name = $workflow
    )
