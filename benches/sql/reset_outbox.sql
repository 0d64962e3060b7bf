-- Not measured: what the last statement left behind.
delete from tradeflow.outbox;
delete from bench.plain_outbox;
vacuum tradeflow.outbox, bench.plain_outbox;
