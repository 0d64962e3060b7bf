-- Not measured: what the last statement left behind. A store does not change a quote twenty times an hour: without the
-- firings of the pairs before, no rule is taken for a loop.
delete from tradeflow.outbox;
delete from tradeflow.recent_firings;
delete from bench.plain_outbox;
vacuum tradeflow.outbox, tradeflow.recent_firings, bench.plain_outbox;
