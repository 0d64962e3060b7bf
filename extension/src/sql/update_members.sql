-- Compares what views answered with what they answered last, and remembers it. Returns who entered and who left.
-- $1, $2: rule and subject of each question. $3: rules that were asked about all subjects.
-- $4 rule, $5 subject, $6 occurrence, $7 fire_at, $8 recheck_at, $9 facts: the answers.
with clock as materialized (
  select tradeflow.now() as now
), answers as materialized (
  select distinct on (a.rule, a.subject, a.occurrence) a.*
  from unnest($4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::jsonb[])
    a(rule, subject, occurrence, fire_at, recheck_at, facts)
  order by a.rule, a.subject, a.occurrence
), known as materialized (
  select m.*
  from unnest($1::text[], $2::text[]) q(rule, subject)
  join tradeflow.members m on m.rule = q.rule and m.subject = q.subject
  union all
  select m.* from tradeflow.members m where m.rule = any ($3::text[])
), gone as (
  delete from tradeflow.members m
  using known k
  where (m.rule, m.subject, m.occurrence) = (k.rule, k.subject, k.occurrence)
    and not exists (select from answers a where (a.rule, a.subject, a.occurrence) = (k.rule, k.subject, k.occurrence))
  returning m.*
), remembered as (
  -- A row whose fire_at is still to come is asked about again then; facts are those of the entry.
  insert into tradeflow.members as m (rule, subject, occurrence, facts, entered_at, fire_at, recheck_at)
  select a.rule, a.subject, a.occurrence, a.facts, case when a.fire_at > c.now then null else c.now end, a.fire_at,
         least(a.recheck_at, case when a.fire_at > c.now then a.fire_at end)
  from answers a cross join clock c
  on conflict (rule, subject, occurrence) do update
  set facts = case when m.entered_at is null then excluded.facts else m.facts end,
      entered_at = coalesce(m.entered_at, excluded.entered_at),
      fire_at = excluded.fire_at,
      recheck_at = excluded.recheck_at
  where (m.fire_at, m.recheck_at) is distinct from (excluded.fire_at, excluded.recheck_at)
     or (m.entered_at is null and excluded.entered_at is not null)
)
select a.rule, a.subject, a.occurrence, 'enter' as edge, a.facts
from answers a
cross join clock c
left join known k on (k.rule, k.subject, k.occurrence) = (a.rule, a.subject, a.occurrence)
where k.entered_at is null and (a.fire_at is null or a.fire_at <= c.now)
union all
select g.rule, g.subject, g.occurrence, 'leave', g.facts
from gone g
where g.entered_at is not null
