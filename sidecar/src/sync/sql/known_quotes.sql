-- Quotes that are stored with their details. One written within seconds of its change may have been read in the middle of the second
-- in which it changed again: it is fetched once more.
select quote_id, updated_at
from store.quotes
where quote_id = any ($1) and raw ? 'productList' and updated_at is not null and synced_at > updated_at + interval '5 seconds'
