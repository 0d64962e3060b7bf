-- Every kind, who executes it, and what of it is open
select to_jsonb(x)
from (
  select k.name as kind, k.system, k.delivery, k.repeatable, k.builtin, k.description,
         case when k.paused_at is not null then 'paused' when k.name <> all (tradeflow._kinds_executed()) then 'no_sidecar' else 'ok' end as status,
         k.paused_reason as reason, k.paused_at,
         coalesce(q.ready, 0) as ready, coalesce(q.waiting, 0) as waiting, coalesce(q.running, 0) as running,
         coalesce(q.held, 0) as held, coalesce(q.dead, 0) as dead, coalesce(q.uncertain, 0) as uncertain
  from tradeflow.action_kinds k
  left join (
    select h.kind,
           sum(h.actions) filter (where h.state = 'ready') as ready,
           sum(h.actions) filter (where h.state = 'waiting') as waiting,
           sum(h.actions) filter (where h.state = 'running') as running,
           sum(h.actions) filter (where h.state = 'held') as held,
           sum(h.actions) filter (where h.state = 'dead') as dead,
           sum(h.actions) filter (where h.state = 'uncertain') as uncertain
    from tradeflow.queue_health h group by h.kind) q on q.kind = k.name
) x
order by x.kind
