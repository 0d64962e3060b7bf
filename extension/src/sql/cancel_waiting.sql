-- Cancels what waits. $1 ids, $2 reasons: arrays of one length. All are locked before the first is cancelled.
with locked as materialized (
  select l.id from tradeflow._lock_waiting($1) l(id)
)
select tradeflow._withdraw(array_agg(l.id), w.reason)
from unnest($1::bigint[], $2::text[]) w(id, reason)
join locked l on l.id = w.id
group by w.reason
