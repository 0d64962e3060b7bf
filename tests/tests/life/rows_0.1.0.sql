-- What an installation of 0.1.0 holds, written past its triggers: the library that they would call is the new one already.
set session_replication_role = replica;
create table t (id int primary key, n int, due timestamptz);
insert into t values (1, 11, now() + interval '1 hour');
insert into tradeflow.watched_tables (name, key) values ('public.t', '{id}');
create trigger tradeflow_insert after insert on public.t for each row when ((new.tableoid::tradeflow.observer)[1]) execute function tradeflow._flush();
create trigger tradeflow_update after update on public.t for each row when ((new.tableoid::tradeflow.observer)[2]) execute function tradeflow._flush();
create trigger tradeflow_delete after delete on public.t for each row when ((old.tableoid::tradeflow.observer)[3]) execute function tradeflow._flush();
alter table public.t enable always trigger tradeflow_insert, enable always trigger tradeflow_update, enable always trigger tradeflow_delete;
insert into tradeflow.settings (name, value) values ('limit', '10');
insert into tradeflow.rules (name, source, condition, fires, fire_at, search_path, version) values
  ('big', 'public.t', $$ new.n > tradeflow.setting('limit')::int $$, 'enter', null, 'public', 2),
  ('timer', 'public.t', 'new.n > 0', 'enter', 'new.due', 'public', 1);
insert into tradeflow.rule_versions (rule, version, definition, written_by, written_at) values ('big', 1, '{}', current_user, now());
insert into tradeflow.actions (rule, kind, params) values ('big', 'http', '{"path": "/"}');
insert into tradeflow.outbox (firing_id, rule, rule_version, source, event, subject, key, step, kind, lane, state, facts, run_at, fire_at) values
  (nextval('tradeflow.firing_id'), 'big', 2, 'public.t', 'insert', '1', null, 1, 'http', 'public.t:1', 'ready', '{"id": 1, "n": 11}', now(), null),
  (nextval('tradeflow.firing_id'), 'timer', 1, 'public.t', 'insert', '1', '{"id": 1}', null, null, 'public.t:1', 'waiting', '{"id": 1, "n": 11}',
   now() + interval '1 hour', now() + interval '1 hour'),
  (nextval('tradeflow.firing_id'), 'big', 1, 'public.t', 'insert', '9', null, 1, 'http', 'public.t:9', 'dead', '{"id": 9, "n": 11}', now(), null);
reset session_replication_role;
