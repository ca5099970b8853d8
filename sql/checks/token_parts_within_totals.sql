-- Parts of tokens never exceed what they are parts of: cached and cache-written
-- of those read, reasoning of those written, read and written of all.
select
    usage_key,
    input_tokens,
    cached_input_tokens,
    cache_write_tokens,
    output_tokens,
    reasoning_tokens,
    total_tokens
from execledger.token_usage
where
    coalesce(cached_input_tokens, 0) + coalesce(cache_write_tokens, 0)
    > coalesce(input_tokens, total_tokens)
    or reasoning_tokens > coalesce(output_tokens, total_tokens)
    or coalesce(input_tokens, 0) + coalesce(output_tokens, 0) > total_tokens
