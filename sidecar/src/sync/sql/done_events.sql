-- What these told is stored.
update tradeflow.sync_events set done_at = now(), error = null where event_id = any ($1)
