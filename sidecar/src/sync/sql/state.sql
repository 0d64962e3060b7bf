-- How far a resource is.
select watermark, position, finished_at, swept_at from tradeflow.sync_state where resource = $1
