-- What happened since the last look. $1 the last action seen and $2 those before it that were not there yet (ids are handed
-- out before they commit), $3 and $4 the same for incidents, $5 from when on ended and retried ones are looked for.
-- At most 1,000 of each; the caller looks again at once when there are as many.
select jsonb_build_object(
  'now', clock_timestamp(),
  'begun', (select coalesce(jsonb_agg(to_jsonb(b) order by b.id), '[]') from (
    select * from (
      select o.id, o.firing_id, o.rule, o.subject, o.occurrence, o.event, o.edge, o.step, o.action, o.kind, o.target, o.state, o.reason,
             o.run_at, o.created_at, o.steps = '{}' as first
      from tradeflow.outbox o where o.id > $1 or o.id = any ($2)
      union all
      select h.id, h.firing_id, h.rule, h.subject, h.occurrence, h.event, h.edge, h.step, h.action, h.kind, h.target, h.state, h.reason,
             h.run_at, h.created_at, h.steps = '{}'
      from tradeflow.outbox_history h where h.finished_at >= $5 and (h.id > $1 or h.id = any ($2))) x
    order by x.id limit 1000) b),
  'ended', (select coalesce(jsonb_agg(to_jsonb(e) order by e.finished_at, e.id), '[]') from (
    select h.id, h.firing_id, h.rule, h.subject, h.occurrence, h.step, h.action, h.kind, h.target, h.state, h.reason, h.attempt, h.worker,
           h.created_at, h.finished_at, extract(epoch from h.finished_at - greatest(h.run_at, h.created_at)) as took
    from tradeflow.outbox_history h where h.finished_at >= $5
    order by h.finished_at, h.id limit 1000) e),
  'retried', (select coalesce(jsonb_agg(to_jsonb(r) order by r.id), '[]') from (
    select o.id, o.firing_id, o.rule, o.subject, o.occurrence, o.step, o.action, o.kind, o.target, o.attempt, o.max_attempts, o.error, o.run_at
    from tradeflow.outbox o where o.state = 'ready' and o.attempt > 0 and o.error is not null and o.run_at >= $5
    order by o.id limit 1000) r),
  'incidents', (select coalesce(jsonb_agg(to_jsonb(i) order by i.id), '[]') from (
    select x.id, x.kind, x.rule, x.subject, x.outbox_id, x.message, x.hint, x.created_at
    from tradeflow.incidents x where x.id > $3 or x.id = any ($4)
    order by x.id limit 1000) i))
