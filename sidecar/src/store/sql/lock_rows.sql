-- Takes the rows of a batch, always in the same order, so that two loads queue up instead of deadlocking.
select from store.{table} where {id} = any ($1) order by {key} for update
