-- $1 states, $2 rule, $3 kind, $4 target, $5 lane, $6 subject, $7 fired since, $8 how many: newest first.
-- Planned with its values, so the history is not touched when only open states are asked for.
select to_jsonb(a)
from (
  (
    select o.id, o.firing_id, o.rule, o.source, o.subject, o.occurrence, o.edge, o.step, o.action, o.kind, o.target, o.lane, o.state, o.reason,
           o.attempt, o.max_attempts, o.run_at, o.created_at, o.worker, o.started_at, null::timestamptz as finished_at, o.error
    from tradeflow.outbox o
    where o.state = any ($1)
      and ($2::text is null or o.rule = $2) and ($3::text is null or o.kind = $3) and ($4::text is null or o.target = $4)
      and ($5::text is null or o.lane = $5) and ($6::text is null or o.subject = $6) and ($7::timestamptz is null or o.created_at >= $7)
    order by o.id desc limit $8
  )
  union all
  (
    select h.id, h.firing_id, h.rule, h.source, h.subject, h.occurrence, h.edge, h.step, h.action, h.kind, h.target, h.lane, h.state, h.reason,
           h.attempt, h.max_attempts, h.run_at, h.created_at, h.worker, h.started_at, h.finished_at, h.error
    from tradeflow.outbox_history h
    where $1 && '{done,cancelled,shadow}' and h.state = any ($1)
      and ($2::text is null or h.rule = $2) and ($3::text is null or h.kind = $3) and ($4::text is null or h.target = $4)
      and ($5::text is null or h.lane = $5) and ($6::text is null or h.subject = $6)
      -- What fired since then cannot have ended before: whole days of history are left out.
      and ($7::timestamptz is null or (h.created_at >= $7 and h.finished_at >= $7))
    order by h.id desc limit $8
  )
  order by id desc limit $8
) a
order by a.id desc
