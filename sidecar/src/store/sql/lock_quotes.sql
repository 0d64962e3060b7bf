-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select quote_id from store.quotes where quote_id = any ($1) order by quote_id for update
