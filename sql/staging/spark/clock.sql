-- One row: the time now, and the UTC day. Views that need a clock read it here.
select
    current_timestamp() as now_at,
    cast(
        to_utc_timestamp(current_timestamp(), current_timezone()) as date
    ) as today
