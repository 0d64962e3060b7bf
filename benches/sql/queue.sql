-- The queue that is measured: a table each row of which is one action. benches/src/queue/contender.rs adds the action.
create extension tradeflow;
create table public.jobs (n bigint primary key);
select tradeflow.watch('public.jobs');
insert into tradeflow.targets (name, system, base_url, allow_private) values ('there', 'http', 'http://localhost', true);
insert into tradeflow.rules (name, source, max_firings) values ('bench', 'public.jobs', 2147483647);
-- Today's partition of the history, which the first tick() makes.
select tradeflow.tick();
