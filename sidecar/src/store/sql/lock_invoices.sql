-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select invoice_id from store.invoices where invoice_id = any ($1) order by invoice_id for update
