-- How many logged changes a backtest replays in a second. psql variables: rows (logged twice: inserted, updated), runs.
-- Prints one JSON document.
\set QUIET on
\pset tuples_only on
\pset format unaligned
set client_min_messages = warning;
create extension tradeflow;
create schema bench;
create table bench.quotes (
  quote_id int primary key, quote_number text, status int, company_id int, company_name text, currency text,
  subtotal numeric(12,2), discount numeric(12,2), grand_total numeric(12,2), created_at timestamptz, updated_at timestamptz,
  expired_at timestamptz, sales_rep text, notes text, synced_at timestamptz);
select tradeflow.watch('bench.quotes', ignore => '{synced_at}', log => true) \g /dev/null
insert into bench.quotes
select i, 'Q' || i, i % 5, i % 1000, 'Company ' || i % 1000, 'EUR', i % 1000, 0, i * 7919 % 20000, now(), now(),
       now() + interval '10 days', 'rep' || i % 10, 'some notes here', now()
from generate_series(1, :rows) i;
update bench.quotes set status = (status + 1) % 5, grand_total = grand_total + 1, updated_at = now();
vacuum analyze tradeflow.change_log;

create function bench.measure(draft jsonb, runs int) returns jsonb language plpgsql as $$
declare
  changes  bigint := (select count(*) from tradeflow.change_log);
  began    timestamptz;
  seconds  numeric[] := '{}';
  firings  bigint;
begin
  for i in 0 .. runs loop  -- the first one warms up
    began := clock_timestamp();
    select count(*) into firings from tradeflow.backtest(draft);
    if i > 0 then
      seconds := seconds || extract(epoch from clock_timestamp() - began);
    end if;
  end loop;
  return (select jsonb_build_object(
      'condition', draft ->> 'condition', 'changes', changes, 'firings', firings, 'runs', runs,
      'median_seconds', round((percentile_cont(0.5) within group (order by s))::numeric, 3), 'fastest', round(min(s), 3), 'slowest', round(max(s), 3),
      'changes_per_second', round((changes / percentile_cont(0.5) within group (order by s))::numeric), 'goal', 200000)
    from unnest(seconds) s);
end
$$;
select jsonb_pretty(jsonb_build_object(
  'postgres', current_setting('server_version'), 'tradeflow', tradeflow.version(),
  'figures', jsonb_build_array(
    bench.measure('{"name": "1 in 500", "source": "bench.quotes", "condition": "new.status = 0 and new.grand_total >= 10000 and new.company_id < 20"}', :runs),
    bench.measure('{"name": "no test to find it by", "source": "bench.quotes", "condition": "new.grand_total * 1.19 > 23500 and new.expired_at < now() + interval ''30 days''"}', :runs),
    bench.measure('{"name": "over old", "source": "bench.quotes", "condition": "old.status is distinct from new.status and new.grand_total > 19900"}', :runs))));
