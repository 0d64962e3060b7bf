-- Takes what waits. If this process dies, another takes it a minute later.
update tradeflow.sync_events e
set attempts = e.attempts + 1, due_at = now() + interval '1 minute'
from (
  select event_id from tradeflow.sync_events
  where done_at is null and due_at <= now()
  order by received_at limit $1 for update skip locked
) as t
where e.event_id = t.event_id
returning e.event_id, e.scope, e.data, e.attempts
