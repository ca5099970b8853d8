-- One row per leaf of an output: where it stands in the value, its type, and
-- what it is, as text and as a number. An output that is a text is one leaf.
with leaves as (
    select * from staging.json_leaves
    where source_table = 'outputs'
)

select
    row_key as output_key,
    path,
    execution_key,
    provider,
    connection,
    workflow_key,
    day,
    file_key,
    name as output_name,
    field,
    type,
    text,
    number
from leaves
