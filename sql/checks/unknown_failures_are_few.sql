-- Of each provider's failures in the last 30 days, no larger share than
-- max_unknown_share is of unknown category: more rules are needed.
with failures as (
    select failures.*
    from marts.failures as failures
    cross join staging.clock as clock
    where failures.day > clock.today - 30
)

select
    provider,
    count(*) as failures,
    sum(case when category = 'unknown' then 1 else 0 end) as unknown,
    min(case when category = 'unknown' then message end) as example
from failures
group by provider
having
    sum(case when category = 'unknown' then 1 else 0 end)
    > $max_unknown_share * count(*)
