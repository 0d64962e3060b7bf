-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select price_list_id from store.price_list_records where variant_id = any ($1) order by price_list_id, variant_id, currency for update
