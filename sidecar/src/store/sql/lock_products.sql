-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select product_id from store.products where product_id = any ($1) order by product_id for update
