-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select bc_order_id from store.orders where bc_order_id = any ($1) order by bc_order_id for update
