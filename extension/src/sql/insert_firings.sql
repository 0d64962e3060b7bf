-- The firings of a statement become actions of the outbox, in one insert; one notification, if anything is ready.
-- $1 rule, $2 source, $3 event, $4 subject, $5 occurrence, $6 key, $7 facts, $8 fire_at, $9 held, $10 edge:
-- arrays of one length.
with fired as (
  select f.*, nextval('tradeflow.firing_id') as firing_id
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::timestamptz[], $9::boolean[], $10::text[])
    with ordinality as f(rule, source, event, subject, occurrence, key, facts, fire_at, held, edge, n)
), clock as materialized (
  select tradeflow.now() as now
), inserted as (
  insert into tradeflow.outbox (
    firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
    state, reason, facts, run_at, fire_at, max_attempts)
  select
    f.firing_id, f.rule, r.version, f.source, f.event, f.subject, f.occurrence, f.key, f.edge, a.step, a.name, a.kind, a.target,
    f.source || ':' || f.subject,
    case
      when r.mode = 'shadow' then 'shadow'
      when f.held then 'held'
      when due.late and a.if_late = 'skip' then 'cancelled'
      when due.at > clock.now then 'waiting'
      when a.step is null then 'done'
      else 'ready'
    end,
    case
      when f.held then format('more than %s firings from one statement', r.max_firings)
      when due.late and a.if_late = 'skip' then 'its time had passed'
    end,
    f.facts,
    case when due.at > clock.now then due.at else pg_catalog.now() end,
    f.fire_at, coalesce(a.max_attempts, 1)
  from fired f
  cross join clock
  join tradeflow.rules r on r.name = f.rule
  left join lateral (
    select * from tradeflow.actions x where x.rule = f.rule and x.edge = f.edge order by x.step limit 1) a on true
  cross join lateral (
    select coalesce(f.fire_at, clock.now) + coalesce(a.delay, '0') as at,
           (f.fire_at is not null or a.delay < '0') and coalesce(f.fire_at, clock.now) + coalesce(a.delay, '0') < clock.now as late) due
  -- A rule without actions records that it fired; that it left is told only to those who asked.
  where f.edge = 'enter' or a.step is not null
  order by f.n
  returning state
)
select pg_notify('tradeflow', '') where exists (select from inserted i where i.state = 'ready')
