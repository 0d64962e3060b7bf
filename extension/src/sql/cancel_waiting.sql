-- What waits for its time and is no longer answered, or answered anew, is cancelled.
-- $1 rule, $2 subject, $3 occurrence (NULL: all), $4 reason: arrays of one length.
select tradeflow._archive(array_agg(c.id), 'cancelled', c.reason)
from (
  select o.id, w.reason
  from unnest($1::text[], $2::text[], $3::text[], $4::text[]) w(rule, subject, occurrence, reason)
  join tradeflow.outbox o
    on o.rule = w.rule and o.subject = w.subject and o.state = 'waiting' and (w.occurrence is null or o.occurrence = w.occurrence)
  order by o.id
  for update of o
) c
group by c.reason
