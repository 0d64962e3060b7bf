-- $1 rule, $2 kind, $3 seen since, $4 noted ones too, $5 how many: the latest first
select to_jsonb(i)
from tradeflow.incidents i
where ($1::text is null or i.rule = $1) and ($2::text is null or i.kind = $2) and ($3::timestamptz is null or i.last_seen_at >= $3)
  and ($4 or i.acked_at is null)
order by i.last_seen_at desc, i.id desc
limit $5
