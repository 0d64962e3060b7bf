-- $1 ids, $2 worker. Asked only when a report was repeated: the history is by the time of the end, so of the last hour.
select h.id
from tradeflow.outbox_history h
where h.id = any ($1) and h.worker = $2 and h.state = 'done' and h.finished_at > clock_timestamp() - interval '1 hour'
