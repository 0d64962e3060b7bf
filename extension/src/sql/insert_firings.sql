-- Firings become actions of the outbox, in one insert. Returns how many, and whether one of them is ready.
-- $1 rule, $2 source, $3 event, $4 subject, $5 occurrence, $6 key, $7 facts, $8 fire_at, $9 held, $10 edge:
-- arrays of one length. $11: NULL, as the rule's mode says; or for all of them: held; shadow; silent (nothing fires, and
-- once rules remember).
-- The plan is made once, for arrays of any length: no part may compare all rows with all rows.
with clock as materialized (
  -- tradeflow.now(), written out: a function with a search_path of its own is planned at each call.
  select coalesce((select c.at from tradeflow.clock c), pg_catalog.now()) as now,
         -- The trace that the session named (W3C Trace Context), if it is one.
         substring(current_setting('tradeflow.traceparent', true)
                   from '^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$') as traceparent
), fired as materialized (
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
), answers as (
  select f.*,
         case when f.scheduled or f.held or f.mode = 'shadow' then 0
              else row_number() over (partition by f.rule, f.subject order by f.n)
                   + (select count(*) from tradeflow.recent_firings x
                      where x.about = f.about and x.at > (select c.now from clock c) - interval '1 hour')
         end as nth
  from (
    select f.*, row_number() over (partition by f.rule, f.subject, f.occurrence order by f.n) as again from fired f) f
  where $11 is distinct from 'silent'
    and (not f.once
         or (f.again = 1 and case when f.mode = 'shadow'
               then not exists (select from tradeflow.members m where m.rule = f.rule and m.subject = f.subject and m.occurrence = f.occurrence)
               else (f.rule, f.subject, f.occurrence) in (select m.rule, m.subject, m.occurrence from remembered m) end))
), placed as materialized (
  select f.*, a.step, a.name as action, a.kind, a.target, a.lane, a.max_attempts, due.at as due_at,
    case
      when f.mode = 'shadow' then 'shadow'
      when f.held or f.nth > f.max_per_subject then 'held'
      when due.late and a.if_late = 'skip' then 'cancelled'
      when due.at > clock.now then 'waiting'
      when a.step is null then 'done'
      else 'ready'
    end as state
  from answers f
  cross join clock
  left join lateral (
    select * from tradeflow.actions x where x.rule = f.rule and x.edge = f.edge order by x.step limit 1) a on true
  cross join lateral (
    select coalesce(f.fire_at, clock.now) + coalesce(a.delay, '0') as at,
           (f.fire_at is not null or a.delay < '0') and coalesce(f.fire_at, clock.now) + coalesce(a.delay, '0') < clock.now as late) due
  -- A rule without actions records that it fired; that it left is told only to those who asked.
  where f.edge = 'enter' or a.step is not null
), inserted as (
  insert into tradeflow.outbox (
    firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
    state, reason, facts, run_at, fire_at, max_attempts, traceparent)
  select
    nextval('tradeflow.firing_id'), p.rule, p.version, p.source, p.event, p.subject, p.occurrence, p.key, p.edge,
    p.step, p.action, p.kind, p.target,
    case when p.lane is null then p.source || ':' || p.subject
         else tradeflow._lane(p.lane, p.rule, p.version, p.source, p.event, p.subject, p.occurrence, p.key, p.action, p.facts) end,
    p.state,
    case p.state
      when 'cancelled' then 'its time had passed'
      when 'held' then case
        when p.held and $11 = 'held' then 'to be looked at before it runs'
        when p.held then format('more than %s firings from one statement', p.max_firings)
        else format('more than %s firings about one subject within an hour', p.max_per_subject)
      end
    end,
    p.facts, case when p.due_at > c.now then p.due_at else pg_catalog.now() end, p.fire_at, coalesce(p.max_attempts, 1), c.traceparent
  from placed p cross join clock c
  order by p.n
), counted as (
  -- What waits for its time is replaced by a later match, and is no loop.
  insert into tradeflow.recent_firings (about, at)
  select p.about, c.now from placed p cross join clock c
  where p.state in ('ready', 'done') and not p.scheduled
), loops as (
  insert into tradeflow.incidents (kind, rule, source, subject, message, hint, count)
  select 'held_loop', p.rule, min(p.source), min(p.subject),
         format('rule "%s" fired more than %s times about one subject within an hour; the further firings are held', p.rule, p.max_per_subject),
         format('does something that it causes change the row again? then select tradeflow.release_held(%1$L); or select tradeflow.discard_held(%1$L);', p.rule),
         count(*)::int
  from placed p
  where p.state = 'held' and not p.held
  group by p.rule, p.max_per_subject
)
select count(*) as placed, coalesce(bool_or(p.state = 'ready'), false) as ready from placed p
