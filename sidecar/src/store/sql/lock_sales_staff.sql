-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select sales_staff_id from store.sales_staff where sales_staff_id = any ($1) order by sales_staff_id for update
