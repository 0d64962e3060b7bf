-- Compares what views answered with what they answered last, and remembers it. Returns who entered and who left.
-- $1, $2: rule and subject of each question. $3: rules that were asked about all subjects.
-- $4 rule, $5 subject, $6 occurrence, $7 fire_at, $8 recheck_at, $9 facts: the answers.
with clock as materialized (
  select tradeflow.now() as now
), known as (
  select m.*
  from unnest($1::text[], $2::text[]) q(rule, subject)
  join tradeflow.members m on m.rule = q.rule and m.subject = q.subject
  union all
  select m.* from tradeflow.members m where m.rule = any ($3::text[])
), compared as materialized (
  -- Put beside each other by grouping, not by a join: whatever the planner guesses, one pass over each.
  select x.rule, x.subject, x.occurrence, bool_or(x.answered) as answered, bool_or(not x.answered) as known,
         max(x.entered_at) as entered_at, max(x.fire_at) as fire_at, max(x.recheck_at) as recheck_at,
         (array_agg(x.facts) filter (where x.answered))[1] as facts
  from (
    select a.rule, a.subject, a.occurrence, true as answered, null::timestamptz as entered_at, a.fire_at, a.recheck_at, a.facts
    from unnest($4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::jsonb[])
      a(rule, subject, occurrence, fire_at, recheck_at, facts)
    union all
    select k.rule, k.subject, k.occurrence, false, k.entered_at, null, null, null
    from known k
  ) x
  group by x.rule, x.subject, x.occurrence
), gone as (
  delete from tradeflow.members m
  using compared c
  where c.known and not c.answered and (m.rule, m.subject, m.occurrence) = (c.rule, c.subject, c.occurrence)
  returning m.*
), remembered as (
  -- A row whose fire_at is still to come is asked about again then; facts are those of the entry.
  insert into tradeflow.members as m (rule, subject, occurrence, facts, entered_at, fire_at, recheck_at)
  select c.rule, c.subject, c.occurrence, c.facts, case when c.fire_at > clock.now then null else clock.now end, c.fire_at,
         least(c.recheck_at, case when c.fire_at > clock.now then c.fire_at end)
  from compared c cross join clock
  where c.answered
  on conflict (rule, subject, occurrence) do update
  set facts = case when m.entered_at is null then excluded.facts else m.facts end,
      entered_at = coalesce(m.entered_at, excluded.entered_at),
      fire_at = excluded.fire_at,
      recheck_at = excluded.recheck_at
  where (m.fire_at, m.recheck_at) is distinct from (excluded.fire_at, excluded.recheck_at)
     or (m.entered_at is null and excluded.entered_at is not null)
)
select c.rule, c.subject, c.occurrence, 'enter' as edge, c.facts
from compared c
cross join clock
where c.answered and c.entered_at is null and (c.fire_at is null or c.fire_at <= clock.now)
union all
select g.rule, g.subject, g.occurrence, 'leave', g.facts
from gone g
where g.entered_at is not null
