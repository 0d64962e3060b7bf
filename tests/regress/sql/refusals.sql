-- More mistakes, each with its SQLSTATE: definitions that do not fit the table, tables that cannot be watched, changes
-- that would break what works.
\set QUIET on
set client_min_messages = warning;
create table jobs (id int primary key, n int, note text, due timestamptz, day date);
select tradeflow.watch('jobs');
insert into tradeflow.settings (name, value) values ('limit', '5');
insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://api.example.com');

-- conditions
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'n > 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > 1 and
  new.note = ''x'' and
  new.amuont > 3');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > ''five''');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > new.note');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'select new.n > 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > 1, true');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > 1 from jobs');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > 1 order by 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'rank() over () > 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'generate_series(1, 2) > 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'exists (select from jobs)');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n = $1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.due < clock_timestamp()');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', '1 / 0 = 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > tradeflow.setting(''limit'')');
\echo :SQLSTATE

-- fire_at, still, columns, fires, mode, search_path
insert into tradeflow.rules (name, source, fire_at) values ('r', 'public.jobs', 'new.note');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, fire_at) values ('r', 'public.jobs', 'new.due + 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition, still) values ('r', 'public.jobs', 'new.n > 1', 'old.n > 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition, still) values ('r', 'public.jobs', 'new.n > 1', 'new.n');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, columns) values ('r', 'public.jobs', '{note,nothing}');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, search_path) values ('r', 'public.jobs', 'public,,x');
\echo :SQLSTATE
\set VERBOSITY terse
insert into tradeflow.rules (name, source, columns) values ('r', 'public.jobs', '{}');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, condition, fires) values ('r', 'public.jobs', 'new.n > 1', 'sometimes');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, mode) values ('r', 'public.jobs', 'on');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, max_firings) values ('r', 'public.jobs', 0);
\echo :SQLSTATE
\set VERBOSITY default

-- queries
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'select new.id,
  new.nothing');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'selekt 1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'select 1 from jobs where id = $1');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'select ''soon'' as occurrence, 5 as fire_at');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'select 1) as x, (select 2');
\echo :SQLSTATE
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', '');
\echo :SQLSTATE
select count(*) from tradeflow.rules;

-- what cannot be watched
create foreign data wrapper nothing;
create server nowhere foreign data wrapper nothing;
create foreign table far (id int) server nowhere;
create table parted (id int primary key) partition by range (id);
create table part partition of parted default;
create materialized view mat as select 1 as id;
create sequence seq;
select tradeflow.watch('far');
\echo :SQLSTATE
select tradeflow.watch('part');
\echo :SQLSTATE
select tradeflow.watch('mat');
\echo :SQLSTATE
select tradeflow.watch('seq');
\echo :SQLSTATE
select tradeflow.watch('tradeflow.outbox');
\echo :SQLSTATE
select tradeflow.watch('jobs', key => '{}');
\echo :SQLSTATE
select tradeflow.watch('jobs', ignore => '{nothing}');
\echo :SQLSTATE
select tradeflow.watch('not_there');
\echo :SQLSTATE
select tradeflow.watch(null);
\echo :SQLSTATE
select name from tradeflow.watched_tables;

-- what works must go on working
insert into tradeflow.rules (name, source, condition) values ('works', 'public.jobs', 'new.n > tradeflow.setting(''limit'')::int');
insert into tradeflow.actions (rule, kind, target) values ('works', 'http', 'there');
update tradeflow.settings set value = 'five' where name = 'limit';
\echo :SQLSTATE
delete from tradeflow.settings where name = 'limit';
\echo :SQLSTATE
update tradeflow.settings set name = 'Limit' where name = 'limit';
\echo :SQLSTATE
delete from tradeflow.targets where name = 'there';
\echo :SQLSTATE
update tradeflow.targets set name = 'elsewhere' where name = 'there';
\echo :SQLSTATE
select tradeflow.unwatch('jobs');
\echo :SQLSTATE
update tradeflow.rules set condition = 'new.nothing' where name = 'works';
\echo :SQLSTATE
select name, value from tradeflow.settings;
select name, condition, invalid, version from tradeflow.rules;
