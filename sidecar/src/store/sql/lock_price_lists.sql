-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select price_list_id from store.price_lists where price_list_id = any ($1) order by price_list_id for update
