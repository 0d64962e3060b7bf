-- Again later: each time twice as late, an hour at most.
update tradeflow.sync_events
set error = $2, due_at = now() + least(interval '1 hour', interval '2 seconds' * 2 ^ least(attempts, 11))
where event_id = any ($1)
