-- $1 states (retrying: ready, and between attempts), $2 rule, $3 kind, $4 target, $5 lane, $6 subject, $7 fired since: the ids of open actions
select o.id
from tradeflow.outbox o
where (o.state = any ($1) or ('retrying' = any ($1) and o.state = 'ready' and o.run_at > clock_timestamp()))
  and ($2::text is null or o.rule = $2) and ($3::text is null or o.kind = $3) and ($4::text is null or o.target = $4)
  and ($5::text is null or o.lane = $5) and ($6::text is null or o.subject = $6) and ($7::timestamptz is null or o.created_at >= $7)
order by o.id
