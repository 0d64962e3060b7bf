-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select company_id from store.companies where company_id = any ($1) order by company_id for update
