-- One row: the time now, and the UTC day. Views that need a clock read it here.
select
    current_timestamp as now_at,
    cast(current_timestamp at time zone 'UTC' as date) as today
