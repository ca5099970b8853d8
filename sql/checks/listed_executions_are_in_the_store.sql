-- The store holds no fewer executions of a task than the provider said that
-- there are, when its listing was last read from the top.
with listings as (
    select
        *,
        row_number() over (
            partition by provider, connection, scope
            order by received_at desc, response_id desc
        ) as place
    from staging.listings
),

held as (
    select
        provider,
        connection,
        scope,
        count(*) as executions
    from execledger.executions
    group by provider, connection, scope
)

select
    listings.provider,
    listings.connection,
    listings.scope,
    listings.total,
    coalesce(held.executions, 0) as executions
from listings
left join held
    on
        listings.provider = held.provider
        and listings.connection = held.connection
        and listings.scope = held.scope
where listings.place = 1 and listings.total > coalesce(held.executions, 0)
