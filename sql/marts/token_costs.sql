-- One row per counted usage of tokens: what the provider says that it cost,
-- what we estimate, and on what each rests. Each token stands here once.
with usage as (
    select * from execledger.token_usage
    where is_counted
),

executions as (
    select * from execledger.executions
),

workflows as (
    select * from execledger.workflows
),

prices as (
    select
        *,
        lead(valid_from) over (
            partition by model_provider, model
            order by valid_from
        ) as valid_until
    from execledger.model_prices
),

tokens as (
    select
        usage.*,
        executions.workflow_key,
        workflows.name as workflow_name,
        executions.day,
        coalesce(usage.cached_input_tokens, 0) as cached,
        coalesce(usage.cache_write_tokens, 0) as written_to_cache,
        coalesce(usage.reasoning_tokens, 0) as reasoned,
        case
            when usage.operation = 'embeddings'
                then coalesce(usage.input_tokens, usage.total_tokens)
            else usage.input_tokens
        end as tokens_read,
        case
            when usage.operation = 'embeddings'
                then coalesce(usage.output_tokens, 0)
            else usage.output_tokens
        end as tokens_written
    from usage
    inner join executions
        on usage.execution_key = executions.execution_key
    left join workflows
        on executions.workflow_key = workflows.workflow_key
),

priced as (
    select
        tokens.*,
        prices.valid_from as price_valid_from,
        prices.price_version,
        prices.origin as price_origin,
        prices.cached_input_usd,
        prices.cache_write_usd,
        prices.output_usd,
        coalesce(prices.reasoning_usd, prices.output_usd) as reasoning_usd,
        case
            when tokens.operation = 'embeddings'
                then coalesce(prices.embedding_usd, prices.input_usd)
            else prices.input_usd
        end as read_usd,
        case
            when tokens.tokens_read < tokens.cached + tokens.written_to_cache
                then 0
            else tokens.tokens_read - tokens.cached - tokens.written_to_cache
        end as plainly_read,
        case
            when tokens.tokens_written < tokens.reasoned then 0
            else tokens.tokens_written - tokens.reasoned
        end as plainly_written
    from tokens
    left join prices
        on
            coalesce(tokens.model_provider, '') = prices.model_provider
            and tokens.model = prices.model
            and tokens.day >= prices.valid_from
            and (
                prices.valid_until is null or tokens.day < prices.valid_until
            )
),

-- With as many digits that a sum of five is exact on every engine: Spark cuts
-- those after the point where there are more than 38.
parts as (
    select
        *,
        case
            when plainly_read = 0 then 0
            else
                cast(
                    cast(plainly_read as decimal(19, 0)) * read_usd
                    as decimal(34, 12)
                )
        end as read_cost,
        case
            when cached = 0 then 0
            else
                cast(
                    cast(cached as decimal(19, 0))
                    * coalesce(cached_input_usd, read_usd)
                    as decimal(34, 12)
                )
        end as cached_cost,
        case
            when written_to_cache = 0 then 0
            else
                cast(
                    cast(written_to_cache as decimal(19, 0))
                    * coalesce(cache_write_usd, read_usd)
                    as decimal(34, 12)
                )
        end as cache_write_cost,
        case
            when plainly_written = 0 then 0
            else
                cast(
                    cast(plainly_written as decimal(19, 0)) * output_usd
                    as decimal(34, 12)
                )
        end as written_cost,
        case
            when reasoned = 0 then 0
            else
                cast(
                    cast(reasoned as decimal(19, 0)) * reasoning_usd
                    as decimal(34, 12)
                )
        end as reasoning_cost
    from priced
),

estimated as (
    select
        *,
        case
            when read_usd is not null or output_usd is not null
                then
                    cast(
                        read_cost
                        + cached_cost
                        + cache_write_cost
                        + written_cost
                        + reasoning_cost
                        as decimal(38, 12)
                    )
        end as estimated_cost_usd
    from parts
)

select
    usage_key,
    execution_key,
    file_key,
    provider,
    connection,
    workflow_key,
    workflow_name,
    day,
    operation,
    purpose,
    source,
    model_provider,
    model,
    model_basis,
    input_tokens,
    output_tokens,
    total_tokens,
    cached_input_tokens,
    cache_write_tokens,
    reasoning_tokens,
    provided_cost_usd,
    estimated_cost_usd,
    coalesce(
        cast(provided_cost_usd as decimal(38, 12)), estimated_cost_usd
    ) as cost_usd,
    case
        when provided_cost_usd is not null then 'provided'
        when read_usd is null and output_usd is null then 'unknown_model'
        when model_basis = 'assumed' then 'assumed_model'
        else 'listed'
    end as basis,
    case
        when estimated_cost_usd is not null then null
        when model is null then 'the model is not said'
        when read_usd is null and output_usd is null
            then 'no price is known for the model'
        when tokens_read is null or tokens_written is null
            then 'the tokens are not said in full'
        when read_usd is null then 'no price is known for tokens read'
        else 'no price is known for tokens written'
    end as reason,
    price_valid_from,
    price_version,
    price_origin
from estimated
