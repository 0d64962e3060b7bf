-- Every mistake in a rule or an action is one clear message: what, where, how to mend it. Nothing of it is stored.
create table jobs (id int primary key, n int, due timestamptz);
create table unwatched (id int primary key);
select tradeflow.watch('jobs');
insert into tradeflow.targets (name, system, base_url) values ('there', 'http', 'https://api.example.com');

-- rules
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.amount > 1');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > 1; drop table jobs');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > (select 1)');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n > random()');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'new.n >');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', '');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'no_such_function(new.n)');
insert into tradeflow.rules (name, source, condition) values ('r', 'public.jobs', 'count(*) > 1');
insert into tradeflow.rules (name, source, fire_at) values ('r', 'public.jobs', 'new.n');
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'delete from jobs returning id');
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'select 1; select 2');
insert into tradeflow.rules (name, source, query) values ('r', 'public.jobs', 'select nothing from jobs');
insert into tradeflow.rules (name, source, columns) values ('r', 'public.jobs', '{n,m}');
insert into tradeflow.rules (name, source) values ('r', 'public.nowhere');
insert into tradeflow.rules (name, source) values ('r', 'public.unwatched');
-- (terse: the detail of a CHECK has the time in it)
\set VERBOSITY terse
insert into tradeflow.rules (name, source) values ('no spaces', 'public.jobs');
insert into tradeflow.rules (name, source, events) values ('r', 'public.jobs', '{truncate}');
\set VERBOSITY default
select count(*) from tradeflow.rules;

-- a setting or a target that is absent may still come: the rule is kept, and says so
insert into tradeflow.rules (name, source, condition) values ('waits', 'public.jobs', 'new.n > tradeflow.setting(''limit'')::int');
select name, invalid from tradeflow.rules;
insert into tradeflow.settings (name, value) values ('limit', '5');
select name, invalid from tradeflow.rules;
update tradeflow.settings set value = 'five' where name = 'limit';
select value from tradeflow.settings;

-- actions
insert into tradeflow.actions (rule, kind, target) values ('nobody', 'http', 'there');
insert into tradeflow.actions (rule, kind, target) values ('waits', 'fax', 'there');
insert into tradeflow.actions (rule, kind, target, params) values ('waits', 'http', 'there', 'not json');
insert into tradeflow.actions (rule, kind, target, params) values ('waits', 'http', 'there', '["a list"]');
insert into tradeflow.actions (rule, kind, target, params) values ('waits', 'http', 'there', '{"path": "/{{ facts.n", "body": {}}');
insert into tradeflow.actions (rule, kind, target, params) values ('waits', 'http', 'there', '{"path": "/", "body": {"a": ["{% if %}"]}}');
insert into tradeflow.actions (rule, kind, target, params) values ('waits', 'http', 'there', '{"pth": "/"}');
insert into tradeflow.actions (rule, kind, target, params) values ('waits', 'email', 'there', '{"subject": "no recipient"}');
insert into tradeflow.templates (name, subject, text) values ('t', 'fine', '{{ unclosed');
insert into tradeflow.targets (name, system, base_url) values ('t', 'http', 'https://user:password@example.com');
insert into tradeflow.targets (name, system, base_url, secret) values ('t', 'http', 'https://example.com', 'the secret itself');
select count(*) from tradeflow.actions;

-- watching
select tradeflow.watch('jobs', key => '{nothing}');
select tradeflow.watch('jobs', ignore => '{id}');
select tradeflow.watch('pg_class');
create view v as select 1 as id;
select tradeflow.watch('v');
create table keyless (id int);
select tradeflow.watch('keyless');
