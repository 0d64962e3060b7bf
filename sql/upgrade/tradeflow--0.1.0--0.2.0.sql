-- 0.1.0 to 0.2.0: several rows, time, mistakes, explanations.
\echo Use "ALTER EXTENSION tradeflow UPDATE TO '0.2.0'" to load this file. \quit

alter table tradeflow.watched_tables
  add column lost text,
  add column log boolean not null default false,
  add column logged_since timestamptz;

revoke select on tradeflow.clock from public;  -- tradeflow.now() needs no right of its caller any more

alter table tradeflow.rules
  alter column source drop not null,
  add column view text,
  add column schedule text,
  add column max_per_subject int not null default 20 check (max_per_subject > 0),
  add column paused_at timestamptz,
  add column paused_reason text,
  drop constraint rules_fires_check,
  add constraint rules_fires_check check (fires in ('enter', 'always', 'once')),
  add constraint rules_check check (num_nonnulls(source, view, schedule) = 1),
  add constraint rules_check1 check (view is null or num_nonnulls(condition, still, query, fire_at, columns) = 0),
  add constraint rules_check2 check (schedule is null or (query is not null and num_nonnulls(condition, still, fire_at, columns) = 0));

alter table tradeflow.actions
  drop constraint actions_edge_check,
  add constraint actions_edge_check check (edge in ('enter', 'leave')),
  add column lane text,
  add column on_dead text not null default 'block' check (on_dead in ('block', 'continue')),
  add column recheck boolean not null default false;

alter table tradeflow.action_kinds
  add column system text,
  add column delivery text,
  add column params jsonb not null default '{"type": "object"}',
  add column paused_at timestamptz,
  add column paused_reason text;
delete from tradeflow.action_kinds where builtin;  -- those of this version come below
-- What own kinds said of their parameters, as a schema. a|b meant one of the two.
update tradeflow.action_kinds k set params = jsonb_build_object(
  'type', 'object', 'additionalProperties', false,
  'required', to_jsonb(array(select r from unnest(k.required) r where r !~ '[|]')),
  'properties', (
    select coalesce(jsonb_object_agg(p, true), '{}')
    from unnest(k.optional || string_to_array(array_to_string(k.required, '|'), '|')) p where p <> ''))
  || coalesce((
    select jsonb_build_object('anyOf', jsonb_agg(jsonb_build_object('required', jsonb_build_array(p))))
    from unnest(k.required) r, unnest(string_to_array(r, '|')) p where r ~ '[|]'), '{}');
alter table tradeflow.action_kinds drop column required, drop column optional;

alter table tradeflow.targets
  drop constraint targets_system_check,
  add constraint targets_system_check check (system in ('smtp', 'http', 'bigcommerce', 'hubspot', 'google')),
  drop constraint targets_auth_check,
  add constraint targets_auth_check check (auth ~ '^(none|bearer|basic|oauth2|header:[A-Za-z0-9-]+)$'),
  add column token_url text check (token_url ~ '^https?://' and token_url !~ '^[a-z]+://[^/]*@'),
  add column scope text,
  add column rate_limit int check (rate_limit > 0),
  add column rate_period interval not null default '1 second' check (rate_period > '0'),
  add column burst int check (burst > 0),
  add column concurrency int check (concurrency > 0),
  add column breaker_failures int not null default 10 check (breaker_failures >= 0),
  add column breaker_cooldown interval not null default '30 seconds' check (breaker_cooldown > '0'),
  add column paused_at timestamptz,
  add column paused_reason text;

alter table tradeflow.outbox
  drop constraint outbox_event_check,
  add constraint outbox_event_check check (event in ('insert', 'update', 'delete', 'view', 'schedule', 'backfill')),
  add column traceparent text,
  add column parked text check (parked in ('lane', 'rule')),
  add column blocking boolean not null default false,
  add column continued boolean not null default false;
alter table tradeflow.outbox_history
  add column traceparent text,
  add column parked text,
  add column blocking boolean not null default false,
  add column continued boolean not null default false;
alter table tradeflow.outbox_history alter column blocking drop default, alter column continued drop default;
update tradeflow.outbox o set continued = true
from tradeflow.actions a
where o.state = 'dead' and a.rule = o.rule and a.edge = o.edge and a.step = o.step and a.on_failure = 'continue';
-- Compared byte by byte: in a language's order it takes a multiple, and nobody reads these in order. The view that reads
-- them is made again.
drop view tradeflow.queue_health;
alter table tradeflow.outbox
  alter column kind type text collate "C", alter column target type text collate "C", alter column lane type text collate "C";
alter table tradeflow.outbox_history
  alter column kind type text collate "C", alter column target type text collate "C", alter column lane type text collate "C";
create view tradeflow.queue_health as
select
  o.state,
  o.kind,
  o.target,
  count(*) as actions,
  min(o.run_at) as oldest_run_at,
  case when o.state = 'ready' then greatest(clock_timestamp() - min(o.run_at), '0') end as lag
from tradeflow.outbox o
group by o.state, o.kind, o.target;
comment on view tradeflow.queue_health is 'How many actions are in which state, by kind and target, and how late the oldest ready one is.';
comment on column tradeflow.queue_health.state is 'State of the actions counted.';
comment on column tradeflow.queue_health.kind is 'Their kind.';
comment on column tradeflow.queue_health.target is 'Their target.';
comment on column tradeflow.queue_health.actions is 'How many.';
comment on column tradeflow.queue_health.oldest_run_at is 'The earliest due time among them.';
comment on column tradeflow.queue_health.lag is 'How long the oldest ready one has been due.';

-- Indexes of the history belong to its partitions.
do $indexes$
declare
  part regclass;
begin
  if to_regclass('tradeflow.outbox_history_id_idx') is null then
    return;
  end if;
  drop index tradeflow.outbox_history_id_idx, tradeflow.outbox_history_firing_id_idx, tradeflow.outbox_history_rule_subject_idx;
  for part in select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = 'tradeflow.outbox_history'::regclass
    and i.inhrelid <> 'tradeflow.outbox_history_default'::regclass  -- its own are made below
  loop
    execute format('create index on %1$s (rule, subject)', part);
  end loop;
end
$indexes$;

-- Ids are found by a summary of a few pages each.
do $summaries$
declare
  old   regclass;
  part  regclass;
begin
  for old in
    select x.indexrelid from pg_catalog.pg_inherits i join pg_catalog.pg_index x on x.indrelid = i.inhrelid
    where i.inhparent = 'tradeflow.outbox_history'::regclass and pg_catalog.pg_get_indexdef(x.indexrelid) ~ 'USING btree [(](id|firing_id)[)]$'
  loop
    execute format('drop index %s', old);
  end loop;
  for part in select i.inhrelid from pg_catalog.pg_inherits i where i.inhparent = 'tradeflow.outbox_history'::regclass
    and i.inhrelid <> 'tradeflow.outbox_history_default'::regclass
  loop
    execute format('create index on %1$s using brin (id int8_minmax_multi_ops, firing_id int8_minmax_multi_ops, finished_at) '
                   'with (pages_per_range = 16, autosummarize = on)', part);
  end loop;
end
$summaries$;

alter table tradeflow.incidents
  drop constraint incidents_kind_check,
  add constraint incidents_kind_check check (kind in ('rule_error', 'rule_invalid', 'rule_paused', 'held_burst', 'held_loop', 'dead_action',
    'uncertain_action', 'timer_error', 'schedule_error', 'watch_lost', 'watch_changed', 'log_error', 'lane_error', 'breaker_open', 'unknown_kind', 'sync_error', 'sync_rejected', 'sync_held', 'hook_refused'));


-- From here on: written by scripts/upgrade_script.py

drop function tradeflow.watch("table" regclass, key text[], ignore text[]);

drop function tradeflow._archive(ids bigint[], state text, reason text, results jsonb[]);

drop function tradeflow.claim(worker text, max int, lease interval, kinds text[]);

drop function tradeflow._next_step(ids bigint[], outcomes jsonb[]);

drop function tradeflow.fail(id bigint, attempt int, error text, outcome text, retry_after interval);

do $roles$
declare
  r text;
begin
  foreach r in array '{tradeflow_author,tradeflow_executor,tradeflow_operator,tradeflow_silent,tradeflow_sync}'::text[] loop
    if not exists (select from pg_catalog.pg_roles where rolname = r) then
      begin
        execute format('create role %I nologin', r);
      exception when duplicate_object or unique_violation then
        null;  -- Another database made it at the same moment.
      end;
    end if;
  end loop;
end
$roles$;

create or replace function tradeflow.setting(name text) returns text
language c stable strict parallel safe as 'MODULE_PATHNAME', 'tradeflow_setting';

create or replace function tradeflow.now() returns timestamptz
language c stable parallel safe as 'MODULE_PATHNAME', 'tradeflow_now';

create function tradeflow._render(source text, context jsonb) returns text
language c strict immutable as 'MODULE_PATHNAME', 'tradeflow_render';

comment on function tradeflow._render(text, jsonb) is
  'Internal. A template rendered over the keys of an object. Errors: 22023 when it names what is not there, or does not compile.';

create function tradeflow._compile_input(
  rule text, source regclass, subject text, subject_type regtype, search_path text, owner regrole
) returns void
language c as 'MODULE_PATHNAME', 'tradeflow_compile_input';

comment on function tradeflow._compile_input(text, regclass, text, regtype, text, regrole) is
  'Internal. Compiles what maps a row of an input table to the subjects of a view rule, as its owner, and forgets it.';

create function tradeflow._check_view_query(view regclass) returns void
language c strict as 'MODULE_PATHNAME', 'tradeflow_check_view';

comment on function tradeflow._check_view_query(regclass) is
  'Internal. Errors: 42P17 when the view calls a volatile function: asked twice, it would answer twice.';

create function tradeflow._settle(rules text[], subjects text[], silent boolean[]) returns int
language c as 'MODULE_PATHNAME', 'tradeflow_settle';

comment on function tradeflow._settle(text[], text[], boolean[]) is
  'Internal. Asks view rules about subjects (arrays of one length; a subject that is NULL: everybody), updates members, and fires for who entered and left unless silent. Locks the subjects until the end of the transaction, in a bounded number of advisory locks. Returns how many entered or left.';

create function tradeflow._settle_transaction() returns trigger
language c as 'MODULE_PATHNAME', 'tradeflow_settle_transaction';

comment on function tradeflow._settle_transaction() is
  'Internal. Deferred trigger of view_checks: asks about what the transaction left there, but above READ COMMITTED leaves it to tick().';

create function tradeflow._next_run(schedule text, after timestamptz) returns timestamptz
language c immutable strict parallel safe as 'MODULE_PATHNAME', 'tradeflow_next_run';

comment on function tradeflow._next_run(text, timestamptz) is
  'Internal. The first time after this one that a schedule names. Errors: 22023 for what is no schedule, or never comes.';

create function tradeflow._check_schedule(rule text, query text, search_path text, owner regrole) returns void
language c strict as 'MODULE_PATHNAME', 'tradeflow_check_schedule';

comment on function tradeflow._check_schedule(text, text, text, regrole) is
  'Internal. Compiles the query of a schedule rule as its owner, and forgets it. The caller must be a member of the owner.';

create function tradeflow._run_schedule(rule text) returns int
language c strict as 'MODULE_PATHNAME', 'tradeflow_run_schedule';

comment on function tradeflow._run_schedule(text) is
  'Internal. Runs the query of a schedule rule as its owner; each row is a firing. Returns how many.';

create function tradeflow._backfill(rule text, "where" text, "limit" int, mode text) returns int
language c as 'MODULE_PATHNAME', 'tradeflow_backfill';

comment on function tradeflow._backfill(text, text, int, text) is 'Internal. What tradeflow.backfill() does.';

create function tradeflow._call(owner regrole, search_path text, call text) returns jsonb
language c strict as 'MODULE_PATHNAME', 'tradeflow_call';

comment on function tradeflow._call(regrole, text, text) is
  'Internal. What the call of a function (schema.function(…)) returns, as this owner, in a security-restricted operation; its deferred constraints and triggers run before it returns. Errors: the function''s own.';

comment on column tradeflow.watched_tables.log is 'Whether old and new of each change are kept in change_log.';

comment on column tradeflow.watched_tables.logged_since is 'Since when they are. NULL: they are not.';

comment on column tradeflow.watched_tables.lost is 'Why its changes are not seen at present: it was dropped, renamed, lost a key column. An incident watch_lost tells the same. NULL: they are seen.';

create function tradeflow._install_triggers("table" regclass) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  the_name  text := tradeflow._qualified_name("table");
  spec      record;
  always    text;
begin
  for spec in
    select * from (values
      ('tradeflow_insert', 'insert', 'row when ((new.tableoid::tradeflow.observer)[1])', '_flush'),
      ('tradeflow_update', 'update', 'row when ((new.tableoid::tradeflow.observer)[2])', '_flush'),
      ('tradeflow_delete', 'delete', 'row when ((old.tableoid::tradeflow.observer)[3])', '_flush'),
      ('tradeflow_truncate', 'truncate', 'statement', '_truncated')) s(name, event, level, function)
    where not exists (select from pg_trigger t where t.tgrelid = "table" and t.tgname = s.name)
  loop
    execute format('create trigger %I after %s on %s for each %s execute function tradeflow.%I()',
                   spec.name, spec.event, the_name, spec.level, spec.function);
  end loop;
  -- ALWAYS: rows applied by logical replication, or written in replica mode, count as well. In one command, since the
  -- event trigger looks after each.
  select string_agg(format('enable always trigger %I', t.tgname), ', ' order by t.tgname) into always
  from pg_trigger t
  where t.tgrelid = "table" and t.tgname in ('tradeflow_insert', 'tradeflow_update', 'tradeflow_delete', 'tradeflow_truncate')
    and t.tgenabled in ('O', 'R');
  if always is not null then
    execute format('alter table %s %s', the_name, always);
  end if;
  return always is not null;
end
$$;

comment on function tradeflow._install_triggers(regclass) is
  'Internal. Makes a watched table''s triggers, as far as they are missing. Returns whether there was anything to do.';

create function tradeflow.watch("table" regclass, key text[] default null, ignore text[] default '{}', log boolean default false)
returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  rel        record;
  the_name   text := tradeflow._qualified_name("table");
  the_key    text[] := key;
begin
  if "table" is null then
    raise exception 'no table is named' using errcode = 'null_value_not_allowed', hint = 'select tradeflow.watch(''store.quotes'');';
  end if;
  select c.relkind, c.relispartition, c.relpersistence, n.nspname into rel
  from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = "table";
  if rel.relkind not in ('r', 'p') then
    raise exception '% is no table', the_name
      using errcode = 'wrong_object_type',
            hint = 'Only ordinary and partitioned tables have row triggers that see every change: watch the tables behind a view.';
  elsif rel.relispartition then
    raise exception '% is a partition', the_name
      using errcode = 'wrong_object_type',
            hint = format('watch the partitioned table it belongs to: select tradeflow.watch(%L);',
                          (select i.inhparent::regclass from pg_inherits i where i.inhrelid = "table" limit 1));
  elsif rel.relpersistence = 't' then
    raise exception '% is a temporary table', the_name
      using errcode = 'wrong_object_type', hint = 'Rules outlive the session: watch a permanent table.';
  elsif rel.nspname in ('tradeflow', 'pg_catalog') and "table" is distinct from to_regclass('tradeflow.tasks') then
    raise exception '% cannot be watched', the_name
      using errcode = 'wrong_object_type', hint = 'tradeflow''s own tables and the system''s are not data of a store.';
  end if;

  if the_key is null then
    select array_agg(a.attname::text order by k.ord) into the_key
    from pg_index i, unnest(i.indkey) with ordinality k(attnum, ord), pg_attribute a
    where i.indrelid = "table" and i.indisprimary and a.attrelid = i.indrelid and a.attnum = k.attnum;
    if the_key is null then
      raise exception '% has no primary key', the_name
        using errcode = 'invalid_parameter_value',
              hint = format('name the columns that identify a row: select tradeflow.watch(%L, key => ''{…}'');', the_name);
    end if;
  elsif cardinality(the_key) = 0 then
    raise exception 'the key of % is empty', the_name
      using errcode = 'invalid_parameter_value', hint = 'name the columns that identify a row.';
  end if;
  perform tradeflow._require_columns("table", the_key, 'key');
  perform tradeflow._require_columns("table", watch.ignore, 'ignore');
  if the_key && watch.ignore then
    raise exception 'a key column of % cannot be ignored', the_name using errcode = 'invalid_parameter_value';
  end if;

  insert into tradeflow.watched_tables as w (name, key, ignore, log, logged_since)
  values (the_name, the_key, watch.ignore, watch.log, case when watch.log then now() end)
  on conflict (name) do update set key = excluded.key, ignore = excluded.ignore, log = excluded.log,
      logged_since = case when excluded.log then coalesce(w.logged_since, excluded.logged_since) end
    where (w.key, w.ignore, w.log) is distinct from (excluded.key, excluded.ignore, excluded.log);

  -- The triggers of the tasks are made by our owner: nobody else may have others there.
  if rel.nspname <> 'tradeflow' then
    perform tradeflow._install_triggers("table");
  end if;
  perform tradeflow._check_watch(the_name);
  perform tradeflow._invalidate("table");
end
$$;

comment on function tradeflow.watch(regclass, text[], text[], boolean) is
  'Evaluates the changes of a table from now on. key: the columns that identify a row (default: the primary key); ignore: columns whose change alone is no change; log: keep old and new of each change in change_log, for backtest() and explain(). Repeatable: a second call changes key, ignore and log. The caller must own the table or have its TRIGGER right; tradeflow.tasks may be watched by every author. Errors: 42809 no ordinary table, 22023 no key, 42703 unknown column.';

create or replace function tradeflow.unwatch("table" regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  the_name  text := tradeflow._qualified_name("table");
  t         text;
begin
  begin
    delete from tradeflow.watched_tables w where w.name = the_name;
  exception when foreign_key_violation then
    raise exception 'rules still read the changes of %', the_name
      using errcode = 'dependent_objects_still_exist',
            detail = (select 'rules: ' || string_agg(r.name, ', ' order by r.name) from tradeflow.rules r where r.source = the_name),
            hint = 'delete these rules first, or set their mode to off and keep the table watched.';
  end;
  foreach t in array '{tradeflow_insert,tradeflow_update,tradeflow_delete,tradeflow_truncate}'::text[] loop
    execute format('drop trigger if exists %I on %s', t, the_name);
  end loop;
  for t in select p.relid::regclass::text from pg_partition_tree("table") p where p.relid <> "table" loop
    execute format('drop trigger if exists tradeflow_truncate on %s', t);
  end loop;
  perform tradeflow._invalidate("table");
end
$$;

select pg_catalog.pg_extension_config_dump('tradeflow.action_kinds', 'where not builtin or paused_at is not null');

comment on column tradeflow.action_kinds.system is 'The system its target must be of. none: it has no target. NULL: it may have one, of any system.';

comment on column tradeflow.action_kinds.delivery is
  'How a repeated execution is kept from harming: claim_once, idempotency_key, upsert_by_key, absolute_set, look_up_first, deterministic_id, in_database. docs/actions/README.md says what each means.';

comment on column tradeflow.action_kinds.params is
  'JSON Schema of actions.params, checked when an action is written. Understood: type, properties, required, additionalProperties, items, enum, anyOf, pattern, minimum, maximum, minItems, maxItems, minProperties; description and examples are quoted in errors. A string with a template in it passes, since what it will be is known later; "literal": true forbids templates.';

comment on column tradeflow.action_kinds.builtin is 'Comes with the extension; dumped only while it is paused.';

comment on column tradeflow.action_kinds.paused_at is 'Since when no action of the kind is executed; see tradeflow.pause_kind(). NULL: it is not paused.';

comment on column tradeflow.action_kinds.paused_reason is 'Why it was paused.';

create function tradeflow._check_schema(schema jsonb, path text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  part     record;
  problem  text;
begin
  if jsonb_typeof(schema) = 'boolean' then
    return null;
  elsif jsonb_typeof(schema) is distinct from 'object' then
    return format('%s: a schema is an object, not %s', path, coalesce(schema::text, 'NULL'));
  end if;
  for part in select e.key, e.value, jsonb_typeof(e.value) as type from jsonb_each(schema) e loop
    problem := case
      when part.key in ('title', 'description', 'examples', 'default', '$schema', '$comment', 'enum', 'const') then null
      when part.key in ('type') then
        (select format('%s.type: there is no type %s', path, t) from jsonb_array_elements(case part.type when 'array' then part.value else jsonb_build_array(part.value) end) t
         where not '["object", "array", "string", "number", "integer", "boolean", "null"]' @> t limit 1)
      when part.key in ('minimum', 'maximum', 'minItems', 'maxItems', 'minProperties') and part.type = 'number' then null
      when part.key = 'pattern' and part.type = 'string' then null
      when part.key = 'literal' and part.type = 'boolean' then null
      when part.key = 'required' and part.type = 'array' then null
      when part.key in ('items', 'additionalProperties') then tradeflow._check_schema(part.value, format('%s.%s', path, part.key))
      when part.key = 'properties' and part.type = 'object' then
        (select p from jsonb_each(part.value) e, tradeflow._check_schema(e.value, format('%s.properties.%s', path, e.key)) p where p is not null limit 1)
      when part.key = 'anyOf' and part.type = 'array' then
        (select p from jsonb_array_elements(part.value) with ordinality e(value, n), tradeflow._check_schema(e.value, format('%s.anyOf[%s]', path, n - 1)) p
         where p is not null limit 1)
      else format('%s: %s is not understood here', path, part.key)
    end;
    if problem is not null then
      return problem;
    end if;
  end loop;
  return null;
end
$$;

comment on function tradeflow._check_schema(jsonb, text) is 'Internal. NULL when _check_value understands every keyword of this schema, else where and which it does not.';

create function tradeflow._check_value(given jsonb, schema jsonb, path text) returns text
language plpgsql immutable
set search_path = pg_catalog, pg_temp
as $$
declare
  its_type text := jsonb_typeof(given);
  its_text text := given #>> '{}';
  allowed  text := coalesce(' (' || (schema ->> 'description') || ')', '');
  shown    text := left(given::text, 80) || case when length(given::text) > 80 then '…' else '' end;
  names    text[];
  part     record;
  problem  text;
begin
  if schema = 'true' or schema is null then
    return null;
  elsif schema = 'false' then
    return format('%s: nothing is allowed here', path);
  elsif its_type = 'string' and its_text ~ '\{[{%]' then
    -- What a template makes is known when it is rendered, and then the sidecar checks it.
    return case when schema ->> 'literal' = 'true' then format('%s: no template is possible here%s', path, allowed) end;
  end if;

  if schema ? 'type' then
    names := array(select jsonb_array_elements_text(case jsonb_typeof(schema -> 'type') when 'array' then schema -> 'type' else jsonb_build_array(schema -> 'type') end));
    if not (its_type = any (names) or its_type = 'number' and 'integer' = any (names) and its_text::numeric = trunc(its_text::numeric)) then
      return format('%s: %s, not %s%s', path,
        (select string_agg(case n when 'array' then 'a list' when 'object' then 'an object' when 'integer' then 'a whole number' when 'number' then 'a number'
                                  when 'string' then 'text' when 'boolean' then 'true or false' else n end, ' or ' order by o)
         from unnest(names) with ordinality u(n, o)), shown, allowed);
    end if;
  end if;
  if schema ? 'enum' and not exists (select from jsonb_array_elements(schema -> 'enum') e where e.value = given) then
    return format('%s: %s is none of %s%s', path, shown, (select string_agg(e.value::text, ', ') from jsonb_array_elements(schema -> 'enum') e), allowed);
  elsif schema ? 'const' and schema -> 'const' <> given then
    return format('%s: %s, not %s%s', path, schema -> 'const', shown, allowed);
  end if;

  if its_type = 'string' and schema ? 'pattern' and its_text !~ (schema ->> 'pattern') then
    return format('%s: %s does not look as it must%s', path, shown, coalesce(nullif(allowed, ''), ' (pattern ' || (schema ->> 'pattern') || ')'));
  elsif its_type = 'number' and (its_text::numeric < (schema ->> 'minimum')::numeric or its_text::numeric > (schema ->> 'maximum')::numeric) then
    return format('%s: %s is not %s%s', path, shown,
      concat_ws(' and ', 'at least ' || (schema ->> 'minimum'), 'at most ' || (schema ->> 'maximum')), allowed);
  elsif its_type = 'array' then
    if jsonb_array_length(given) < (schema ->> 'minItems')::int or jsonb_array_length(given) > (schema ->> 'maxItems')::int then
      return format('%s: %s items are not %s%s', path, jsonb_array_length(given),
        concat_ws(' and ', 'at least ' || (schema ->> 'minItems'), 'at most ' || (schema ->> 'maxItems')), allowed);
    end if;
    for part in select format('%s[%s]', path, e.n - 1) as path, e.value from jsonb_array_elements(given) with ordinality e(value, n) loop
      problem := tradeflow._check_value(part.value, schema -> 'items', part.path);
      exit when problem is not null;
    end loop;
  elsif its_type = 'object' then
    select format('%s: "%s" is missing%s', path, r, allowed) into problem
    from jsonb_array_elements_text(schema -> 'required') r where not given ? r limit 1;
    if problem is null and (select count(*) from jsonb_object_keys(given)) < (schema ->> 'minProperties')::int then
      problem := format('%s: at least %s names are needed%s', path, schema ->> 'minProperties', allowed);
    end if;
    for part in
      select e.key, e.value, schema -> 'properties' -> e.key as schema from jsonb_each(given) e
    loop
      exit when problem is not null;
      if part.schema is null and schema -> 'additionalProperties' = 'false' then
        problem := format('%s: there is no "%s"; there is %s', path, part.key,
          coalesce((select string_agg(k, ', ' order by k) from jsonb_object_keys(schema -> 'properties') k), 'nothing to name'));
      else
        problem := tradeflow._check_value(part.value, coalesce(part.schema, schema -> 'additionalProperties'), format('%s.%s', path, part.key));
      end if;
    end loop;
  end if;
  if problem is null and schema ? 'anyOf' then
    if not exists (select from jsonb_array_elements(schema -> 'anyOf') a where tradeflow._check_value(given, a.value, path) is null) then
      if not exists (select from jsonb_array_elements(schema -> 'anyOf') a where a.value - 'required' <> '{}') then
        problem := format('%s: %s is missing', path,
          (select string_agg((select string_agg(format('"%s"', r), ' and ') from jsonb_array_elements_text(a.value -> 'required') r), ' or ')
           from jsonb_array_elements(schema -> 'anyOf') a));
      else
        problem := (select string_agg(distinct tradeflow._check_value(given, a.value, path), '; or ') from jsonb_array_elements(schema -> 'anyOf') a);
      end if;
    end if;
  end if;
  return problem;
end
$$;

comment on function tradeflow._check_value(jsonb, jsonb, text) is 'Internal. NULL when a value is what a JSON Schema says, else where it is not, what is allowed, and what stands there.';

create function tradeflow._action_kinds_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  problem text := tradeflow._check_schema(new.params, 'params');
begin
  if problem is not null then
    raise exception 'kind "%": %', new.name, problem
      using errcode = 'invalid_parameter_value', hint = 'params is the JSON Schema of the kind''s parameters: {"type": "object", "required": ["to"], "properties": {"to": {"type": "string"}}}';
  end if;
  return new;
end
$$;

comment on function tradeflow._action_kinds_before_write() is 'Internal. Refuses a schema that would not be obeyed. Errors: 22023.';

create trigger action_kinds_check before insert or update on tradeflow.action_kinds
  for each row execute function tradeflow._action_kinds_before_write();

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('email', 'smtp', 'claim_once', false, 'Sends a mail through the target''s SMTP server: a template by name, or subject and text.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["to"],
    "anyOf": [{"required": ["template"]}, {"required": ["text"]}],
    "examples": [{"to": "{{ facts.contact_email }}", "template": "quote_expiry"}],
    "properties": {
      "to": {"type": ["string", "object", "array"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "an address, {\"name\": …, \"email\": …}, \"Name <address>\", several with commas, or a list"},
      "cc": {"type": ["string", "object", "array", "null"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "as to"},
      "bcc": {"type": ["string", "object", "array", "null"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "as to"},
      "reply_to": {"type": ["string", "object", "array", "null"], "required": ["email"], "items": {"type": ["string", "object", "null"], "required": ["email"]}, "description": "as to"},
      "from": {"type": ["string", "object", "null"], "required": ["email"], "description": "one address; default: the target's sender"},
      "template": {"type": ["string", "null"], "description": "a row of tradeflow.templates"},
      "subject": {"type": ["string", "null"], "description": "replaces the template's"},
      "text": {"type": ["string", "null"], "description": "replaces the template's"},
      "html": {"type": ["string", "null"], "description": "replaces the template's"},
      "headers": {"type": ["object", "string", "null"], "additionalProperties": {"type": ["string", "number"]}, "description": "further headers: names and texts"},
      "attachments": {"type": ["array", "string", "null"], "description": "files from hosts that email.attachment_hosts of the sidecar's configuration allows",
        "items": {"type": "object", "additionalProperties": false, "required": ["url"], "properties": {
          "url": {"type": "string"}, "name": {"type": "string"}, "content_type": {"type": "string"}}}},
      "unsubscribe": {"type": ["string", "null"], "pattern": "^(https://|mailto:)", "description": "https://… or mailto:…, where the recipient gets no more of it"},
      "topic": {"type": ["string", "null"], "description": "what at_most counts; default: the rule"},
      "at_most": {"type": ["object", "null"], "additionalProperties": false, "required": ["count", "within"], "description": "{\"count\": 3, \"within\": \"7 days\"}",
        "properties": {"count": {"type": ["integer", "string"], "minimum": 1}, "within": {"type": "string"}}},
      "transactional": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: also to suppressed addresses, and not counted"}
    }}$schema$),
  ('http', 'http', 'idempotency_key', true, 'Sends an HTTP request to the target, with an idempotency key; the response is the result.', true, $schema${
    "type": "object", "additionalProperties": false,
    "examples": [{"method": "POST", "path": "/quotes/{{ facts.quote_id }}", "body": {"total": "{{ facts.grand_total }}"}}],
    "properties": {
      "method": {"type": ["string", "null"], "pattern": "(?i)^(get|head|post|put|patch|delete)$", "description": "GET, HEAD, POST (the default), PUT, PATCH or DELETE"},
      "url": {"type": ["string", "null"], "description": "of the target's scheme, host and port"},
      "path": {"type": ["string", "null"], "description": "below the target's base_url"},
      "headers": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "description": "names and texts; null ones fall away"},
      "query": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "description": "names and texts; null ones fall away"},
      "body": {"description": "JSON; text when headers give a content type that is not JSON"},
      "expect": {"type": ["integer", "string", "array", "null"], "minimum": 100, "maximum": 599, "pattern": "^\\s*[1-5][0-9][0-9]\\s*$",
                 "items": {"type": ["integer", "string"], "minimum": 100, "maximum": 599}, "description": "a status or a list of them that mean success; default: every 2xx"},
      "timeout": {"type": ["number", "string", "null"], "minimum": 0, "maximum": 86400, "description": "seconds, or \"10s\"; at most the target's"}
    }}$schema$),
  ('sql', 'none', 'in_database', true, 'Calls a function as the rule''s owner, in the transaction of the action''s own completion: exactly once. What it returns is the result''s value.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["function"],
    "examples": [{"function": "sales.pick_rep", "args": {"company": "{{ facts.company_id }}"}}],
    "properties": {
      "function": {"type": "string", "literal": true, "pattern": "^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)?$", "description": "schema.function"},
      "args": {"type": ["object", "string", "null"], "description": "its arguments by name"}
    }}$schema$),
  ('task', 'none', 'in_database', true, 'Asks a person: a row of tradeflow.tasks, to be decided with tradeflow.decide().', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["pool", "title"],
    "examples": [{"pool": "sales", "title": "Approve {{ facts.company_name }}?", "options": ["approve", "reject"], "due_in": "2 days"}],
    "properties": {
      "pool": {"type": "string", "description": "who should look: a team's name"},
      "title": {"type": "string", "description": "what is to be done, in one line"},
      "body": {"type": ["string", "null"], "description": "more about it"},
      "options": {"type": ["array", "string", "null"], "items": {"type": "string"}, "description": "the outcomes to choose from; without it any word is one"},
      "due_in": {"type": ["string", "null"], "description": "an interval such as \"2 days\""},
      "due_at": {"type": ["string", "null"], "description": "a time; wins over due_in"}
    }}$schema$),
  ('storefront_message', 'none', 'in_database', true, 'Stores a message for a buyer, which the storefront fetches from the sidecar; or takes one away.', true, $schema${
    "type": "object", "additionalProperties": false,
    "anyOf": [{"required": ["text", "customer_id"]}, {"required": ["text", "company_id"]}, {"required": ["text", "email"]}, {"required": ["remove"]}],
    "examples": [{"customer_id": "{{ facts.bc_customer_id }}", "page": "quote:{{ facts.quote_id }}", "level": "warning", "text": "The minimum quantity is 10."}],
    "properties": {
      "key": {"type": ["string", "null"], "description": "a later message under the same key replaces it; default: rule, subject and occurrence"},
      "customer_id": {"type": ["integer", "string", "null"], "description": "for this core customer"},
      "company_id": {"type": ["integer", "string", "null"], "description": "for every buyer of this company"},
      "email": {"type": ["string", "null"], "description": "for the customer with this address"},
      "page": {"type": ["string", "null"], "description": "where it is shown: quote:48002, cart, …; default: everywhere"},
      "level": {"enum": ["info", "success", "warning", "error", null], "description": "info by default"},
      "text": {"type": ["string", "null"], "description": "plain text"},
      "data": {"description": "more, for the theme's own script"},
      "expires_in": {"type": ["string", "null"], "description": "an interval such as \"7 days\""},
      "expires_at": {"type": ["string", "null"], "description": "a time; wins over expires_in"},
      "remove": {"type": ["boolean", "string", "null"], "description": "true: the message under the key goes"}
    }}$schema$),
  ('noop', null, 'idempotency_key', true, 'Does nothing, at once: for trying rules out, and for measuring the outbox.', true, $schema${
    "type": "object", "additionalProperties": false, "examples": [{}]
    }$schema$);

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('bigcommerce.update_quote', 'bigcommerce', 'absolute_set', true, 'Changes a quote: notes, message, expiry, whether it may be checked out; archives it. Read back afterwards.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["quote_id"], "minProperties": 2,
    "examples": [{"quote_id": "{{ facts.quote_id }}", "created_at": "{{ facts.created_at }}", "allow_checkout": false, "notes": "Below the minimum price."}],
    "properties": {
      "quote_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the quote"},
      "created_at": {"type": ["string", "null"], "description": "when the quote was created: the store wants to know; taken from the facts of a quote by itself"},
      "notes": {"type": ["string", "null"], "description": "note to the buyer"},
      "legal_terms": {"type": ["string", "null"]},
      "message": {"type": ["string", "null"], "description": "posted to the buyer, once"},
      "expires_on": {"type": ["string", "null"], "description": "a day: 2026-12-24"},
      "allow_checkout": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "whether the buyer may take it to the checkout"},
      "display_discount": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$"},
      "title": {"type": ["string", "null"]},
      "reference_number": {"type": ["string", "null"]},
      "extra_fields": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]}, "description": "names and values; the others stay"},
      "archive": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: for good"}
    }}$schema$),
  ('bigcommerce.link_order_to_quote', 'bigcommerce', 'look_up_first', true, 'Makes a quote Ordered, with the order that came of it. It cannot be changed any more then.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["quote_id", "bc_order_id"],
    "examples": [{"quote_id": "{{ facts.quote_id }}", "created_at": "{{ facts.created_at }}", "bc_order_id": "{{ facts.bc_order_id }}"}],
    "properties": {
      "quote_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the quote"},
      "created_at": {"type": ["string", "null"], "description": "when the quote was created"},
      "bc_order_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the core order's id, which the buyer sees"}
    }}$schema$),
  ('bigcommerce.set_company_status', 'bigcommerce', 'absolute_set', true, 'Approves, rejects, deactivates a company, or makes it wait.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "status"],
    "examples": [{"company_id": "{{ facts.company_id }}", "status": "approved"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "status": {"type": ["integer", "string"], "minimum": 0, "maximum": 3, "pattern": "(?i)^(pending|approved|rejected|inactive|[0-3])$",
                 "description": "pending, approved, rejected, inactive, or 0 to 3"},
      "only_if": {"type": ["array", "string", "integer", "null"], "minimum": 0, "maximum": 3, "pattern": "(?i)^(pending|approved|rejected|inactive|[0-3])$", "items": {"type": ["integer", "string"], "pattern": "(?i)^(pending|approved|rejected|inactive|[0-3])$"},
                  "description": "a status or a list of them: of a company that has another by then the firing is cancelled; somebody decided meanwhile"}
    }}$schema$),
  ('bigcommerce.set_payment_terms', 'bigcommerce', 'absolute_set', true, 'Sets the days a company has to pay.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id"],
    "anyOf": [{"required": ["days"]}, {"required": ["enabled"]}],
    "examples": [{"company_id": "{{ facts.company_id }}", "days": 30}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "days": {"enum": [0, 5, 15, 30, 45, 60, "0", "5", "15", "30", "45", "60", null], "description": "0, 5, 15, 30, 45 or 60"},
      "enabled": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "false: the store's terms count"}
    }}$schema$),
  ('bigcommerce.update_company_extra_fields', 'bigcommerce', 'absolute_set', true, 'Sets extra fields of a company; up to ten companies go into one request.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "fields"],
    "examples": [{"company_id": "{{ facts.company_id }}", "fields": {"Segment": "gold"}}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "fields": {"type": ["object", "string"], "minProperties": 1, "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                 "description": "labels and values; null empties; the others stay"},
      "only_if": {"type": ["object", "string", "null"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
                  "description": "labels and values: of a company that has others by then the firing is cancelled; null: the field is empty"}
    }}$schema$),
  ('bigcommerce.assign_sales_staff', 'bigcommerce', 'absolute_set', true, 'Assigns a sales rep to a company, or takes one away.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id"],
    "anyOf": [{"required": ["sales_staff_id"]}, {"required": ["email"]}],
    "examples": [{"company_id": "{{ facts.company_id }}", "sales_staff_id": "{{ steps.pick.value }}"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "sales_staff_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the rep's id; not a super admin's"},
      "email": {"type": "string", "description": "the rep's address, instead of the id"},
      "assigned": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "false: takes the rep away"},
      "exclusive": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: and nobody else"},
      "only_if_none": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: when somebody else looks after the company by then, the firing is cancelled"}
    }}$schema$),
  ('bigcommerce.add_company_credit', 'bigcommerce', 'absolute_set', true, 'Adds to (or takes from) what a company has left of its credit, once for each key; by way of tradeflow.ledger_entries.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "amount"],
    "examples": [{"company_id": "{{ facts.company_id }}", "amount": "{{ facts.total * 0.02 }}", "key": "loyalty order {{ facts.bc_order_id }}"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "amount": {"type": ["number", "string"], "pattern": "^-?[0-9]+([.][0-9]+)?$", "description": "added; negative: taken away, down to nothing"},
      "key": {"type": ["string", "null"], "description": "what it is for; counts once, whoever asks; default: this action"},
      "currency": {"type": ["string", "null"], "pattern": "^[A-Za-z]{3}$", "description": "refuses to add to a credit in another currency"},
      "cap": {"type": ["number", "string", "null"], "pattern": "^[0-9]+([.][0-9]+)?$", "description": "all that was ever added sums up to no more"},
      "reason": {"type": ["string", "null"], "description": "for people, in the ledger"},
      "enable": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: enables the credit of a company that has none, limited to what it has"}
    }}$schema$),
  ('bigcommerce.create_invoice_from_order', 'bigcommerce', 'look_up_first', true, 'Makes the invoice of an order, unless there is one.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["bc_order_id"],
    "examples": [{"bc_order_id": "{{ facts.bc_order_id }}"}],
    "properties": {
      "bc_order_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the core order's id; B2B Edition's own is looked up"},
      "due_on": {"type": ["string", "null"], "description": "a day: 2026-12-24; default: by the store's terms"}
    }}$schema$),
  ('bigcommerce.create_invoice', 'bigcommerce', 'deterministic_id', true, 'Makes an invoice under a number that is unique in the store.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "amount", "currency"],
    "examples": [{"company_id": "{{ facts.company_id }}", "number": "R-{{ facts.bc_order_id }}", "amount": "{{ facts.total }}", "currency": "{{ facts.currency_code }}"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "number": {"type": ["string", "null"], "description": "the same at every attempt; default: made of the action's id"},
      "amount": {"type": ["number", "string"], "pattern": "^[0-9]+([.][0-9]+)?$", "description": "what is to be paid"},
      "currency": {"type": "string", "pattern": "^[A-Za-z]{3}$", "description": "ISO 4217 code"},
      "due_on": {"type": ["string", "null"], "description": "a day: 2026-12-24"},
      "order_number": {"type": ["string", "integer", "null"]},
      "purchase_order_number": {"type": ["string", "integer", "null"]},
      "external_id": {"type": ["string", "integer", "null"]},
      "pdf_url": {"type": ["string", "null"], "description": "where its PDF is"},
      "details": {"type": ["object", "string", "null"], "description": "as the API has them: header, lines"}
    }}$schema$),
  ('bigcommerce.set_order_status', 'bigcommerce', 'absolute_set', true, 'Sets the status of an order, or what its payment method is called; nothing is sent when it has it.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["bc_order_id"],
    "anyOf": [{"required": ["status"]}, {"required": ["payment_method"]}],
    "examples": [{"bc_order_id": "{{ facts.bc_order_id }}", "status": "awaiting payment"}],
    "properties": {
      "bc_order_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "the core order's id"},
      "status": {"type": ["integer", "string", "null"], "minimum": 0, "maximum": 14, "description": "an id, 0 to 14, or the system's label: awaiting payment"},
      "payment_method": {"type": ["string", "null"], "description": "the payment method's name as the order shows it"}
    }}$schema$),
  ('bigcommerce.create_company', 'bigcommerce', 'look_up_first', true, 'Creates a company with its admin, unless there is one that matches.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["name", "admin", "address"],
    "examples": [{"name": "{{ facts.name }}", "admin": {"first_name": "{{ facts.first }}", "last_name": "{{ facts.last }}", "email": "{{ facts.email }}"}, "address": {"country": "{{ facts.country }}"}}],
    "properties": {
      "name": {"type": "string"},
      "email": {"type": ["string", "null"], "description": "the company's; default: the admin's"},
      "phone": {"type": ["string", "number", "null"]},
      "address": {"type": "object", "additionalProperties": false, "required": ["country"], "description": "the store wants at least the country", "properties": {
        "line1": {"type": ["string", "null"]}, "line2": {"type": ["string", "null"]}, "city": {"type": ["string", "null"]}, "state": {"type": ["string", "null"], "description": "its full name"},
        "zip": {"type": ["string", "integer", "null"]}, "country": {"type": "string", "description": "its name, or two letters"}}},
      "admin": {"type": "object", "additionalProperties": false, "required": ["first_name", "last_name", "email"], "properties": {
        "first_name": {"type": "string"}, "last_name": {"type": "string"}, "email": {"type": "string"}, "phone": {"type": ["string", "number", "null"]}}},
      "customer_group_id": {"type": ["integer", "string", "null"], "description": "stores in independent mode only"},
      "catalog_id": {"type": ["integer", "string", "null"]},
      "channel_ids": {"type": ["array", "string", "null"], "items": {"type": ["integer", "string"]}},
      "extra_fields": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]}},
      "match": {"type": ["string", "null"], "description": "the extra field whose value tells companies apart; without it the admin's address does"},
      "send_mail": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: the store welcomes the admin"}
    }}$schema$),
  ('bigcommerce.create_company_user', 'bigcommerce', 'look_up_first', true, 'Adds a buyer to a company, unless the address is its already. A consumer with the address is converted.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["company_id", "email", "first_name", "last_name"],
    "examples": [{"company_id": "{{ steps.company.company_id }}", "email": "{{ facts.email }}", "first_name": "{{ facts.first }}", "last_name": "{{ facts.last }}", "role": "junior"}],
    "properties": {
      "company_id": {"type": ["integer", "string"], "pattern": "^[0-9]+$", "description": "B2B Edition's id of the company"},
      "email": {"type": "string"},
      "first_name": {"type": "string"},
      "last_name": {"type": "string"},
      "phone": {"type": ["string", "number", "null"]},
      "role": {"type": ["string", "integer", "null"], "minimum": 0, "maximum": 2, "pattern": "(?i)^(admin|senior|junior|[0-2])$", "description": "admin, senior or junior (the default)"},
      "company_role_id": {"type": ["integer", "string", "null"], "description": "wins over role"},
      "channel_ids": {"type": ["array", "string", "null"], "items": {"type": ["integer", "string"]}, "description": "default: [1]"},
      "extra_fields": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "number", "boolean"]}},
      "send_mail": {"type": ["boolean", "string", "null"], "pattern": "^(true|false)$", "description": "true: the store welcomes the buyer"}
    }}$schema$);

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params)
select
  'hubspot.upsert_' || o.singular, 'hubspot', 'upsert_by_key', true,
  format('Creates or changes a %s under a unique property of ours; up to 100 go into one request.', o.singular), true,
  jsonb_build_object(
    'type', 'object', 'additionalProperties', false, 'required', '["key"]'::jsonb,
    'examples', jsonb_build_array(o.example::jsonb),
    'properties', $schema${
      "key": {"type": ["string", "integer"], "description": "the value of the unique property"},
      "key_property": {"type": ["string", "null"], "pattern": "^[a-z][a-z0-9_]*$", "description": "its name; made when it is not there"},
      "match": {"type": ["string", "null"], "description": "one of the properties: a record of people's with the same value and without a key becomes ours"},
      "properties": {"type": ["object", "string"], "additionalProperties": {"type": ["string", "number", "boolean", "null"]}, "description": "internal names and values; \"\" and null clear"},
      "owner_email": {"type": ["string", "null"], "description": "the owner is the user with this address"},
      "associate": {"type": ["array", "string"], "description": "records to be associated with",
        "items": {"type": "object", "additionalProperties": false, "required": ["to"], "properties": {
          "to": {"enum": ["deals", "contacts", "companies", "deal", "contact", "company"]},
          "id": {"type": ["string", "integer", "null"], "description": "the record's id"},
          "key": {"type": ["string", "integer", "null"], "description": "or the value of its unique property"},
          "key_property": {"type": ["string", "null"], "description": "default: bc_quote_id, bc_user_id, bc_company_id"},
          "required": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "false: does not wait for it"}}}},
      "always": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: also when nothing differs from what was written last"}
    }$schema$::jsonb || o.more::jsonb)
from (values
  ('deal', '{"key": "{{ facts.quote_id }}", "properties": {"dealname": "{{ facts.quote_number }}", "amount": "{{ facts.grand_total }}"}, "stage": "Quote sent", "forward_only": true}',
   '{"pipeline": {"type": ["string", "null"], "description": "id or label; default: whichever has the stage"},
     "stage": {"type": ["string", "null"], "description": "id or label"},
     "forward_only": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: a deal never goes back, and a closed one stays"}}'),
  ('contact', '{"key": "{{ facts.b2b_user_id }}", "properties": {"email": "{{ facts.email }}", "firstname": "{{ facts.first_name }}", "lastname": "{{ facts.last_name }}"}, "associate": [{"to": "companies", "key": "{{ facts.company_id }}"}]}', '{}'),
  ('company', '{"key": "{{ facts.company_id }}", "properties": {"name": "{{ facts.company_name }}"}}', '{}')
) o(singular, example, more);

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('hubspot.set_owner', 'hubspot', 'absolute_set', true, 'Sets who looks after a record; waits for the record to be there.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["object"],
    "anyOf": [{"required": ["id", "owner_email"]}, {"required": ["id", "owner_id"]}, {"required": ["key", "owner_email"]}, {"required": ["key", "owner_id"]}],
    "examples": [{"object": "companies", "key": "{{ facts.company_id }}", "owner_email": "{{ facts.sales_rep_email }}"}],
    "properties": {
      "object": {"enum": ["deals", "contacts", "companies", "deal", "contact", "company"]},
      "id": {"type": ["string", "integer"], "description": "the record's id"},
      "key": {"type": ["string", "integer"], "description": "or the value of its unique property"},
      "key_property": {"type": ["string", "null"], "description": "default: bc_quote_id, bc_user_id, bc_company_id"},
      "owner_email": {"type": ["string", "null"], "description": "the user's address; empty: nobody"},
      "owner_id": {"type": ["string", "integer"], "description": "or HubSpot's id of the owner"}
    }}$schema$);

insert into tradeflow.action_kinds (name, system, delivery, repeatable, description, builtin, params) values
  ('sheets.upsert_rows', 'google', 'upsert_by_key', true, 'Writes rows, found by the values of their key columns; adds those that are not there.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["spreadsheet", "sheet", "key", "rows"],
    "examples": [{"spreadsheet": "{{ settings.quotes_spreadsheet }}", "sheet": "Quotes", "key": "Quote", "rows": {"Quote": "{{ facts.quote_number }}", "Total": "{{ facts.grand_total }}"}}],
    "properties": {
      "spreadsheet": {"type": "string", "description": "the id in its address"},
      "sheet": {"type": "string", "description": "the tab's title"},
      "key": {"type": ["string", "array"], "minItems": 1, "items": {"type": "string"}, "description": "the key column's header, or several"},
      "rows": {"type": ["object", "array", "string"], "items": {"type": ["object", "string"]}, "description": "one row or a list: headers and values; null leaves a cell as it is"},
      "add_columns": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: adds columns that the header does not have"},
      "create": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: makes the tab when it is not there"}
    }}$schema$),
  ('sheets.delete_rows', 'google', 'upsert_by_key', true, 'Takes rows away that have these values, but for those to keep.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["spreadsheet", "sheet", "where"],
    "examples": [{"spreadsheet": "{{ settings.quotes_spreadsheet }}", "sheet": "Lines", "where": {"Quote": "{{ facts.quote_number }}"}, "key": "Line", "keep": "{{ facts.line_keys }}"}],
    "properties": {
      "spreadsheet": {"type": "string", "description": "the id in its address"},
      "sheet": {"type": "string", "description": "the tab's title"},
      "where": {"type": ["object", "string"], "minProperties": 1, "description": "headers and the values that rows must have"},
      "key": {"type": ["string", "null"], "description": "with keep: the column whose values are compared"},
      "keep": {"type": ["array", "string", "null"], "description": "rows whose key is among these stay"}
    }}$schema$),
  ('sheets.write_back', 'google', 'upsert_by_key', true, 'Writes cells of a row that is there: what became of it.', true, $schema${
    "type": "object", "additionalProperties": false, "required": ["spreadsheet", "sheet", "key", "value", "set"],
    "examples": [{"spreadsheet": "{{ facts.spreadsheet_id }}", "sheet": "{{ facts.sheet_name }}", "key": "Company", "value": "{{ facts.name }}", "set": {"Id": "{{ steps.company.company_id }}", "Error": ""}}],
    "properties": {
      "spreadsheet": {"type": "string", "description": "the id in its address"},
      "sheet": {"type": "string", "description": "the tab's title"},
      "key": {"type": "string", "description": "the key column's header"},
      "value": {"type": ["string", "number", "boolean"], "description": "its value in the row that is meant"},
      "set": {"type": ["object", "string"], "minProperties": 1, "description": "headers and values; \"\" empties a cell"},
      "add_columns": {"type": ["boolean", "string"], "pattern": "^(true|false)$", "description": "true: adds columns that the header does not have"}
    }}$schema$);

comment on column tradeflow.rules.view is 'Instead of source: a view whose rows are the subjects for which the answer is yes. Columns: subject; occurrence, fire_at, recheck_at if it has them; the others are the facts. See rule_inputs.';

comment on column tradeflow.rules.schedule is 'Instead of source: when query is run, as cron with an optional time zone: 0 9 * * 1-5 Europe/Berlin. Each row it returns is a firing.';

comment on column tradeflow.rules.fires is 'enter (default): it holds for new and did not hold before; always (default without condition): at every real change while it holds. A condition that mentions old is its own edge. once: at the first answer ever about a subject, remembered in members.';

comment on column tradeflow.rules.max_per_subject is 'More firings than this about one subject within an hour are held, with an incident: a loop.';

comment on column tradeflow.rules.paused_at is 'Since when the rule is not asked because it failed too often; see tradeflow.resume(rule). NULL: it is asked.';

comment on column tradeflow.rules.paused_reason is 'Why it was paused.';

create or replace function tradeflow._rule_missing(r tradeflow.rules) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  missing text;
begin
  if to_regrole(quote_ident(r.owner)) is null then
    return format('its owner, role "%s", does not exist', r.owner);
  elsif tradeflow._restoring() then
    -- What its owner may read is granted at the end of a dump; it compiled when it was dumped.
    return r.invalid;
  end if;
  if r.view is not null then
    perform tradeflow._check_view(r.name, r.view);
    if not has_table_privilege(r.owner, r.view::regclass, 'select') then
      raise exception 'rule "%": permission denied for view %', r.name, r.view
        using errcode = 'insufficient_privilege', hint = format('grant select on %s to %I;', r.view, r.owner);
    end if;
  elsif r.source is not null then
    begin
      perform tradeflow._compile(r.name, r.source::regclass, r.condition, r.fires, r.query, r.fire_at, r.still, r.columns,
                                 r.search_path, to_regrole(quote_ident(r.owner)));
    exception when sqlstate 'TF001' then
      return replace(sqlerrm, format('rule "%s": ', r.name), '');
    end;
  end if;
  if r.schedule is not null then
    perform tradeflow._next_run(r.schedule, now());
    perform tradeflow._check_schedule(r.name, r.query, r.search_path, to_regrole(quote_ident(r.owner)));
  end if;
  select format('action %s wants target "%s", which does not exist', a.step, a.target) into missing
  from tradeflow.actions a
  where a.rule = r.name and a.target is not null
    and not exists (select from tradeflow.targets t where t.name = a.target)
  order by a.step limit 1;
  return missing;
end
$$;

create function tradeflow._check_source(rule text, source text) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rel       regclass := to_regclass(source);
  the_name  text := tradeflow._qualified_name(rel);
begin
  if rel is null then
    raise exception 'rule "%": table "%" does not exist', rule, source
      using errcode = 'undefined_table', hint = 'Write schema and table, as in store.quotes.';
  elsif not exists (select from tradeflow.watched_tables w where w.name = the_name) then
    raise exception 'rule "%": table % is not watched', rule, the_name
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L);', the_name);
  end if;
  return the_name;
end
$$;

comment on function tradeflow._check_source(text, text) is 'Internal. The qualified name of a watched table. Errors: 42P01 no such table, 55000 not watched.';

create function tradeflow._is_asked(r tradeflow.rules) returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select r.mode <> 'off' and r.invalid is null and r.paused_at is null and to_regrole(quote_ident(r.owner)) is not null $$;

comment on function tradeflow._is_asked(tradeflow.rules) is 'Internal. False for a rule that is off, paused, invalid, or whose owner is gone.';

create or replace function tradeflow._rules_before_write() returns trigger
language plpgsql
set search_path from current
as $$
begin
  if tg_op = 'DELETE' then
    perform tradeflow._require_member(old.owner, old.name);
    return old;
  end if;
  if tg_op = 'UPDATE' then
    -- Pausing and resuming changes no definition.
    if new.paused_at is distinct from old.paused_at
       and to_jsonb(new) - '{paused_at,paused_reason}'::text[] = to_jsonb(old) - '{paused_at,paused_reason}'::text[]
       and pg_has_role(current_user, 'tradeflow_operator', 'member') then
      return new;
    end if;
    perform tradeflow._require_member(old.owner, old.name);
    -- Found not to work: noted. Everything else is asked anew, also that it works again.
    if new.invalid is not null and to_jsonb(new) - 'invalid' = to_jsonb(old) - 'invalid' then
      return new;
    end if;
  end if;
  perform tradeflow._require_member(new.owner, new.name);

  if num_nonnulls(new.source, new.view, new.schedule) <> 1 then
    raise exception 'rule "%" needs one of source, view and schedule', new.name
      using errcode = 'not_null_violation',
            hint = 'source: the watched table whose changes it is asked about; view: whose rows are the subjects; schedule: when its query is run.';
  elsif new.schedule is not null and (new.query is null or num_nonnulls(new.condition, new.still, new.fire_at, new.columns) > 0) then
    raise exception 'rule "%" has a schedule and no query alone', new.name
      using errcode = 'invalid_parameter_value',
            hint = 'A schedule has a query, each row of which is a firing (its column fire_at may say when it is due), and no condition, still, fire_at or columns.';
  elsif new.view is not null and new.fires = 'once' then
    raise exception 'rule "%" has a view, which fires on entering', new.name
      using errcode = 'invalid_parameter_value', hint = 'once is for rules with a source. A view whose rows never leave fires once for each.';
  elsif new.view is not null then
    new.view := tradeflow._check_view(new.name, new.view);
  elsif new.source is not null then
    new.source := tradeflow._check_source(new.name, new.source);
    perform tradeflow._require_columns(new.source::regclass, new.columns, format('rule "%s": columns', new.name));
  end if;

  new.fires := case
    when new.fires = 'once' then 'once'
    when new.view is null and new.condition is null then 'always'
    else coalesce(new.fires, 'enter')
  end;
  new.invalid := tradeflow._rule_missing(new);
  if new.invalid is not null then
    raise warning 'rule "%" is stored, but not evaluated yet: %', new.name, new.invalid
      using hint = 'It compiles by itself when the missing part comes.';
  end if;

  if tg_op = 'INSERT' then
    -- A rule that comes back goes on counting where it ended: no version means two things.
    new.version := greatest(new.version, 1 + (select max(v.version) from tradeflow.rule_versions v where v.rule = new.name));
  elsif (to_jsonb(new) - '{version,updated_at,updated_by,invalid,paused_at,paused_reason}'::text[])
                          is distinct from (to_jsonb(old) - '{version,updated_at,updated_by,invalid,paused_at,paused_reason}'::text[]) then
    new.version := old.version + 1;
    new.updated_at := now();
    new.updated_by := current_user;
  end if;
  return new;
end
$$;

alter function tradeflow._rules_before_write() set search_path = pg_catalog, pg_temp;

create function tradeflow._as_written(name text) returns text
language sql stable
as $$
  select coalesce(
    (select pg_catalog.format('%I.%I', n.nspname, c.relname)
     from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
     where c.oid = pg_catalog.to_regclass(name)), name)
$$;

comment on function tradeflow._as_written(text) is 'Internal. The qualified name of what a name means to the current user now.';

create or replace function tradeflow._rules_search_path() returns trigger
language plpgsql
as $$
begin
  new.search_path := coalesce(
    new.search_path,
    (select pg_catalog.string_agg(pg_catalog.quote_ident(s), ', ' order by i)
     from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality u(s, i)),
    '');
  new.source := tradeflow._as_written(new.source);
  new.view := tradeflow._as_written(new.view);
  return new;
end
$$;

comment on function tradeflow._rules_search_path() is 'Internal. Pins the writer''s search_path to a rule that gives none, and qualifies the names of its table or view.';

create or replace function tradeflow._rules_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'INSERT' and (tg_op = 'DELETE' or new.version <> old.version) then
    insert into tradeflow.rule_versions (rule, version, definition, written_by, written_at, replaced_by)
    values (old.name, old.version, to_jsonb(old), old.updated_by, old.updated_at,
            case when tg_op = 'DELETE' then session_user else new.updated_by end)
    on conflict (rule, version) do nothing;
  end if;
  if tg_op = 'DELETE' then
    perform tradeflow._archive(array_agg(o.id), 'cancelled', 'rule deleted')
    from tradeflow.outbox o where o.rule = old.name and o.state in ('ready', 'waiting', 'held', 'shadow');
  elsif new.mode = 'off' and tg_op = 'UPDATE' and old.mode <> 'off' then
    perform tradeflow._archive(array_agg(o.id), 'cancelled', 'rule turned off')
    from tradeflow.outbox o where o.rule = new.name and o.state = 'waiting';
  end if;
  if tg_op <> 'INSERT' then
    perform tradeflow._invalidate(to_regclass(coalesce(old.source, old.view)));
  end if;
  if tg_op <> 'DELETE' then
    perform tradeflow._invalidate(to_regclass(coalesce(new.source, new.view)));
    perform tradeflow._invalidate(to_regclass(i.source)) from tradeflow.rule_inputs i where i.rule = new.name;
    if new.view is not null and tradeflow._is_asked(new)
       and (tg_op = 'INSERT' or not tradeflow._is_asked(old)
            or (old.view, old.owner, old.search_path) is distinct from (new.view, new.owner, new.search_path)) then
      perform tradeflow._seed_view(new.name);
    end if;
  end if;
  return null;
end
$$;

create or replace function tradeflow._settings_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._invalidate('tradeflow.settings');
  if tg_op = 'DELETE' then
    perform tradeflow._revalidate(array[old.name], format('deleting setting "%s"', old.name));
  else
    perform tradeflow._revalidate(array[new.name], format('setting "%s" = %L', new.name, new.value));
    if tg_op = 'UPDATE' and new.name <> old.name then
      perform tradeflow._revalidate(array[old.name], format('renaming setting "%s"', old.name));
    end if;
  end if;
  return null;
end
$$;

comment on function tradeflow._settings_after_write() is 'Internal. Has every backend read the settings again, and compile anew the rules that have one for a constant.';

create or replace function tradeflow._clock_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._invalidate('tradeflow.clock');
  perform tradeflow._invalidate(to_regclass(w.name)) from tradeflow.watched_tables w where to_regclass(w.name) is not null;
  return null;
end
$$;

comment on function tradeflow._clock_after_write() is 'Internal. Has every backend read the clock again, and compile anew the rules that have it for a constant.';

create table tradeflow.rule_inputs (
  rule     text not null references tradeflow.rules (name) on update cascade on delete cascade,
  source   text not null references tradeflow.watched_tables (name) on update cascade,
  subject  text not null,
  primary key (rule, source)
);

select pg_catalog.pg_extension_config_dump('tradeflow.rule_inputs', '');

comment on table tradeflow.rule_inputs is 'A row is a table that a view rule looks at, with what maps one of its rows to the view''s subjects.';

comment on column tradeflow.rule_inputs.rule is 'The view rule.';

comment on column tradeflow.rule_inputs.source is 'A watched table.';

comment on column tradeflow.rule_inputs.subject is 'An expression over new (new.company_id), or a SELECT that may mention new and returns any number of subjects in its one column. It is asked about the row as it was and as it is. NULL: no subject.';

create table tradeflow.members (
  rule        text not null references tradeflow.rules (name) on update cascade on delete cascade,
  subject     text not null,
  occurrence  text not null default '',
  facts       jsonb not null default '{}',
  entered_at  timestamptz,
  fire_at     timestamptz,
  recheck_at  timestamptz,
  -- What all rules said about a subject lies together: they are mostly asked together.
  primary key (subject, rule, occurrence)
);

create index members_recheck on tradeflow.members (recheck_at) where recheck_at is not null;

select pg_catalog.pg_extension_config_dump('tradeflow.members', '');

comment on table tradeflow.members is 'What view rules answered last, and about whom once rules have fired.';

comment on column tradeflow.members.rule is 'The rule.';

comment on column tradeflow.members.subject is 'Who the answer yes is about.';

comment on column tradeflow.members.occurrence is 'Which of several answers about the subject.';

comment on column tradeflow.members.facts is 'The view''s row at the time of entry; leave actions get it.';

comment on column tradeflow.members.entered_at is 'When it entered. NULL: its fire_at is still to come.';

comment on column tradeflow.members.fire_at is 'When it enters, if the view says so.';

comment on column tradeflow.members.recheck_at is 'When the view is to be asked again without any change.';

create table tradeflow.view_checks (
  id        bigint generated by default as identity primary key,
  rules     text[] not null,
  subjects  text[] not null,
  silent    boolean not null default false,
  xact      xid8 not null default pg_current_xact_id()
);

select pg_catalog.pg_extension_config_dump('tradeflow.view_checks', '');

select pg_catalog.pg_extension_config_dump('tradeflow.view_checks_id_seq', '');

comment on table tradeflow.view_checks is 'Subjects that view rules are to be asked about: at the end of the transaction that changed them, or by tick() where that one ran under REPEATABLE READ or above and could not see what others commit.';

comment on column tradeflow.view_checks.id is 'Identifies the row.';

comment on column tradeflow.view_checks.rules is 'The view rules: each is asked about each of the subjects.';

comment on column tradeflow.view_checks.subjects is 'The subjects, as text.';

comment on column tradeflow.view_checks.silent is 'Only members is brought up to date, nothing fires.';

comment on column tradeflow.view_checks.xact is 'The transaction that changed them.';

create function tradeflow._view_subject_type(view text) returns regtype
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select a.atttypid::regtype from pg_attribute a where a.attrelid = to_regclass(view) and a.attname = 'subject' and a.attnum > 0 and not a.attisdropped $$;

comment on function tradeflow._view_subject_type(text) is 'Internal. The type of a view''s column subject; NULL when it has none.';

create function tradeflow._check_view(rule text, view text) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  rel   regclass := to_regclass(view);
  kind  "char" := (select c.relkind from pg_class c where c.oid = rel);
begin
  if rel is null then
    raise exception 'rule "%": view "%" does not exist', rule, view
      using errcode = 'undefined_table', hint = 'Write schema and view, as in rules.company_gold.';
  elsif kind <> 'v' then
    raise exception 'rule "%": "%" is no view', rule, view
      using errcode = 'wrong_object_type', hint = 'A view says for whom the answer is yes; a rule about single rows of a table has a source.';
  elsif tradeflow._view_subject_type(view) is null then
    raise exception 'rule "%": view "%" has no column subject', rule, view
      using errcode = 'undefined_column', hint = 'Each of its rows says yes about one subject: select company_id as subject, …';
  end if;
  perform tradeflow._check_view_query(rel);
  return tradeflow._qualified_name(rel);
end
$$;

comment on function tradeflow._check_view(text, text) is 'Internal. The view''s qualified name. Errors: 42P01 no such relation, 42809 no view, 42703 no column subject, 42P17 a volatile function in it, or a subject that is a row''s number or ambiguous.';

create function tradeflow._rule_inputs_source() returns trigger
language plpgsql
as $$
begin
  new.source := tradeflow._as_written(new.source);
  return new;
end
$$;

comment on function tradeflow._rule_inputs_source() is 'Internal. Qualifies the name of an input''s table, by the writer''s search_path.';

create trigger rule_inputs_a_source before insert or update on tradeflow.rule_inputs
  for each row execute function tradeflow._rule_inputs_source();

create function tradeflow._rule_inputs_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  the_rule  tradeflow.rules;
  rel       regclass;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if found then
    perform tradeflow._require_member(the_rule.owner, the_rule.name);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  if the_rule.name is not null and the_rule.view is null then
    raise exception 'rule "%" has no view, so it has no inputs', new.rule
      using errcode = 'invalid_parameter_value', hint = 'A rule with a source is asked about the changed row itself.';
  end if;
  rel := to_regclass(new.source);
  if rel is null then
    raise exception 'input of rule "%": table "%" does not exist', new.rule, new.source using errcode = 'undefined_table';
  end if;
  new.source := tradeflow._qualified_name(rel);
  if not exists (select from tradeflow.watched_tables w where w.name = new.source) then
    raise exception 'input of rule "%": table % is not watched', new.rule, new.source
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L);', new.source);
  end if;
  if to_regclass(the_rule.view) is not null and not tradeflow._restoring() then
    perform tradeflow._compile_input(new.rule, rel, new.subject, tradeflow._view_subject_type(the_rule.view),
                                     the_rule.search_path, to_regrole(quote_ident(the_rule.owner)));
  end if;
  return new;
end
$$;

comment on function tradeflow._rule_inputs_before_write() is 'Internal. Checks an input of a view rule and compiles what maps a row to subjects.';

create trigger rule_inputs_b_check before insert or update or delete on tradeflow.rule_inputs
  for each row execute function tradeflow._rule_inputs_before_write();

create function tradeflow._rule_inputs_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op <> 'INSERT' then
    perform tradeflow._invalidate(to_regclass(old.source));
  end if;
  if tg_op <> 'DELETE' then
    perform tradeflow._invalidate(to_regclass(new.source));
  end if;
  return null;
end
$$;

comment on function tradeflow._rule_inputs_after_write() is 'Internal. Has every backend compile the table''s rules anew.';

create trigger rule_inputs_after_write after insert or update or delete on tradeflow.rule_inputs
  for each row execute function tradeflow._rule_inputs_after_write();

create constraint trigger view_checks_settle after insert on tradeflow.view_checks
  deferrable initially deferred
  for each row execute function tradeflow._settle_transaction();

alter table tradeflow.view_checks enable always trigger view_checks_settle;

create function tradeflow._recheck_views() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  asked  record;
begin
  if current_setting('transaction_isolation') <> 'read committed' then
    return 0;
  end if;
  with due as (
    select m.rule, m.subject from tradeflow.members m
    where m.recheck_at <= tradeflow.now()
    order by m.recheck_at limit 10000
  ), queued as (
    delete from tradeflow.view_checks c
    where c.id in (select x.id from tradeflow.view_checks x
                   where x.xact is distinct from pg_current_xact_id_if_assigned()
                   order by x.id limit 1000 for update skip locked)
    returning c.rules, c.subjects, c.silent
  ), pairs as (
    select d.rule, d.subject, false as silent from due d
    union all
    select r.rule, s.subject, q.silent from queued q, unnest(q.rules) r(rule), unnest(q.subjects) s(subject)
  )
  select array_agg(p.rule) as rules, array_agg(p.subject) as subjects, array_agg(p.silent) as silent into asked from pairs p;
  -- In one call: all locks are taken before the first question.
  return tradeflow._settle(asked.rules, asked.subjects, asked.silent);
end
$$;

comment on function tradeflow._recheck_views() is 'Internal. Part of tick(): rechecks that are due, and queued ones.';

create function tradeflow._seed_view(rule text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tradeflow._restoring() then
    return;  -- the dump has the members
  end if;
  delete from tradeflow.members m where m.rule = _seed_view.rule;
  perform tradeflow._settle(array[_seed_view.rule], array[null::text], array[true]);
end
$$;

comment on function tradeflow._seed_view(text) is 'Internal. Fills members from a view, silently.';

comment on column tradeflow.targets.system is 'smtp, http, bigcommerce, hubspot or google.';

comment on column tradeflow.targets.username is 'User name for auth basic; the client''s id for oauth2.';

comment on column tradeflow.targets.auth is 'none, bearer, basic, oauth2 (client credentials: username is the client''s id, secret its secret), or header:<Name> (the secret is that header''s value). The vendors'' systems have ways of their own: leave it none.';

comment on column tradeflow.targets.token_url is 'Where tokens are fetched for auth oauth2.';

comment on column tradeflow.targets.scope is 'The scope to ask for with auth oauth2.';

comment on column tradeflow.targets.rate_limit is 'At most so many executions per rate_period, all sidecars together: a token bucket. NULL: no limit.';

comment on column tradeflow.targets.rate_period is 'The time that rate_limit is about.';

comment on column tradeflow.targets.burst is 'Tokens the bucket holds: how many executions may come at once after a quiet time. NULL: as many as rate_limit.';

comment on column tradeflow.targets.concurrency is 'At most so many executions at the same time, all sidecars together. NULL: no limit.';

comment on column tradeflow.targets.breaker_failures is 'So many transient failures in a row open the circuit breaker: nothing is sent until breaker_cooldown has passed, then one execution tries. 0: there is no breaker.';

comment on column tradeflow.targets.breaker_cooldown is 'How long an open breaker lets nothing through.';

comment on column tradeflow.targets.paused_at is 'Since when nothing is sent there; see tradeflow.pause_target(). NULL: it is not paused.';

comment on column tradeflow.targets.paused_reason is 'Why it was paused.';

comment on column tradeflow.actions.edge is 'enter: the answer became yes. leave: it is yes no longer; the facts are those of the last yes.';

comment on column tradeflow.actions.params is 'JSON whose strings are templates over facts, steps, settings and rule. A string that is one {{ expression }} keeps its JSON type. when, which every kind has: whether the step is wanted; where it is false, the step is done without anything being done.';

comment on column tradeflow.actions.lane is 'Template (over facts, source, event, subject, occurrence, key, rule, action) of the lane: actions of one lane are executed one after another, in the order of their ids. NULL: source:subject. One that cannot be rendered is an incident, and the action takes the default lane.';

comment on column tradeflow.actions.on_dead is 'What a dead or uncertain action does to the later ones of its lane: block (they wait until a person retries or cancels it) or continue (they are executed without it, as they are where on_failure is continue).';

comment on column tradeflow.actions.recheck is 'Ask the rule''s question again before every execution, retries too: a no cancels the action, a yes brings fresh facts. Answers over old, and deletes, are not asked again unless the rule has still.';

create function tradeflow._targets_of(system text) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce('there is ' || string_agg(format('"%s"', t.name), ', ' order by t.name),
                  format('insert one into tradeflow.targets with system ''%s''.', _targets_of.system))
  from tradeflow.targets t where t.system = _targets_of.system
$$;

comment on function tradeflow._targets_of(text) is 'Internal. The hint of an action without the target it needs: which there are, or what to insert.';

create or replace function tradeflow._actions_before_write() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  kind     tradeflow.action_kinds;
  problem  text;
  the_rule tradeflow.rules;
  its_system text;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if found then
    perform tradeflow._require_member(the_rule.owner, the_rule.name);
  end if;
  if tg_op = 'DELETE' then
    return old;
  end if;
  if tg_op = 'UPDATE' and old.rule <> new.rule then
    perform tradeflow._require_member(r.owner, r.name) from tradeflow.rules r where r.name = old.rule;
  end if;

  select * into kind from tradeflow.action_kinds k where k.name = new.kind;
  if not found then
    raise exception 'action % of rule "%": there is no kind "%"', new.step, new.rule, new.kind
      using errcode = 'invalid_parameter_value',
            hint = 'kinds: ' || (select string_agg(k.name, ', ' order by k.name) from tradeflow.action_kinds k);
  end if;
  if jsonb_typeof(new.params) <> 'object' then
    raise exception 'action % of rule "%": params is a JSON %, not an object', new.step, new.rule, jsonb_typeof(new.params)
      using errcode = 'invalid_parameter_value', hint = 'params names each parameter: {"to": "…", "template": "…"}';
  end if;
  -- when is every kind's: whether the step is wanted at all.
  problem := coalesce(tradeflow._check_value(new.params - 'when', kind.params, 'params'),
                      case when new.params ? 'when' then tradeflow._check_value(
                        new.params -> 'when', '{"type": ["boolean", "string"], "pattern": "^(true|false)$"}', 'params.when') end);
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'invalid_parameter_value',
            hint = coalesce(format('kind "%s" looks like this: ', kind.name) || (kind.params -> 'examples' -> 0)::text, format('see action_kinds.params of kind "%s"', kind.name));
  end if;
  -- A target that is not there yet makes the rule invalid until it comes; one of another system will never do.
  select t.system into its_system from tradeflow.targets t where t.name = new.target;
  if kind.system = 'none' and new.target is not null then
    raise exception 'action % of rule "%": kind "%" has no target', new.step, new.rule, new.kind
      using errcode = 'invalid_parameter_value', hint = 'leave target NULL.';
  elsif kind.system <> 'none' and new.target is null then
    raise exception 'action % of rule "%": kind "%" needs a target of system %', new.step, new.rule, new.kind, kind.system
      using errcode = 'invalid_parameter_value', hint = tradeflow._targets_of(kind.system);
  elsif its_system is not null and kind.system is not null and its_system <> kind.system then
    raise exception 'action % of rule "%": target "%" is of system %, but kind "%" needs one of system %', new.step, new.rule, new.target, its_system, new.kind, kind.system
      using errcode = 'invalid_parameter_value',
            hint = tradeflow._targets_of(kind.system);
  end if;
  problem := tradeflow._check_params(new.params, 'params');
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'syntax_error', hint = 'Strings of params are Jinja templates: {{ facts.quote_number }}.';
  end if;
  problem := tradeflow._check_template(new.lane, 'lane');
  if problem is not null then
    raise exception 'action % of rule "%": %', new.step, new.rule, problem
      using errcode = 'syntax_error', hint = 'lane is a Jinja template: company {{ facts.company_id }}.';
  end if;
  return new;
end
$$;

comment on function tradeflow._actions_before_write() is
  'Internal. Checks kind, target, parameters and templates of an action. Errors: 22023 unknown kind or parameter, no target or one of another system, 42601 a string that is no template, 42501 no member of the rule''s owner.';

create or replace function tradeflow._actions_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  the_rule  tradeflow.rules;
  missing   text;
begin
  select * into the_rule from tradeflow.rules r where r.name = case tg_op when 'DELETE' then old.rule else new.rule end;
  if not found then
    return null;
  end if;
  missing := tradeflow._rule_missing(the_rule);
  if missing is distinct from the_rule.invalid then
    update tradeflow.rules set invalid = missing where name = the_rule.name;
  end if;
  perform tradeflow._invalidate(to_regclass(coalesce(the_rule.source, the_rule.view)));
  return null;
end
$$;

create view tradeflow._first_actions as
select f.rule, jsonb_object_agg(f.edge, to_jsonb(f) - '{rule,edge}'::text[]) as actions
from (select distinct on (a.rule, a.edge) a.rule, a.edge, a.step, a.name, a.kind, a.target, a.max_attempts,
             a.delay <> '0' or a.lane is not null as special
      from tradeflow.actions a
      order by a.rule, a.edge, a.step) f
group by f.rule;

comment on view tradeflow._first_actions is 'Internal. What a firing becomes, as compiled rules have it.';

comment on column tradeflow._first_actions.rule is 'The rule.';

comment on column tradeflow._first_actions.actions is 'By edge, the first action; special: it has a delay or a lane of its own.';

create or replace function tradeflow._targets_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  problem text;
begin
  if tg_op <> 'DELETE' then
    select format('action %s of rule "%s" is of kind "%s", and needs one of system %s', a.step, a.rule, a.kind, k.system) into problem
    from tradeflow.actions a join tradeflow.action_kinds k on k.name = a.kind
    where a.target = new.name and k.system <> new.system and not tradeflow._restoring()
    order by a.rule, a.step limit 1;
    if found then
      raise exception 'target "%" is of system %, but %', new.name, new.system, problem
        using errcode = 'invalid_parameter_value', hint = 'Give the target another name, or change the action first.';
    end if;
    insert into tradeflow.target_states (target) values (new.name) on conflict do nothing;
    perform tradeflow._revalidate(array[new.name], format('target "%s"', new.name));
  end if;
  if tg_op = 'DELETE' or (tg_op = 'UPDATE' and old.name <> new.name) then
    perform tradeflow._revalidate(array[old.name], format('the loss of target "%s"', old.name));
  end if;
  return null;
end
$$;

comment on function tradeflow._targets_after_write() is 'Internal. A rule whose action waited for this target starts; one that needs it refuses its loss, or another system under its name. Errors: 22023.';

drop trigger targets_after_write on tradeflow.targets;

create trigger targets_after_write after insert or update of name, system or delete on tradeflow.targets
  for each row execute function tradeflow._targets_after_write();

create function tradeflow._refuse_value(what text, how text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '%', what using errcode = 'check_violation', hint = how;
end
$$;

comment on function tradeflow._refuse_value(text, text) is 'Internal. Errors: always 23514, with these words and this hint.';

create function tradeflow._rules_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._refuse_value(format('rule "%s": %s', new.name, c.what), c.how)
  from (values
    (new.name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$', 'this is no name of a rule',
     'Letters, digits, underscore, dot and hyphen, at most 63; a letter or underscore first.'),
    (cardinality(new.events) > 0, 'events is empty', 'Name at least one of insert, update, delete; mode = ''off'' turns the rule off.'),
    (new.events <@ '{insert,update,delete}',
     format('events names "%s"', (select e from unnest(new.events) e where e <> all ('{insert,update,delete}') limit 1)),
     'There are insert, update and delete; TRUNCATE fires nothing.'),
    (new.fires in ('enter', 'always', 'once'), format('fires is "%s"', new.fires),
     'enter: when it begins to hold; always: at every change while it holds; once: at the first answer ever.'),
    (new.mode in ('live', 'shadow', 'off'), format('mode is "%s"', new.mode),
     'live; shadow: firings are recorded and never executed; off: not evaluated.'),
    (cardinality(new.columns) > 0, 'columns is empty', 'Name the columns one of which must change; NULL: any column.'),
    (new.max_firings > 0, format('max_firings is %s', new.max_firings),
     'At least 1: of more firings than this from one statement all are held.'),
    (new.max_per_subject > 0, format('max_per_subject is %s', new.max_per_subject),
     'At least 1: further firings about one subject within an hour are held.'),
    (new.version > 0, format('version is %s', new.version), 'Leave it out: tradeflow counts the definitions.'),
    (new.view is null or num_nonnulls(new.condition, new.still, new.query, new.fire_at, new.columns) = 0,
     format('it has a view, so it has no %s',
            (select string_agg(p.name, ', ' order by p.i)
             from (values (1, 'condition', new.condition), (2, 'still', new.still), (3, 'query', new.query), (4, 'fire_at', new.fire_at),
                          (5, 'columns', new.columns::text)) p(i, name, given)
             where p.given is not null)),
     'The view is the question: its rows are those for whom the answer is yes, its columns fire_at and recheck_at say when.')
  ) c(holds, what, how)
  where not c.holds
  limit 1;
  return new;
end
$$;

comment on function tradeflow._rules_valid() is 'Internal. Errors: 23514 for a value that a rule cannot have.';

create trigger rules_a_valid before insert or update on tradeflow.rules
  for each row execute function tradeflow._rules_valid();

create function tradeflow._actions_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform tradeflow._refuse_value(format('action %s of rule "%s": %s', new.step, new.rule, c.what), c.how)
  from (values
    (new.step > 0, 'step must be at least 1', 'Steps run in the order of their numbers; gaps are fine.'),
    (new.name ~ '^[A-Za-z_][A-Za-z0-9_]*$', format('"%s" is no name of an action', new.name),
     'Letters, digits and underscore, no digit first: later steps read its result as steps.name.'),
    (new.edge in ('enter', 'leave'), format('edge is "%s"', new.edge), 'enter: the answer became yes; leave: it is yes no longer.'),
    (new.if_late in ('run', 'skip'), format('if_late is "%s"', new.if_late),
     'run: at once, when its time has passed already; skip: not at all.'),
    (new.max_attempts between 1 and 100, format('max_attempts is %s', new.max_attempts),
     'From 1 to 100; with the backoff between them, 20 last about an hour.'),
    (new.on_failure in ('stop', 'continue'), format('on_failure is "%s"', new.on_failure), 'stop, or continue with the next step.')
  ) c(holds, what, how)
  where not c.holds
  limit 1;
  return new;
end
$$;

comment on function tradeflow._actions_valid() is 'Internal. Errors: 23514 for a value that an action cannot have.';

create trigger actions_a_valid before insert or update on tradeflow.actions
  for each row execute function tradeflow._actions_valid();

create function tradeflow._targets_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  reference constant text := '^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$';
  where_it_is constant text := 'It says where the sidecar finds the secret, env:NAME or file:/path; the secret itself is never written here.';
begin
  perform tradeflow._refuse_value(format('target "%s": %s', new.name, c.what), c.how)
  from (values
    (new.secret ~ reference, 'secret is no reference to a secret', where_it_is),
    (new.signing_secret ~ reference, 'signing_secret is no reference to a secret', where_it_is),
    (new.base_url !~ '^[a-z]+://[^/]*@', 'base_url holds a user or a password',
     'Put the user into username, and where the password is into secret: env:NAME or file:/path.'),
    (new.name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$', 'this is no name of a target',
     'Letters, digits, underscore, dot and hyphen, at most 63; a letter or underscore first.'),
    (jsonb_typeof(new.headers) = 'object', format('headers is a JSON %s, not an object', jsonb_typeof(new.headers)),
     'It names each header: {"X-Client": "tradeflow"}'),
    (new.timeout > '0', format('timeout is %s', new.timeout), 'How long one execution may take, as in 30 seconds.')
  ) c(holds, what, how)
  where not c.holds
  limit 1;
  return new;
end
$$;

comment on function tradeflow._targets_valid() is 'Internal. Errors: 23514 for a value that a target cannot have; what was taken for a secret is not repeated.';

create trigger targets_a_valid before insert or update on tradeflow.targets
  for each row execute function tradeflow._targets_valid();

create function tradeflow._name_valid() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.name !~ tg_argv[1] then
    raise exception '"%" is no name of a %', new.name, tg_argv[0] using errcode = 'check_violation', hint = tg_argv[2];
  end if;
  return new;
end
$$;

comment on function tradeflow._name_valid() is 'Internal. Its arguments: of what, the pattern, the pattern in words. Errors: 23514 for another name.';

create trigger settings_a_valid before insert or update of name on tradeflow.settings
  for each row execute function tradeflow._name_valid(
    'setting', '^[A-Za-z_][A-Za-z0-9_.]*$', 'Letters, digits, underscore and dot; a letter or underscore first: templates read it as settings.name.');

create trigger templates_a_valid before insert or update of name on tradeflow.templates
  for each row execute function tradeflow._name_valid(
    'template', '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$', 'Letters, digits, underscore, dot and hyphen, at most 63; a letter or underscore first.');

create table tradeflow.rule_dependencies (
  rule         text not null references tradeflow.rules (name) on update cascade on delete cascade,
  part         text not null,
  table_name   text,
  column_name  text,
  function     text,
  check (num_nonnulls(table_name, function) = 1)
);

create index rule_dependencies_rule on tradeflow.rule_dependencies (rule);

create index rule_dependencies_table on tradeflow.rule_dependencies (table_name);

select pg_catalog.pg_extension_config_dump('tradeflow.rule_dependencies', '');

comment on table tradeflow.rule_dependencies is 'What each rule reads, noted when it is written; read it through the view dependencies.';

comment on column tradeflow.rule_dependencies.rule is 'The rule.';

comment on column tradeflow.rule_dependencies.part is 'Which part of its definition: source, key, columns, condition, fire_at, still, query, view, input.';

comment on column tradeflow.rule_dependencies.table_name is 'A table or view that is read: schema and name.';

comment on column tradeflow.rule_dependencies.column_name is 'The column of it; NULL: the row as a whole.';

comment on column tradeflow.rule_dependencies.function is 'A function that is called, with its argument types; Postgres'' own ones are left out.';

create function tradeflow._reads(query text, search_path text, owner regrole) returns text
language c strict as 'MODULE_PATHNAME', 'tradeflow_reads';

comment on function tradeflow._reads(text, text, regrole) is
  'Internal. What a SELECT reads: a JSON text with columns [[table''s oid, attribute number; 0 the row, -1 nothing of it]] and functions [oid]. Parsed as this role, not run.';

create function tradeflow._note_dependencies(the_rule text) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  r      tradeflow.rules;
  part   record;
  reads  jsonb;
begin
  delete from tradeflow.rule_dependencies d where d.rule = the_rule;
  select * into r from tradeflow.rules x where x.name = the_rule;
  if not found or to_regrole(quote_ident(r.owner)) is null then
    return;
  end if;
  insert into tradeflow.rule_dependencies (rule, part, table_name, column_name)
  select r.name, 'source', r.source, null where r.source is not null
  union all
  select r.name, 'key', w.name, k from tradeflow.watched_tables w, unnest(w.key) k where w.name = r.source
  union all
  select r.name, 'columns', r.source, c from unnest(r.columns) c;

  -- Each part as a statement of its own; a question about changes is one over two rows of the table.
  for part in
    select p.name, p.query
    from (values
      ('condition', format(E'select (\n%s\n) from %s as new, %s as old', r.condition, r.source, r.source)),
      ('fire_at', format(E'select (\n%s\n) from %s as new, %s as old', r.fire_at, r.source, r.source)),
      ('still', format(E'select (\n%s\n) from %s as new', r.still, r.source)),
      ('query', case when r.source is null then r.query
                else format(E'select answer.* from %s as new, %s as old, lateral (\n%s\n) as answer', r.source, r.source,
                            rtrim(rtrim(r.query, E' \n\t'), ';')) end),
      ('view', format('select * from %s', r.view))) p(name, query)
    where case p.name when 'condition' then r.condition when 'fire_at' then r.fire_at when 'still' then r.still
                      when 'query' then r.query else r.view end is not null
    union all
    select 'input', case when i.subject ~* '^\s*(select|with)\M'
                         then format(E'select answer.* from %s as new, %s as old, lateral (\n%s\n) as answer', i.source, i.source, rtrim(i.subject, E'; \n\t'))
                         else format(E'select (\n%s\n) from %s as new', i.subject, i.source) end
    from tradeflow.rule_inputs i where i.rule = r.name
  loop
    begin
      reads := tradeflow._reads(part.query, r.search_path, to_regrole(quote_ident(r.owner)))::jsonb;
    exception when others then
      continue;  -- the rule waits for something that is missing, and is noted again when that has come
    end;
    insert into tradeflow.rule_dependencies (rule, part, table_name, column_name)
    select distinct r.name, part.name, tradeflow._qualified_name(c.oid), a.attname::text
    from jsonb_array_elements(reads -> 'columns') x
    join pg_class c on c.oid = (x ->> 0)::oid
    join pg_namespace n on n.oid = c.relnamespace and n.nspname not in ('pg_catalog', 'information_schema')
    left join pg_attribute a on a.attrelid = c.oid and a.attnum = (x ->> 1)::int and a.attnum > 0
    -- A table of which no column is read (count(*), exists, an old that is not mentioned) is named if nothing else names it.
    where (x ->> 1)::int >= 0
       or not exists (select from jsonb_array_elements(reads -> 'columns') y where y ->> 0 = x ->> 0 and (y ->> 1)::int >= 0);
    insert into tradeflow.rule_dependencies (rule, part, function)
    select distinct r.name, part.name, f::text::oid::regprocedure::text
    from jsonb_array_elements(reads -> 'functions') f;
  end loop;
end
$$;

comment on function tradeflow._note_dependencies(text) is 'Internal. Notes anew what a rule reads.';

create function tradeflow._dependencies_after_write() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_table_name = 'rules' then
    perform tradeflow._note_dependencies(new.name);
  else
    perform tradeflow._note_dependencies(coalesce(new.rule, old.rule));
  end if;
  return null;
end
$$;

comment on function tradeflow._dependencies_after_write() is 'Internal. Notes what the written rule reads.';

create trigger rules_d_dependencies after insert or update on tradeflow.rules
  for each row execute function tradeflow._dependencies_after_write();

create trigger rule_inputs_d_dependencies after insert or update or delete on tradeflow.rule_inputs
  for each row execute function tradeflow._dependencies_after_write();

create view tradeflow.dependencies as
select d.rule, d.part, d.table_name, d.column_name, d.function
from tradeflow.rule_dependencies d;

comment on view tradeflow.dependencies is 'Which rules read which tables, columns and functions; views are followed to their tables, functions are not looked into.';

comment on column tradeflow.dependencies.rule is 'The rule.';

comment on column tradeflow.dependencies.part is 'Which part of its definition: source, key, columns, condition, fire_at, still, query, view, input.';

comment on column tradeflow.dependencies.table_name is 'A table or view that is read: schema and name.';

comment on column tradeflow.dependencies.column_name is 'The column of it; NULL: the row as a whole.';

comment on column tradeflow.dependencies.function is 'A function that is called, with its argument types; Postgres'' own ones are left out.';

create table tradeflow.change_log (
  id          bigint generated by default as identity,
  source      text not null,
  event       text not null check (event in ('insert', 'update', 'delete')),
  subject     text not null,
  old         jsonb,
  new         jsonb,
  silent      boolean not null default false,
  clock       timestamptz,
  changed_at  timestamptz not null default now()
) partition by range (changed_at);

create table tradeflow.change_log_default partition of tradeflow.change_log default;

create index on tradeflow.change_log_default (source, subject);

select pg_catalog.pg_extension_config_dump('tradeflow.change_log_default', '');

select pg_catalog.pg_extension_config_dump('tradeflow.change_log_id_seq', '');

comment on table tradeflow.change_log is 'A row is one change of a table watched with log => true: what backtest() replays and explain() looks at. Partitioned by day; days older than setting change_log_days (default 14) are dropped by tick(). Changes of ignored columns alone are none.';

comment on table tradeflow.change_log_default is 'Catches rows of a day whose partition tick() has not made yet.';

comment on column tradeflow.change_log.id is 'Order of the changes within a transaction.';

comment on column tradeflow.change_log.source is 'The table whose row changed.';

comment on column tradeflow.change_log.event is 'insert, update or delete.';

comment on column tradeflow.change_log.subject is 'The key of the row as text, as in the outbox.';

comment on column tradeflow.change_log.old is 'The row before; NULL on insert.';

comment on column tradeflow.change_log.new is 'The row after; NULL on delete.';

comment on column tradeflow.change_log.silent is 'Written in silent mode: no rule was asked, and a backtest leaves it out.';

comment on column tradeflow.change_log.clock is 'The test clock at that time; NULL: there was none.';

comment on column tradeflow.change_log.changed_at is 'The start of the transaction that changed it, as outbox.created_at.';

create table tradeflow.target_states (
  target           text primary key references tradeflow.targets (name) on update cascade on delete cascade,
  tokens           double precision,
  refilled_at      timestamptz,
  running          int not null default 0 check (running >= 0),
  breaker          text not null default 'closed' check (breaker in ('closed', 'open', 'half_open')),
  failures         int not null default 0,
  opened_at        timestamptz,
  retry_at         timestamptz,
  throttled_until  timestamptz,
  last_error       text,
  last_failed_at   timestamptz
);

alter table tradeflow.target_states set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);

comment on table tradeflow.target_states is 'A row for each target: its token bucket, circuit breaker and last failure. Written by claim, complete, fail and tick under the row''s lock, so the limits hold for all sidecars together; not dumped.';

comment on column tradeflow.target_states.target is 'The target.';

comment on column tradeflow.target_states.tokens is 'Executions the bucket allowed at refilled_at. NULL: it is full.';

comment on column tradeflow.target_states.refilled_at is 'When tokens was computed.';

comment on column tradeflow.target_states.running is 'How many executions are under way; counted only while the target has a concurrency limit.';

comment on column tradeflow.target_states.breaker is 'closed: it is used. open: not before retry_at. half_open: one execution tries, and its outcome decides.';

comment on column tradeflow.target_states.failures is 'Transient failures in a row.';

comment on column tradeflow.target_states.opened_at is 'Since when the breaker is not closed. NULL: it is closed.';

comment on column tradeflow.target_states.retry_at is 'When an open breaker lets one execution try; half-open: when it lets another, should the first never be heard of again.';

comment on column tradeflow.target_states.throttled_until is 'The destination asked not to be called before (Retry-After). NULL: it did not.';

comment on column tradeflow.target_states.last_error is 'The last transient failure or throttling, in its words.';

comment on column tradeflow.target_states.last_failed_at is 'When that was.';

create function tradeflow.pause_target(target text, reason text default null) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.targets t set paused_at = clock_timestamp(), paused_reason = pause_target.reason
  where t.name = pause_target.target and t.paused_at is null;
  if found then
    return true;
  end if;
  perform tradeflow._require_target(pause_target.target);
  return false;
end
$$;

comment on function tradeflow.pause_target(text, text) is
  'Sends nothing more to a target: its actions stay as they are, and rules go on firing. What is being executed ends. False: it is paused already. Errors: 42704 no such target.';

create function tradeflow.resume_target(target text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  resumed boolean;
begin
  update tradeflow.targets t set paused_at = null, paused_reason = null
  where t.name = resume_target.target and t.paused_at is not null;
  resumed := found;
  perform tradeflow._require_target(resume_target.target);
  resumed := tradeflow._try_again(resume_target.target) or resumed;
  if resumed then
    perform pg_notify('tradeflow', '');
  end if;
  return resumed;
end
$$;

comment on function tradeflow.resume_target(text) is
  'Goes on with a target that is paused, that asked not to be called for a while, or whose circuit breaker is open: then one action tries at once. Actions that were told to wait keep their own time: retry() does not wait. False: it was stopped by none of these. Errors: 42704 no such target.';

create function tradeflow._require_target(target text) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  if not exists (select from tradeflow.targets t where t.name = _require_target.target) then
    raise exception 'there is no target "%"', _require_target.target
      using errcode = 'undefined_object', hint = 'targets: ' || coalesce((select string_agg(t.name, ', ' order by t.name) from tradeflow.targets t), 'none');
  end if;
end
$$;

comment on function tradeflow._require_target(text) is 'Internal. An error if there is no such target, with those there are.';

create function tradeflow._try_again(target text) returns boolean
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.target_states s
  set throttled_until = null, retry_at = case when s.breaker = 'open' then clock_timestamp() else s.retry_at end
  where s.target = _try_again.target
    and (s.throttled_until > clock_timestamp() or (s.breaker = 'open' and s.retry_at > clock_timestamp()));
  return found;
end
$$;

comment on function tradeflow._try_again(text) is 'Internal. Ends a target''s throttling and lets its open breaker try now. False: there was neither.';

create function tradeflow.pause_kind(kind text, reason text default null) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.action_kinds k set paused_at = clock_timestamp(), paused_reason = pause_kind.reason
  where k.name = pause_kind.kind and k.paused_at is null;
  if found then
    return true;
  elsif not exists (select from tradeflow.action_kinds k where k.name = pause_kind.kind) then
    raise exception 'there is no kind "%"', pause_kind.kind
      using errcode = 'undefined_object', hint = 'kinds: ' || (select string_agg(k.name, ', ' order by k.name) from tradeflow.action_kinds k);
  end if;
  return false;
end
$$;

comment on function tradeflow.pause_kind(text, text) is
  'Executes no more actions of a kind: they stay as they are, and rules go on firing. What is being executed ends. False: it is paused already. Errors: 42704 no such kind.';

create function tradeflow.resume_kind(kind text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.action_kinds k set paused_at = null, paused_reason = null
  where k.name = resume_kind.kind and k.paused_at is not null;
  if found then
    perform pg_notify('tradeflow', '');
    return true;
  elsif not exists (select from tradeflow.action_kinds k where k.name = resume_kind.kind) then
    raise exception 'there is no kind "%"', resume_kind.kind
      using errcode = 'undefined_object', hint = 'kinds: ' || (select string_agg(k.name, ', ' order by k.name) from tradeflow.action_kinds k);
  end if;
  return false;
end
$$;

comment on function tradeflow.resume_kind(text) is 'Goes on with a paused kind. False: it is not paused. Errors: 42704 no such kind.';

drop index tradeflow.outbox_ready;

create index outbox_ready on tradeflow.outbox (kind, coalesce(target, ''), run_at, id) where state = 'ready' and parked is null;

drop index tradeflow.outbox_lane;

create index outbox_lane on tradeflow.outbox (lane, id) where state = 'ready' or blocking;

create unique index outbox_running on tradeflow.outbox (lane) where worker is not null;

drop index tradeflow.outbox_lease;

create index outbox_lease on tradeflow.outbox (lease_until) where lease_until is not null;

create index outbox_parked on tradeflow.outbox (parked, lane, id) where parked is not null;

comment on column tradeflow.outbox.event is 'insert, update, delete; view, schedule, backfill for what such rules or calls fired.';

comment on column tradeflow.outbox.edge is 'enter: the answer became yes; leave: it is yes no longer.';

comment on column tradeflow.outbox.lane is 'Actions of one lane run one after another, in the order of their ids: source:subject, unless the action has a lane of its own.';

comment on column tradeflow.outbox.parked is 'Ready, but known not to be its turn: lane (others of its lane are before it), rule (its rule is paused). claim() does not meet it; who ends what is before it sets it free.';

comment on column tradeflow.outbox.blocking is 'Dead or uncertain, and the later actions of its lane wait for what a person does about it (actions.on_dead).';

comment on column tradeflow.outbox.continued is 'Dead, and its firing went on without it (actions.on_failure): its next step was begun.';

comment on column tradeflow.outbox.run_at is 'Not before this time; of an action that had to wait for its lane, since when it is its turn. Ready ones are claimed in this order.';

comment on column tradeflow.outbox.traceparent is 'The trace of the change, as the writing session named it: set tradeflow.traceparent (W3C Trace Context). NULL: it named none.';

create index incidents_outbox on tradeflow.incidents (outbox_id) where acked_at is null and outbox_id is not null;

comment on table tradeflow.incidents is 'A row is something that went wrong and needs a person. Statements append; tick() adds up the ones that say the same. It is noted by ack(), and when what it tells of is decided: the action retried or cancelled, what is held released or discarded, the target''s breaker closed. Noted ones are kept as long as the history (setting history_days); open ones until a person acts.';

comment on column tradeflow.incidents.kind is 'rule_error: a condition, query or due time failed for a row. rule_invalid: a rule no longer compiles. held_burst: more firings than max_firings. dead_action, uncertain_action: see the outbox row. timer_error: a due timer could not be asked again. log_error: a change could not be written to change_log. lane_error: an action''s lane could not be rendered. breaker_open: a target failed so often that nothing is sent there for a while. unknown_kind: actions wait of a kind that no sidecar asks for. sync_error: a resource could not be read. sync_rejected: a payload could not be stored. sync_held: more rows than sync.sweep_max_deleted are gone at the source, so none was deleted. hook_refused: a webhook was not believed.';

comment on column tradeflow.incidents.subject is 'The key of the (first) row it happened for; of breaker_open the target.';

create function tradeflow._lane(
  template text, rule text, rule_version int, source text, event text, subject text, occurrence text, key jsonb, action text, facts jsonb
) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  lane text;
begin
  lane := tradeflow._render(template, jsonb_build_object(
    'facts', facts, 'source', source, 'event', event, 'subject', subject, 'occurrence', occurrence, 'key', key, 'action', action,
    'rule', jsonb_build_object('name', rule, 'version', rule_version)));
  if lane = '' or length(lane) > 500 then
    raise invalid_parameter_value using message = format('the template "%s" makes a lane of %s characters; it must have 1 to 500', template, length(lane));
  end if;
  return lane;
exception when invalid_parameter_value then
  insert into tradeflow.incidents (kind, rule, source, subject, message, hint)
  values ('lane_error', rule, source, subject, format('rule "%s" for %s: %s', rule, subject, sqlerrm),
          'mend the lane of its action; until then it is executed in the lane of its subject.');
  return source || ':' || subject;
end
$$;

comment on function tradeflow._lane(text, text, int, text, text, text, text, jsonb, text, jsonb) is
  'Internal. The lane of an action that has a template for it; what cannot be rendered is an incident, and the lane is source:subject.';

create function tradeflow._lanes_freed(lanes text[]) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  freed int;
begin
  update tradeflow.outbox o
  set parked = null, run_at = clock_timestamp()
  from (
    -- Most lanes have nothing parked: then the look-up ends at the root of an empty index.
    select distinct l.lane from unnest(lanes) l(lane)
    where (select p.id from tradeflow.outbox p where p.parked = 'lane' and p.lane = l.lane limit 1) is not null) l
  cross join lateral (
    select b.ctid as at, b.parked from tradeflow.outbox b
    where b.lane = l.lane and (b.state = 'ready' or b.blocking)
    -- As the index has it: by id alone the planner might read the table in the order of ids.
    order by b.lane, b.id limit 1) first
  where o.ctid = first.at and first.parked = 'lane'
    -- What runs in the lane sets the next one free when it ends.
    and (select b.id from tradeflow.outbox b where b.lane = l.lane and b.worker is not null limit 1) is null;
  get diagnostics freed = row_count;
  return freed;
end
$$;

comment on function tradeflow._lanes_freed(text[]) is 'Internal. Lets the first action of each of these lanes have its turn. Returns how many were parked until now.';

create table tradeflow.channels (
  kind        text collate "C" not null,
  target      text collate "C" not null default '',
  from_at     timestamptz not null default '-infinity',
  from_id     bigint not null default 0,
  swept_at    timestamptz,
  sweep_took  interval,
  primary key (kind, target)
);

alter table tradeflow.channels set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);

comment on table tradeflow.channels is 'A row is a kind and target that actions name: claim() looks for ready actions channel by channel. Not dumped.';

comment on column tradeflow.channels.kind is 'Kind of the actions.';

comment on column tradeflow.channels.target is 'Their target; empty: none.';

comment on column tradeflow.channels.from_at is 'claim() skips what was ready before: while an old transaction keeps vacuum from cleaning, those are dead rows without end. What commits late and lies before it is moved behind it by tick().';

comment on column tradeflow.channels.from_id is 'Of several with that time: what has a lower id.';

comment on column tradeflow.channels.swept_at is 'When tick() last looked for late ones.';

comment on column tradeflow.channels.sweep_took is 'How long that took: it looks the more seldom the longer it takes.';

create function tradeflow._note_channel() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into tradeflow.channels (kind, target) values (new.kind, coalesce(new.target, '')) on conflict do nothing;
  return null;
end
$$;

comment on function tradeflow._note_channel() is 'Internal. Has claim() look for the actions of this kind and target.';

create trigger actions_channel after insert or update of kind, target on tradeflow.actions
  for each row execute function tradeflow._note_channel();

alter table tradeflow.actions enable always trigger actions_channel;

create function tradeflow._sweep_channels() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  channel  tradeflow.channels;
  began    timestamptz;
  before   bigint;  -- pages of the index: entries known to be dead are passed without being counted
  late     int;
  moved    int := 0;
begin
  for channel in
    select * from tradeflow.channels c
    where c.from_at > '-infinity'
      and (c.swept_at is null or c.swept_at + greatest(20 * c.sweep_took, interval '0.5 seconds') < clock_timestamp())
    order by c.kind, c.target
  loop
    began := clock_timestamp();
    before := pg_stat_get_xact_blocks_fetched('tradeflow.outbox_ready'::regclass);
    update tradeflow.outbox o
    set run_at = clock_timestamp()
    from (
      select x.ctid as at from tradeflow.outbox x
      where x.kind = channel.kind and coalesce(x.target, '') = channel.target and x.state = 'ready' and x.parked is null
        and (x.run_at, x.id) < (channel.from_at, channel.from_id)
      for update skip locked) late_one
    where o.ctid = late_one.at;
    get diagnostics late = row_count;
    moved := moved + late;
    update tradeflow.channels c
    set swept_at = clock_timestamp(), sweep_took = clock_timestamp() - began,
        from_at = case when pg_stat_get_xact_blocks_fetched('tradeflow.outbox_ready'::regclass) - before < 16 then '-infinity' else c.from_at end
    where c.kind = channel.kind and c.target = channel.target;
  end loop;
  return moved;
end
$$;

comment on function tradeflow._sweep_channels() is 'Internal. Part of tick(): finds ready actions that committed after claim() had gone past them. Returns how many.';

create function tradeflow._heal_parked() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  now     timestamptz := clock_timestamp();
  healed  int := 0;
  more    int;
begin
  -- A channel that rows name, and no action any more: actions changed since, or a dump of such.
  with recursive found as (
    (select o.kind, coalesce(o.target, '') as target from tradeflow.outbox o
     where o.state = 'ready' and o.parked is null
     order by o.kind, coalesce(o.target, '') limit 1)
    union all
    select next.kind, next.target
    from found f
    cross join lateral (
      select o.kind, coalesce(o.target, '') as target from tradeflow.outbox o
      where o.state = 'ready' and o.parked is null and (o.kind, coalesce(o.target, '')) > (f.kind, f.target)
      order by o.kind, coalesce(o.target, '') limit 1) next
  )
  insert into tradeflow.channels (kind, target)
  select f.kind, f.target from found f where f.kind is not null on conflict do nothing;

  if not exists (select from tradeflow.outbox o where o.parked is not null) then
    return 0;
  end if;
  update tradeflow.outbox o
  set parked = null, run_at = now
  where o.parked = 'rule' and not exists (select from tradeflow.rules r where r.name = o.rule and r.paused_at is not null);
  get diagnostics healed = row_count;
  update tradeflow.outbox o
  set parked = null, run_at = now
  where o.parked = 'lane'
    and not exists (select from tradeflow.outbox b where b.lane = o.lane and b.worker is not null)
    and not exists (select from tradeflow.outbox b where b.lane = o.lane and b.id < o.id and (b.state = 'ready' or b.blocking));
  get diagnostics more = row_count;
  return healed + more;
end
$$;

comment on function tradeflow._heal_parked() is 'Internal. Part of tick(): finds channels that are not known yet, and sets free what is parked without reason. Returns how many.';

create function tradeflow._unpark_rule() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  -- One time for all: they go on in the order of their ids.
  now timestamptz := clock_timestamp();
begin
  update tradeflow.outbox o set parked = null, run_at = now where o.parked = 'rule' and o.rule = new.name;
  if found then
    perform pg_notify('tradeflow', '');
  end if;
  return null;
end
$$;

comment on function tradeflow._unpark_rule() is 'Internal. The actions of a rule that is resumed go on.';

create trigger rules_f_unpark after update on tradeflow.rules
  for each row when (old.paused_at is not null and new.paused_at is null) execute function tradeflow._unpark_rule();

create index on tradeflow.outbox_history_default using brin (id int8_minmax_multi_ops, firing_id int8_minmax_multi_ops, finished_at)
  with (pages_per_range = 16, autosummarize = on);

do $comments$
declare
  c record;
begin
  for c in
    select a.attname, col_description('tradeflow.outbox'::regclass, a.attnum) as text
    from pg_catalog.pg_attribute a
    where a.attrelid = 'tradeflow.outbox'::pg_catalog.regclass and a.attnum > 0
  loop
    execute format('comment on column tradeflow.outbox_history.%I is %L', c.attname, c.text);
  end loop;
end
$comments$;

create function tradeflow._next_step(finished tradeflow.outbox[], outcomes jsonb[]) returns int
language sql
set search_path = pg_catalog, pg_temp
as $$
  with finished as (
    select f.*, coalesce(outcomes[f.ordinality], '{}') - 'request' as outcome
    from unnest(_next_step.finished) with ordinality f
    -- A dead action that the firing went on without, and that a person had executed again: its next step was begun then.
    where not f.continued
  ), added as (
    insert into tradeflow.outbox (
      firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, facts, steps, run_at, fire_at, max_attempts, traceparent)
    select
      f.firing_id, f.rule, f.rule_version, f.source, f.event, f.subject, f.occurrence, f.key, f.edge, a.step, a.name, a.kind, a.target,
      case when a.lane is null then f.source || ':' || f.subject
           else tradeflow._lane(a.lane, f.rule, f.rule_version, f.source, f.event, f.subject, f.occurrence, f.key, a.name, f.facts) end,
      case when a.delay > '0' then 'waiting' else 'ready' end, f.facts,
      f.steps || jsonb_build_object(f.step::text, f.outcome)
              || case when f.action is null then '{}' else jsonb_build_object(f.action, f.outcome) end,
      case when a.delay > '0' then tradeflow.now() + a.delay else clock_timestamp() end, f.fire_at, a.max_attempts, f.traceparent
    from finished f
    cross join lateral (
      select * from tradeflow.actions x
      where x.rule = f.rule and x.edge = f.edge and x.step > f.step
      order by x.step limit 1) a
    returning 1
  ), told as (
    select pg_notify('tradeflow', '') where exists (select from added)
  )
  select count(*)::int from added left join told on true
$$;

comment on function tradeflow._next_step(tradeflow.outbox[], jsonb[]) is 'Internal. Begins the next step of the firings of these actions.';

create function tradeflow._finish(
  inout ids bigint[], state text, reason text default null, results jsonb[] default null, attempts int[] default null, out targets text[]
)
language plpgsql
set search_path = pg_catalog, pg_temp
-- Look-ups by id, whatever statistics say of a table that is empty now and full then.
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
as $$
declare
  ended  record;
begin
  with ended as (
    -- In the order of ids, as every function here locks: two workers never wait for each other.
    select distinct on (u.id) u.* from unnest(_finish.ids, attempts, results) u(id, attempt, result) order by u.id
  ), gone as (
    delete from tradeflow.outbox o using ended e
    where o.id = e.id and (attempts is null or (o.attempt = e.attempt and o.state = 'running'))
    returning o.*, e.result as outcome
  ), moved as (
    insert into tradeflow.outbox_history (
      id, firing_id, rule, rule_version, source, event, subject, occurrence, key, edge, step, action, kind, target, lane,
      state, blocking, continued, reason, facts, steps, run_at, fire_at, attempt, max_attempts, worker, started_at, error,
      result, request, created_at, traceparent)
    select
      g.id, g.firing_id, g.rule, g.rule_version, g.source, g.event, g.subject, g.occurrence, g.key, g.edge, g.step, g.action, g.kind, g.target, g.lane,
      coalesce(_finish.state, g.state), false, g.continued, coalesce(_finish.reason, g.reason), g.facts, g.steps, g.run_at, g.fire_at, g.attempt, g.max_attempts, g.worker, g.started_at, g.error,
      coalesce(g.outcome - 'request', g.result), g.outcome -> 'request', g.created_at, g.traceparent
    from gone g
    -- What is read from here on is narrow: the rows themselves are read once more only where a step follows.
    returning id, target, lane, rule, edge, step
  ), followed as (
    select d.rule, d.edge, d.step
    from (select distinct m.rule, m.edge, m.step from moved m where _finish.state = 'done') d
    where exists (select from tradeflow.actions a where a.rule = d.rule and a.edge = d.edge and a.step > d.step)
  ), next as (
    -- By the names of the columns: in a database that was updated their order is another.
    select array_agg(jsonb_populate_record(null::tradeflow.outbox, to_jsonb(g)) order by g.id) as rows,
           array_agg(g.outcome order by g.id) as outcomes
    from followed f join gone g on g.rule = f.rule and g.edge = f.edge and g.step = f.step
  )
  select array_agg(m.id) as ids, array_agg(m.target) as targets, array_agg(m.lane) as lanes,
         (select n.rows from next n) as next_rows, (select n.outcomes from next n) as next_outcomes
  into ended
  from moved m;

  _finish.ids := ended.ids;
  _finish.targets := ended.targets;
  if ended.ids is not null then
    if ended.next_rows is not null then
      perform tradeflow._next_step(ended.next_rows, ended.next_outcomes);
    end if;
    if tradeflow._lanes_freed(ended.lanes) > 0 then
      perform pg_notify('tradeflow', '');
    end if;
  end if;
end
$$;

comment on function tradeflow._finish(bigint[], text, text, jsonb[], int[]) is
  'Internal. Moves actions to the history in this state (NULL: as they are), with their results, in the order of ids. Returns the ids and targets of those it ended; NULL: of none.';

create function tradeflow._archive(ids bigint[], state text, reason text default null) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  return (select coalesce(cardinality(f.ids), 0) from tradeflow._finish(ids, state, reason) f);
end
$$;

comment on function tradeflow._archive(bigint[], text, text) is 'Internal. Moves actions to the history. Returns how many.';

comment on column tradeflow.firings.event is 'insert, update, delete, view, schedule or backfill.';

comment on column tradeflow.firings.edge is 'enter: the answer became yes; leave: it is yes no longer.';

create table tradeflow.ledger_entries (
  id             bigint generated by default as identity primary key,
  account        text not null,
  key            text not null,
  amount         numeric not null,
  currency       text,
  reason         text,
  outbox_id      bigint,
  balance_before numeric,
  balance_after  numeric,
  sent_at        timestamptz,
  settled_at     timestamptz,
  created_at     timestamptz not null default now(),
  unique (account, key)
);

create index ledger_entries_open on tradeflow.ledger_entries (account) where settled_at is null and sent_at is not null;

select pg_catalog.pg_extension_config_dump('tradeflow.ledger_entries', '');

select pg_catalog.pg_extension_config_dump('tradeflow.ledger_entries_id_seq', '');

comment on table tradeflow.ledger_entries is 'Signed amounts on an account, each under a key that counts once. Kind bigcommerce.add_company_credit writes here before it writes to the store, and settles after it has read back; rules may add entries of their own.';

comment on column tradeflow.ledger_entries.id is 'Identifies the entry.';

comment on column tradeflow.ledger_entries.account is 'Whose: for company credit "<target>:company_credit:<company id>".';

comment on column tradeflow.ledger_entries.key is 'What it is for. A second entry of the account under the same key is the first one.';

comment on column tradeflow.ledger_entries.amount is 'Added (or, negative, taken away), in currency.';

comment on column tradeflow.ledger_entries.currency is 'ISO 4217 code.';

comment on column tradeflow.ledger_entries.reason is 'For people.';

comment on column tradeflow.ledger_entries.outbox_id is 'The action that made it.';

comment on column tradeflow.ledger_entries.balance_before is 'What the other side had when the new balance was about to be sent.';

comment on column tradeflow.ledger_entries.balance_after is 'The balance that was about to be sent.';

comment on column tradeflow.ledger_entries.sent_at is 'When that was. NULL: nothing was sent.';

comment on column tradeflow.ledger_entries.settled_at is 'When the other side was seen to have it. NULL while that is open.';

comment on column tradeflow.ledger_entries.created_at is 'When it was written.';

create function tradeflow.ledger_enter(
  account text, key text, amount numeric, currency text default null, cap numeric default null, reason text default null, outbox_id bigint default null
) returns tradeflow.ledger_entries
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  entry  tradeflow.ledger_entries;
  total  numeric;
begin
  if coalesce(account, '') = '' or coalesce(key, '') = '' or amount is null then
    raise exception 'an entry needs an account, a key and an amount' using errcode = 'invalid_parameter_value';
  end if;
  -- Entries of an account one after another: the cap is a sum over all of them.
  perform pg_advisory_xact_lock(hashtextextended('tradeflow.ledger ' || account, 0));
  select * into entry from tradeflow.ledger_entries e where e.account = ledger_enter.account and e.key = ledger_enter.key;
  if found then
    return entry;
  end if;
  if cap is not null and amount > 0 then
    select coalesce(sum(e.amount), 0) into total from tradeflow.ledger_entries e where e.account = ledger_enter.account;
    amount := greatest(least(amount, cap - total), 0);
  end if;
  insert into tradeflow.ledger_entries (account, key, amount, currency, reason, outbox_id)
  values (ledger_enter.account, ledger_enter.key, ledger_enter.amount, ledger_enter.currency, ledger_enter.reason, ledger_enter.outbox_id)
  returning * into entry;
  return entry;
end
$$;

comment on function tradeflow.ledger_enter(text, text, numeric, text, numeric, text, bigint) is
  'Writes an entry, or returns the one that is under the key already. With cap a positive amount is cut so that the account''s entries sum up to no more. Errors: 22023 without account, key or amount.';

create function tradeflow.ledger_sending(id bigint, before numeric, after numeric) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update tradeflow.ledger_entries e
  set balance_before = ledger_sending.before, balance_after = ledger_sending.after, sent_at = clock_timestamp()
  where e.id = ledger_sending.id and e.settled_at is null
$$;

comment on function tradeflow.ledger_sending(bigint, numeric, numeric) is 'Notes the balances before and after, committed before the new one is sent: who comes later can tell whether it arrived.';

create function tradeflow.ledger_settle(id bigint, arrived boolean) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  update tradeflow.ledger_entries e
  set settled_at = case when ledger_settle.arrived then clock_timestamp() end,
      sent_at = case when ledger_settle.arrived then e.sent_at end
  where e.id = ledger_settle.id and e.settled_at is null
$$;

comment on function tradeflow.ledger_settle(bigint, boolean) is 'Notes that the other side has it; or (false) that it did not arrive, so that it may be sent again.';

create unlogged table tradeflow.recent_firings (
  about  bigint not null,
  at     timestamptz not null
);

create index recent_firings_about on tradeflow.recent_firings (about, at);

create index recent_firings_at on tradeflow.recent_firings using brin (at) with (autosummarize = on);

comment on table tradeflow.recent_firings is 'What fired within the last hour, to hold loops (rules.max_per_subject). Statements append, tick() sweeps.';

comment on column tradeflow.recent_firings.about is 'A hash of rule and subject.';

comment on column tradeflow.recent_firings.at is 'When it fired.';

create function tradeflow._lock_waiting(ids bigint[]) returns setof bigint
language sql
set search_path = pg_catalog, pg_temp
-- By id, whatever statistics say of a table that is empty now and full then; and not by the index of what waits for its time.
set enable_seqscan = off
as $$
  select o.id from tradeflow.outbox o where o.id = any (ids) and o.state || '' = 'waiting' order by o.id for update
$$;

comment on function tradeflow._lock_waiting(bigint[]) is 'Internal. Locks those of these actions that wait for their time, in the order of their ids, and returns them.';

create function tradeflow._withdraw(ids bigint[], reason text) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
-- Planned once, not at every change of a timer; by id, whatever statistics say of tables that are empty now and full then.
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
begin
  delete from tradeflow.members m
  using tradeflow.outbox o, tradeflow.rules r
  where o.id = any (ids) and o.state = 'waiting' and o.steps = '{}' and o.edge = 'enter'
    and r.name = o.rule and r.fires = 'once' and r.view is null
    and (m.rule, m.subject, m.occurrence) = (o.rule, o.subject, o.occurrence);
  return tradeflow._archive(ids, 'cancelled', reason);
end
$$;

comment on function tradeflow._withdraw(bigint[], text) is 'Internal. Cancels waiting actions whose answer no longer stands. Returns how many.';

create table tradeflow.rule_failures (
  rule   text primary key references tradeflow.rules (name) on update cascade on delete cascade,
  since  timestamptz not null,
  base   bigint not null,
  total  bigint not null
);

comment on table tradeflow.rule_failures is 'How often rules failed, as tick() counted it in their open incidents. A rule with as many within an hour as setting pause_after_errors (default 100) says is paused.';

comment on column tradeflow.rule_failures.rule is 'The rule.';

comment on column tradeflow.rule_failures.since is 'Begin of the hour that is counted.';

comment on column tradeflow.rule_failures.base is 'The total at its begin.';

comment on column tradeflow.rule_failures.total is 'The total when it was last counted.';

create function tradeflow._pause_failing() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  allowed  int := coalesce((select s.value::int from tradeflow.settings s where s.name = 'pause_after_errors' and s.value ~ '^[1-9][0-9]{0,8}$'), 100);
  failing  record;
  paused   int := 0;
begin
  for failing in
    with found as (
      select i.rule, sum(i.count) as total,
             coalesce(sum(i.count) filter (where i.last_seen_at < clock_timestamp() - interval '1 hour'), 0) as before
      from tradeflow.incidents i
      where i.kind = 'rule_error' and i.acked_at is null
      group by i.rule
    ), counted as (
      insert into tradeflow.rule_failures as f (rule, since, base, total)
      select x.rule, clock_timestamp(), x.before, x.total
      from found x
      join tradeflow.rules r on r.name = x.rule and r.paused_at is null
      left join tradeflow.rule_failures known on known.rule = x.rule
      where known.total is distinct from x.total
      on conflict (rule) do update
      set base = case when excluded.total < f.total then excluded.total
                      when f.since < clock_timestamp() - interval '1 hour' then f.total else f.base end,
          since = case when excluded.total < f.total or f.since < clock_timestamp() - interval '1 hour' then excluded.since else f.since end,
          total = excluded.total
      returning f.rule, f.total - f.base as errors
    )
    select * from counted c where c.errors >= allowed order by c.rule
  loop
    update tradeflow.rules r
    set paused_at = clock_timestamp(), paused_reason = format('it failed for %s rows within an hour', failing.errors)
    where r.name = failing.rule;
    insert into tradeflow.incidents (kind, rule, source, message, hint, count)
    select 'rule_paused', r.name, coalesce(r.source, r.view), format('rule "%s" is paused: %s', r.name, r.paused_reason),
           format('its incidents say why it fails. Mend it, then select tradeflow.resume(%1$L); what changed meanwhile: select tradeflow.backfill(%1$L, ''…'');', r.name),
           failing.errors
    from tradeflow.rules r where r.name = failing.rule;
    paused := paused + 1;
  end loop;
  return paused;
end
$$;

comment on function tradeflow._pause_failing() is 'Internal. Part of tick(): pauses rules that keep failing. Returns how many.';

create function tradeflow.pause(rule text, reason text default null) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.rules r set paused_at = clock_timestamp(), paused_reason = coalesce(pause.reason, 'paused by ' || session_user)
  where r.name = pause.rule and r.paused_at is null;
  if found then
    return true;
  elsif not exists (select from tradeflow.rules r where r.name = pause.rule) then
    raise exception 'there is no rule "%"', pause.rule using errcode = 'undefined_object', hint = 'tradeflow rules list shows which there are.';
  end if;
  return false;
end
$$;

comment on function tradeflow.pause(text, text) is
  'Stops a rule: it is not asked any more, and its actions stay where they are, waiting and ready ones, until it is resumed. What is being executed ends. False: it is paused already. Errors: 42704 no such rule; 42501 neither operator nor member of the rule''s owner.';

create function tradeflow.resume(rule text) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.rules r set paused_at = null, paused_reason = null where r.name = resume.rule and r.paused_at is not null;
  if found then
    return true;
  elsif not exists (select from tradeflow.rules r where r.name = resume.rule) then
    raise exception 'there is no rule "%"', resume.rule using errcode = 'undefined_object', hint = 'tradeflow rules list shows which there are.';
  end if;
  return false;
end
$$;

comment on function tradeflow.resume(text) is
  'Has a paused rule asked again, and takes note of the incidents that had it paused. What changed meanwhile is not made up for: see backfill(). False: it is not paused. Errors: 42704 no such rule; 42501 neither operator nor member of the rule''s owner.';

create function tradeflow._rules_resumed() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.rule = new.name and i.kind in ('rule_error', 'rule_paused') and i.acked_at is null;
  delete from tradeflow.rule_failures f where f.rule = new.name;
  return null;
end
$$;

comment on function tradeflow._rules_resumed() is 'Internal. The count of a rule''s errors begins anew when it is resumed.';

create trigger rules_d_resumed after update on tradeflow.rules
  for each row when (old.paused_at is not null and new.paused_at is null) execute function tradeflow._rules_resumed();

create table tradeflow.schedules (
  rule          text primary key references tradeflow.rules (name) on update cascade on delete cascade,
  next_run_at   timestamptz not null,
  planned_at    timestamptz not null default tradeflow.now(),
  last_run_at   timestamptz,
  last_firings  int,
  last_error    text
);

select pg_catalog.pg_extension_config_dump('tradeflow.schedules', '');

comment on table tradeflow.schedules is 'When the rules with a schedule are run. tick() runs what is due, as the rule''s owner, one firing for each row; what was missed is caught up once.';

comment on column tradeflow.schedules.rule is 'The rule; its column schedule says when.';

comment on column tradeflow.schedules.next_run_at is 'When it is due next, by tradeflow.now().';

comment on column tradeflow.schedules.planned_at is 'What time it was, by tradeflow.now(), when next_run_at was computed.';

comment on column tradeflow.schedules.last_run_at is 'When it was run last.';

comment on column tradeflow.schedules.last_firings is 'How often it fired then. NULL: it failed.';

comment on column tradeflow.schedules.last_error is 'Why it failed then. NULL: it did not.';

create function tradeflow._schedules_replace() returns trigger
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  delete from tradeflow.schedules s where s.rule = new.rule;
  return new;
end
$$;

comment on function tradeflow._schedules_replace() is 'Internal. Lets a dumped schedule take the place of the new one.';

create trigger schedules_replace before insert on tradeflow.schedules
  for each row execute function tradeflow._schedules_replace();

create function tradeflow._rules_plan() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.schedule is null then
    delete from tradeflow.schedules s where s.rule = new.name;
  elsif tg_op = 'INSERT' or old.schedule is distinct from new.schedule or (tradeflow._is_asked(new) and not tradeflow._is_asked(old)) then
    update tradeflow.schedules s
    set next_run_at = tradeflow._next_run(new.schedule, tradeflow.now()), planned_at = tradeflow.now()
    where s.rule = new.name;
    if not found then
      insert into tradeflow.schedules (rule, next_run_at)
      values (new.name, tradeflow._next_run(new.schedule, tradeflow.now()));
    end if;
  end if;
  return null;
end
$$;

comment on function tradeflow._rules_plan() is 'Internal. Plans the next run of a rule with a schedule.';

create trigger rules_e_plan after insert or update on tradeflow.rules
  for each row execute function tradeflow._rules_plan();

create function tradeflow._run_schedules() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  due    record;
  fired  int;
  said   text;
  ran    int := 0;
begin
  -- The clock was set back.
  update tradeflow.schedules s
  set next_run_at = tradeflow._next_run(r.schedule, tradeflow.now()), planned_at = tradeflow.now()
  from tradeflow.rules r
  where r.name = s.rule and s.planned_at > tradeflow.now();

  for due in
    select s.rule, r.schedule
    from tradeflow.schedules s join tradeflow.rules r on r.name = s.rule
    where s.next_run_at <= tradeflow.now() and tradeflow._is_asked(r)
    order by s.next_run_at, s.rule limit 100
    for update of s skip locked
  loop
    said := null;
    begin
      fired := tradeflow._run_schedule(due.rule);
    exception
    when lock_not_available or deadlock_detected then
      continue;  -- somebody alters what it reads; it stays due
    when others then
      fired := null;
      said := sqlerrm;
      insert into tradeflow.incidents (kind, rule, message, hint, sqlstate)
      values ('schedule_error', due.rule, format('rule "%s", when its schedule was due: %s', due.rule, said),
              'mend its query; it is run again when its schedule says so.', sqlstate);
    end;
    update tradeflow.schedules s
    set last_run_at = tradeflow.now(), last_firings = fired, last_error = said,
        next_run_at = tradeflow._next_run(due.schedule, tradeflow.now()), planned_at = tradeflow.now()
    where s.rule = due.rule;
    ran := ran + 1;
  end loop;
  return ran;
end
$$;

comment on function tradeflow._run_schedules() is 'Internal. Part of tick(): runs the schedules that are due. Returns how many.';

create table tradeflow.links (
  source      text not null,
  subject     text not null,
  target      text not null,
  object      text not null,
  other_id    text not null,
  outbox_id   bigint,
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  primary key (source, subject, target, object)
);

create index links_other on tradeflow.links (target, object, other_id);

select pg_catalog.pg_extension_config_dump('tradeflow.links', '');

comment on table tradeflow.links is 'Our subject and the other system''s id of it. Written with the completion of the action that learned it; queries of rules may read it.';

comment on column tradeflow.links.source is 'Our table: store.quotes.';

comment on column tradeflow.links.subject is 'Who of it: the key as text.';

comment on column tradeflow.links.target is 'The target that the other system is.';

comment on column tradeflow.links.object is 'What it is there: deal, contact, invoice, …';

comment on column tradeflow.links.other_id is 'Its id there.';

comment on column tradeflow.links.outbox_id is 'The action that wrote this.';

comment on column tradeflow.links.created_at is 'When it was first known.';

comment on column tradeflow.links.updated_at is 'When it last became another id.';

create table tradeflow.pushes (
  target     text not null,
  object     text not null,
  object_id  text not null,
  hash       text not null,
  written    jsonb not null,
  outbox_id  bigint,
  pushed_at  timestamptz not null default now(),
  primary key (target, object, object_id)
);

select pg_catalog.pg_extension_config_dump('tradeflow.pushes', '');

comment on table tradeflow.pushes is 'What we last wrote to a thing in another system. Our own writes come back as changes: an action that would write the same again writes nothing, which ends the loop.';

comment on column tradeflow.pushes.target is 'The target.';

comment on column tradeflow.pushes.object is 'What it is there: deal, company, quote, …';

comment on column tradeflow.pushes.object_id is 'Its id, or the value of its unique property.';

comment on column tradeflow.pushes.hash is 'SHA-256 of the values, as the sidecar computes it.';

comment on column tradeflow.pushes.written is 'The values.';

comment on column tradeflow.pushes.outbox_id is 'The action that wrote them.';

comment on column tradeflow.pushes.pushed_at is 'When its completion was accepted.';

create function tradeflow.pushed(target text, object text, object_id text) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$ select p.written from tradeflow.pushes p where p.target = pushed.target and p.object = pushed.object and p.object_id = pushed.object_id $$;

comment on function tradeflow.pushed(text, text, text) is 'What we last wrote to a thing in another system. For conditions that must not answer to our own write coming back. NULL: nothing.';

create function tradeflow._remember(ids bigint[], attempts int[], results jsonb[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- What is accepted here is accepted to the end: nobody else has these any more. In the order of ids, as all lock.
  perform from tradeflow.outbox o join unnest(ids, attempts) c(id, attempt) on o.id = c.id and o.attempt = c.attempt
  where o.state = 'running' order by o.id for update of o;
  insert into tradeflow.links as l (source, subject, target, object, other_id, outbox_id)
  select distinct on (1, 2, 3, 4)
    coalesce(e.link ->> 'source', o.source), coalesce(e.link ->> 'subject', o.subject), coalesce(e.link ->> 'target', o.target, ''),
    e.link ->> 'object', e.link ->> 'id', o.id
  from unnest(ids, attempts, results) c(id, attempt, result)
  join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
  cross join lateral jsonb_array_elements(case jsonb_typeof(c.result -> 'links') when 'array' then c.result -> 'links' else '[]' end) e(link)
  where e.link ->> 'object' <> '' and e.link ->> 'id' <> ''
  order by 1, 2, 3, 4, o.id desc
  on conflict (source, subject, target, object) do update
    set other_id = excluded.other_id, outbox_id = excluded.outbox_id,
        updated_at = case when l.other_id = excluded.other_id then l.updated_at else excluded.updated_at end;
  insert into tradeflow.pushes (target, object, object_id, hash, written, outbox_id)
  select distinct on (1, 2, 3)
    coalesce(o.target, ''), e.push ->> 'object', e.push ->> 'id', e.push ->> 'hash', e.push -> 'values', o.id
  from unnest(ids, attempts, results) c(id, attempt, result)
  join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
  cross join lateral jsonb_array_elements(case jsonb_typeof(c.result -> 'pushed') when 'array' then c.result -> 'pushed' else '[]' end) e(push)
  where e.push ->> 'object' <> '' and e.push ->> 'id' <> '' and e.push ? 'values' and e.push ->> 'hash' <> ''
  order by 1, 2, 3, o.id desc
  on conflict (target, object, object_id) do update
    set hash = excluded.hash, written = excluded.written, outbox_id = excluded.outbox_id, pushed_at = excluded.pushed_at;
end
$$;

comment on function tradeflow._remember(bigint[], int[], jsonb[]) is
  'Internal. Stores what results say: links [{object, id, source?, subject?, target?}] and pushed [{object, id, hash, values}].';

create function tradeflow.revert(rule text, version int) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  earlier  jsonb := (select v.definition from tradeflow.rule_versions v where v.rule = revert.rule and v.version = revert.version);
  columns  text[];
  done     int;
begin
  if earlier is null then
    raise exception 'there is no earlier version % of rule "%"', revert.version, revert.rule
      using errcode = 'undefined_object',
            hint = coalesce('earlier versions: ' || (select string_agg(v.version::text, ', ' order by v.version) from tradeflow.rule_versions v where v.rule = revert.rule),
                            'It has had one definition only.');
  end if;
  -- What that definition did not know, being older, gets its default.
  select array_agg(a.attname::text order by a.attnum) into columns
  from pg_attribute a
  where a.attrelid = 'tradeflow.rules'::regclass and a.attnum > 0 and not a.attisdropped
    and a.attname <> all ('{name,version,invalid,updated_at,updated_by,paused_at,paused_reason}');
  if exists (select from tradeflow.rules r where r.name = revert.rule) then
    execute format(
      'update tradeflow.rules r set %s from jsonb_populate_record(null::tradeflow.rules, $1) e where r.name = $2 returning r.version',
      (select string_agg(format('%I = %s', c, case when earlier ? c then format('e.%I', c) else 'default' end), ', ') from unnest(columns) c))
    into done using earlier, revert.rule;
  else
    -- It was deleted.
    execute format(
      'insert into tradeflow.rules (name, %1$s) select $2, %1$s from jsonb_populate_record(null::tradeflow.rules, $1) e returning version',
      (select string_agg(quote_ident(c), ', ') from unnest(columns) c where earlier ? c))
    into done using earlier, revert.rule;
  end if;
  return done;
end
$$;

comment on function tradeflow.revert(text, int) is
  'Makes an earlier definition of a rule its definition again, as a new version; brings back a rule that was deleted. Its actions stay as they are (those of a deleted rule are gone). Returns the new version. Errors: 42704 no such version; whatever writing that definition would fail with.';

create function tradeflow.backfill(rule text, "where" text default null, "limit" int default null, mode text default null) returns int
language sql
as $$ select tradeflow._backfill(rule, "where", "limit", mode) $$;

comment on function tradeflow.backfill(text, text, int, text) is
  'Fires a rule for what is there already, as if each row had just become so. where: a condition over the source''s (or the view''s) columns; limit: at most so many, in the order of the key; mode: NULL as the rule''s own, shadow (only recorded), held (executed when released), live. The question is asked with the caller''s rights. More than max_firings are held. Returns how many fired. Errors: 42704 no such rule; 42501 no member of its owner; 55000 it is off, paused or invalid, or has a schedule; 54000 more than 100,000 at once.';

create unlogged table tradeflow.locks (
  name    text primary key,
  holder  text not null,
  until   timestamptz not null
);

comment on table tradeflow.locks is 'Who holds what, until when by the database''s clock: a sheet that has one writer, a company whose credit is being written. A crash empties it.';

comment on column tradeflow.locks.name is 'What is held.';

comment on column tradeflow.locks.holder is 'Who holds it.';

comment on column tradeflow.locks.until is 'Until when, unless it is prolonged.';

create function tradeflow.lock(name text, holder text, lease interval) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with taken as (
    insert into tradeflow.locks as l (name, holder, until) values (lock.name, lock.holder, clock_timestamp() + lock.lease)
    on conflict (name) do update set holder = excluded.holder, until = excluded.until
      where l.holder = excluded.holder or l.until < clock_timestamp()
    returning 1
  )
  select exists (select from taken)
$$;

comment on function tradeflow.lock(text, text, interval) is 'Takes or prolongs a lock. False: somebody else holds it.';

create function tradeflow.unlock(name text, holder text) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$ delete from tradeflow.locks l where l.name = unlock.name and l.holder = unlock.holder $$;

comment on function tradeflow.unlock(text, text) is 'Gives a lock back.';

create or replace function tradeflow.started(id bigint, attempt int) returns boolean
language sql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
  with mine as (
    update tradeflow.outbox o set started_at = clock_timestamp()
    where o.id = started.id and o.attempt = started.attempt and o.state = 'running' and o.lease_until > clock_timestamp()
    returning 1
  )
  select exists (select from mine)
$$;

create or replace function tradeflow.complete(ids bigint[], attempts int[], results jsonb[]) returns table (id bigint, accepted boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  good         bigint[];
  targets      text[];
  results_are  record;
  bad          record;
begin
  if cardinality(ids) is distinct from cardinality(attempts) or cardinality(ids) is distinct from cardinality(results) then
    raise exception 'ids, attempts and results must be of one length' using errcode = 'invalid_parameter_value';
  end if;
  select bool_or(jsonb_typeof(r) <> 'object' or pg_column_size(r) > 4194304) as refused, bool_or(r ? 'links' or r ? 'pushed') as told
  into results_are
  from unnest(results) r;
  if results_are.refused then
    select u.id, case when jsonb_typeof(u.r) <> 'object' then 'of type ' || jsonb_typeof(u.r) else pg_size_pretty(pg_column_size(u.r)::bigint) end as what
    into bad
    from unnest(ids, results) u(id, r)
    where jsonb_typeof(u.r) <> 'object' or pg_column_size(u.r) > 4194304 limit 1;
    raise exception 'the result of action % is %; it must be a JSON object of at most 4 MB', bad.id, bad.what
      using errcode = 'invalid_parameter_value', hint = 'the whole call was refused: complete the other actions without this one.';
  elsif results_are.told then
    perform tradeflow._remember(ids, attempts, results);
  end if;
  select f.ids, f.targets into good, targets from tradeflow._finish(ids, 'done', null, results, attempts) f;
  perform tradeflow._answered(targets);
  if cardinality(good) = cardinality(ids) then
    return query select c.id, true from unnest(ids) c(id);
  else
    return query select c.id, coalesce(c.id = any (good), false) from unnest(ids) c(id);
  end if;
end
$$;

create or replace function tradeflow._bury(o tradeflow.outbox, to_state text, error text) returns text
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  blocks  boolean;
  behind  int := 0;
begin
  -- Where the firing goes on without it, so does the lane; and an action that is no more may not block for ever.
  blocks := coalesce((select a.on_dead = 'block' and a.on_failure <> 'continue' from tradeflow.actions a where a.rule = o.rule and a.edge = o.edge and a.step = o.step), false);
  update tradeflow.outbox b
  set state = to_state, error = _bury.error, worker = null, lease_until = null, blocking = blocks
  where b.id = o.id;
  if blocks then
    select count(*) into behind
    from (select from tradeflow.outbox b where b.lane = o.lane and b.id > o.id and (b.state = 'ready' or b.blocking) limit 10000) b;
  end if;
  perform tradeflow._lanes_freed(array[o.lane]);
  perform tradeflow._incident(
    to_state || '_action', o,
    format('action %s of rule "%s" for %s: %s', coalesce(o.action, o.step::text), o.rule, o.subject, _bury.error)
      || case when behind > 0 then format('; %s later actions of its lane wait behind it', behind) else '' end,
    case to_state
      when 'dead' then format('mend the cause, then select tradeflow.retry(%s); or select tradeflow.cancel(%s);', o.id, o.id)
      else format('find out whether it arrived; then select tradeflow.cancel(%s, ''it arrived''); or select tradeflow.retry(%s);', o.id, o.id)
    end);
  if to_state = 'dead' and exists (
    select from tradeflow.actions a where a.rule = o.rule and a.edge = o.edge and a.step = o.step and a.on_failure = 'continue')
  then
    if tradeflow._next_step(array[o], array[jsonb_build_object('error', _bury.error)]) > 0 then
      update tradeflow.outbox b set continued = true where b.id = o.id;
    end if;
  end if;
  return to_state;
end
$$;

create function tradeflow.fail(
  id bigint, attempt int, error text, outcome text, retry_after interval default null, throttle boolean default false
) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
declare
  o tradeflow.outbox;
begin
  -- Of an error people read the beginning; and it is kept with the action, its incident and the target.
  error := left(coalesce(nullif(error, ''), 'no reason was given'), 10000);
  retry_after := case when retry_after > interval '1 day' then interval '1 day' else retry_after end;
  if outcome is null or outcome not in ('retry', 'not_yet', 'dead', 'uncertain', 'cancelled') then
    raise exception 'outcome must be retry, not_yet, dead, uncertain or cancelled, not %', coalesce(outcome, 'NULL') using errcode = 'invalid_parameter_value';
  end if;
  select * into o from tradeflow.outbox x
  where x.id = fail.id and x.attempt = fail.attempt and x.state = 'running'
  for update;
  if not found then
    return null;
  end if;
  if outcome = 'cancelled' then
    -- Nothing went wrong: the target answered, and the answer is that this is not wanted any more.
    perform tradeflow._answered(array[o.target]);
    perform tradeflow._finish(array[o.id], 'cancelled', fail.error, null, array[o.attempt]);
    return 'cancelled';
  end if;
  -- not_yet and dead are about this action alone: the target's breaker does not count them.
  perform tradeflow._not_answered(
    o.target, fail.error, outcome in ('retry', 'uncertain'),
    case when fail.throttle then greatest(coalesce(retry_after, tradeflow._backoff(o.attempt)), '0') end);
  if outcome in ('retry', 'not_yet') and o.attempt < o.max_attempts then
    update tradeflow.outbox x
    set state = 'ready', error = fail.error, worker = null, lease_until = null, started_at = null,
        run_at = clock_timestamp() + greatest(retry_after, tradeflow._backoff(o.attempt))
    where x.id = o.id;
    perform tradeflow._lanes_freed(array[o.lane]);
    return 'ready';
  end if;
  return tradeflow._bury(
    o, case when outcome in ('retry', 'not_yet') then 'dead' else outcome end,
    case when outcome in ('retry', 'not_yet') then format('gave up after %s attempts: %s', o.attempt, fail.error) else fail.error end);
end
$$;

comment on function tradeflow.fail(bigint, int, text, text, interval, boolean) is
  'Ends an attempt. Of the error the first 10,000 characters are kept. outcome: retry (again after backoff, at least retry_after, of which a day at most counts; dead after max_attempts), not_yet (the same, and no fault of the target: what the action needs is not there yet, so the breaker does not count it), dead, uncertain, cancelled (it is not wanted any more: the error is the reason, and no later step follows). throttle: the target asked not to be called (HTTP 429, a vendor''s limit): nothing is sent there before retry_after has passed. Returns the new state; NULL: refused, the attempt no longer holds the lease. Errors: 22023 for another outcome.';

create or replace function tradeflow.extend(ids bigint[], attempts int[], lease interval) returns table (id bigint, accepted boolean)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
#variable_conflict use_column
declare
  good bigint[];
begin
  if cardinality(ids) is distinct from cardinality(attempts) then
    raise exception 'ids and attempts must be of one length' using errcode = 'invalid_parameter_value';
  elsif lease is null or lease not between interval '1 second' and interval '1 day' then
    raise exception 'lease must be between 1 second and 1 day, not %', coalesce(lease::text, 'NULL') using errcode = 'invalid_parameter_value';
  end if;
  with mine as (
    select o.id
    from unnest(ids, attempts) c(id, attempt)
    join tradeflow.outbox o on o.id = c.id and o.attempt = c.attempt and o.state = 'running'
    order by o.id
    for update of o
  ), prolonged as (
    update tradeflow.outbox o set lease_until = clock_timestamp() + extend.lease from mine where o.id = mine.id returning o.id
  )
  select coalesce(array_agg(p.id), '{}') into good from prolonged p;
  return query select c.id, coalesce(c.id = any (good), false) from unnest(ids) c(id);
end
$$;

create function tradeflow._admits(t tradeflow.targets, s tradeflow.target_states, now timestamptz) returns int
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case
    when s.throttled_until > now then 0
    -- Whether it works again is for one execution to find out.
    when s.breaker <> 'closed' and t.breaker_failures > 0 then case when s.retry_at > now then 0 else 1 end
    else greatest(0, least(10000, t.concurrency - s.running, floor(tradeflow._tokens(t, s, now))))::int
  end;
end
$$;

comment on function tradeflow._admits(tradeflow.targets, tradeflow.target_states, timestamptz) is 'Internal. How many executions a target admits at this time.';

create function tradeflow._tokens(t tradeflow.targets, s tradeflow.target_states, now timestamptz) returns double precision
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
begin
  return case when t.rate_limit is not null then least(
    coalesce(t.burst, t.rate_limit),
    coalesce(s.tokens + t.rate_limit * greatest(extract(epoch from now - s.refilled_at), 0) / extract(epoch from t.rate_period),
             coalesce(t.burst, t.rate_limit)))
  end;
end
$$;

comment on function tradeflow._tokens(tradeflow.targets, tradeflow.target_states, timestamptz) is 'Internal. The tokens of a target''s bucket at this time; NULL: it has no rate limit.';

create function tradeflow._count_running(targets text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  perform from tradeflow.target_states s where s.target = any (targets) order by s.target for update;
  update tradeflow.target_states s
  set running = (select count(*) from tradeflow.outbox o where o.worker is not null and o.target = s.target)
  where s.target = any (targets);
end
$$;

comment on function tradeflow._count_running(text[]) is 'Internal. Sets target_states.running of these targets to what runs.';

create function tradeflow._lock_states(targets text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  locked int;
begin
  perform from tradeflow.target_states s where s.target = any (targets) order by s.target for update;
  get diagnostics locked = row_count;
  if locked < (select count(*) from tradeflow.targets t where t.name = any (targets)) then
    insert into tradeflow.target_states (target)
    select t.name from tradeflow.targets t where t.name = any (targets) order by t.name
    on conflict do nothing;
    perform tradeflow._count_running(targets);
  end if;
end
$$;

comment on function tradeflow._lock_states(text[]) is 'Internal. Locks the states of these targets until the end of the transaction; a missing one is made, with what runs counted.';

create function tradeflow._spend(target text, claimed int, now timestamptz, lease interval) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.target_states s
  set tokens = tradeflow._tokens(t, s, _spend.now) - _spend.claimed,
      refilled_at = case when t.rate_limit is not null then _spend.now end,
      running = case when t.concurrency is not null then s.running + _spend.claimed else 0 end,
      breaker = case when s.breaker = 'closed' or t.breaker_failures = 0 then 'closed' else 'half_open' end,
      retry_at = case when s.breaker <> 'closed' and t.breaker_failures > 0 then clock_timestamp() + _spend.lease end
  from tradeflow.targets t
  where s.target = _spend.target and t.name = s.target;
end
$$;

comment on function tradeflow._spend(text, int, timestamptz, interval) is 'Internal. Takes tokens for claimed executions and counts them as running; an open breaker becomes half-open.';

create function tradeflow._answered(targets text[]) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  -- Nearly always none is: then there is nothing to count.
  if not exists (
    select from tradeflow.target_states s join tradeflow.targets t on t.name = s.target
    where s.failures > 0 or s.breaker <> 'closed' or t.concurrency is not null)
  then
    return;
  end if;
  update tradeflow.target_states s
  set running = case when t.concurrency is not null then greatest(s.running - d.n, 0) else 0 end,
      breaker = 'closed', failures = 0, opened_at = null, retry_at = null
  from (select u.target, count(*)::int as n from unnest(_answered.targets) u(target) where u.target is not null group by u.target) d
  join tradeflow.targets t on t.name = d.target
  where s.target = t.name and (s.failures > 0 or s.breaker <> 'closed' or t.concurrency is not null);
end
$$;

comment on function tradeflow._answered(text[]) is 'Internal. Notes that executions at these targets were successful: one element each.';

create function tradeflow._not_answered(target text, error text, transient boolean, throttled interval default null) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  now     timestamptz := clock_timestamp();
  t       tradeflow.targets;
  was     tradeflow.target_states;
  opens   boolean;
begin
  select * into t from tradeflow.targets x where x.name = _not_answered.target;
  if not found then
    return;
  end if;
  perform tradeflow._lock_states(array[t.name]);
  select * into was from tradeflow.target_states x where x.target = t.name;
  -- A throttled target works: its breaker is none of it.
  opens := transient and throttled is null and t.breaker_failures > 0
           and (was.breaker = 'half_open' or was.breaker = 'closed' and was.failures + 1 >= t.breaker_failures);
  update tradeflow.target_states s
  set running = case when t.concurrency is not null then greatest(s.running - 1, 0) else 0 end,
      failures = s.failures + case when transient and throttled is null then 1 else 0 end,
      breaker = case when opens then 'open' when transient and throttled is null and s.breaker <> 'half_open' then s.breaker
                     when throttled is not null and s.breaker = 'half_open' then 'closed' else s.breaker end,
      opened_at = case when opens then coalesce(s.opened_at, now) when throttled is not null and s.breaker = 'half_open' then null else s.opened_at end,
      -- Half-open, and the execution said nothing about the destination: another may try.
      retry_at = case when opens then now + t.breaker_cooldown when s.breaker = 'half_open' then now else s.retry_at end,
      throttled_until = case when throttled is not null then greatest(s.throttled_until, now + throttled) else s.throttled_until end,
      last_error = case when transient or throttled is not null then left(_not_answered.error, 1000) else s.last_error end,
      last_failed_at = case when transient or throttled is not null then now else s.last_failed_at end
  where s.target = t.name;
  if opens and was.breaker = 'closed' then
    insert into tradeflow.incidents (kind, subject, message, detail, hint)
    values ('breaker_open', t.name, format('target "%s" failed %s times in a row; nothing is sent there for %s, then one action tries again', t.name, was.failures + 1, t.breaker_cooldown),
            _not_answered.error, format('it goes on by itself when the target answers, and this is noted then. It is mended already: tradeflow targets resume %s', t.name));
  end if;
end
$$;

comment on function tradeflow._not_answered(text, text, boolean, interval) is 'Internal. Notes that an execution at a target failed, opens its breaker after too many, and stops calling it for as long as it asked for.';

create function tradeflow._targets_limited() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if new.concurrency is not null and old.concurrency is null then
    perform tradeflow._count_running(array[new.name]);
  end if;
  -- What waited for the old limit may go on.
  perform pg_notify('tradeflow', '');
  return null;
end
$$;

comment on function tradeflow._targets_limited() is 'Internal. Applies changed limits of a target at once.';

create trigger targets_limited after update on tradeflow.targets
  for each row when ((old.rate_limit, old.rate_period, old.burst, old.concurrency) is distinct from (new.rate_limit, new.rate_period, new.burst, new.concurrency))
  execute function tradeflow._targets_limited();

create function tradeflow._ask_again(id bigint) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
-- What claim() turns off is for its own statements; these are the user's.
set enable_seqscan = on
set enable_hashjoin = on
set enable_mergejoin = on
set plan_cache_mode = auto
as $$
declare
  o      tradeflow.outbox;
  fresh  jsonb;
begin
  select * into o from tradeflow.outbox x where x.id = _ask_again.id;
  begin
    if o.event = 'view' then
      -- What the view says is in members, since the end of the transaction that changed it.
      select o.facts into fresh from tradeflow.members m
      where m.rule = o.rule and m.subject = o.subject and m.occurrence = o.occurrence and m.entered_at is not null;
    else
      fresh := tradeflow._still(o.rule, o.key, o.subject, o.occurrence);
    end if;
  exception when others then
    update tradeflow.outbox x
    set state = 'held', reason = 'its question could not be asked again', error = sqlerrm, worker = null, lease_until = null
    where x.id = o.id;
    perform tradeflow._incident('timer_error', o, format('rule "%s" for %s, before an execution: %s', o.rule, o.subject, sqlerrm),
                                format('mend the rule, then select tradeflow.retry(%s);', o.id), sqlstate);
    perform tradeflow._lanes_freed(array[o.lane]);
    return null;
  end;
  if fresh is null then
    perform tradeflow._archive(array[o.id], 'cancelled', 'no longer holds before execution');
  else
    update tradeflow.outbox x set facts = fresh where x.id = o.id;
  end if;
  return fresh;
end
$$;

comment on function tradeflow._ask_again(bigint) is
  'Internal. The fresh facts of an action with recheck; NULL when the answer is no (it is cancelled then) or could not be had (held).';

create function tradeflow._open_channels(kinds text[], room jsonb, now timestamptz)
returns table (channel tradeflow.channels, has_room int, limited text, since timestamptz, first_id bigint)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  index   oid := 'tradeflow.outbox_ready'::regclass;
  pages   bigint := pg_stat_get_xact_blocks_fetched(index);
  read    bigint := pg_stat_get_xact_tuples_returned(index);
begin
  return query
  select c, coalesce((_open_channels.room ->> c.target)::int, (_open_channels.room ->> '*')::int, 10000),
         case when t.rate_limit is not null or t.concurrency is not null or s.breaker <> 'closed' then t.name end, first.run_at, first.id
  from tradeflow.channels c
  left join tradeflow.action_kinds k on k.name = c.kind
  left join tradeflow.targets t on t.name = c.target
  left join tradeflow.target_states s on s.target = c.target
  cross join lateral (
    select x.run_at, x.id from tradeflow.outbox x
    where x.kind = c.kind and coalesce(x.target, '') = c.target and x.state = 'ready' and x.parked is null
      and (x.run_at, x.id) >= (c.from_at, c.from_id) and x.run_at <= now
    order by x.run_at, x.id limit 1) first
  where (_open_channels.kinds is null or c.kind = any (_open_channels.kinds))
    and k.paused_at is null and t.paused_at is null
    and (s.throttled_until is null or s.throttled_until <= now)
    and (s.breaker is null or s.breaker = 'closed' or s.retry_at <= now or t.breaker_failures = 0)
    and coalesce((_open_channels.room ->> c.target)::int, (_open_channels.room ->> '*')::int, 1) > 0;

  -- Waded through thousands of dead entries, which vacuum did not take away yet: begin behind them from now on. Entries that are
  -- known to be dead are passed, at a price, and not counted: the pages tell. What began a moment ago may still commit.
  if pg_stat_get_xact_tuples_returned(index) - read > 3000
     or pg_stat_get_xact_blocks_fetched(index) - pages > 16 + 4 * (select count(*) from tradeflow.channels) then
    update tradeflow.channels c
    set from_at = new.at, from_id = new.id
    from (select * from tradeflow.channels x for update skip locked) o
    cross join lateral (
      (select x.run_at as at, x.id from tradeflow.outbox x
       where x.kind = o.kind and coalesce(x.target, '') = o.target and x.state = 'ready' and x.parked is null
         and (x.run_at, x.id) >= (o.from_at, o.from_id) and x.run_at <= _open_channels.now - interval '250 milliseconds'
       order by x.run_at, x.id limit 1)
      union all
      select _open_channels.now - interval '250 milliseconds', 0
      order by 1, 2 limit 1) new
    where (o.kind, o.target) = (c.kind, c.target) and (new.at, new.id) > (c.from_at, c.from_id);
  end if;
end
$$;

comment on function tradeflow._open_channels(text[], jsonb, timestamptz) is 'Internal. Where a claim may look, and how many it may take there at most.';

create function tradeflow._park(channel tradeflow.channels, now timestamptz, window_size int, paused text[]) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  parked int;
begin
  with blocked as materialized (
    select w.ctid as at, w.rule = any (paused) as of_rule, before.at as by, before.runs
    from (
      select x.ctid, x.id, x.lane, x.rule
      from tradeflow.outbox x
      where x.kind = channel.kind and coalesce(x.target, '') = channel.target and x.state = 'ready' and x.parked is null
        and (x.run_at, x.id) >= (channel.from_at, channel.from_id) and x.run_at <= _park.now
      order by x.run_at, x.id
      limit window_size) w
    left join lateral (
      (select b.ctid as at, false as runs from tradeflow.outbox b where b.lane = w.lane and b.id < w.id and (b.state = 'ready' or b.blocking)
       order by b.lane, b.id limit 1)
      union all
      (select b.ctid, true from tradeflow.outbox b where b.lane = w.lane and b.worker is not null)
      limit 1) before on true
    where w.rule = any (paused) or before.at is not null
  ), locked as materialized (
    select d.by
    from (select distinct x.by, x.runs from blocked x where not x.of_rule) d
    join tradeflow.outbox b on b.ctid = d.by
    where (select count(*) from blocked) >= 64 and (b.state in ('ready', 'running') or b.blocking)
      and (b.worker is not null or not d.runs)
    for update of b skip locked
  ), mine as (
    select o.ctid as at, x.of_rule
    from blocked x
    join tradeflow.outbox o on o.ctid = x.at
    where o.state = 'ready' and o.parked is null and (x.of_rule or x.by in (select l.by from locked l))
      -- A few are met again more cheaply than they are moved.
      and (select count(*) from blocked) >= 64
    for update of o skip locked
  ), done as (
    update tradeflow.outbox o set parked = case when m.of_rule then 'rule' else 'lane' end
    from mine m where o.ctid = m.at
    returning 1
  )
  select count(*)::int into parked from done;
  return parked;
end
$$;

comment on function tradeflow._park(tradeflow.channels, timestamptz, int, text[]) is 'Internal. Takes what is not its turn out of the way of claim(). Returns how many.';

create function tradeflow.next_due(kinds text[] default null) returns interval
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
as $$
begin
  return (select greatest(min(case
      when t.paused_at is not null or k.paused_at is not null then null
      when s.throttled_until > clock_timestamp() then s.throttled_until
      when s.breaker <> 'closed' and t.breaker_failures > 0 then s.retry_at
      when first.run_at <= clock_timestamp() and tradeflow._tokens(t, s, clock_timestamp()) < 1 then
        clock_timestamp() + (1 - tradeflow._tokens(t, s, clock_timestamp())) / t.rate_limit * t.rate_period
      else (
        select x.run_at from tradeflow.outbox x
        where x.kind = c.kind and coalesce(x.target, '') = c.target and x.state = 'ready' and x.parked is null and x.run_at > statement_timestamp()
        order by x.run_at, x.id limit 1)
    end) - clock_timestamp(), '0')
  from tradeflow.channels c
  left join tradeflow.action_kinds k on k.name = c.kind
  left join tradeflow.targets t on t.name = c.target
  left join tradeflow.target_states s on s.target = c.target
  cross join lateral (
    select x.run_at from tradeflow.outbox x
    where x.kind = c.kind and coalesce(x.target, '') = c.target and x.state = 'ready' and x.parked is null
      and (x.run_at, x.id) >= (c.from_at, c.from_id)
    order by x.run_at, x.id limit 1) first
  where next_due.kinds is null or c.kind = any (next_due.kinds));
end
$$;

comment on function tradeflow.next_due(text[]) is
  'How long until a claim can find what it cannot find now: a retry is due, a throttled target may be called again, a token is there. Not notified, so a worker sleeps no longer than this. NULL: nothing is known to come.';

create function tradeflow.claim(
  worker text, max int, lease interval, kinds text[] default null, room jsonb default null
)
returns table (
  id bigint, attempt int, max_attempts int, firing_id bigint, rule text, rule_version int, source text, event text, subject text,
  occurrence text, edge text, step int, action text, kind text, target text, params jsonb, facts jsonb, steps jsonb, settings jsonb,
  idempotency_key text, run_at timestamptz, created_at timestamptz, lease_until timestamptz, traceparent text
)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_column
declare
  now       timestamptz := clock_timestamp();
  paused    text[];
  constants record;
  open      tradeflow.channels[];
  channel   tradeflow.channels;
  room_of   int[];
  limited   text[];
  n         int;
  share     int;
  free      int := max;
  got       int;
  found_now int;
  parked    int;
  tries     int;
  clashes   int := 0;
begin
  if claim.max is null or claim.max not between 1 and 10000 then
    raise exception 'max must be between 1 and 10000, not %', coalesce(claim.max::text, 'NULL') using errcode = 'invalid_parameter_value';
  elsif claim.lease is null or claim.lease not between interval '1 second' and interval '1 day' then
    raise exception 'lease must be between 1 second and 1 day, not %', coalesce(claim.lease::text, 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'a lease is how long a dead worker delays an action; extend() prolongs it.';
  elsif coalesce(claim.worker, '') = '' then
    raise exception 'worker must be named' using errcode = 'invalid_parameter_value', hint = 'host and process, for people who ask who holds a lease.';
  end if;

  -- The channels where something is ready, the one that waits longest first.
  select array_agg(c.channel order by c.since, c.first_id), array_agg(c.has_room order by c.since, c.first_id), array_agg(c.limited order by c.limited) filter (where c.limited is not null)
  into open, room_of, limited
  from tradeflow._open_channels(kinds, room, now) c;
  n := coalesce(cardinality(open), 0);
  if n = 0 then
    return;
  end if;

  if limited is not null then
    -- From here on nobody else claims for these targets.
    perform tradeflow._lock_states(limited);
    now := clock_timestamp();
  end if;
  paused := array(select r.name from tradeflow.rules r where r.paused_at is not null);
  select x.id, coalesce((select jsonb_object_agg(s.name, s.value) from tradeflow.settings s), '{}') as settings into constants
  from tradeflow.installation x;

  -- Each channel has its fair share, and what one leaves goes to the others.
  for round in 1..2 loop
    for i in 1..n loop
      channel := open[i];
      share := least(room_of[i], ceil(free::numeric / (n - i + 1))::int);
      if round = 2 then
        share := least(room_of[i], free);
      end if;
      continue when share <= 0;
      if limited is not null and channel.target = any (limited) then
        share := least(share, (select tradeflow._admits(t, s, now) from tradeflow.target_states s join tradeflow.targets t on t.name = s.target
                               where s.target = channel.target));
        continue when share <= 0;
      end if;
      got := 0;
      tries := 0;
      loop
        begin
          return query
          with free as (
            select o.ctid as at
            from (
              select x.ctid, x.id, x.lane, x.rule
              from tradeflow.outbox x
              where x.kind = channel.kind and coalesce(x.target, '') = channel.target and x.state = 'ready' and x.parked is null
                and (x.run_at, x.id) >= (channel.from_at, channel.from_id) and x.run_at <= now
              order by x.run_at, x.id
              limit 2 * share + 100) w
            join tradeflow.outbox o on o.ctid = w.ctid
            where o.state = 'ready' and o.parked is null
              and w.rule <> all (paused)
              -- Look-ups, one for each row, whatever the planner thinks of joins.
              and (select b.id from tradeflow.outbox b where b.lane = w.lane and b.worker is not null limit 1) is null
              and (select b.id from tradeflow.outbox b where b.lane = w.lane and b.id < w.id and (b.state = 'ready' or b.blocking) limit 1) is null
            limit share - got
            for update of o skip locked
          ), held as (
            update tradeflow.outbox o
            set state = 'running', attempt = o.attempt + 1, worker = claim.worker, lease_until = clock_timestamp() + claim.lease, started_at = null
            -- All places in one list: a join would begin a scan of the table for each of them.
            where o.ctid = any (array(select f.at from free f))
            returning o.*
          )
          select h.id, h.attempt, h.max_attempts, h.firing_id, h.rule, h.rule_version, h.source, h.event, h.subject, h.occurrence, h.edge,
                 h.step, h.action, h.kind, h.target, a.params, case when a.asks then again.facts else h.facts end, h.steps, constants.settings,
                 constants.id || '-' || h.id, h.run_at, h.created_at, h.lease_until, h.traceparent
          from held h
          left join lateral (
            -- Without a key, or a view to look into, there is nobody to ask about.
            select x.params, x.recheck and x.edge = 'enter' and (h.key is not null or h.event = 'view') as asks
            from tradeflow.actions x where x.rule = h.rule and x.edge = h.edge and x.step = h.step) a on true
          left join lateral (select tradeflow._ask_again(h.id) as facts where a.asks offset 0) again on true
          where a.asks is not true or again.facts is not null
          order by h.run_at, h.id;
          get diagnostics found_now = row_count;
        exception when unique_violation then
          -- Another claim took one of the same lane at this very moment, and has committed: now it is seen.
          clashes := clashes + 1;
          if clashes > 5 then
            raise;
          end if;
          continue;
        end;
        got := got + found_now;
        exit when got >= share;
        parked := tradeflow._park(channel, now, greatest(2 * share + 100, 2000), paused);
        tries := tries + 1;
        -- Whoever is told comes again.
        if parked > 0 and tries > 100 then
          perform pg_notify('tradeflow', '');
        end if;
        exit when parked = 0 or tries > 100;
      end loop;
      if got > 0 then
        if limited is not null and channel.target = any (limited) then
          perform tradeflow._spend(channel.target, got, now, claim.lease);
        end if;
        room_of[i] := room_of[i] - got;
        free := free - got;
      else
        room_of[i] := 0;
      end if;
    end loop;
    exit when free <= 0;
  end loop;
end
$$;

comment on function tradeflow.claim(text, int, interval, text[], jsonb) is
  'Leases up to max ready actions to a worker, the first of each lane. kinds: only these. room: how many of which target the worker takes, {"hubspot": 12, "*": 64}; "" is for actions without a target, * for targets not named. params is NULL when the action was deleted meanwhile. An action with recheck is asked about first, and is not among the leased ones when the answer is no. Targets give no more than their limits allow. Errors: 22023 for max outside 1–10000, a lease outside 1 s – 1 day, a worker without name.';

create table tradeflow.suppressions (
  address     text primary key check (address = lower(address)),
  reason      text,
  created_by  name not null default session_user,
  created_at  timestamptz not null default now()
);

select pg_catalog.pg_extension_config_dump('tradeflow.suppressions', '');

comment on table tradeflow.suppressions is 'Addresses that kind email never sends to, unless its parameter transactional is true.';

comment on column tradeflow.suppressions.address is 'The address, in lower case.';

comment on column tradeflow.suppressions.reason is 'Why: unsubscribed, bounced, …';

comment on column tradeflow.suppressions.created_by is 'Who added it.';

comment on column tradeflow.suppressions.created_at is 'When.';

create function tradeflow.suppress(address text, reason text default null) returns boolean
language sql
set search_path = pg_catalog, pg_temp
as $$
  with added as (
    insert into tradeflow.suppressions (address, reason) values (lower(trim(suppress.address)), suppress.reason)
    on conflict do nothing returning 1
  )
  select exists (select from added)
$$;

comment on function tradeflow.suppress(text, text) is 'No more mail to this address. False: it was so already.';

create table tradeflow.mail_sends (
  outbox_id  bigint not null,
  address    text not null,
  topic      text not null,
  sent_at    timestamptz not null,
  primary key (address, topic, sent_at, outbox_id)
);

select pg_catalog.pg_extension_config_dump('tradeflow.mail_sends', '');

comment on table tradeflow.mail_sends is 'Mails sent, or about to be, to addresses with a frequency cap. Rows older than the cap''s period, and those of dead actions, go when the address is asked about again.';

comment on column tradeflow.mail_sends.outbox_id is 'The action.';

comment on column tradeflow.mail_sends.address is 'The recipient, in lower case.';

comment on column tradeflow.mail_sends.topic is 'What the cap counts.';

comment on column tradeflow.mail_sends.sent_at is 'When, by tradeflow.now().';

create function tradeflow.may_mail(id bigint, addresses text[], topic text, most int, period interval) returns table (address text, reason text)
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
declare
  one  text;
begin
  for one in select distinct lower(a) from unnest(addresses) a order by 1 loop
    address := one;
    reason := null;
    select coalesce('suppressed: ' || s.reason, 'suppressed') into reason from tradeflow.suppressions s where s.address = one;
    if reason is null and may_mail.most is not null then
      -- Two mails to one address at the same moment are counted one after the other.
      perform pg_advisory_xact_lock(hashtextextended('tradeflow.mail ' || one, 0));
      -- What is dead was not sent, and is counted anew should it be retried.
      delete from tradeflow.mail_sends m
      where m.address = one and m.topic = may_mail.topic
        and (m.sent_at < tradeflow.now() - greatest(may_mail.period, interval '1 day')
             or exists (select from tradeflow.outbox o where o.id = m.outbox_id and o.state = 'dead'));
      if not exists (select from tradeflow.mail_sends m where m.address = one and m.topic = may_mail.topic and m.outbox_id = may_mail.id) then
        if (select count(*) from tradeflow.mail_sends m where m.address = one and m.topic = may_mail.topic and m.sent_at > tradeflow.now() - may_mail.period) >= may_mail.most then
          reason := format('had %s within %s', may_mail.most, may_mail.period);
        else
          insert into tradeflow.mail_sends (outbox_id, address, topic, sent_at) values (may_mail.id, one, may_mail.topic, tradeflow.now());
        end if;
      end if;
    end if;
    return next;
  end loop;
end
$$;

comment on function tradeflow.may_mail(bigint, text[], text, int, interval) is
  'For each address why it gets no mail of this action (suppressed, or most mails of the topic within the period already); NULL: it gets it, and that is counted, once an action. most NULL: no cap.';

create table tradeflow.tasks (
  id          bigint generated by default as identity primary key,
  pool        text not null,
  title       text not null,
  body        text,
  rule        text,
  source      text,
  subject     text,
  facts       jsonb,
  options     text[],
  due_at      timestamptz,
  outcome     text,
  note        text,
  decided_by  name,
  decided_at  timestamptz,
  outbox_id   bigint unique,
  created_at  timestamptz not null default now()
);

create index tasks_open on tradeflow.tasks (pool, due_at) where decided_at is null;

select pg_catalog.pg_extension_config_dump('tradeflow.tasks', '');

select pg_catalog.pg_extension_config_dump('tradeflow.tasks_id_seq', '');

comment on table tradeflow.tasks is 'Something a person must do or decide (kind task). It may be watched like any table: a rule on it answers to a decision, or to a due time that passes.';

comment on column tradeflow.tasks.id is 'Identifies the task.';

comment on column tradeflow.tasks.pool is 'Who should look: a team''s name.';

comment on column tradeflow.tasks.title is 'What is to be done, in one line.';

comment on column tradeflow.tasks.body is 'More about it.';

comment on column tradeflow.tasks.rule is 'The rule that asked for it.';

comment on column tradeflow.tasks.source is 'The table of the row it is about.';

comment on column tradeflow.tasks.subject is 'Who it is about.';

comment on column tradeflow.tasks.facts is 'The facts of the firing.';

comment on column tradeflow.tasks.options is 'Outcomes there are to choose from. NULL: any.';

comment on column tradeflow.tasks.due_at is 'When it should be decided. NULL: whenever.';

comment on column tradeflow.tasks.outcome is 'What was decided. NULL: nothing yet.';

comment on column tradeflow.tasks.note is 'Why.';

comment on column tradeflow.tasks.decided_by is 'Who decided.';

comment on column tradeflow.tasks.decided_at is 'When. NULL: it is open.';

comment on column tradeflow.tasks.outbox_id is 'The action that made it.';

comment on column tradeflow.tasks.created_at is 'When it was made.';

create function tradeflow.decide(id bigint, outcome text, note text default null) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  task tradeflow.tasks;
begin
  select * into task from tradeflow.tasks t where t.id = decide.id for update;
  if not found then
    raise exception 'there is no task %', decide.id using errcode = 'undefined_object';
  elsif coalesce(outcome, '') = '' or not (task.options is null or outcome = any (task.options)) then
    raise exception 'task %: % is no outcome', task.id, coalesce(quote_literal(outcome), 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'outcomes: ' || coalesce(array_to_string(task.options, ', '), 'any word');
  elsif task.decided_at is not null then
    return false;
  end if;
  update tradeflow.tasks t
  set outcome = decide.outcome, note = decide.note, decided_by = session_user, decided_at = clock_timestamp()
  where t.id = task.id;
  return true;
end
$$;

comment on function tradeflow.decide(bigint, text, text) is
  'Decides a task. False: somebody did already, and that stays. Errors: 42704 no such task, 22023 an outcome that is none of its options.';

create table tradeflow.storefront_messages (
  id           bigint generated by default as identity primary key,
  key          text not null unique,
  customer_id  bigint,
  company_id   bigint,
  email        text,
  page         text,
  level        text not null default 'info' check (level in ('info', 'success', 'warning', 'error')),
  text         text not null,
  data         jsonb,
  expires_at   timestamptz,
  outbox_id    bigint,
  created_at   timestamptz not null default now(),
  check (num_nonnulls(customer_id, company_id, email) >= 1)
);

create index storefront_messages_customer on tradeflow.storefront_messages (customer_id) where customer_id is not null;

create index storefront_messages_company on tradeflow.storefront_messages (company_id) where company_id is not null;

create index storefront_messages_email on tradeflow.storefront_messages (lower(email)) where email is not null;

select pg_catalog.pg_extension_config_dump('tradeflow.storefront_messages', '');

select pg_catalog.pg_extension_config_dump('tradeflow.storefront_messages_id_seq', '');

comment on table tradeflow.storefront_messages is 'What the storefront shows to a buyer (kind storefront_message); the sidecar serves it at GET /storefront/messages.';

comment on column tradeflow.storefront_messages.id is 'Identifies the message.';

comment on column tradeflow.storefront_messages.key is 'A later message under the same key replaces it, or takes it away.';

comment on column tradeflow.storefront_messages.customer_id is 'For this core customer.';

comment on column tradeflow.storefront_messages.company_id is 'For every buyer of this company.';

comment on column tradeflow.storefront_messages.email is 'For the customer with this address.';

comment on column tradeflow.storefront_messages.page is 'Where it is shown: quote:48002, cart, … NULL: everywhere.';

comment on column tradeflow.storefront_messages.level is 'info, success, warning or error.';

comment on column tradeflow.storefront_messages.text is 'What is shown, as plain text.';

comment on column tradeflow.storefront_messages.data is 'More, for a theme''s own script.';

comment on column tradeflow.storefront_messages.expires_at is 'Shown until then. NULL: until it is taken away.';

comment on column tradeflow.storefront_messages.outbox_id is 'The action that wrote it.';

comment on column tradeflow.storefront_messages.created_at is 'When it was written.';

create function tradeflow.messages_for(customer bigint, email text, page text default null) returns setof tradeflow.storefront_messages
language plpgsql stable security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  company bigint;
begin
  -- The synced tables are no part of the extension: without them there are no companies to know.
  if to_regclass('store.company_users') is not null then
    execute 'select u.company_id from store.company_users u where u.bc_customer_id = $1 limit 1' into company using customer;
  end if;
  return query
  select * from tradeflow.storefront_messages m
  where (m.customer_id = messages_for.customer or m.company_id = company or lower(m.email) = lower(messages_for.email))
    and (m.page is null or messages_for.page is null or m.page = messages_for.page)
    and (m.expires_at is null or m.expires_at > tradeflow.now())
  order by m.created_at desc, m.id desc
  limit 50;
end
$$;

comment on function tradeflow.messages_for(bigint, text, text) is 'The messages a customer of the store may see, the latest first; page: those of one page, and those for everywhere.';

create function tradeflow._do_sql(o tradeflow.outbox, params jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  the_rule  tradeflow.rules;
  name      text := params ->> 'function';
  call      text;
begin
  if coalesce(name, '') !~ '^[A-Za-z_][A-Za-z0-9_$]*([.][A-Za-z_][A-Za-z0-9_$]*)?$' then
    raise exception 'params.function: % is no name of a function', coalesce(quote_literal(name), 'NULL')
      using errcode = 'invalid_parameter_value', hint = 'write schema.function.';
  end if;
  select * into strict the_rule from tradeflow.rules r where r.name = o.rule;
  -- A value is written as a literal without a type: it becomes what the function's argument is.
  select string_agg(format('%I => %s', a.key, case jsonb_typeof(a.value) when 'null' then 'null' else quote_literal(a.value #>> '{}') end), ', ')
  into call from jsonb_each(coalesce(params -> 'args', '{}')) a;
  call := format('%s(%s)', name, coalesce(call, ''));
  return tradeflow._call(the_rule.owner::regrole, the_rule.search_path, call);
end
$$;

comment on function tradeflow._do_sql(tradeflow.outbox, jsonb) is 'Internal. Kind sql: calls the function as the rule''s owner. Errors: the function''s own; 22023.';

create function tradeflow._do_task(o tradeflow.outbox, params jsonb) returns jsonb
language sql
set search_path = pg_catalog, pg_temp
as $$
  insert into tradeflow.tasks (pool, title, body, rule, source, subject, facts, options, due_at, outbox_id)
  values (
    params ->> 'pool', params ->> 'title', params ->> 'body', o.rule, o.source, o.subject, o.facts,
    case when jsonb_typeof(params -> 'options') = 'array' then array(select jsonb_array_elements_text(params -> 'options')) end,
    coalesce((params ->> 'due_at')::timestamptz, tradeflow.now() + (params ->> 'due_in')::interval), o.id)
  returning jsonb_build_object('task_id', tasks.id)
$$;

comment on function tradeflow._do_task(tradeflow.outbox, jsonb) is 'Internal. Kind task: makes the task.';

create function tradeflow._do_storefront_message(o tradeflow.outbox, params jsonb) returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  its_key  text := coalesce(nullif(params ->> 'key', ''), format('%s:%s:%s', o.rule, o.subject, o.occurrence));
  -- A fact that is empty is nobody: an empty address would be that of every customer whose token names none.
  customer bigint := nullif(btrim(params ->> 'customer_id'), '')::bigint;
  company  bigint := nullif(btrim(params ->> 'company_id'), '')::bigint;
  address  text := nullif(btrim(params ->> 'email'), '');
  made     bigint;
begin
  if params -> 'remove' in ('true', '"true"') then
    delete from tradeflow.storefront_messages m where m.key = its_key returning m.id into made;
    return jsonb_build_object('key', its_key, 'removed', made is not null);
  end if;
  if num_nonnulls(customer, company, address) = 0 then
    raise exception 'params: customer_id, company_id and email are empty; for whom is the message?' using errcode = 'invalid_parameter_value';
  elsif coalesce(btrim(params ->> 'text'), '') = '' then
    raise exception 'params.text: it is empty; what is to be shown?' using errcode = 'invalid_parameter_value';
  end if;
  insert into tradeflow.storefront_messages as m (key, customer_id, company_id, email, page, level, text, data, expires_at, outbox_id)
  values (
    its_key, customer, company, address, params ->> 'page', coalesce(params ->> 'level', 'info'), params ->> 'text', params -> 'data',
    coalesce((params ->> 'expires_at')::timestamptz, tradeflow.now() + (params ->> 'expires_in')::interval), o.id)
  on conflict (key) do update
    set customer_id = excluded.customer_id, company_id = excluded.company_id, email = excluded.email, page = excluded.page,
        level = excluded.level, text = excluded.text, data = excluded.data, expires_at = excluded.expires_at,
        outbox_id = excluded.outbox_id, created_at = excluded.created_at
  returning m.id into made;
  return jsonb_build_object('key', its_key, 'message_id', made);
end
$$;

comment on function tradeflow._do_storefront_message(tradeflow.outbox, jsonb) is 'Internal. Kind storefront_message: stores the message, or takes it away. Errors: 22023 a message for nobody, or without text.';

create function tradeflow.execute(id bigint, attempt int, params jsonb) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  o         tradeflow.outbox;
  result    jsonb;
  accepted  boolean;
begin
  select * into o from tradeflow.outbox x where x.id = execute.id and x.attempt = execute.attempt and x.state = 'running';
  if not found then
    return null;
  end if;
  -- The row is not locked meanwhile: what prolongs the lease must not wait for a slow function.
  case o.kind
    when 'sql' then result := jsonb_build_object('value', tradeflow._do_sql(o, params));
    when 'task' then result := tradeflow._do_task(o, params);
    when 'storefront_message' then result := tradeflow._do_storefront_message(o, params);
    else raise exception 'kind "%" is not executed in the database', o.kind using errcode = 'invalid_parameter_value';
  end case;
  select c.accepted into accepted
  from tradeflow.complete(array[o.id], array[o.attempt], array[result || jsonb_build_object('request', params)]) c;
  if not accepted then
    -- Somebody else has it now: what was done here is undone.
    raise exception 'the lease of action % was lost', o.id using errcode = 'TF001';
  end if;
  return result;
end
$$;

comment on function tradeflow.execute(bigint, int, jsonb) is
  'Executes a leased action of kind sql, task or storefront_message with its rendered parameters, and completes it in the same transaction. NULL: refused, the attempt does not hold the lease. Errors: those of what is executed; TF001 when the lease was lost meanwhile (everything is undone).';

create unlogged table tradeflow.upkeep (
  task     text primary key,
  from_at  timestamptz not null default '-infinity',
  done_at  timestamptz,
  took     interval not null default '0'
);

alter table tradeflow.upkeep set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 200);

comment on table tradeflow.upkeep is 'What tick() does not do every second.';

comment on column tradeflow.upkeep.task is 'leases: looking through all of them, not only through those that ended lately. parked: setting free what is parked without reason. running: counting what runs at targets with a concurrency limit. recent: forgetting what fired an hour ago. settled: noting incidents that mended themselves. noted: forgetting incidents noted long ago. partitions: when another transaction was last in the way of them.';

comment on column tradeflow.upkeep.from_at is 'leases: those that ended before were dealt with.';

comment on column tradeflow.upkeep.done_at is 'When it was done last.';

comment on column tradeflow.upkeep.took is 'How long it took: it is done the more seldom the longer it takes.';

create function tradeflow._is_due(task text, every interval) returns boolean
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  insert into tradeflow.upkeep as u (task, done_at) values (_is_due.task, clock_timestamp())
  on conflict on constraint upkeep_pkey do update set done_at = excluded.done_at
  where u.done_at is null or u.done_at + greatest(every, 20 * u.took) <= clock_timestamp();
  return found;
end
$$;

comment on function tradeflow._is_due(text, interval) is 'Internal. Whether a part of the time work is to be done now; the longer it takes, the more seldom it is.';

create or replace function tradeflow._rescue() returns table (rescued int, uncertain int)
language plpgsql
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $$
declare
  o          tradeflow.outbox;
  repeatable boolean;
  now        timestamptz := clock_timestamp();
  index      oid := 'tradeflow.outbox_lease'::regclass;
  before     bigint := pg_stat_get_xact_tuples_returned(index);
  looked     timestamptz;
  thorough   boolean := false;
  seen       int := 0;
begin
  rescued := 0;
  uncertain := 0;
  -- While an old transaction keeps vacuum from cleaning, leases that ended well lie here without end: they are passed once.
  select u.from_at into looked from tradeflow.upkeep u where u.task = 'leases';
  if looked > '-infinity' and tradeflow._is_due('leases', '1 minute') then
    looked := '-infinity';
    thorough := true;
  end if;
  for o in
    select * from tradeflow.outbox x
    where x.lease_until < now and x.lease_until >= coalesce(looked, '-infinity')
    order by x.lease_until limit 1000
    for update skip locked
  loop
    seen := seen + 1;
    repeatable := o.started_at is null or coalesce((select k.repeatable from tradeflow.action_kinds k where k.name = o.kind), false);
    perform tradeflow._not_answered(o.target, null, false);
    if not repeatable then
      perform tradeflow._bury(o, 'uncertain', format('worker %s was lost after it began to send; whether it arrived is unknown', o.worker));
      uncertain := uncertain + 1;
    elsif o.attempt >= o.max_attempts then
      perform tradeflow._bury(o, 'dead', format('gave up after %s attempts: worker %s was lost', o.attempt, o.worker));
    else
      update tradeflow.outbox x
      set state = 'ready', error = format('worker %s was lost', o.worker), worker = null, lease_until = null, started_at = null,
          run_at = clock_timestamp()
      where x.id = o.id;
      perform tradeflow._lanes_freed(array[o.lane]);
      rescued := rescued + 1;
    end if;
  end loop;
  if thorough then
    update tradeflow.upkeep u
    set took = clock_timestamp() - now,
        from_at = case when pg_stat_get_xact_tuples_returned(index) - before < 1000 + seen then '-infinity' else u.from_at end
    where u.task = 'leases';
  end if;
  if not thorough and seen < 1000 and pg_stat_get_xact_tuples_returned(index) - before > 1000 + seen then
    insert into tradeflow.upkeep as u (task, from_at) values ('leases', now - interval '2 seconds')
    on conflict on constraint upkeep_pkey do update set from_at = excluded.from_at;
  end if;
  return next;
end
$$;

create or replace function tradeflow._wake_timers() returns table (due int, cancelled int)
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '3s'
as $$
declare
  o       tradeflow.outbox;
  fresh   jsonb;
  locked  text[] := '{}';
begin
  due := 0;
  cancelled := 0;
  for o in
    select * from tradeflow.outbox x
    where x.state = 'waiting' and x.run_at <= tradeflow.now()
      -- A paused rule is not asked, about its timers neither.
      and not exists (select from tradeflow.rules r where r.name = x.rule and r.paused_at is not null)
    order by x.run_at, x.id limit 1000
    for update skip locked
  loop
    continue when o.rule = any (locked);
    begin
      -- Later steps follow from a step that was done: they are not asked again.
      fresh := case when o.key is null or o.steps <> '{}' then o.facts else tradeflow._still(o.rule, o.key, o.subject, o.occurrence) end;
    exception when others then
      -- A table that somebody alters, or a deadlock, passes: the timers of that rule have their turn at a later tick.
      if sqlstate in ('55P03', '40P01') and o.run_at > tradeflow.now() - interval '1 hour' then
        locked := locked || o.rule;
        continue;
      end if;
      update tradeflow.outbox x set state = 'held', reason = 'its question could not be asked again', error = sqlerrm where x.id = o.id;
      perform tradeflow._incident('timer_error', o, format('rule "%s" for %s, when its timer was due: %s', o.rule, o.subject, sqlerrm),
                                  format('mend the rule, then select tradeflow.retry(%s);', o.id), sqlstate);
      continue;
    end;
    if fresh is null then
      perform tradeflow._withdraw(array[o.id], 'no longer holds when due');
      cancelled := cancelled + 1;
    else
      -- Without an action the firing itself is the record.
      update tradeflow.outbox x
      set state = case when o.step is null then 'done' else 'ready' end, facts = fresh, run_at = clock_timestamp()
      where x.id = o.id;
      due := due + 1;
    end if;
  end loop;
  return next;
end
$$;

create function tradeflow._days(setting text, otherwise int) returns int
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce((select s.value::int from tradeflow.settings s where s.name = _days.setting and s.value ~ '^[0-9]{1,5}$'), otherwise)
$$;

comment on function tradeflow._days(text, int) is 'Internal. A setting that is a number of days.';

create or replace function tradeflow._partitions() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
set lock_timeout = '50ms'
as $$
declare
  parent  record;
  day     date;
  part    text;
  free    boolean;
  fresh   int;
  made    int := 0;
  today   date := (clock_timestamp() at time zone 'UTC')::date;
begin
  if exists (select from tradeflow.upkeep u where u.task = 'partitions' and u.done_at > clock_timestamp() - interval '1 minute') then
    return 0;
  end if;
  for parent in
    select p.name, p.at_column, tradeflow._days(p.setting, p.days) as keep
    from (values ('outbox_history', 'finished_at', 'history_days', 90),
                 ('change_log', 'changed_at', 'change_log_days', 14)) p(name, at_column, setting, days)
  loop
    begin
      fresh := 0;
      -- Never today's: what is being written into the default partition at that moment would be refused (23514), and the result
      -- of an action be lost.
      day := today + 1;
      part := parent.name || '_' || to_char(day, 'YYYYMMDD');
      if to_regclass('tradeflow.' || part) is null then
        execute format('select not exists (select from tradeflow.%I d where d.%I >= %L)', parent.name || '_default', parent.at_column, day || ' 00:00+00') into free;
        if free then
          execute format('create table tradeflow.%I (like tradeflow.%I including all excluding identity)', part, parent.name || '_default');
          execute format('alter table tradeflow.%I attach partition tradeflow.%I for values from (%L) to (%L)',
                         parent.name, part, day || ' 00:00+00', (day + 1) || ' 00:00+00');
          execute format('delete from tradeflow.%I d where d.%I < %L', parent.name || '_default', parent.at_column, (today - parent.keep) || ' 00:00+00');
          fresh := 1;
        end if;
      end if;
      for part in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = ('tradeflow.' || parent.name)::regclass
          and c.relname ~ ('^' || parent.name || '_[0-9]{8}$')
          and to_date(right(c.relname, 8), 'YYYYMMDD') < today - parent.keep
      loop
        execute format('drop table tradeflow.%I', part);
      end loop;
      made := made + fresh;
    exception when lock_not_available then
      perform tradeflow._is_due('partitions', '0');
    end;
  end loop;
  return made;
end
$$;

comment on function tradeflow._partitions() is 'Internal. Makes the next day of outbox_history and change_log, drops those past settings history_days and change_log_days.';

create function tradeflow._tidy_incidents() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
begin
  if tradeflow._is_due('settled', '5 seconds') then
    update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
    where i.kind = 'breaker_open' and i.acked_at is null
      and exists (select from tradeflow.target_states s where s.target = i.subject and s.breaker = 'closed');
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'settled';
  end if;
  if tradeflow._is_due('noted', '1 hour') then
    delete from tradeflow.incidents i
    where i.acked_at < clock_timestamp() - make_interval(days => tradeflow._days('history_days', 90));
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'noted';
  end if;
end
$$;

comment on function tradeflow._tidy_incidents() is 'Internal. Part of tick(): notes incidents of breakers that closed, and forgets those noted before the history begins.';

create or replace function tradeflow._merge_incidents() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  merged int;
begin
  with same as (
    select min(i.id) as keep, array_agg(i.id) as ids, sum(i.count)::int as total, max(i.last_seen_at) as last_seen
    from tradeflow.incidents i
    where i.acked_at is null and i.kind in ('rule_error', 'rule_invalid', 'schedule_error', 'held_loop')
    group by i.kind, i.rule, i.source, i.message, i.sqlstate
    having count(*) > 1
  ), gone as (
    delete from tradeflow.incidents i using same s where i.id = any (s.ids) and i.id <> s.keep returning i.id
  ), kept as (
    update tradeflow.incidents i set count = s.total, last_seen_at = s.last_seen from same s where i.id = s.keep returning 1
  )
  select count(*)::int into merged from gone;

  update tradeflow.rules r set invalid = i.message
  from tradeflow.incidents i
  where i.kind = 'rule_invalid' and i.acked_at is null and i.rule = r.name and r.invalid is null
    and i.created_at > r.updated_at and not tradeflow._compiles(r);
  return merged;
end
$$;

create function tradeflow.tick_outbox() returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
as $$
declare
  rescue  record;
  swept   int;
  late    int;
  freed   int := 0;
  done    jsonb;
  hour_ago timestamptz;
begin
  -- One at a time is enough; the others return at once.
  if not pg_try_advisory_xact_lock(hashtext('tradeflow.tick')) then
    return '{"busy": true}';
  end if;
  select * into rescue from tradeflow._rescue();
  swept := tradeflow._archive(array(
    select o.id from tradeflow.outbox o where o.state in ('done', 'cancelled', 'shadow') limit 10000), null);
  late := tradeflow._sweep_channels();
  if tradeflow._is_due('parked', '10 seconds') then
    freed := tradeflow._heal_parked();
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'parked';
  end if;
  if tradeflow._is_due('running', '30 seconds') then
    perform tradeflow._count_running(array(select t.name from tradeflow.targets t where t.concurrency is not null));
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'running';
  end if;
  if tradeflow._is_due('recent', '1 minute') then
    hour_ago := tradeflow.now() - interval '1 hour';
    delete from tradeflow.recent_firings f where f.at < hour_ago;
    update tradeflow.upkeep u set took = clock_timestamp() - u.done_at where u.task = 'recent';
  end if;
  done := jsonb_build_object(
    'rescued', rescue.rescued, 'uncertain', rescue.uncertain, 'swept', swept, 'partitions', tradeflow._partitions());
  perform tradeflow._tidy_incidents();
  perform tradeflow._report_unknown_kinds();
  -- A dump has the watch of the tasks, but no trigger of a table that is an extension's.
  perform tradeflow._check_watch(w.name)
  from tradeflow.watched_tables w
  where w.name = 'tradeflow.tasks'
    and not exists (select from pg_trigger t where t.tgrelid = 'tradeflow.tasks'::regclass and t.tgname = 'tradeflow_insert');
  if rescue.rescued + late + freed > 0 then
    perform pg_notify('tradeflow', '');
  end if;
  return done;
end
$$;

comment on function tradeflow.tick_outbox() is
  'The part of tick() that asks no rule: takes back ended leases, moves finished actions to the history, keeps its partitions. A sidecar calls the two parts apart, so that a rule whose question takes long holds up no lease. Returns what it did.';

create function tradeflow.tick_rules() returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
set jit = off
set lock_timeout = '3s'
as $$
declare
  timers     record;
  rechecked  int := 0;
begin
  if not pg_try_advisory_xact_lock(hashtext('tradeflow.tick_rules')) then
    return '{"busy": true}';
  end if;
  select * into timers from tradeflow._wake_timers();
  begin
    rechecked := tradeflow._recheck_views();
  exception when lock_not_available then
    null;  -- all of it at the next tick
  end;
  if timers.due > 0 then
    perform pg_notify('tradeflow', '');
  end if;
  return jsonb_build_object(
    'due', timers.due, 'cancelled', timers.cancelled, 'incidents_merged', tradeflow._merge_incidents(), 'rechecked', rechecked,
    'scheduled', tradeflow._run_schedules(), 'paused', tradeflow._pause_failing());
end
$$;

comment on function tradeflow.tick_rules() is
  'The part of tick() that asks rules: wakes due timers, asks views again, runs schedules, adds up incidents, pauses rules that keep failing. What is locked for more than 3 s is asked at a later tick. Returns what it did.';

create or replace function tradeflow.tick() returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  timers     record;
  of_outbox  jsonb;
  of_rules   jsonb;
begin
  -- What timers end is swept at once; what schedules say is looked at first by whoever called this.
  if pg_try_advisory_xact_lock(hashtext('tradeflow.tick_rules')) then
    select * into timers from tradeflow._wake_timers();
    if timers.due > 0 then
      perform pg_notify('tradeflow', '');
    end if;
    of_outbox := tradeflow.tick_outbox();
    of_rules := tradeflow.tick_rules();
    return of_outbox || of_rules || jsonb_build_object(
      'due', timers.due + (of_rules ->> 'due')::int, 'cancelled', timers.cancelled + (of_rules ->> 'cancelled')::int);
  end if;
  return tradeflow.tick_outbox() || '{"busy": true}';
end
$$;

create function tradeflow._decided(ids bigint[]) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.acked_at is null and i.outbox_id = any (ids) and i.kind in ('dead_action', 'uncertain_action', 'timer_error');
  -- A burst or a loop is told once for all that it held.
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.acked_at is null and i.kind in ('held_burst', 'held_loop') and cardinality(ids) > 0
    and not exists (select from tradeflow.outbox o where o.state = 'held' and o.rule = i.rule);
$$;

comment on function tradeflow._decided(bigint[]) is 'Internal. Notes the incidents about these actions, and those about held ones of which none is left.';

create or replace function tradeflow.cancel(ids bigint[], reason text default null) returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  mine bigint[] := array(
    select o.id from tradeflow.outbox o
    where o.id = any (cancel.ids) and o.state in ('ready', 'waiting', 'held', 'dead', 'uncertain', 'shadow')
    order by o.id for update);
begin
  perform tradeflow._archive(mine, 'cancelled', coalesce(cancel.reason, 'cancelled by ' || session_user));
  perform tradeflow._decided(mine);
  return cardinality(mine);
end
$$;

comment on function tradeflow.cancel(bigint[], text) is
  'Cancels actions that are not running; they move to the history with the reason, and their incidents are noted. Returns how many.';

create or replace function tradeflow._make_ready(ids bigint[]) returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  made int;
begin
  update tradeflow.outbox o
  set state = case when o.step is null then 'done'  -- a rule without actions: the firing itself is the record
                   when o.run_at > tradeflow.now() and o.attempt = 0 then 'waiting' else 'ready' end,
      run_at = case when o.run_at > tradeflow.now() and o.attempt = 0 then o.run_at else clock_timestamp() end,
      parked = null, blocking = false, reason = null, error = null, started_at = null, max_attempts = greatest(o.max_attempts, o.attempt + 1)
  where o.id = any (_make_ready.ids);
  get diagnostics made = row_count;
  if made > 0 then
    perform tradeflow._decided(_make_ready.ids);
    perform pg_notify('tradeflow', '');
  end if;
  return made;
end
$$;

comment on function tradeflow.retry(bigint[]) is
  'Executes dead, uncertain or held actions again, and retrying ones at once; a last attempt is granted where none was left. An uncertain mail may arrive twice: look first. Their incidents are noted. Returns how many.';

create function tradeflow.hold(ids bigint[], reason text default null) returns int
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  with mine as (
    select o.id from tradeflow.outbox o
    where o.id = any (ids) and o.state in ('ready', 'waiting')
    order by o.id for update
  ), held as (
    update tradeflow.outbox o set state = 'held', parked = null, reason = coalesce(hold.reason, 'held by ' || session_user)
    from mine where o.id = mine.id
    returning o.lane
  ), gathered as (
    select array_agg(h.lane) as lanes, count(*)::int as n from held h
  )
  select g.n from gathered g left join lateral tradeflow._lanes_freed(g.lanes) on true
$$;

comment on function tradeflow.hold(bigint[], text) is
  'Holds actions that are ready or wait for their time, until release_held or discard_held. The rest of their lane goes on without them. Returns how many.';

create or replace function tradeflow.discard_held(rule text default null, ids bigint[] default null) returns int
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  mine bigint[] := array(
    select o.id from tradeflow.outbox o
    where o.state = 'held' and (discard_held.rule is null or o.rule = discard_held.rule)
      and (discard_held.ids is null or o.id = any (discard_held.ids))
    order by o.id for update);
begin
  perform tradeflow._archive(mine, 'cancelled', 'discarded by ' || session_user);
  perform tradeflow._decided(mine);
  return cardinality(mine);
end
$$;

create unlogged table tradeflow.sidecars (
  worker       text primary key,
  kinds        text[] not null,
  version      text,
  concurrency  int,
  started_at   timestamptz not null default clock_timestamp(),
  seen_at      timestamptz not null default clock_timestamp()
);

comment on table tradeflow.sidecars is 'A row is a sidecar that runs, or ran within the last hour. One that was not seen for 30 seconds is gone.';

comment on column tradeflow.sidecars.worker is 'The name it signs its leases with.';

comment on column tradeflow.sidecars.kinds is 'The kinds of action it executes.';

comment on column tradeflow.sidecars.version is 'Its version.';

comment on column tradeflow.sidecars.concurrency is 'How many actions it executes at the same time.';

comment on column tradeflow.sidecars.started_at is 'When it said so first.';

comment on column tradeflow.sidecars.seen_at is 'When it said so last.';

create function tradeflow.present(worker text, kinds text[], version text default null, concurrency int default null) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from tradeflow.sidecars s where s.seen_at < clock_timestamp() - interval '1 hour' and s.worker <> present.worker;
  insert into tradeflow.sidecars as s (worker, kinds, version, concurrency)
  values (present.worker, present.kinds, present.version, present.concurrency)
  on conflict (worker) do update
  set kinds = excluded.kinds, version = excluded.version, concurrency = excluded.concurrency, seen_at = clock_timestamp();
$$;

comment on function tradeflow.present(text, text[], text, int) is
  'A sidecar says that it runs, and which kinds it executes: at its start, then about every 10 seconds. Without it nothing changes but what people are told: kinds that nobody executes are found by it.';

create function tradeflow.absent(worker text) returns void
language sql security definer
set search_path = pg_catalog, pg_temp
as $$ delete from tradeflow.sidecars s where s.worker = absent.worker $$;

comment on function tradeflow.absent(text) is 'A sidecar says that it leaves.';

create function tradeflow._kinds_executed() returns text[]
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select coalesce(array_agg(distinct k), '{}')
  from tradeflow.sidecars s cross join unnest(s.kinds) k
  where s.seen_at > clock_timestamp() - interval '30 seconds'
$$;

comment on function tradeflow._kinds_executed() is 'Internal. The kinds that some sidecar executes now.';

create function tradeflow._report_unknown_kinds() returns int
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  executed  text[] := tradeflow._kinds_executed();
  reported  int;
begin
  -- Nobody said which kinds it executes: clients of another make, of which nothing is known.
  if executed = '{}' then
    return 0;
  end if;
  update tradeflow.incidents i set acked_at = clock_timestamp(), acked_by = session_user
  where i.kind = 'unknown_kind' and i.acked_at is null and i.detail = any (executed);

  with stuck as (
    select c.kind, sum(overdue.actions) as actions, min(overdue.first) as first
    from tradeflow.channels c
    cross join lateral (
      select count(*) as actions, min(x.id) as first
      from (
        select o.id from tradeflow.outbox o
        where o.kind = c.kind and coalesce(o.target, '') = c.target and o.state = 'ready' and o.parked is null
          and (o.run_at, o.id) >= (c.from_at, c.from_id) and o.run_at < clock_timestamp() - interval '1 minute'
        order by o.run_at, o.id limit 1000) x) overdue
    where c.kind <> all (executed)
    group by c.kind
    having sum(overdue.actions) > 0
  ), added as (
    insert into tradeflow.incidents (kind, rule, source, subject, outbox_id, message, detail, hint)
    select 'unknown_kind', o.rule, o.source, o.subject, o.id,
           format('no sidecar that runs executes kind "%s": %s actions have been ready for more than a minute', s.kind, case when s.actions < 1000 then s.actions::text else 'many' end),
           s.kind,
           format('start one that does (tradeflow run --kind %s; the configuration''s kinds lists those of a sidecar), or cancel them: tradeflow outbox cancel --kind %1$s', s.kind)
    from stuck s
    join tradeflow.outbox o on o.id = s.first
    where not exists (select from tradeflow.incidents i where i.kind = 'unknown_kind' and i.acked_at is null and i.detail = s.kind)
    returning 1
  )
  select count(*)::int into reported from added;
  return reported;
end
$$;

comment on function tradeflow._report_unknown_kinds() is
  'Internal. Part of tick(): an incident for each kind whose ready actions nobody executes; it closes by itself when somebody does. Returns how many are new.';

create view tradeflow.target_health as
select
  t.name as target,
  t.system,
  case when t.paused_at is not null then 'paused'
       when s.breaker <> 'closed' then s.breaker
       when s.throttled_until > clock_timestamp() then 'throttled'
       else 'ok' end as status,
  case when t.paused_at is not null then t.paused_reason
       when s.breaker <> 'closed' or s.throttled_until > clock_timestamp() then s.last_error end as reason,
  case when t.paused_at is not null then null
       when s.breaker <> 'closed' then s.retry_at
       when s.throttled_until > clock_timestamp() then s.throttled_until end as retry_at,
  coalesce(q.ready, 0) as ready,
  coalesce(q.waiting, 0) as waiting,
  coalesce(q.running, 0) as running,
  coalesce(q.held, 0) as held,
  coalesce(q.dead, 0) as dead,
  coalesce(q.uncertain, 0) as uncertain,
  q.lag,
  coalesce(s.failures, 0) as failures,
  s.last_error,
  s.last_failed_at
from tradeflow.targets t
left join tradeflow.target_states s on s.target = t.name
left join (
  select
    h.target,
    sum(h.actions) filter (where h.state = 'ready') as ready,
    sum(h.actions) filter (where h.state = 'waiting') as waiting,
    sum(h.actions) filter (where h.state = 'running') as running,
    sum(h.actions) filter (where h.state = 'held') as held,
    sum(h.actions) filter (where h.state = 'dead') as dead,
    sum(h.actions) filter (where h.state = 'uncertain') as uncertain,
    max(h.lag) as lag
  from tradeflow.queue_health h
  group by h.target) q on q.target = t.name;

comment on view tradeflow.target_health is 'One row a target: what waits for it, and in which state it is.';

comment on column tradeflow.target_health.target is 'The target.';

comment on column tradeflow.target_health.system is 'Its system.';

comment on column tradeflow.target_health.status is 'ok: it is sent to. paused: by a person. open, half_open: its circuit breaker. throttled: it asked not to be called for a while.';

comment on column tradeflow.target_health.reason is 'Why it is not ok.';

comment on column tradeflow.target_health.retry_at is 'When it is tried again, if it is not ok and nobody paused it.';

comment on column tradeflow.target_health.ready is 'Actions that are ready for it.';

comment on column tradeflow.target_health.waiting is 'Actions that wait for their time.';

comment on column tradeflow.target_health.running is 'Actions that are being executed.';

comment on column tradeflow.target_health.held is 'Actions that are held until a person lets them go.';

comment on column tradeflow.target_health.dead is 'Actions that failed for good.';

comment on column tradeflow.target_health.uncertain is 'Actions of which nobody knows whether they arrived.';

comment on column tradeflow.target_health.lag is 'How long the oldest ready one has been due.';

comment on column tradeflow.target_health.failures is 'Transient failures in a row.';

comment on column tradeflow.target_health.last_error is 'The last transient failure or throttling, in its words.';

comment on column tradeflow.target_health.last_failed_at is 'When that was.';

create view tradeflow.rule_stats as
select
  r.name as rule,
  r.mode,
  case when r.mode = 'off' then 'off'
       when r.invalid is not null then 'invalid'
       when r.paused_at is not null then 'paused'
       else r.mode end as status,
  coalesce(r.invalid, r.paused_reason) as reason,
  coalesce(o.ready, 0) as ready,
  coalesce(o.waiting, 0) as waiting,
  coalesce(o.running, 0) as running,
  coalesce(o.held, 0) as held,
  coalesce(o.dead, 0) as dead,
  coalesce(o.uncertain, 0) as uncertain,
  coalesce(h.done, 0) as done_24h,
  coalesce(h.cancelled, 0) as cancelled_24h,
  h.latency as median_latency_24h,
  greatest(o.last_fired_at, h.last_fired_at) as last_fired_at,
  coalesce(i.incidents, 0) as incidents
from tradeflow.rules r
left join (
  select
    x.rule,
    count(*) filter (where x.state = 'ready') as ready,
    count(*) filter (where x.state = 'waiting') as waiting,
    count(*) filter (where x.state = 'running') as running,
    count(*) filter (where x.state = 'held') as held,
    count(*) filter (where x.state = 'dead') as dead,
    count(*) filter (where x.state = 'uncertain') as uncertain,
    max(x.created_at) as last_fired_at
  from tradeflow.outbox x group by x.rule) o on o.rule = r.name
left join (
  select
    x.rule,
    count(*) filter (where x.state = 'done') as done,
    count(*) filter (where x.state = 'cancelled') as cancelled,
    percentile_disc(0.5) within group (order by x.finished_at - greatest(x.run_at, x.created_at)) filter (where x.state = 'done') as latency,
    max(x.created_at) as last_fired_at
  from tradeflow.outbox_history x
  where x.finished_at > now() - interval '24 hours'
  group by x.rule) h on h.rule = r.name
left join (
  select x.rule, count(*) as incidents from tradeflow.incidents x where x.acked_at is null group by x.rule) i on i.rule = r.name;

comment on view tradeflow.rule_stats is 'One row a rule: whether it is asked, what of it is open, and what became of the rest within the last 24 hours.';

comment on column tradeflow.rule_stats.rule is 'The rule.';

comment on column tradeflow.rule_stats.mode is 'live, shadow or off.';

comment on column tradeflow.rule_stats.status is 'live or shadow: it is asked. off, invalid, paused: it is not.';

comment on column tradeflow.rule_stats.reason is 'Why it is invalid or paused.';

comment on column tradeflow.rule_stats.ready is 'Actions that are ready.';

comment on column tradeflow.rule_stats.waiting is 'Actions that wait for their time.';

comment on column tradeflow.rule_stats.running is 'Actions that are being executed.';

comment on column tradeflow.rule_stats.held is 'Actions that are held until a person lets them go.';

comment on column tradeflow.rule_stats.dead is 'Actions that failed for good.';

comment on column tradeflow.rule_stats.uncertain is 'Actions of which nobody knows whether they arrived.';

comment on column tradeflow.rule_stats.done_24h is 'Actions done within the last 24 hours.';

comment on column tradeflow.rule_stats.cancelled_24h is 'Actions cancelled within the last 24 hours.';

comment on column tradeflow.rule_stats.median_latency_24h is 'From being due (or committed) to being done: the median of the last 24 hours.';

comment on column tradeflow.rule_stats.last_fired_at is 'When it fired last, of what is open or ended within 24 hours.';

comment on column tradeflow.rule_stats.incidents is 'Its open incidents.';

create unlogged table tradeflow.health_snapshot (
  only_row  boolean primary key default true check (only_row),
  taken_at  timestamptz not null,
  took      interval not null,
  body      jsonb not null
);

comment on table tradeflow.health_snapshot is 'The last answer of tradeflow.health().';

comment on column tradeflow.health_snapshot.only_row is 'Always true: the table holds one row.';

comment on column tradeflow.health_snapshot.taken_at is 'When it was counted.';

comment on column tradeflow.health_snapshot.took is 'How long counting took.';

comment on column tradeflow.health_snapshot.body is 'What health() returned.';

create function tradeflow._count_health() returns jsonb
language plpgsql
set search_path = pg_catalog, pg_temp
set jit = off
as $$
begin
  return jsonb_build_object(
    'queue', (select coalesce(jsonb_agg(jsonb_build_object(
                'state', q.state, 'kind', coalesce(q.kind, ''), 'target', coalesce(q.target, ''), 'actions', q.actions,
                'lag', extract(epoch from q.lag))), '[]') from tradeflow.queue_health q),
    'targets', (select coalesce(jsonb_agg(jsonb_build_object(
                  'target', t.name, 'paused', t.paused_at is not null, 'breaker', coalesce(s.breaker, 'closed'),
                  'throttled', coalesce(s.throttled_until > clock_timestamp(), false), 'failures', coalesce(s.failures, 0))), '[]')
                from tradeflow.targets t left join tradeflow.target_states s on s.target = t.name),
    'incidents', (select coalesce(jsonb_object_agg(i.kind, i.n), '{}')
                  from (select x.kind, count(*) as n from tradeflow.incidents x where x.acked_at is null group by x.kind) i),
    'rules', (select coalesce(jsonb_object_agg(s.status, s.n), '{}')
              from (select case when r.mode = 'off' then 'off' when r.invalid is not null then 'invalid' when r.paused_at is not null then 'paused' else r.mode end as status,
                           count(*) as n
                    from tradeflow.rules r group by 1) s),
    -- Of a resource whose first load is not over there is no lag to tell.
    'sync', (select coalesce(jsonb_agg(jsonb_build_object('resource', s.resource, 'lag', extract(epoch from s.lag))), '[]')
             from tradeflow.sync_status s where s.lag is not null),
    'sidecars', (select count(*) from tradeflow.sidecars s where s.seen_at > clock_timestamp() - interval '30 seconds'));
end
$$;

comment on function tradeflow._count_health() is 'Internal. What health() says, counted anew.';

create function tradeflow.health(max_age interval default '5 seconds') returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  last   tradeflow.health_snapshot;
  began  timestamptz;
begin
  select * into last from tradeflow.health_snapshot;
  -- Counting a very large queue takes a while: then it is done more rarely, so that it never takes more than a
  -- twentieth of the time. Whoever asks while another counts gets the last answer.
  if (last.taken_at is null or last.taken_at < clock_timestamp() - greatest(max_age, 20 * last.took))
     and pg_try_advisory_xact_lock(hashtext('tradeflow.health'))
  then
    began := clock_timestamp();
    last.body := tradeflow._count_health();
    last.taken_at := clock_timestamp();
    insert into tradeflow.health_snapshot as s (taken_at, took, body) values (last.taken_at, last.taken_at - began, last.body)
    on conflict (only_row) do update set taken_at = excluded.taken_at, took = excluded.took, body = excluded.body;
  end if;
  return coalesce(last.body, '{}') || jsonb_build_object('taken_at', last.taken_at, 'age', extract(epoch from clock_timestamp() - last.taken_at));
end
$$;

comment on function tradeflow.health(interval) is
  'The state of queue, targets, rules, incidents and syncs as figures, for monitoring: counted at most every max_age for all callers together, and more rarely where counting takes long. age: seconds since it was counted. Only age and taken_at, both NULL: it is being counted for the first time.';

create function tradeflow.waits_for(id bigint) returns text
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  o         tradeflow.outbox;
  before    record;
  stopped   text;
  executed  text[] := tradeflow._kinds_executed();
begin
  select * into o from tradeflow.outbox x where x.id = waits_for.id;
  if not found then
    return null;
  elsif o.state = 'waiting' and o.run_at <= tradeflow.now() then
    return coalesce(
      (select format('rule "%s", which is paused (%s): tradeflow rules resume %1$s', r.name, coalesce(r.paused_reason, 'no reason given'))
       from tradeflow.rules r where r.name = o.rule and r.paused_at is not null),
      'its rule to be asked again, which a sidecar does within a second, unless a table that the rule reads is locked');
  elsif o.state = 'waiting' then
    return format('its time, %s', to_char(o.run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'));
  elsif o.state = 'running' then
    return format('worker %s, which has it until %s', o.worker, to_char(o.lease_until at time zone 'UTC', 'HH24:MI:SS "UTC"'));
  elsif o.state = 'held' then
    return format('a person: it is held (%s); tradeflow outbox release %s, or cancel', coalesce(o.reason, 'no reason given'), o.id);
  elsif o.state = 'dead' then
    return format('a person: it is dead; mend the cause, then tradeflow dead retry %s, or discard', o.id);
  elsif o.state = 'uncertain' then
    return format('a person: nobody knows whether it arrived; if it did, tradeflow outbox cancel %1$s, else retry %1$s', o.id);
  elsif o.state <> 'ready' then
    return null;
  elsif o.run_at > clock_timestamp() and o.attempt > 0 then
    return format('its next attempt, at %s', to_char(o.run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'));
  end if;
  select b.id, b.state, b.run_at, b.attempt into before
  from tradeflow.outbox b
  where b.lane = o.lane and (b.state = 'running' or ((b.state = 'ready' or b.blocking) and b.id < o.id))
  order by b.state = 'running' desc, b.id limit 1;
  if found then
    return format('action %s of its lane, which is %s', before.id, case
      when before.state = 'running' then 'running'
      when before.state in ('dead', 'uncertain') then format('%s, and a person must retry or cancel it first', before.state)
      when before.attempt > 0 then format('tried again at %s', to_char(before.run_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
      else 'before it' end);
  elsif not exists (select from tradeflow.sidecars s where s.seen_at > clock_timestamp() - interval '30 seconds') then
    return 'a sidecar: none is running';
  elsif o.kind <> all (executed) then
    return format('a sidecar that executes kind "%s": those that run execute %s', o.kind, array_to_string(executed, ', '));
  elsif o.target is not null and not exists (select from tradeflow.targets t where t.name = o.target) then
    return format('target "%s", which does not exist', o.target);
  end if;
  select format('rule "%s", which is paused (%s): tradeflow rules resume %1$s', r.name, coalesce(r.paused_reason, 'no reason given')) into stopped
  from tradeflow.rules r where r.name = o.rule and r.paused_at is not null;
  if stopped is null then
    select format('kind "%s", which is paused (%s): tradeflow kinds resume %1$s', k.name, coalesce(k.paused_reason, 'no reason given')) into stopped
    from tradeflow.action_kinds k where k.name = o.kind and k.paused_at is not null;
  end if;
  if stopped is null then
    select case
      when t.paused_at is not null then format('target "%s", which is paused (%s): tradeflow targets resume %1$s', t.name, coalesce(t.paused_reason, 'no reason given'))
      when s.breaker = 'open' then format('target "%s", which failed %s times in a row and is tried again at %s, or by tradeflow targets resume %1$s: %4$s', t.name, s.failures, to_char(s.retry_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), s.last_error)
      when s.breaker = 'half_open' then format('target "%s", which failed before and is being tried with one action', t.name)
      when s.throttled_until > clock_timestamp() then format('target "%s", which asked not to be called before %s (tradeflow targets resume %1$s does not wait)', t.name, to_char(s.throttled_until at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
      when tradeflow._tokens(t, s, clock_timestamp()) < 1 then format('target "%s", which takes %s executions in %s', t.name, t.rate_limit, t.rate_period)
      when s.running >= t.concurrency then format('target "%s", where %s of %s allowed executions are under way', t.name, s.running, t.concurrency)
    end into stopped
    from tradeflow.targets t join tradeflow.target_states s on s.target = t.name where t.name = o.target;
  end if;
  return coalesce(stopped, 'a sidecar with room for it');
end
$$;

comment on function tradeflow.waits_for(bigint) is
  'Why an action has not run yet, in one sentence: its time, an action before it in its lane, its target, a sidecar, a person. NULL: it waits for nothing, it has ended.';

create function tradeflow.inspect(id bigint) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with firing as (
    select coalesce((select o.firing_id from tradeflow.outbox o where o.id = inspect.id),
                    (select h.firing_id from tradeflow.outbox_history h where h.id = inspect.id)) as id
  ), acts as (
    select o.id, o.rule, o.rule_version, o.source, o.event, o.edge, o.subject, o.occurrence, o.key, o.created_at, o.fire_at, o.traceparent, o.facts, o.steps,
           o.step, o.action, o.kind, o.target, o.lane, o.state, o.reason, o.run_at, o.attempt, o.max_attempts, o.worker,
           o.lease_until, o.started_at, o.error, o.result, null::jsonb as request, null::timestamptz as finished_at,
           tradeflow.waits_for(o.id) as waits_for
    from tradeflow.outbox o join firing f on f.id = o.firing_id
    union all
    select h.id, h.rule, h.rule_version, h.source, h.event, h.edge, h.subject, h.occurrence, h.key, h.created_at, h.fire_at, h.traceparent, h.facts, h.steps,
           h.step, h.action, h.kind, h.target, h.lane, h.state, h.reason, h.run_at, h.attempt, h.max_attempts, h.worker,
           h.lease_until, h.started_at, h.error, h.result, h.request, h.finished_at, null
    from tradeflow.outbox_history h join firing f on f.id = h.firing_id
  ), latest as (
    select * from acts a order by a.step desc nulls last, a.id desc limit 1
  )
  select jsonb_build_object(
    'id', inspect.id,
    'firing', jsonb_build_object(
      'firing_id', f.id, 'rule', l.rule, 'rule_version', l.rule_version, 'source', l.source, 'event', l.event, 'edge', l.edge,
      'subject', l.subject, 'occurrence', l.occurrence, 'key', l.key, 'fired_at', (select min(a.created_at) from acts a),
      'fire_at', l.fire_at, 'traceparent', l.traceparent, 'facts', l.facts, 'steps', l.steps),
    'actions', (
      select jsonb_agg(jsonb_build_object(
        'id', a.id, 'step', a.step, 'action', a.action, 'kind', a.kind, 'target', a.target, 'lane', a.lane, 'state', a.state,
        'reason', a.reason, 'waits_for', a.waits_for, 'run_at', a.run_at, 'attempt', a.attempt, 'max_attempts', a.max_attempts,
        'worker', a.worker, 'lease_until', a.lease_until, 'started_at', a.started_at, 'finished_at', a.finished_at,
        'error', a.error, 'params', x.params, 'request', a.request, 'result', a.result) order by a.step, a.id)
      from acts a
      left join tradeflow.actions x on x.rule = a.rule and x.edge = a.edge and x.step = a.step),
    'later_steps', (
      select coalesce(jsonb_agg(jsonb_build_object('step', x.step, 'action', x.name, 'kind', x.kind, 'target', x.target, 'delay', x.delay) order by x.step), '[]')
      from tradeflow.actions x
      where x.rule = l.rule and x.edge = l.edge and x.step > l.step and l.state not in ('cancelled', 'shadow')),
    'incidents', (
      select coalesce(jsonb_agg(jsonb_build_object(
        'id', i.id, 'kind', i.kind, 'message', i.message, 'hint', i.hint, 'last_seen_at', i.last_seen_at, 'acked_at', i.acked_at) order by i.id), '[]')
      from tradeflow.incidents i where i.outbox_id in (select a.id from acts a)))
  from firing f cross join latest l
$$;

comment on function tradeflow.inspect(bigint) is
  'The whole firing that an action belongs to: facts, every step with its attempts, rendered request, result, error, and why it waits; the steps to come; incidents. NULL: there is no such action.';

create function tradeflow._condition_parts(condition text) returns text[]
language c immutable strict as 'MODULE_PATHNAME', 'tradeflow_condition_parts';

comment on function tradeflow._condition_parts(text) is 'Internal. What AND joins at the top of a condition, as written.';

create function tradeflow._ask_parts(definition text, source regclass, parts text[], old jsonb, new jsonb, at timestamptz default null) returns text
language c as 'MODULE_PATHNAME', 'tradeflow_ask_parts';

comment on function tradeflow._ask_parts(text, regclass, text[], jsonb, jsonb, timestamptz) is
  'Internal. Evaluates parts of a condition over a row given as JSON, as the definition''s owner, at this time (NULL: now): a JSON array of {part, value, reads_old, error}.';

create function tradeflow._read_as(query text, search_path text, owner regrole) returns text
language c strict as 'MODULE_PATHNAME', 'tradeflow_read_as';

comment on function tradeflow._read_as(text, text, regrole) is
  'Internal. The first column of the first row of a SELECT, run as this role, read-only.';

create function tradeflow._definition(r tradeflow.rules) returns text
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  select jsonb_build_object(
    'name', r.name, 'events', r.events, 'condition', r.condition, 'fires', r.fires, 'still', r.still, 'columns', r.columns,
    'query', r.query, 'fire_at', r.fire_at, 'max_firings', r.max_firings, 'search_path', r.search_path,
    'owner', to_regrole(quote_ident(r.owner))::oid::bigint,
    'delayed', exists (select from tradeflow.actions a where a.rule = r.name and a.edge = 'enter' and a.delay <> '0'),
    'leaves', exists (select from tradeflow.actions a where a.rule = r.name and a.edge = 'leave'))::text
$$;

comment on function tradeflow._definition(tradeflow.rules) is 'Internal. A rule as the library takes it: JSON.';

create function tradeflow._caller() returns name
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select coalesce(nullif(current_setting('role'), 'none'), session_user)::name $$;

comment on function tradeflow._caller() is 'Internal. The role that the session acts as.';

create function tradeflow._require_reader(r tradeflow.rules) returns void
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  caller name := tradeflow._caller();
begin
  if not pg_has_role(caller, 'tradeflow_operator', 'member')
     and not exists (select from pg_roles where rolname = r.owner and pg_has_role(caller, rolname, 'member'))
     and not coalesce(has_table_privilege(caller, to_regclass(coalesce(r.source, r.view)), 'select'), false) then
    raise exception 'permission denied to explain rule "%"', r.name
      using errcode = 'insufficient_privilege',
            hint = format('An explanation shows values of %s: it takes SELECT there, membership in role %I, or tradeflow_operator.',
                          coalesce(r.source, r.view, 'the rows its query reads'), r.owner);
  end if;
end
$$;

comment on function tradeflow._require_reader(tradeflow.rules) is 'Internal. Errors: 42501 unless the caller may see what the rule sees.';

create function tradeflow._key_of(source text, key text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  columns  text[] := (select w.key from tradeflow.watched_tables w where w.name = source);
  found    jsonb;
begin
  if key ~ '^\s*\{\s*"' then
    begin
      found := key::jsonb;
      if jsonb_typeof(found) = 'object' and found ?& columns then
        return found;
      end if;
    exception when invalid_text_representation then
      null;  -- a text array
    end;
  end if;
  if cardinality(columns) = 1 then
    return jsonb_build_object(columns[1], key);
  elsif key ~ '^\{.*\}$' and cardinality(key::text[]) = cardinality(columns) then
    return jsonb_object(columns, key::text[]);
  end if;
  raise exception 'the key of % is (%), which "%" is not', source, array_to_string(columns, ', '), key
    using errcode = 'invalid_parameter_value',
          hint = format('as JSON: %s', (select jsonb_object_agg(c, '…') from unnest(columns) c));
end
$$;

comment on function tradeflow._key_of(text, text) is 'Internal. A key as JSON. Errors: 22023.';

create function tradeflow._firings_of(the_rule text, subjects text[]) returns jsonb
language sql stable
set search_path = pg_catalog, pg_temp
as $$
  with acts as (
    select o.firing_id, o.rule_version, o.event, o.edge, o.subject, o.occurrence, o.created_at, o.id, o.step, o.action, o.kind, o.target, o.state,
           o.reason, o.error, o.attempt, o.run_at, null::timestamptz as finished_at
    from tradeflow.outbox o where o.rule = the_rule and o.subject = any (subjects)
    union all
    select h.firing_id, h.rule_version, h.event, h.edge, h.subject, h.occurrence, h.created_at, h.id, h.step, h.action, h.kind, h.target, h.state,
           h.reason, h.error, h.attempt, h.run_at, h.finished_at
    from tradeflow.outbox_history h where h.rule = the_rule and h.subject = any (subjects)
  ), fired as (
    select a.firing_id,
           jsonb_build_object(
             'firing_id', a.firing_id, 'fired_at', min(a.created_at), 'event', min(a.event), 'edge', min(a.edge),
             'subject', min(a.subject), 'occurrence', min(a.occurrence), 'rule_version', min(a.rule_version),
             'actions', jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
               'id', a.id, 'step', a.step, 'action', a.action, 'kind', a.kind, 'target', a.target, 'state', a.state, 'reason', a.reason,
               'error', a.error, 'attempt', a.attempt, 'run_at', a.run_at, 'finished_at', a.finished_at)) order by a.step, a.id)) as firing
    from acts a group by a.firing_id order by a.firing_id desc limit 20
  )
  select coalesce(jsonb_agg(f.firing order by f.firing_id desc), '[]') from fired f
$$;

comment on function tradeflow._firings_of(text, text[]) is 'Internal. The last 20 firings about these subjects, as JSON.';

create function tradeflow._first_no(parts jsonb) returns text
language sql immutable
set search_path = pg_catalog, pg_temp
as $$
  select p.value ->> 'part' from jsonb_array_elements(parts) with ordinality p(value, n)
  where p.value -> 'value' is distinct from 'true'::jsonb
  order by p.n limit 1
$$;

comment on function tradeflow._first_no(jsonb) is 'Internal. The first part of a condition that is not true.';

create function tradeflow._explain_row(r tradeflow.rules, key text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  owner        regrole := to_regrole(quote_ident(r.owner));
  the_key      jsonb := tradeflow._key_of(r.source, key);
  key_columns  text[] := (select w.key from tradeflow.watched_tables w where w.name = r.source);
  where_key    text := (select string_agg(format('new.%I = %L', k, the_key ->> k), ' and ') from unnest(key_columns) k);
  parts        text[] := tradeflow._condition_parts(r.condition);
  found        jsonb;
  the_subject  text;
  last         tradeflow.change_log;
  now_parts    jsonb;
  last_parts   jsonb;
  answers      jsonb;
  subjects     text[];
  -- Who owns the rule may be allowed some of the columns only.
  whole        boolean := has_table_privilege(owner, to_regclass(r.source), 'select');
begin
  found := tradeflow._read_as(format('select to_jsonb(new) from %s as new where %s', r.source, where_key), r.search_path, owner)::jsonb;
  the_subject := case when cardinality(key_columns) > 1 then (select array_agg(coalesce(found, the_key) ->> k order by i)::text from unnest(key_columns) with ordinality u(k, i))
                  else coalesce(found, the_key) ->> key_columns[1] end;
  if found is not null and parts is not null then
    now_parts := tradeflow._ask_parts(tradeflow._definition(r), r.source, parts, null, found, tradeflow.now());
    -- What reads old is about a change, not about the row: nothing can be said about it now.
    now_parts := (select jsonb_agg(case when p.value @> '{"reads_old": true}' then p.value || '{"value": null}' else p.value end order by p.n)
                  from jsonb_array_elements(now_parts) with ordinality p(value, n));
  end if;
  select * into last from tradeflow.change_log l where l.source = r.source and l.subject = the_subject
  order by l.changed_at desc, l.id desc limit 1;
  if last.id is not null and parts is not null then
    last_parts := tradeflow._ask_parts(tradeflow._definition(r), r.source, parts, last.old, last.new, coalesce(last.clock, last.changed_at));
  end if;
  subjects := array[the_subject];
  if found is not null and r.query is not null then
    answers := tradeflow._read_as(format(
      E'select coalesce(jsonb_agg(to_jsonb(answer)), ''[]'') from %1$s as new cross join lateral (select (null::%1$s).*) as old cross join lateral (\n%2$s\n) as answer where %3$s',
      r.source, rtrim(r.query, E'; \n\t'), where_key), r.search_path, owner);
    subjects := subjects || array(select distinct a ->> 'subject' from jsonb_array_elements(answers) a where a ->> 'subject' is not null);
  end if;
  return jsonb_build_object(
    'subject', the_subject,
    'row', found,
    'parts', now_parts,
    'first_no', tradeflow._first_no((select jsonb_agg(p) from jsonb_array_elements(now_parts) p where not p @> '{"reads_old": true}')),
    'last_change', case when last.id is not null then jsonb_build_object(
        'changed_at', last.changed_at, 'event', last.event, 'silent', last.silent,
        'old', case when whole then last.old end, 'new', case when whole then last.new end,
        'parts', last_parts, 'first_no', tradeflow._first_no(last_parts)) end,
    'query_rows', answers,
    'firings', tradeflow._firings_of(r.name, subjects));
end
$$;

comment on function tradeflow._explain_row(tradeflow.rules, text) is 'Internal. What explain() says about a row rule.';

create function tradeflow._explain_subject(r tradeflow.rules, key text) returns jsonb
language plpgsql stable
set search_path = pg_catalog, pg_temp
as $$
declare
  rows  jsonb;
begin
  rows := tradeflow._read_as(format('select coalesce(jsonb_agg(to_jsonb(v)), ''[]'') from %s as v where v.subject = %L', r.view, key),
                             r.search_path, to_regrole(quote_ident(r.owner)));
  return jsonb_build_object(
    'subject', key,
    'in_view', rows <> '[]',
    'view_rows', rows,
    'members', (select coalesce(jsonb_agg(to_jsonb(m) - '{rule}'::text[] order by m.occurrence), '[]')
                from tradeflow.members m where m.rule = r.name and m.subject = key),
    'inputs', (select coalesce(jsonb_object_agg(i.source, i.subject), '{}') from tradeflow.rule_inputs i where i.rule = r.name),
    'firings', tradeflow._firings_of(r.name, array[key]));
end
$$;

comment on function tradeflow._explain_subject(tradeflow.rules, text) is 'Internal. What explain() says about a view rule.';

create function tradeflow.explain(rule text, key text) returns jsonb
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  r      tradeflow.rules;
  said   jsonb;
  last   jsonb;
  fired  text;
begin
  select * into r from tradeflow.rules x where x.name = explain.rule;
  if not found then
    raise exception 'rule "%" does not exist', explain.rule using errcode = 'undefined_object';
  end if;
  perform tradeflow._require_reader(r);
  said := case when r.source is not null then tradeflow._explain_row(r, key)
               when r.view is not null then tradeflow._explain_subject(r, key)
               else jsonb_build_object('subject', key, 'firings', tradeflow._firings_of(r.name, array[key])) end;
  last := nullif(said -> 'last_change', 'null');
  fired := said #>> '{firings,0,fired_at}';

  said := said || jsonb_build_object('verdict', case
    when fired is not null then format('It fired %s time(s), last at %s.', jsonb_array_length(said -> 'firings'), fired)
    when r.mode = 'off' then 'The rule is off.'
    when r.invalid is not null then 'The rule is not asked: ' || r.invalid
    when r.paused_at is not null then 'The rule is paused: ' || coalesce(r.paused_reason, 'it failed too often')
    when r.schedule is not null then 'Its query has not returned this subject yet.'
    when r.view is not null and (said ->> 'in_view')::boolean and said -> 'members' = '[]' then 'It is in the view, and the rule was not asked about it yet: does rule_inputs name every table the view reads?'
    when r.view is not null and (said ->> 'in_view')::boolean then format('It is in the view, and a member without a firing: it was there when the rule was written, or its time has not come. tradeflow.backfill(%L) fires for such.', r.name)
    when r.view is not null then 'It is not in the view.'
    when said ->> 'row' is null and last is null then 'There is no such row.'
    when said ->> 'first_no' is not null then format('It does not hold for the row: %s is not true.', said ->> 'first_no')
    when last ->> 'first_no' is not null then format('The last change did not fulfil it: %s was not true.', last ->> 'first_no')
    when last @> '{"silent": true}' then 'The last change was made in silent mode.'
    when said ->> 'row' is null then 'There is no such row any more.'
    when said -> 'query_rows' = '[]' then 'Its condition holds, and its query returns no row.'
    when exists (select from jsonb_array_elements(said -> 'parts') p where p @> '{"reads_old": true}')
      then 'What it asks about the row holds. The rest is about a change: watch the table with log => true to have the last one explained.'
    else format('It holds, and no change since the rule was written made it so: a rule fires when the answer becomes yes. tradeflow.backfill(%L) fires for rows that were there before.', r.name)
  end);
  return jsonb_build_object(
    'rule', r.name, 'version', r.version, 'mode', r.mode, 'condition', r.condition, 'fires', r.fires, 'events', r.events)
    || jsonb_strip_nulls(jsonb_build_object('invalid', r.invalid, 'paused_at', r.paused_at, 'paused_reason', r.paused_reason, 'columns', r.columns,
                                            'view', r.view, 'schedule', r.schedule))
    || said
    || jsonb_build_object('incidents', (
         select coalesce(jsonb_agg(jsonb_build_object('id', i.id, 'kind', i.kind, 'message', i.message, 'count', i.count, 'last_seen_at', i.last_seen_at) order by i.id desc), '[]')
         from (select * from tradeflow.incidents x
               where x.rule = r.name and x.acked_at is null and (x.subject is null or x.subject = said ->> 'subject')
               order by x.id desc limit 5) i));
end
$$;

comment on function tradeflow.explain(text, text) is
  'Why a rule did or did not fire for a row: each part of its condition with its value for the row as it is and for its last logged change, the first part that said no, the firings with what became of each action, open incidents; for a view rule the subject''s membership. key: the row''s key as text, several columns as text array or JSON object. Errors: 42704 no such rule, 22023 no such key, 42501.';

create function tradeflow.explain(rule text, key bigint) returns jsonb
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.explain(rule, key::text) $$;

comment on function tradeflow.explain(text, bigint) is 'As explain(text, text).';

create function tradeflow.explain(rule text, key jsonb) returns jsonb
language sql
set search_path = pg_catalog, pg_temp
as $$ select tradeflow.explain(rule, key #>> '{}') $$;

comment on function tradeflow.explain(text, jsonb) is 'As explain(text, text), with the key as {"column": value, …}.';

create function tradeflow._simulated(firing bigint, incident bigint) returns jsonb
language sql stable security definer
set search_path = pg_catalog, pg_temp
as $$
  with own as materialized (select (pg_current_xact_id()::text::numeric::bigint >> 32) << 32 as epoch)
  select jsonb_build_object(
    'firings', (
      select coalesce(jsonb_agg(jsonb_build_object(
          'rule', f.rule, 'source', f.source, 'event', f.event, 'edge', f.edge, 'subject', f.subject, 'occurrence', f.occurrence,
          'state', f.state, 'run_at', f.run_at, 'facts', f.facts,
          'actions', (select coalesce(jsonb_agg(jsonb_strip_nulls(jsonb_build_object(
                          'step', a.step, 'name', a.name, 'kind', a.kind, 'target', a.target, 'params', a.params,
                          'delay', nullif(a.delay, '0'))) order by a.step), '[]')
                      from tradeflow.actions a where a.rule = f.rule and a.edge = f.edge)) order by f.firing_id), '[]')
      from own, tradeflow.outbox f
      where f.firing_id > firing and pg_xact_status((own.epoch + f.xmin::text::bigint)::text::xid8) = 'in progress'),
    'incidents', (
      select coalesce(jsonb_agg(i.message order by i.id), '[]')
      from own, tradeflow.incidents i
      where i.id > incident and pg_xact_status((own.epoch + i.xmin::text::bigint)::text::xid8) = 'in progress'))
$$;

comment on function tradeflow._simulated(bigint, bigint) is 'Internal. What the current transaction has fired since these numbers, as JSON.';

create function tradeflow._before_simulation(out firing bigint, out incident bigint)
language sql volatile security definer
set search_path = pg_catalog, pg_temp
as $$
  select (select case when is_called then last_value else 0 end from tradeflow.firing_id),
         (select case when is_called then last_value else 0 end from tradeflow.incidents_id_seq)
$$;

comment on function tradeflow._before_simulation() is 'Internal. The last numbers given so far.';

create function tradeflow.simulate(sql text)
returns table (rule text, source text, event text, edge text, subject text, occurrence text, state text, run_at timestamptz, facts jsonb, actions jsonb)
language plpgsql
as $$
declare
  before   record;
  result   jsonb;  -- variables outlive the rollback
  message  text;
begin
  select * into before from tradeflow._before_simulation();
  begin
    execute simulate.sql;
    -- What is asked at the end of the transaction is asked now.
    set constraints all immediate;
    result := tradeflow._simulated(before.firing, before.incident);
    raise sqlstate 'TF002' using message = 'a simulation ends';
  exception when sqlstate 'TF002' then
    if result is null then
      raise;
    end if;
  end;
  for message in select pg_catalog.jsonb_array_elements_text(result operator(pg_catalog.->) 'incidents') loop
    raise warning '%', message using detail = 'It would be an incident.';
  end loop;
  return query
    select * from pg_catalog.jsonb_to_recordset(result operator(pg_catalog.->) 'firings') f(
      rule text, source text, event text, edge text, subject text, occurrence text, state text, run_at pg_catalog.timestamptz, facts jsonb, actions jsonb);
end
$$;

comment on function tradeflow.simulate(text) is
  'Runs a statement as the caller, returns the firings it would cause with their actions, and rolls everything back: nothing is kept, nothing is sent. What rules fail with comes as warnings. Sequences do advance. Errors: those of the statement.';

create function tradeflow._replay(
  definition text, source regclass, source_name text, since timestamptz, until timestamptz,
  out log_id bigint, out changed_at timestamptz, out event text, out edge text, out subject text, out occurrence text,
  out fire_at timestamptz, out facts jsonb, out error text
) returns setof record
language c as 'MODULE_PATHNAME', 'tradeflow_replay';

comment on function tradeflow._replay(text, regclass, text, timestamptz, timestamptz) is
  'Internal. Asks a definition about the logged changes of a table, as its owner, of whom the caller must be a member. Errors of the rule come as a row of their own.';

create function tradeflow._backtest(draft jsonb, stored tradeflow.rules, since timestamptz, until timestamptz)
returns table (difference text, changed_at timestamptz, event text, edge text, subject text, occurrence text, fire_at timestamptz, facts jsonb, firing_id bigint, error text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  r        tradeflow.rules;
  rel      regclass;
  unknown  text;
  logged   timestamptz;
begin
  select k into unknown from jsonb_object_keys(draft) k
  where not exists (select from pg_attribute a where a.attrelid = 'tradeflow.rules'::regclass and a.attnum > 0 and a.attname = k)
  limit 1;
  if found then
    raise exception 'a rule has no "%"', unknown
      using errcode = 'undefined_column', hint = 'A draft has the columns of tradeflow.rules: {"source": "store.quotes", "condition": "…"}.';
  end if;
  r := jsonb_populate_record(stored, draft);
  if r.source is null or r.view is not null or r.schedule is not null then
    raise exception 'rule "%" is not about the changes of a table', coalesce(r.name, 'draft')
      using errcode = 'feature_not_supported', hint = 'A backtest replays the logged changes of one table: it needs a source.';
  end if;
  rel := to_regclass(r.source);
  if rel is null then
    raise exception 'table "%" does not exist', r.source using errcode = 'undefined_table', hint = 'Write schema and table, as in store.quotes.';
  end if;
  r.source := tradeflow._qualified_name(rel);
  select w.logged_since into logged from tradeflow.watched_tables w where w.name = r.source;
  if logged is null then
    raise exception 'the changes of % are not logged', r.source
      using errcode = 'object_not_in_prerequisite_state', hint = format('select tradeflow.watch(%L, log => true); and come back when there is something to replay.', r.source);
  end if;
  r.name := coalesce(r.name, 'draft');
  r.events := coalesce(r.events, '{insert,update}');
  r.fires := case when r.condition is null then 'always' else coalesce(r.fires, 'enter') end;
  r.max_firings := coalesce(r.max_firings, 1000);

  return query
  with answers as materialized (
    select * from tradeflow._replay(tradeflow._definition(r), rel, r.source, since, until)
  ), replayed as (
    select a.*, row_number() over (partition by a.changed_at, a.edge, a.subject, a.occurrence order by a.log_id) as n
    from (select x.*, row_number() over (partition by x.edge, x.subject, x.occurrence order by x.log_id) as nth from answers x where x.error is null) a
    -- The first answer ever: nothing before what is replayed.
    where r.fires <> 'once'
       or (a.nth = 1 and not exists (select from tradeflow.firings f where f.rule = r.name and f.subject = a.subject and f.occurrence = a.occurrence
                                     and f.edge = a.edge and f.created_at < greatest(since, logged)))
  ), fired as (
    select f.firing_id, f.created_at, f.event, f.edge, f.subject, f.occurrence, f.facts,
           row_number() over (partition by f.created_at, f.edge, f.subject, f.occurrence order by f.firing_id) as n
    from tradeflow.firings f
    where f.rule = r.name and f.event in ('insert', 'update', 'delete')
      and f.created_at >= greatest(since, logged) and f.created_at < coalesce(until, 'infinity')
  )
  select case when f.firing_id is null then 'added' when a.log_id is null then 'missing' else 'same' end,
         coalesce(a.changed_at, f.created_at), coalesce(a.event, f.event), coalesce(a.edge, f.edge), coalesce(a.subject, f.subject),
         coalesce(a.occurrence, f.occurrence), a.fire_at, coalesce(a.facts, f.facts), f.firing_id, null::text
  from replayed a
  full join fired f on (f.created_at, f.edge, f.subject, f.occurrence, f.n) = (a.changed_at, a.edge, a.subject, a.occurrence, a.n)
  union all
  select 'error', null, null, null, e.subject, null, null, null, null, e.error from answers e where e.error is not null
  order by 2, 5, 6;
end
$$;

comment on function tradeflow._backtest(jsonb, tradeflow.rules, timestamptz, timestamptz) is 'Internal. A backtest of a draft laid over a stored rule.';

create function tradeflow.backtest(rule text, since timestamptz default null, until timestamptz default null)
returns table (difference text, changed_at timestamptz, event text, edge text, subject text, occurrence text, fire_at timestamptz, facts jsonb, firing_id bigint, error text)
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  stored tradeflow.rules;
begin
  select * into stored from tradeflow.rules r where r.name = backtest.rule;
  if not found then
    raise exception 'rule "%" does not exist', backtest.rule
      using errcode = 'undefined_object', hint = 'For a rule that is not stored: tradeflow.backtest(''{"source": "…", "condition": "…"}''::jsonb).';
  end if;
  perform tradeflow._require_member(stored.owner, stored.name);
  return query select * from tradeflow._backtest('{}', stored, since, until);
end
$$;

comment on function tradeflow.backtest(text, timestamptz, timestamptz) is
  'Replays the logged changes of a rule''s table (watched with log => true) through the rule as it is now, and compares with what it fired then. difference: same; added (fires in the replay only); missing (fired then, not in the replay); error. A query reads the other tables as they are now. Silent changes are left out. The caller must be a member of the rule''s owner. Errors: 42704 no such rule, 0A000 no row rule, 55000 not logged.';

create function tradeflow.backtest(draft jsonb, since timestamptz default null, until timestamptz default null)
returns table (difference text, changed_at timestamptz, event text, edge text, subject text, occurrence text, fire_at timestamptz, facts jsonb, firing_id bigint, error text)
language sql
as $$
  select b.*
  from (select 1) one
  left join tradeflow.rules s on s.name operator(pg_catalog.=) (draft operator(pg_catalog.->>) 'name')
  cross join lateral tradeflow._backtest(
    draft operator(pg_catalog.||) pg_catalog.jsonb_build_object(
      'owner', current_user,
      'source', coalesce(tradeflow._qualified_name(pg_catalog.to_regclass(draft operator(pg_catalog.->>) 'source')), draft operator(pg_catalog.->>) 'source', s.source),
      'search_path', coalesce(draft operator(pg_catalog.->>) 'search_path', s.search_path,
        (select pg_catalog.string_agg(pg_catalog.quote_ident(p), ', ' order by i)
         from pg_catalog.unnest(pg_catalog.current_schemas(false)) with ordinality u(p, i)), '')),
    s, since, until) b
$$;

comment on function tradeflow.backtest(jsonb, timestamptz, timestamptz) is
  'The same for a draft: {"source": "store.quotes", "condition": "…"}, with any column of tradeflow.rules. With the name of a stored rule it is laid over that one, and compared with what that one fired. Runs as the caller.';

create function tradeflow._statements(source text) returns text
language c immutable strict as 'MODULE_PATHNAME', 'tradeflow_statements';

comment on function tradeflow._statements(text) is
  'Internal. What the statements of a text are, as JSON: {"statements": [{"tag", "at", "end", …}]} with offsets in bytes, or {"error": {"message", "hint", "sqlstate", "position"}} where it does not parse. Nothing is run.';

create table tradeflow.projects (
  name          text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  schema        name not null,
  applied_at    timestamptz not null default now(),
  applied_by    name not null default session_user,
  applied_with  text not null
);

select pg_catalog.pg_extension_config_dump('tradeflow.projects', '');

comment on table tradeflow.projects is 'A row is a project: files that define rules, written here by tradeflow apply.';

comment on column tradeflow.projects.name is 'What rules.project says.';

comment on column tradeflow.projects.schema is 'Where its views, functions and decision tables are.';

comment on column tradeflow.projects.applied_at is 'When it was applied last.';

comment on column tradeflow.projects.applied_by is 'Who did.';

comment on column tradeflow.projects.applied_with is 'The version of the program that did.';

create table tradeflow.project_objects (
  project     text not null references tradeflow.projects (name) on update cascade on delete cascade,
  kind        text not null,
  name        text not null,
  file        text not null,
  definition  jsonb not null,
  applied_at  timestamptz not null default now(),
  applied_by  name not null default session_user,
  primary key (kind, name)
);

create index project_objects_project on tradeflow.project_objects (project);

select pg_catalog.pg_extension_config_dump('tradeflow.project_objects', '');

comment on table tradeflow.project_objects is 'What a project''s files define, as the last apply left it. A difference to what is there now was made in the database; what is here and in no file any more is removed by apply --prune. One project at most defines an object.';

comment on column tradeflow.project_objects.project is 'The project.';

comment on column tradeflow.project_objects.kind is 'rule, input, action, template, setting, target, pool, pool member, row (of a decision table), view, function, table.';

comment on column tradeflow.project_objects.name is 'Which of its kind.';

comment on column tradeflow.project_objects.file is 'The file that defines it, within the project.';

comment on column tradeflow.project_objects.definition is 'What it was after the last apply that changed it.';

comment on column tradeflow.project_objects.applied_at is 'When that was.';

comment on column tradeflow.project_objects.applied_by is 'Who did it.';

create function tradeflow.matches(wanted anycompatible, given anycompatible) returns boolean
language sql immutable parallel safe
as $$ select wanted is null or coalesce(wanted = given, false) $$;

comment on function tradeflow.matches(anycompatible, anycompatible) is
  'Whether a criterion of a decision table''s line lets a value pass: NULL is any, else they must be equal. A value that is NULL passes NULL only.';

create function tradeflow.matches(wanted anycompatiblearray, given anycompatible) returns boolean
language sql immutable parallel safe
as $$ select wanted is null or coalesce(given = any (wanted), false) $$;

comment on function tradeflow.matches(anycompatiblearray, anycompatible) is 'The same for a list: the value must be one of it.';

create function tradeflow.matches(wanted anycompatiblerange, given anycompatible) returns boolean
language sql immutable parallel safe
as $$ select wanted is null or coalesce(wanted @> given, false) $$;

comment on function tradeflow.matches(anycompatiblerange, anycompatible) is 'The same for a range: the value must lie in it.';

create table tradeflow.pools (
  name         text primary key check (name ~ '^[A-Za-z_][A-Za-z0-9_.-]{0,62}$'),
  description  text,
  pass         numeric not null default 0
);

select pg_catalog.pg_extension_config_dump('tradeflow.pools', '');

comment on table tradeflow.pools is 'A row is a group of people, or of anything, one of whom tradeflow.pick() chooses.';

comment on column tradeflow.pools.name is 'What pick() is called with.';

comment on column tradeflow.pools.description is 'For people.';

comment on column tradeflow.pools.pass is 'The pass at which the last pick was made. Written by pick().';

create table tradeflow.pool_members (
  pool    text not null references tradeflow.pools (name) on update cascade on delete cascade,
  member  text not null check (member <> ''),
  weight  int not null default 1 check (weight between 0 and 10000),
  cap     int check (cap >= 0),
  absent  tstzmultirange not null default '{}',
  pass    numeric not null default 0,
  primary key (pool, member)
);

select pg_catalog.pg_extension_config_dump('tradeflow.pool_members', '');

comment on table tradeflow.pool_members is 'A row is one who may be picked.';

comment on column tradeflow.pool_members.pool is 'The pool.';

comment on column tradeflow.pool_members.member is 'Who: an id or a mail address, as the pick''s user needs it.';

comment on column tradeflow.pool_members.weight is 'The share: 2 gets twice as many as 1, 0 gets none.';

comment on column tradeflow.pool_members.cap is 'At most as many assignments at a time. NULL: no limit.';

comment on column tradeflow.pool_members.absent is 'When not to be picked: {[2026-12-21,2027-01-04)}. What is assigned already stays.';

comment on column tradeflow.pool_members.pass is 'How much was picked so far, in 1/weight. Written by pick().';

create table tradeflow.assignments (
  pool         text not null,
  subject      text not null,
  member       text not null,
  assigned_at  timestamptz not null default now(),
  primary key (pool, subject),
  foreign key (pool, member) references tradeflow.pool_members (pool, member) on update cascade on delete cascade
);

create index assignments_member on tradeflow.assignments (pool, member);

select pg_catalog.pg_extension_config_dump('tradeflow.assignments', '');

comment on table tradeflow.assignments is 'Who was picked for whom. It stays until release() or until the member leaves the pool.';

comment on column tradeflow.assignments.pool is 'The pool.';

comment on column tradeflow.assignments.subject is 'For whom: the key of a company, of a quote.';

comment on column tradeflow.assignments.member is 'Who was picked.';

comment on column tradeflow.assignments.assigned_at is 'When.';

create function tradeflow.pick(pool text, subject text, candidates text[] default null) returns text
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  reached  numeric;
  chosen   record;
begin
  if subject is null or pool is null then
    raise exception 'pick() needs a pool and a subject' using errcode = 'null_value_not_allowed', hint = 'select tradeflow.pick(''reps'', ''17'');';
  end if;
  -- One pick of a pool at a time, so that shares are exact; the lock lasts until the caller commits.
  select p.pass into reached from tradeflow.pools p where p.name = pick.pool for update;
  if not found then
    raise exception 'there is no pool "%"', pick.pool
      using errcode = 'undefined_object',
            hint = coalesce('pools: ' || (select string_agg(p.name, ', ' order by p.name) from tradeflow.pools p),
                            format('insert into tradeflow.pools (name) values (%L);', pick.pool));
  end if;
  select a.member into chosen from tradeflow.assignments a where a.pool = pick.pool and a.subject = pick.subject;
  if found then
    return chosen.member;
  end if;

  select m.member, greatest(m.pass, reached) as at, m.weight into chosen
  from tradeflow.pool_members m
  where m.pool = pick.pool and m.weight > 0 and not m.absent @> tradeflow.now()
    and (candidates is null or m.member = any (candidates))
    and (m.cap is null or m.cap > (select count(*) from tradeflow.assignments a where a.pool = m.pool and a.member = m.member))
  order by greatest(m.pass, reached), m.weight desc, m.member
  limit 1;
  if not found then
    return null;
  end if;
  update tradeflow.pool_members m set pass = chosen.at + 1.0 / chosen.weight where m.pool = pick.pool and m.member = chosen.member;
  update tradeflow.pools p set pass = chosen.at where p.name = pick.pool and p.pass <> chosen.at;
  insert into tradeflow.assignments (pool, subject, member) values (pick.pool, pick.subject, chosen.member);
  return chosen.member;
end
$$;

comment on function tradeflow.pick(text, text, text[]) is
  'Who of a pool gets this subject: who has it already, else the next by weight among those present, below their cap and, if given, among the candidates. NULL: nobody is left; the caller decides what then. Picks of one pool wait for each other until their transactions end. Errors: 42704 no such pool, 22004 no pool or subject.';

create function tradeflow.release(pool text, subject text) returns text
language sql security definer
set search_path = pg_catalog, pg_temp
as $$
  delete from tradeflow.assignments a where a.pool = release.pool and a.subject = release.subject returning a.member
$$;

comment on function tradeflow.release(text, text) is 'Ends an assignment, so that the next pick chooses anew. Returns who had it; NULL: nobody.';

create table tradeflow.sync_state (
  resource     text primary key,
  watermark    timestamptz,
  position     jsonb not null default '{}',
  started_at   timestamptz,
  finished_at  timestamptz,
  caught_up_at timestamptz,
  swept_at     timestamptz,
  last_error   text,
  failures     int not null default 0,
  read         bigint not null default 0,
  inserted     bigint not null default 0,
  updated      bigint not null default 0,
  unchanged    bigint not null default 0,
  deleted      bigint not null default 0,
  rejected     bigint not null default 0,
  requests     bigint not null default 0
);

select pg_catalog.pg_extension_config_dump('tradeflow.sync_state', '');

comment on table tradeflow.sync_state is 'How far the copy of each resource is, and what its last run did. Deleting a row makes the next run a first load.';

comment on column tradeflow.sync_state.resource is 'Name of the resource, as `tradeflow sync` spells it.';

comment on column tradeflow.sync_state.watermark is 'Everything that changed at the source before this (by the source''s clock) is stored. NULL: nothing yet, or the resource tells no times.';

comment on column tradeflow.sync_state.position is 'Where a resource without times goes on: {"after": id}.';

comment on column tradeflow.sync_state.started_at is 'When the last run began.';

comment on column tradeflow.sync_state.finished_at is 'When a run last ended well.';

comment on column tradeflow.sync_state.caught_up_at is 'The copy has what the source had at this time: the beginning of the last run that reached the end.';

comment on column tradeflow.sync_state.swept_at is 'When all rows were last compared, so that those gone at the source are gone here.';

comment on column tradeflow.sync_state.last_error is 'Why the last run failed. NULL: it did not.';

comment on column tradeflow.sync_state.failures is 'How many runs have failed since one ended well.';

comment on column tradeflow.sync_state.read is 'Rows read by the last run.';

comment on column tradeflow.sync_state.inserted is 'Rows inserted by the last run.';

comment on column tradeflow.sync_state.updated is 'Rows changed by the last run.';

comment on column tradeflow.sync_state.unchanged is 'Rows the last run found as they were.';

comment on column tradeflow.sync_state.deleted is 'Rows deleted by the last run.';

comment on column tradeflow.sync_state.rejected is 'Payloads the last run could not store; each is an incident.';

comment on column tradeflow.sync_state.requests is 'Requests the last run made.';

create view tradeflow.sync_status as
select resource, watermark, pg_catalog.now() - caught_up_at as lag, started_at, finished_at, swept_at, last_error, failures,
       read, inserted, updated, unchanged, deleted, rejected, requests
from tradeflow.sync_state;

comment on view tradeflow.sync_status is 'tradeflow.sync_state with the lag: how old the state of the source is that the copy shows.';

comment on column tradeflow.sync_status.resource is 'Name of the resource.';

comment on column tradeflow.sync_status.watermark is 'Everything that changed at the source before this is stored.';

comment on column tradeflow.sync_status.lag is 'How old the state of the source is that the copy shows. NULL: the first load is not over.';

comment on column tradeflow.sync_status.started_at is 'When the last run began.';

comment on column tradeflow.sync_status.finished_at is 'When a run last ended well.';

comment on column tradeflow.sync_status.swept_at is 'When all rows were last compared.';

comment on column tradeflow.sync_status.last_error is 'Why the last run failed.';

comment on column tradeflow.sync_status.failures is 'How many runs have failed in a row.';

comment on column tradeflow.sync_status.read is 'Rows read by the last run.';

comment on column tradeflow.sync_status.inserted is 'Rows inserted by the last run.';

comment on column tradeflow.sync_status.updated is 'Rows changed by the last run.';

comment on column tradeflow.sync_status.unchanged is 'Rows the last run found as they were.';

comment on column tradeflow.sync_status.deleted is 'Rows deleted by the last run.';

comment on column tradeflow.sync_status.rejected is 'Payloads the last run could not store.';

comment on column tradeflow.sync_status.requests is 'Requests the last run made.';

create table tradeflow.sync_events (
  event_id    text primary key,
  source      text not null,
  scope       text not null,
  data        jsonb not null,
  received_at timestamptz not null default now(),
  due_at      timestamptz not null default now(),
  attempts    int not null default 0,
  done_at     timestamptz,
  error       text
);

create index sync_events_waiting on tradeflow.sync_events (due_at) where done_at is null;

create index sync_events_done on tradeflow.sync_events (done_at) where done_at is not null;

comment on table tradeflow.sync_events is 'What webhooks told. A row is written before the webhook is answered, so none is lost, and kept for a while, so none counts twice.';

comment on column tradeflow.sync_events.event_id is 'The sender''s id of the message (webhook-id), the same at every attempt to deliver it.';

comment on column tradeflow.sync_events.source is 'Which system: bigcommerce.';

comment on column tradeflow.sync_events.scope is 'What happened, in the sender''s words: store/quote/updated.';

comment on column tradeflow.sync_events.data is 'Which thing it happened to. Ids only: the thing itself is fetched.';

comment on column tradeflow.sync_events.received_at is 'When it came.';

comment on column tradeflow.sync_events.due_at is 'When it is to be worked on (again); moved ahead while somebody does.';

comment on column tradeflow.sync_events.attempts is 'How often it was begun.';

comment on column tradeflow.sync_events.done_at is 'When what it told was stored. NULL: waiting.';

comment on column tradeflow.sync_events.error is 'Why the last attempt failed.';

create function tradeflow.sync_incident(kind text, resource text, subject text, message text, detail text default null, hint text default null)
  returns void language plpgsql security definer set search_path = pg_catalog, pg_temp as
$$
begin
  if sync_incident.kind not in ('sync_error', 'sync_rejected', 'sync_held', 'hook_refused') then
    raise invalid_parameter_value using message = format('a sync reports no incident of kind "%s"', sync_incident.kind);
  end if;
  -- What is open already and says the same is counted, not told again: a sync repeats its failures every minute.
  update tradeflow.incidents i
  set count = i.count + 1, last_seen_at = now(), detail = sync_incident.detail
  where i.id = (
    select o.id from tradeflow.incidents o
    where o.kind = sync_incident.kind and o.source = sync_incident.resource and o.acked_at is null
      and o.subject is not distinct from sync_incident.subject and o.message = sync_incident.message
    order by o.id limit 1);
  if not found then
    insert into tradeflow.incidents (kind, source, subject, message, detail, hint)
    values (sync_incident.kind, sync_incident.resource, sync_incident.subject, sync_incident.message, sync_incident.detail, sync_incident.hint);
  end if;
end
$$;

comment on function tradeflow.sync_incident(text, text, text, text, text, text) is
  'Notes an incident of a sync: its kind (sync_error, sync_rejected, sync_held, hook_refused), the resource, the row''s key. One that is open and says the same is counted.';

revoke execute on function tradeflow.sync_incident(text, text, text, text, text, text) from public;

grant execute on function tradeflow.sync_incident(text, text, text, text, text, text) to tradeflow_sync;

grant select, insert, update, delete on tradeflow.sync_state, tradeflow.sync_events to tradeflow_sync;

grant select on tradeflow.sync_status to tradeflow_sync;

create function tradeflow._check_watch(name text) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  w        tradeflow.watched_tables;
  rel      record;
  anew     boolean := false;
  problem  text;
begin
  select * into w from tradeflow.watched_tables x where x.name = _check_watch.name;
  if not found then
    return;
  end if;
  begin
    select c.oid, c.relkind, c.relispartition into rel from pg_class c where c.oid = to_regclass(w.name);
    if not found then
      problem := 'there is no table of this name';
    elsif rel.relkind not in ('r', 'p') then
      problem := 'what bears this name is no table';
    elsif rel.relispartition then
      problem := 'it has become a partition of another table: watch that one';
    else
      perform tradeflow._require_columns(rel.oid, w.key, 'the watched key');
      anew := tradeflow._install_triggers(rel.oid);
      perform tradeflow._watch_truncation(rel.oid);
      if exists (select from pg_trigger t where t.tgrelid = rel.oid and t.tgenabled = 'D'
                 and t.tgname in ('tradeflow_insert', 'tradeflow_update', 'tradeflow_delete')) then
        problem := 'its triggers are disabled';
      end if;
    end if;
  exception when others then
    problem := sqlerrm;
  end;

  if problem is distinct from w.lost then
    update tradeflow.watched_tables x set lost = problem where x.name = w.name;
  end if;
  if problem is not null and w.lost is null then
    insert into tradeflow.incidents (kind, source, message, detail, hint)
    values ('watch_lost', w.name, format('changes of %s are not seen any more: %s', w.name, problem),
            (select 'rules: ' || string_agg(r.name, ', ' order by r.name) from tradeflow.rules r
             where r.source = w.name or exists (select from tradeflow.rule_inputs i where i.rule = r.name and i.source = w.name)),
            'bring a table with its key back under this name: it is watched again by itself. Or give its rules another source, then delete it from tradeflow.watched_tables.');
    raise notice 'tradeflow does not see the changes of % any more: %', w.name, problem;
  elsif problem is null and w.lost is not null then
    perform tradeflow._resolve_incidents('watch_lost', null, w.name);
  end if;
  if problem is null and (anew or w.lost is not null) then
    perform tradeflow._invalidate(rel.oid);
    perform tradeflow._check_rules(array[w.name]);
  end if;
end
$$;

comment on function tradeflow._check_watch(text) is
  'Internal. Sees to it that the table that bears a watched name has its triggers; if that cannot be, says so in watched_tables.lost and in an incident.';

create function tradeflow._watch_truncation(root regclass) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
  parts  regclass[];
  part   regclass;
begin
  select array_agg(p.relid order by p.relid) into parts
  from pg_partition_tree(root) p
  where p.relid <> root and not exists (select from pg_trigger t where t.tgrelid = p.relid and t.tgname = 'tradeflow_truncate');
  if parts is null then
    return;
  end if;
  -- First all of them: each ALTER TABLE has the event trigger look for partitions without.
  foreach part in array parts loop
    execute format('create trigger tradeflow_truncate after truncate on %s for each statement execute function tradeflow._truncated()', part);
  end loop;
  foreach part in array parts loop
    execute format('alter table %s enable always trigger tradeflow_truncate', part);
  end loop;
end
$$;

comment on function tradeflow._watch_truncation(regclass) is 'Internal. Makes the missing triggers that see a TRUNCATE of one partition alone.';

create function tradeflow._resolve_incidents(kind text, rule text, source text) returns void
language sql
set search_path = pg_catalog, pg_temp
as $$
  delete from tradeflow.incidents i
  where i.kind = _resolve_incidents.kind and i.acked_at is null and i.created_at = now()
    and i.rule is not distinct from _resolve_incidents.rule and i.source is not distinct from _resolve_incidents.source;
  update tradeflow.incidents i set acked_at = now(), acked_by = 'tradeflow'
  where i.kind = _resolve_incidents.kind and i.acked_at is null
    and i.rule is not distinct from _resolve_incidents.rule and i.source is not distinct from _resolve_incidents.source;
$$;

comment on function tradeflow._resolve_incidents(text, text, text) is
  'Internal. Closes the open incidents of this kind, rule and source, whose cause is gone.';

create function tradeflow._check_rules(names text[]) returns void
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  r        tradeflow.rules;
  problem  text;
  state    text;
  rest     text;
begin
  for r in
    select * from tradeflow.rules x
    where exists (select from unnest(names) n
                  where position(n in concat_ws(' ', x.source, x.view, x.condition, x.query, x.fire_at, x.still)) > 0)
      -- Of rules whose table is gone, the incident watch_lost tells.
      and (x.source is null or to_regclass(x.source) is not null)
    order by x.name
  loop
    begin
      problem := tradeflow._rule_missing(r);
      state := null;
    exception when others then
      get stacked diagnostics problem = message_text, state = returned_sqlstate;
      problem := replace(problem, format('rule "%s": ', r.name), '');
    end;
    if problem is not distinct from r.invalid then
      continue;
    end if;
    begin
      update tradeflow.rules x set invalid = problem where x.name = r.name;
      if problem is null then
        perform tradeflow._resolve_incidents('rule_invalid', r.name, r.source);
      elsif r.invalid is null and r.mode <> 'off' then
        insert into tradeflow.incidents (kind, rule, source, message, hint, sqlstate)
        values ('rule_invalid', r.name, r.source, format('rule "%s" no longer compiles: %s', r.name, problem),
                'change the rule, or bring back what it reads; until then it is not evaluated', state);
        raise warning 'tradeflow rule "%" no longer compiles: %', r.name, problem;
      end if;
    exception when others then
      get stacked diagnostics rest = message_text;
      raise warning 'tradeflow rule "%": % (%)', r.name, problem, rest;
    end;
  end loop;
end
$$;

comment on function tradeflow._check_rules(text[]) is
  'Internal. Asks the rules that mention one of these names whether they still compile; marks and reports those that do not, and those that do again.';

create function tradeflow._restoring() returns boolean
language sql stable
set search_path = pg_catalog, pg_temp
as $$ select not current_setting('check_function_bodies')::boolean and not current_setting('row_security')::boolean $$;

comment on function tradeflow._restoring() is 'Internal. Whether the session restores a dump.';

create function tradeflow._ddl_ended() returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  touched  oid[];
  names    text[];
  watched  text;
begin
  if tradeflow._restoring() then
    return;
  end if;
  -- Nothing but temporary tables, or tradeflow's own: the common case of a busy database.
  if tg_tag not like 'DROP %' then
    select array_agg(c.objid), array_agg(distinct coalesce(k.relname, p.proname))
    into touched, names
    from pg_event_trigger_ddl_commands() c
    left join pg_class k on c.classid = 'pg_class'::regclass and k.oid = c.objid
    left join pg_proc p on c.classid = 'pg_proc'::regclass and p.oid = c.objid
    where not c.in_extension and c.schema_name is distinct from 'tradeflow' and c.schema_name is distinct from 'pg_temp';
    if touched is null then
      return;
    end if;
  end if;
  for watched in
    select w.name
    from tradeflow.watched_tables w
    left join pg_class c on c.oid = to_regclass(w.name)
    where c.oid is null and w.lost is null
       or c.oid = any (touched)
       or exists (select from unnest(touched) t(oid), pg_partition_ancestors(t.oid) a where a.relid = c.oid)
       or w.lost is not null and c.oid is not null
       or c.oid is not null and (select count(*) from pg_trigger t where t.tgrelid = c.oid
                                 and t.tgname in ('tradeflow_insert', 'tradeflow_update', 'tradeflow_delete', 'tradeflow_truncate')) < 4
    order by w.name
  loop
    perform tradeflow._check_watch(watched);
  end loop;
  -- A new or replaced table or function may mend a rule; an altered one may break it.
  names := array_remove(names, null);
  if cardinality(names) > 0 then
    perform tradeflow._check_rules(names);
  end if;
exception when others then
  raise warning 'tradeflow could not look after its watched tables: %', sqlerrm;
end
$$;

comment on function tradeflow._ddl_ended() is
  'Internal. After a command that makes, alters, renames or drops tables: watches the watched names again, and asks the rules concerned whether they still compile. Never fails the command.';

create function tradeflow._dropped() returns event_trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  names text[];
begin
  if tradeflow._restoring() then
    return;
  end if;
  select array_agg(distinct case when d.object_type in ('table column', 'function') then
                                   coalesce(d.address_names[2], d.object_name) else d.object_name end)
  into names
  from pg_event_trigger_dropped_objects() d
  where d.object_type in ('table', 'table column', 'view', 'materialized view', 'foreign table', 'function', 'type')
    and not d.is_temporary and d.schema_name is distinct from 'tradeflow'
    -- A table's row type, and the columns that go with it, say nothing new.
    and (d.original or d.object_type in ('table', 'view', 'materialized view', 'foreign table', 'function'));
  names := array_remove(names, null);
  if cardinality(names) > 0 then
    perform tradeflow._check_rules(names);
  end if;
exception when others then
  raise warning 'tradeflow could not look after its rules: %', sqlerrm;
end
$$;

comment on function tradeflow._dropped() is
  'Internal. After something was dropped: asks the rules that mention it whether they still compile. Never fails the command.';

create function tradeflow._truncated() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
declare
  root     regclass := coalesce((select a.relid from pg_partition_ancestors(tg_relid) a
                                 join tradeflow.watched_tables w on w.name = tradeflow._qualified_name(a.relid)
                                 where a.relid <> tg_relid limit 1), tg_relid);
  the_name text := tradeflow._qualified_name(root);
begin
  -- Of a partition alone, the timers of the other rows go on: each is asked again when it is due, and its row is gone.
  if root = tg_relid then
    perform tradeflow._archive(array_agg(o.id), 'cancelled', 'table truncated')
    from tradeflow.outbox o
    where o.source = the_name and o.state = 'waiting' and o.key is not null;
  end if;
  insert into tradeflow.view_checks (rules, subjects, silent)
  select array[i.rule], array_agg(distinct m.subject), coalesce(current_setting('tradeflow.mode', true) = 'silent', false)
  from tradeflow.rule_inputs i
  join tradeflow.rules r on r.name = i.rule and tradeflow._is_asked(r)
  join tradeflow.members m on m.rule = i.rule
  where i.source = the_name
  group by i.rule;
  return null;
end
$$;

comment on function tradeflow._truncated() is
  'Internal. Trigger of watched tables: what waits for rows that TRUNCATE removed is cancelled, and views are asked about all their members.';

create event trigger tradeflow_ddl on ddl_command_end
  when tag in ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'DROP TABLE', 'ALTER SCHEMA', 'DROP SCHEMA', 'DROP OWNED',
               'DROP TRIGGER', 'CREATE VIEW', 'ALTER VIEW', 'CREATE FUNCTION', 'ALTER FUNCTION')
  execute function tradeflow._ddl_ended();

comment on event trigger tradeflow_ddl is 'Watches again the tables that tools swap, rename and make anew.';

create event trigger tradeflow_drop on sql_drop execute function tradeflow._dropped();

comment on event trigger tradeflow_drop is 'Reports the rules that something dropped was needed by.';

create function tradeflow._load_as_dumped() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  if tradeflow._restoring() then
    -- For this one COPY: a foreign key's check is a trigger too.
    perform set_config('session_replication_role', case tg_when when 'BEFORE' then 'replica' else 'origin' end, true);
  end if;
  return null;
end
$$;

comment on function tradeflow._load_as_dumped() is 'Internal. While a dump is restored, rows are not checked against other tables, which may come later.';

create trigger rules_loading before insert on tradeflow.rules
  for each statement execute function tradeflow._load_as_dumped();

create trigger rules_loaded after insert on tradeflow.rules
  for each statement execute function tradeflow._load_as_dumped();

alter table tradeflow.rules enable always trigger rules_loaded;

create trigger actions_loading before insert on tradeflow.actions
  for each statement execute function tradeflow._load_as_dumped();

create trigger actions_loaded after insert on tradeflow.actions
  for each statement execute function tradeflow._load_as_dumped();

alter table tradeflow.actions enable always trigger actions_loaded;

create trigger rule_inputs_loading before insert on tradeflow.rule_inputs
  for each statement execute function tradeflow._load_as_dumped();

create trigger rule_inputs_loaded after insert on tradeflow.rule_inputs
  for each statement execute function tradeflow._load_as_dumped();

alter table tradeflow.rule_inputs enable always trigger rule_inputs_loaded;

create trigger members_loading before insert on tradeflow.members
  for each statement execute function tradeflow._load_as_dumped();

create trigger members_loaded after insert on tradeflow.members
  for each statement execute function tradeflow._load_as_dumped();

alter table tradeflow.members enable always trigger members_loaded;

create trigger schedules_loading before insert on tradeflow.schedules
  for each statement execute function tradeflow._load_as_dumped();

create trigger schedules_loaded after insert on tradeflow.schedules
  for each statement execute function tradeflow._load_as_dumped();

alter table tradeflow.schedules enable always trigger schedules_loaded;

create trigger rule_dependencies_loading before insert on tradeflow.rule_dependencies
  for each statement execute function tradeflow._load_as_dumped();

create trigger rule_dependencies_loaded after insert on tradeflow.rule_dependencies
  for each statement execute function tradeflow._load_as_dumped();

alter table tradeflow.rule_dependencies enable always trigger rule_dependencies_loaded;

create function tradeflow._kind_restored() returns trigger
language plpgsql security definer
set search_path = pg_catalog, pg_temp
as $$
begin
  update tradeflow.action_kinds k set paused_at = new.paused_at, paused_reason = new.paused_reason where k.name = new.name and k.builtin;
  return case when not found then new end;
end
$$;

comment on function tradeflow._kind_restored() is 'Internal. Pauses a kind that is there already as a dump says.';

create trigger action_kinds_restored before insert on tradeflow.action_kinds
  for each row when (new.builtin and new.paused_at is not null) execute function tradeflow._kind_restored();

alter table tradeflow.action_kinds enable always trigger action_kinds_restored;

grant usage on schema tradeflow to public;

revoke execute on all functions in schema tradeflow from public;

grant execute on function
  tradeflow.observer_in(cstring), tradeflow.observer_out(tradeflow.observer), tradeflow.observer_subscript(internal),
  tradeflow._flush(), tradeflow.now(), tradeflow.version()
to public;

grant select, insert, update, delete on tradeflow.rules, tradeflow.actions, tradeflow.templates, tradeflow.settings to tradeflow_author;

grant select, insert, update, delete on tradeflow.watched_tables, tradeflow.rule_inputs to tradeflow_author;

grant select on tradeflow.rule_versions, tradeflow.action_kinds, tradeflow.targets, tradeflow.outbox, tradeflow.outbox_history,
  tradeflow.incidents, tradeflow.firings, tradeflow.queue_health, tradeflow.target_health, tradeflow.rule_stats, tradeflow.sidecars,
  tradeflow.clock, tradeflow.members to tradeflow_author;

grant execute on function
  tradeflow.setting(text), tradeflow.watch(regclass, text[], text[], boolean), tradeflow.unwatch(regclass),
  tradeflow._qualified_name(regclass), tradeflow._require_columns(regclass, text[], text), tradeflow._invalidate(regclass),
  tradeflow._refuse_value(text, text),
  tradeflow._install_triggers(regclass), tradeflow._check_watch(text), tradeflow._restoring(),
  tradeflow._compile(text, regclass, text, text, text, text, text, text[], text, regrole),
  tradeflow._rule_missing(tradeflow.rules), tradeflow._require_member(name, text), tradeflow._check_source(text, text),
  tradeflow._is_asked(tradeflow.rules), tradeflow._as_written(text), tradeflow._check_view(text, text), tradeflow._check_view_query(regclass),
  tradeflow._view_subject_type(text), tradeflow._compile_input(text, regclass, text, regtype, text, regrole),
  tradeflow._next_run(text, timestamptz), tradeflow._check_schedule(text, text, text, regrole),
  tradeflow.pause(text, text), tradeflow.resume(text), tradeflow.revert(text, int), tradeflow.backfill(text, text, int, text), tradeflow._backfill(text, text, int, text),
  tradeflow._check_template(text, text), tradeflow._check_params(jsonb, text), tradeflow._check_value(jsonb, jsonb, text), tradeflow._targets_of(text)
to tradeflow_author;

grant select on tradeflow.schedules to tradeflow_author;

grant select on tradeflow.dependencies, tradeflow.members, tradeflow.rule_inputs to tradeflow_author;

grant execute on function
  tradeflow.explain(text, text), tradeflow.explain(text, bigint), tradeflow.explain(text, jsonb),
  tradeflow.simulate(text), tradeflow._before_simulation(), tradeflow._simulated(bigint, bigint),
  tradeflow.backtest(text, timestamptz, timestamptz), tradeflow.backtest(jsonb, timestamptz, timestamptz),
  tradeflow._backtest(jsonb, tradeflow.rules, timestamptz, timestamptz), tradeflow._definition(tradeflow.rules),
  tradeflow._replay(text, regclass, text, timestamptz, timestamptz)
to tradeflow_author;

grant execute on function tradeflow.explain(text, text), tradeflow.explain(text, bigint), tradeflow.explain(text, jsonb) to tradeflow_operator;

grant select, insert, update, delete on tradeflow.projects, tradeflow.project_objects, tradeflow.pools, tradeflow.pool_members,
  tradeflow.assignments to tradeflow_author;

grant execute on function
  tradeflow._statements(text), tradeflow.pick(text, text, text[]), tradeflow.release(text, text)
to tradeflow_author;

grant execute on function
  tradeflow.matches(anycompatible, anycompatible), tradeflow.matches(anycompatiblearray, anycompatible),
  tradeflow.matches(anycompatiblerange, anycompatible)
to public;

grant select on tradeflow.targets, tradeflow.templates, tradeflow.settings, tradeflow.action_kinds, tradeflow.actions,
  tradeflow.rules, tradeflow.watched_tables, tradeflow.incidents, tradeflow.queue_health, tradeflow.outbox, tradeflow.outbox_history,
  tradeflow.clock, tradeflow.sidecars, tradeflow.target_health to tradeflow_executor;

grant execute on function
  tradeflow.claim(text, int, interval, text[], jsonb), tradeflow.next_due(text[]), tradeflow.started(bigint, int), tradeflow.complete(bigint[], int[], jsonb[]),
  tradeflow.fail(bigint, int, text, text, interval, boolean), tradeflow.extend(bigint[], int[], interval), tradeflow.tick(), tradeflow.tick_outbox(), tradeflow.tick_rules(), tradeflow.setting(text),
  tradeflow.present(text, text[], text, int), tradeflow.absent(text), tradeflow.health(interval)
to tradeflow_executor;

grant select on all tables in schema tradeflow to tradeflow_operator;

grant insert, update, delete on tradeflow.targets, tradeflow.settings, tradeflow.clock, tradeflow.action_kinds to tradeflow_operator;

grant update (paused_at, paused_reason) on tradeflow.rules to tradeflow_operator;

grant execute on function tradeflow.pause(text, text), tradeflow.resume(text), tradeflow._as_written(text), tradeflow._refuse_value(text, text) to tradeflow_operator;

grant execute on function tradeflow._check_schema(jsonb, text) to tradeflow_operator;

grant execute on function
  tradeflow.hold(bigint[], text), tradeflow.health(interval),
  tradeflow.cancel(bigint[], text), tradeflow.cancel(bigint, text), tradeflow.retry(bigint[]), tradeflow.retry(bigint),
  tradeflow.release_held(text, bigint[]), tradeflow.discard_held(text, bigint[]), tradeflow.ack(bigint),
  tradeflow.set_clock(timestamptz), tradeflow.setting(text), tradeflow.tick(),
  tradeflow.pause_target(text, text), tradeflow.resume_target(text), tradeflow._require_target(text), tradeflow._try_again(text), tradeflow.pause_kind(text, text), tradeflow.resume_kind(text),
  tradeflow.release(text, text)
to tradeflow_operator;

grant execute on function tradeflow.inspect(bigint), tradeflow.waits_for(bigint), tradeflow._kinds_executed() to tradeflow_author, tradeflow_operator;

grant execute on function
  tradeflow.ledger_enter(text, text, numeric, text, numeric, text, bigint), tradeflow.ledger_sending(bigint, numeric, numeric), tradeflow.ledger_settle(bigint, boolean),
  tradeflow.pushed(text, text, text), tradeflow.lock(text, text, interval), tradeflow.unlock(text, text),
  tradeflow.execute(bigint, int, jsonb), tradeflow.messages_for(bigint, text, text), tradeflow.may_mail(bigint, text[], text, int, interval)
to tradeflow_executor;

grant select on tradeflow.ledger_entries, tradeflow.links, tradeflow.pushes to tradeflow_executor;

grant select on tradeflow.ledger_entries, tradeflow.links, tradeflow.pushes, tradeflow.tasks, tradeflow.storefront_messages, tradeflow.suppressions to tradeflow_author;

grant execute on function tradeflow.pushed(text, text, text), tradeflow.ledger_enter(text, text, numeric, text, numeric, text, bigint) to tradeflow_author;

grant insert, update, delete on tradeflow.suppressions, tradeflow.links to tradeflow_operator;

grant update (outcome, note, decided_by, decided_at) on tradeflow.tasks to tradeflow_operator;

grant delete on tradeflow.tasks, tradeflow.storefront_messages, tradeflow.pushes to tradeflow_operator;

grant execute on function tradeflow.decide(bigint, text, text), tradeflow.suppress(text, text), tradeflow.pushed(text, text, text), tradeflow.ledger_settle(bigint, boolean) to tradeflow_operator;

-- Up to here: written by scripts/upgrade_script.py


-- TRUNCATE has a trigger of its own now; what was lost before, is said now.
select tradeflow._check_watch(w.name) from tradeflow.watched_tables w;

-- What each rule reads is noted when it is written: these were written before.
select tradeflow._note_dependencies(r.name) from tradeflow.rules r;

-- The targets of before have states too.
insert into tradeflow.target_states (target) select t.name from tradeflow.targets t;

-- Where claim() looks for what is ready: everywhere that actions name now, or named when they fired.
insert into tradeflow.channels (kind, target)
select a.kind, coalesce(a.target, '') from tradeflow.actions a
union
select o.kind, coalesce(o.target, '') from tradeflow.outbox o where o.kind is not null;
