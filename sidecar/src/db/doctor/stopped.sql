-- What is stopped at the moment, by a person or by itself: targets, kinds, rules. again: when it goes on by itself.
select 'target' as what, h.target as name, h.status, h.reason, h.retry_at as again, h.ready::bigint as ready
from tradeflow.target_health h where h.status <> 'ok'
union all
select 'kind', k.name, 'paused', k.paused_reason, null,
       (select count(*) from tradeflow.outbox o where o.state = 'ready' and o.kind = k.name)
from tradeflow.action_kinds k where k.paused_at is not null
union all
select 'rule', r.name, 'paused', r.paused_reason, null,
       (select count(*) from tradeflow.outbox o where o.state = 'ready' and o.rule = r.name)
from tradeflow.rules r where r.paused_at is not null and r.mode <> 'off'
order by 1 desc, 2
