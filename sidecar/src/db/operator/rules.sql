-- $1 rule, or null: all
select to_jsonb(x)
from (
  select s.*, extract(epoch from s.median_latency_24h) as median_latency_seconds_24h, r.source, r.view, r.schedule, r.fires, r.version, r.owner, r.project,
         r.description, r.paused_at, r.paused_reason, r.invalid
  from tradeflow.rule_stats s
  join tradeflow.rules r on r.name = s.rule
  where $1::text is null or s.rule = $1
) x
order by x.rule
