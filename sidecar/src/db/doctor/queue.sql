select
  (select count(*) from tradeflow.sidecars s where s.seen_at > clock_timestamp() - interval '30 seconds') as sidecars,
  (select at from tradeflow.clock) as test_clock,
  coalesce(extract(epoch from max(clock_timestamp() - o.run_at) filter (where o.state = 'ready')), 0)::float8 as oldest_ready,
  count(*) filter (where o.state = 'ready' and o.run_at <= clock_timestamp()) as ready,
  count(*) filter (where o.state = 'held') as held,
  count(*) filter (where o.state = 'dead') as dead,
  count(*) filter (where o.state = 'uncertain') as uncertain
from tradeflow.outbox o
where o.state in ('ready', 'held', 'dead', 'uncertain')
