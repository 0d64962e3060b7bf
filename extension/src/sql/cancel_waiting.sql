-- What waits for its time and is no longer answered, or answered anew, is cancelled: by the row's key, or by the name
-- of the answer.
-- $1 rule, $2 subject, $3 occurrence, $4 key, $5 reason: arrays of one length; either subject and occurrence are given, or key.
with w as (
  select * from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::text[]) w(rule, subject, occurrence, key, reason)
), found as (
  select o.id, w.reason
  from w join tradeflow.outbox o on o.rule = w.rule and o.key = w.key and o.state = 'waiting'
  union all
  select o.id, w.reason
  from w join tradeflow.outbox o on o.rule = w.rule and o.subject = w.subject and o.occurrence = w.occurrence and o.state = 'waiting'
)
select tradeflow._withdraw(array_agg(c.id), c.reason)
from (
  select o.id, f.reason
  from (select f.id, min(f.reason) as reason from found f group by f.id) f
  join tradeflow.outbox o on o.id = f.id and o.state = 'waiting'
  order by o.id
  for update of o
) c
group by c.reason
