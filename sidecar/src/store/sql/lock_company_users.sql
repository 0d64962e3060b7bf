-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select b2b_user_id from store.company_users where b2b_user_id = any ($1) order by b2b_user_id for update
