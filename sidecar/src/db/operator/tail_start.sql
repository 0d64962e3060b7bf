-- $1 from when on; null: from now on. Where following begins, and which of the thousand ids before are not there yet: their
-- transactions may still commit. The history is read by time, which it has an index for; what ended before those ten minutes
-- is not told by tail.sql either.
with recent as (
  select h.id, h.created_at from tradeflow.outbox_history h
  where h.finished_at >= least($1, clock_timestamp() - interval '10 minutes')
), last as (
  select greatest((select max(o.id) from tradeflow.outbox o), (select max(r.id) from recent r), 0) as action,
         coalesce((select max(i.id) from tradeflow.incidents i), 0) as incident
), begin as (
  select case when $1::timestamptz is null then l.action else coalesce(
           (select min(x.id) - 1 from (
             select o.id from tradeflow.outbox o where o.created_at >= $1
             union all
             select r.id from recent r where r.created_at >= $1) x), l.action) end as action,
         case when $1::timestamptz is null then l.incident
              else coalesce((select min(i.id) - 1 from tradeflow.incidents i where i.created_at >= $1), l.incident) end as incident
  from last l
)
select jsonb_build_object(
  'now', clock_timestamp(),
  'action', b.action,
  'incident', b.incident,
  'missing_actions', (
    select coalesce(jsonb_agg(g order by g), '[]')
    from (select generate_series(greatest(b.action - 999, 1), b.action)
          except select o.id from tradeflow.outbox o where o.id between b.action - 999 and b.action
          except select r.id from recent r) x(g)),
  'missing_incidents', (
    select coalesce(jsonb_agg(g order by g), '[]')
    from (select generate_series(greatest(b.incident - 999, 1), b.incident)
          except select i.id from tradeflow.incidents i where i.id between b.incident - 999 and b.incident) x(g)))
from begin b
