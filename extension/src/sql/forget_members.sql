-- Removes members of whom the answer is yes no longer. Returns those who had entered: their place in the arrays, from 1, and the
-- facts of their entry. $1 rule, $2 subject, $3 occurrence: arrays of one length.
with gone as (
  delete from tradeflow.members m
  using unnest($1::text[], $2::text[], $3::text[]) with ordinality g(rule, subject, occurrence, n)
  where (m.rule, m.subject, m.occurrence) = (g.rule, g.subject, g.occurrence)
  returning g.n, m.facts, m.entered_at
)
select g.n, g.facts from gone g where g.entered_at is not null order by g.n
