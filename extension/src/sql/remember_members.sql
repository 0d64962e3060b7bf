-- Remembers what views answer: facts are those of the entry, times the latest.
-- $1 rule, $2 subject, $3 occurrence, $4 facts (NULL: it entered before), $5 entered_at (NULL: its fire_at is still to come), $6 fire_at, $7 recheck_at:
-- arrays of one length.
insert into tradeflow.members as m (rule, subject, occurrence, facts, entered_at, fire_at, recheck_at)
select x.rule, x.subject, x.occurrence, coalesce(x.facts, '{}'), x.entered_at, x.fire_at, x.recheck_at
from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[])
  x(rule, subject, occurrence, facts, entered_at, fire_at, recheck_at)
on conflict (subject, rule, occurrence) do update
set facts = case when m.entered_at is null then excluded.facts else m.facts end,
    entered_at = coalesce(m.entered_at, excluded.entered_at),
    fire_at = excluded.fire_at,
    recheck_at = excluded.recheck_at
