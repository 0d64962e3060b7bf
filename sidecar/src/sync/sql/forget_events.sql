-- What is this old cannot be delivered again as new: its time would not be believed.
delete from tradeflow.sync_events where done_at < now() - $1::float8 * interval '1 second'
