-- Firings become actions of the outbox, in one insert; one notification, if anything is ready. Returns how many.
-- $1 rule, $2 source, $3 event, $4 subject, $5 occurrence, $6 key, $7 facts, $8 fire_at, $9 held, $10 edge:
-- arrays of one length. $11: NULL, as the rule's mode says; or for all of them: held; shadow; silent (nothing fires, and
-- once rules remember).
with clock as materialized (
  -- tradeflow.now(), written out: a function with a search_path of its own is planned at each call.
  select n.now, n.now - interval '1 hour' as hour_ago
  from (select coalesce((select c.at from tradeflow.clock c), pg_catalog.now()) as now) n
), fired as (
  select f.*, r.version, r.max_firings, r.max_per_subject, r.schedule is not null as scheduled,
         r.fires = 'once' and r.view is null and f.edge = 'enter' as once,
         case when $11 = 'shadow' then $11 else r.mode end as mode,
         hashtextextended(f.rule || ':' || f.subject, 0) as about
  from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::jsonb[], $8::timestamptz[], $9::boolean[], $10::text[])
    with ordinality as f(rule, source, event, subject, occurrence, key, facts, fire_at, held, edge, n)
  join tradeflow.rules r on r.name = f.rule
), remembered as (
  -- Sorted, so that two transactions never wait for each other. What is only recorded is not remembered.
  insert into tradeflow.members (rule, subject, occurrence, entered_at)
  select distinct f.rule, f.subject, f.occurrence, c.now
  from fired f cross join clock c
  where f.once and (f.mode <> 'shadow' or $11 = 'silent')
  order by f.rule, f.subject, f.occurrence
  on conflict do nothing
  returning rule, subject, occurrence
), new_answers as (
  select f.*, nextval('tradeflow.firing_id') as firing_id,
         row_number() over (partition by f.rule, f.subject order by f.n) as nth,
         case when f.scheduled or f.held or f.mode = 'shadow' then 0
              else (select count(*) from tradeflow.recent_firings x where x.about = f.about and x.at > (select c.hour_ago from clock c))
         end as earlier
  from (
    select f.*, row_number() over (partition by f.rule, f.subject, f.occurrence order by f.n) as again from fired f) f
  where $11 is distinct from 'silent'
    and (not f.once
         or (f.again = 1 and case when f.mode = 'shadow'
               then not exists (select from tradeflow.members m where (m.rule, m.subject, m.occurrence) = (f.rule, f.subject, f.occurrence))
               else exists (select from remembered m where (m.rule, m.subject, m.occurrence) = (f.rule, f.subject, f.occurrence)) end))
), judged as (
  select a.*, not a.scheduled and not a.held and a.mode <> 'shadow' and a.earlier + a.nth > a.max_per_subject as loops
  from new_answers a
), inserted as (
  insert into tradeflow.outbox (
    firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
    state, reason, facts, run_at, fire_at, max_attempts)
  select
    f.firing_id, f.rule, f.version, f.source, f.event, f.subject, f.occurrence, f.key, f.edge, a.step, a.name, a.kind, a.target,
    f.source || ':' || f.subject,
    case
      when f.mode = 'shadow' then 'shadow'
      when f.held or f.loops then 'held'
      when due.late and a.if_late = 'skip' then 'cancelled'
      when due.at > clock.now then 'waiting'
      when a.step is null then 'done'
      else 'ready'
    end,
    case
      when f.mode = 'shadow' then null
      when f.held and $11 = 'held' then 'to be looked at before it runs'
      when f.held then format('more than %s firings from one statement', f.max_firings)
      when f.loops then format('more than %s firings about one subject within an hour', f.max_per_subject)
      when due.late and a.if_late = 'skip' then 'its time had passed'
    end,
    f.facts,
    case when due.at > clock.now then due.at else pg_catalog.now() end,
    f.fire_at, coalesce(a.max_attempts, 1)
  from judged f
  cross join clock
  left join lateral (
    select * from tradeflow.actions x where x.rule = f.rule and x.edge = f.edge order by x.step limit 1) a on true
  cross join lateral (
    select coalesce(f.fire_at, clock.now) + coalesce(a.delay, '0') as at,
           (f.fire_at is not null or a.delay < '0') and coalesce(f.fire_at, clock.now) + coalesce(a.delay, '0') < clock.now as late) due
  -- A rule without actions records that it fired; that it left is told only to those who asked.
  where f.edge = 'enter' or a.step is not null
  order by f.n
  returning firing_id, state
), counted as (
  -- What waits for its time is replaced by a later match, and is no loop.
  insert into tradeflow.recent_firings (about, at)
  select j.about, c.now
  from inserted i join judged j on j.firing_id = i.firing_id cross join clock c
  where i.state in ('ready', 'done') and not j.scheduled
), loops as (
  insert into tradeflow.incidents (kind, rule, source, subject, message, hint, count)
  select 'held_loop', j.rule, min(j.source), min(j.subject),
         format('rule "%s" fired more than %s times about one subject within an hour; the further firings are held', j.rule, j.max_per_subject),
         format('does something that it causes change the row again? then select tradeflow.release_held(%1$L); or select tradeflow.discard_held(%1$L);', j.rule),
         count(*)::int
  from judged j join inserted i on i.firing_id = j.firing_id
  where j.loops and i.state = 'held'
  group by j.rule, j.max_per_subject
)
select i.placed, (select '' from pg_notify('tradeflow', '') where i.ready) as told
from (select count(*) as placed, coalesce(bool_or(x.state = 'ready'), false) as ready from inserted x) i
